//! Profiles that were read before: the text of their services as the HSS writes it, and what it said.

use super::services::Services;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// Texts of services, and what each stands for as long as some user has it.
#[derive(Debug, Default)]
pub struct Sources {
    by_text: BTreeMap<Box<str>, Weak<Services>>,
}

/// An operator has some profiles, not one for each user; where an HSS writes something of the user into the text, it is
/// of no use to keep it, and this is where that ends.
const TEXTS_MAX: usize = 256;

impl Sources {
    /// What a text stands for, if it was read before and somebody has it.
    pub fn find(&self, text: &str) -> Option<Arc<Services>> {
        self.by_text.get(text)?.upgrade()
    }

    /// Remembers what a text stands for.
    pub fn remember(&mut self, text: &str, services: &Arc<Services>) {
        if self.by_text.len() >= TEXTS_MAX {
            self.by_text.retain(|_, services| services.strong_count() > 0);
        }
        if self.by_text.len() >= TEXTS_MAX {
            self.by_text.clear();
        }
        self.by_text.insert(text.into(), Arc::downgrade(services));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_while_somebody_has_what_it_stands_for_and_there_is_an_end_to_them() {
        let mut sources = Sources::default();
        let services = Arc::new(Services::named("a"));
        sources.remember("one", &services);
        assert!(sources.find("one").is_some_and(|found| Arc::ptr_eq(&found, &services)));
        assert!(sources.find("two").is_none());
        for number in 0..1000 {
            sources.remember(&number.to_string(), &services);
            assert!(sources.by_text.len() <= TEXTS_MAX);
        }
        drop(services);
        assert!(sources.find("999").is_none());
    }
}
