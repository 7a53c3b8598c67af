//! PPR: the S-CSCF gets a profile that changed (TS 29.228 §6.2.2).

use crate::registration::{Registration, State};
use crate::subscriber::Subscriber;
use diameter_client::cx::Ppr;
use std::collections::VecDeque;

/// The profiles that are still to be pushed, one for each implicit set that is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Push {
    sets: VecDeque<SetPush>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct SetPush {
    position: usize,
    /// Tried in this order while the S-CSCF answers that it does not know the one before.
    impis: VecDeque<String>,
}

impl Push {
    /// Every set of a subscription that is served.
    pub fn new(subscriber: &Subscriber, registration: &Registration) -> Push {
        let sets = registration.sets.iter().filter_map(|(&position, record)| {
            let set = subscriber.implicit_sets.get(position)?;
            let impis = match record.state() {
                State::NotRegistered => return None,
                State::Registered => record.registered.keys().cloned().collect(),
                State::Unregistered => subscriber.impis_of(set).map(str::to_owned).collect(),
            };
            Some(SetPush { position, impis })
        });
        Push { sets: sets.collect() }
    }

    /// The request to send next; `None` when all are sent.
    pub fn request(
        &self,
        subscriber: &Subscriber,
        user_data: &dyn Fn(usize, &str) -> Vec<u8>,
    ) -> Option<Ppr> {
        let set = self.sets.front()?;
        let impi = set.impis.front()?;
        Some(Ppr {
            user_name: impi.clone(),
            user_data: Some(user_data(set.position, impi)),
            charging_information: subscriber.charging.clone(),
            ..Ppr::default()
        })
    }

    /// The set in hand is done.
    pub fn next_set(&mut self) {
        self.sets.pop_front();
    }

    /// The S-CSCF does not know the private identity: another of the set is tried, if there is one.
    pub fn next_impi(&mut self) {
        let Some(set) = self.sets.front_mut() else { return };
        set.impis.pop_front();
        if set.impis.is_empty() {
            self.next_set();
        }
    }
}
