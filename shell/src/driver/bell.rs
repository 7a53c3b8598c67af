//! The bell of a main loop: other threads ring it after they have put something into its inbox.
//!
//! A loop that is awake looks at it once a turn, which costs one load; only a loop that sleeps is woken by the system.

use mio::{Registry, Token, Waker};
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};

/// Rung from any thread, heard by one.
#[derive(Debug)]
pub(crate) struct Bell {
    state: AtomicU8,
    waker: Waker,
}

impl Bell {
    /// The bell of the loop that waits at `registry`.
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Bell> {
        Ok(Bell { state: AtomicU8::new(AWAKE), waker: Waker::new(registry, token)? })
    }

    /// Says that something was put into the inbox; to be called after it was.
    pub(crate) fn ring(&self) {
        if self.state.swap(RUNG, Ordering::AcqRel) == ASLEEP
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "a main loop cannot be woken");
        }
    }

    /// Whether it rang since the last look; to be called before the inbox is looked at.
    pub(crate) fn has_rung(&self) -> bool {
        // The load alone keeps the cache line shared while nobody rings.
        self.state.load(Ordering::Relaxed) == RUNG && self.state.swap(AWAKE, Ordering::AcqRel) == RUNG
    }

    /// Whether the loop may go to sleep: from here on a ring wakes it.
    pub(crate) fn may_sleep(&self) -> bool {
        self.state.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The loop is awake again.
    pub(crate) fn woke(&self) {
        // Fails when it was rung, which the next look will find.
        let _ = self.state.compare_exchange(ASLEEP, AWAKE, Ordering::AcqRel, Ordering::Acquire);
    }
}

const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;
const RUNG: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll};
    use std::time::Duration;

    #[test]
    fn a_loop_sleeps_only_while_nobody_has_rung_and_is_woken_once() {
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(8);
        let bell = Bell::new(poll.registry(), Token(7)).unwrap();
        let mut wakes = || {
            poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
            events.iter().count()
        };
        assert!(!bell.has_rung());
        bell.ring();
        assert!(!bell.may_sleep(), "what came before is looked at first");
        assert_eq!(wakes(), 0, "who is awake costs no system call");
        assert!(bell.has_rung() && !bell.has_rung());
        assert!(bell.may_sleep());
        bell.ring();
        bell.ring();
        assert_eq!(wakes(), 1);
        bell.woke();
        assert!(bell.has_rung());
    }
}
