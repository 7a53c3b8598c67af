//! What a subscriber is yet to be told. Pure.

use crate::registrar::binding::{Binding, Change};
use smallvec::SmallVec;

/// What has happened since the last NOTIFY of a subscription was written.
#[derive(Debug, Default)]
pub struct Due {
    /// Contacts and what became of each last, in the order in which they changed first.
    pub changes: SmallVec<[(Binding, Change); 1]>,
    /// Identities that are no more of the set.
    pub gone: Vec<Box<str>>,
    /// Whether the whole state is to be told, and not the changes alone.
    pub is_all: bool,
}

/// More changes than this between two NOTIFYs are told as the state that they have led to.
const CHANGES_MAX: usize = 32;

impl Due {
    /// The whole state is to be told.
    pub fn all(&mut self) {
        self.is_all = true;
    }

    /// Identities have come or gone.
    pub fn identities_changed(&mut self, gone: impl Iterator<Item = Box<str>>) {
        self.is_all = true;
        self.gone.extend(gone);
    }

    /// A contact has changed.
    pub fn changed(&mut self, binding: &Binding, change: Change) {
        let is_it = |(known, _): &(Binding, Change)| {
            (known.texts().impi, known.uri()) == (binding.texts().impi, binding.uri())
        };
        let at = self.changes.iter().position(is_it);
        match at.map(|at| (at, self.changes[at].1)) {
            // It has come and gone, and nobody has heard of it.
            Some((at, Change::Registered)) if change.is_end() => {
                self.changes.remove(at);
            }
            Some((at, Change::Registered)) => self.changes[at].0 = binding.clone(),
            Some((at, _)) => self.changes[at] = (binding.clone(), change),
            None if self.changes.len() == CHANGES_MAX => {
                self.changes.clear();
                self.is_all = true;
            }
            None => self.changes.push((binding.clone(), change)),
        }
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && !self.is_all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registrar::binding::Texts;
    use Change::{Deactivated, Expired, Refreshed, Registered};
    use ambient::Instant;

    fn contact(uri: &str) -> Binding {
        Binding::new(Texts { uri: uri.as_bytes(), ..Texts::default() }, 1000, None, 1, Instant::START)
    }

    #[test]
    fn changes_of_one_contact_become_one() {
        for (changes, expected) in [
            (&[Registered][..], Some(Registered)),
            (&[Registered, Refreshed], Some(Registered)),
            (&[Registered, Deactivated], None),
            (&[Refreshed, Refreshed], Some(Refreshed)),
            (&[Refreshed, Expired], Some(Expired)),
            (&[Expired, Registered], Some(Registered)),
        ] {
            let mut due = Due::default();
            changes.iter().for_each(|change| due.changed(&contact("sip:a"), *change));
            assert_eq!(due.changes.first().map(|(_, change)| *change), expected, "{changes:?}");
            assert_eq!(due.is_empty(), expected.is_none());
        }
    }

    #[test]
    fn what_is_too_much_is_told_as_the_whole_state() {
        let mut due = Due::default();
        (0..=CHANGES_MAX).for_each(|number| due.changed(&contact(&format!("sip:{number}")), Refreshed));
        assert!(due.is_all && due.changes.is_empty() && !due.is_empty());
    }
}
