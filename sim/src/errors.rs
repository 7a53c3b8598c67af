//! ERROR events of the machines: something is broken, so a run that logs one has failed.
//!
//! Each thread keeps its own, as each simulation runs in one thread. The first world installs the subscriber.

use std::cell::RefCell;
use std::fmt::{self, Write};
use std::sync::Once;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

thread_local! {
    static LOGGED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Listens from here on; what this thread logged before is forgotten.
pub fn watch() {
    static INSTALLED: Once = Once::new();
    // Where the process has a subscriber of its own, that one stays.
    INSTALLED.call_once(|| drop(tracing::subscriber::set_global_default(Errors)));
    take();
}

/// What this thread logged as ERROR since the last look.
pub fn take() -> Vec<String> {
    LOGGED.with_borrow_mut(std::mem::take)
}

/// Keeps ERROR events and nothing else.
struct Errors;

impl Subscriber for Errors {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().target().to_owned());
        event.record(&mut line);
        LOGGED.with_borrow_mut(|logged| logged.push(line.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_kept_and_a_warning_is_not() {
        watch();
        tracing::warn!("nothing to see");
        assert_eq!(take(), Vec::<String>::new());
        tracing::error!(role = "hss", "broken");
        assert_eq!(take(), ["sim::errors::tests message=broken role=\"hss\""]);
        assert_eq!(take(), Vec::<String>::new());
    }
}
