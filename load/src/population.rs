//! The UEs, and which of them are registered.

pub use crate::challenge::Card;
use ambient::Entropy;
use std::collections::VecDeque;

/// A subscriber whose UE is played.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// The private identity.
    pub impi: String,
    /// The public identity that is registered.
    pub impu: String,
    /// The secrets.
    pub card: Card,
}

/// One UE.
#[derive(Debug)]
pub(crate) struct Ue {
    pub(crate) impi: Box<str>,
    pub(crate) impu: Box<str>,
    pub(crate) card: Card,
    /// What others dial, and what it calls itself: the first SIP identity that the network associated.
    pub(crate) identity: Box<[u8]>,
    /// Route header lines: the P-CSCF's, then the Service-Route.
    pub(crate) routes: Box<[u8]>,
    /// The Authorization that was accepted last; a refresh repeats it (TS 24.229 §5.1.1.4.1).
    pub(crate) authorization: Box<[u8]>,
    /// Counts registrations, for their Call-IDs.
    pub(crate) registrations: u32,
    /// CSeq of the last REGISTER.
    pub(crate) cseq: u32,
    /// Calls and texts that it takes part in.
    pub(crate) busy: u32,
    /// Registrations in a row that failed.
    failures: u8,
    /// A REGISTER is under way: one at a time (TS 24.229 §5.1.1.2.1).
    is_registering: bool,
    /// Index among the registered ones.
    place: Option<u32>,
}

/// Which registered UE is the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Any, by chance.
    #[default]
    Chance,
    /// Each in its turn, so that all have come before one comes again.
    InTurn,
}

/// All UEs.
#[derive(Debug)]
pub struct Population {
    ues: Vec<Ue>,
    registered: Vec<u32>,
    /// Neither registered nor about to be.
    absent: VecDeque<u32>,
    /// Those that were given up.
    lost: usize,
    order: Order,
    /// Whose turn is next.
    turn: u32,
}

impl Population {
    /// UEs that are switched off.
    pub fn new(subscribers: impl IntoIterator<Item = Subscriber>) -> Population {
        let ues: Vec<Ue> = subscribers.into_iter().map(Ue::new).collect();
        let absent = (0..ues.len() as u32).collect();
        Population { ues, registered: Vec::new(), absent, lost: 0, order: Order::Chance, turn: 0 }
    }

    /// The same, with its registered UEs in another order.
    pub fn in_order(self, order: Order) -> Population {
        Population { order, ..self }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ues.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ues.is_empty()
    }

    /// How many are registered.
    pub fn registered(&self) -> usize {
        self.registered.len()
    }

    /// How many are not, and wait to be.
    pub fn absent(&self) -> usize {
        self.absent.len()
    }

    /// How many were given up, because they could not be registered.
    pub fn lost(&self) -> usize {
        self.lost
    }

    pub(crate) fn ue(&self, ue: u32) -> &Ue {
        &self.ues[ue as usize]
    }

    pub(crate) fn ue_mut(&mut self, ue: u32) -> &mut Ue {
        &mut self.ues[ue as usize]
    }

    /// One that is not registered begins to.
    pub(crate) fn take_absent(&mut self) -> Option<u32> {
        let ue = self.absent.pop_front()?;
        self.ues[ue as usize].is_registering = true;
        Some(ue)
    }

    /// A registered one: whose turn it is, or any.
    pub(crate) fn next_registered(&mut self, entropy: &mut Entropy) -> Option<u32> {
        match self.order {
            Order::Chance => self.any_registered(entropy),
            Order::InTurn => {
                for _ in 0..self.ues.len() {
                    let ue = self.turn;
                    self.turn = (ue + 1) % self.ues.len() as u32;
                    if self.ues[ue as usize].place.is_some() {
                        return Some(ue);
                    }
                }
                None
            }
        }
    }

    fn any_registered(&self, entropy: &mut Entropy) -> Option<u32> {
        self.registered.get(entropy.below(self.registered.len() as u64) as usize).copied()
    }

    /// Another registered one than `ue`, by chance.
    pub(crate) fn any_other(&self, ue: u32, entropy: &mut Entropy) -> Option<u32> {
        let place = self.ues[ue as usize].place? as u64;
        let others = (self.registered.len() as u64).checked_sub(1).filter(|others| *others > 0)?;
        let at = (place + 1 + entropy.below(others)) % self.registered.len() as u64;
        self.registered.get(at as usize).copied()
    }

    /// A registered one in no call is switched off and on, and begins to register as if it never had. Until it has, it
    /// calls nobody and nobody calls it: it has no Service-Route.
    pub(crate) fn take_restarted(&mut self, entropy: &mut Entropy) -> Option<u32> {
        let ue = self.take_registered(true, entropy)?;
        self.leave(ue);
        Some(ue)
    }

    /// A registered one begins to refresh or to end its registration; with `idle`, only one that is in no call.
    pub(crate) fn take_registered(&mut self, idle: bool, entropy: &mut Entropy) -> Option<u32> {
        for _ in 0..TRIES {
            let ue = self.next_registered(entropy)?;
            let candidate = &mut self.ues[ue as usize];
            if !candidate.is_registering && (!idle || candidate.busy == 0) {
                candidate.is_registering = true;
                return Some(ue);
            }
        }
        None
    }

    /// Its REGISTER has come to a good end: it is registered.
    pub(crate) fn has_registered(&mut self, ue: u32) {
        let count = self.registered.len() as u32;
        let ue_state = &mut self.ues[ue as usize];
        ue_state.is_registering = false;
        ue_state.failures = 0;
        if ue_state.place.is_none() {
            ue_state.place = Some(count);
            self.registered.push(ue);
        }
    }

    /// Its REGISTER has come to a good end: it is registered no longer.
    pub(crate) fn has_deregistered(&mut self, ue: u32) {
        self.ues[ue as usize].is_registering = false;
        if self.leave(ue) {
            self.absent.push_back(ue);
        }
    }

    /// One is no longer among the registered ones; whether it was.
    fn leave(&mut self, ue: u32) -> bool {
        let Some(place) = self.ues[ue as usize].place.take() else { return false };
        self.registered.swap_remove(place as usize);
        if let Some(moved) = self.registered.get(place as usize) {
            self.ues[*moved as usize].place = Some(place);
        }
        true
    }

    /// Its REGISTER has failed. One that is not registered will try again, but not for ever.
    pub(crate) fn has_failed(&mut self, ue: u32) {
        let ue_state = &mut self.ues[ue as usize];
        ue_state.is_registering = false;
        ue_state.failures = ue_state.failures.saturating_add(1);
        if ue_state.place.is_some() {
            return;
        }
        if ue_state.failures < FAILURES_MAX {
            self.absent.push_back(ue);
        } else {
            self.lost += 1;
        }
    }
}

impl Ue {
    fn new(subscriber: Subscriber) -> Ue {
        Ue {
            identity: subscriber.impu.as_bytes().into(),
            impi: subscriber.impi.into(),
            impu: subscriber.impu.into(),
            card: subscriber.card,
            routes: Box::default(),
            authorization: Box::default(),
            registrations: 0,
            cseq: 0,
            busy: 0,
            failures: 0,
            is_registering: false,
            place: None,
        }
    }
}

/// How many are looked at to find one that is free.
const TRIES: usize = 32;
/// Attempts of one UE in a row.
const FAILURES_MAX: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use ims_aka::{Key, Opc};

    fn population(count: usize) -> Population {
        let card = Card { k: Key::new([0; 16]), opc: Opc(Key::new([0; 16])) };
        let subscriber =
            |n: usize| Subscriber { impi: format!("{n}"), impu: format!("sip:{n}"), card: card.clone() };
        Population::new((0..count).map(subscriber))
    }

    fn registered(count: usize) -> Population {
        let mut population = population(count);
        while let Some(ue) = population.take_absent() {
            population.has_registered(ue);
        }
        population
    }

    #[test]
    fn a_ue_is_absent_then_registered_then_absent_again() {
        let mut population = population(3);
        let ue = population.take_absent().unwrap();
        assert_eq!((population.absent(), population.registered()), (2, 0));
        population.has_registered(ue);
        assert_eq!((population.absent(), population.registered()), (2, 1));
        population.has_deregistered(ue);
        assert_eq!((population.absent(), population.registered()), (3, 0));
    }

    #[test]
    fn one_that_leaves_does_not_disturb_the_places_of_the_others() {
        let mut population = registered(5);
        for ue in [0, 4, 2] {
            population.has_deregistered(ue);
        }
        let mut entropy = Entropy::seeded(1);
        for _ in 0..50 {
            let ue = population.any_registered(&mut entropy).unwrap();
            let other = population.any_other(ue, &mut entropy).unwrap();
            assert!([1, 3].contains(&ue) && [1, 3].contains(&other) && ue != other);
        }
    }

    #[test]
    fn in_turn_each_comes_once_before_one_comes_again() {
        let mut population = registered(5).in_order(Order::InTurn);
        let mut entropy = Entropy::seeded(1);
        population.has_deregistered(3);
        let mut turns = Vec::new();
        for _ in 0..8 {
            let ue = population.take_registered(false, &mut entropy).unwrap();
            population.has_registered(ue);
            turns.push(ue);
        }
        assert_eq!(turns, [0, 1, 2, 4, 0, 1, 2, 4]);
        assert_eq!(self::population(2).in_order(Order::InTurn).next_registered(&mut entropy), None);
    }

    #[test]
    fn who_is_alone_calls_nobody() {
        assert_eq!(registered(1).any_other(0, &mut Entropy::seeded(1)), None);
        assert_eq!(population(0).any_registered(&mut Entropy::seeded(1)), None);
    }

    #[test]
    fn one_register_at_a_time_and_none_that_ends_a_call() {
        let mut population = registered(1);
        let mut entropy = Entropy::seeded(1);
        population.ue_mut(0).busy = 1;
        assert_eq!(population.take_registered(true, &mut entropy), None);
        assert_eq!(population.take_registered(false, &mut entropy), Some(0));
        assert_eq!(population.take_registered(false, &mut entropy), None);
        population.has_failed(0);
        assert_eq!(population.registered(), 1, "a refresh that failed leaves the registration as it was");
    }

    /// Its INVITE would have no Service-Route, which the P-CSCF refuses.
    #[test]
    fn who_registers_anew_is_in_no_call_and_begins_none_until_it_has() {
        let mut population = registered(3);
        let mut entropy = Entropy::seeded(1);
        population.ue_mut(0).busy = 1;
        population.ue_mut(1).busy = 1;
        assert_eq!(population.take_restarted(&mut entropy), Some(2), "the others are in a call");
        assert_eq!(population.take_restarted(&mut entropy), None);
        for _ in 0..50 {
            let ue = population.next_registered(&mut entropy).unwrap();
            let other = population.any_other(ue, &mut entropy).unwrap();
            assert!(ue < 2 && other < 2 && ue != other);
        }
        population.has_registered(2);
        assert_eq!((population.absent(), population.registered()), (0, 3));
    }

    #[test]
    fn who_fails_to_register_anew_is_absent() {
        let mut population = registered(2);
        let ue = population.take_restarted(&mut Entropy::seeded(1)).unwrap();
        population.has_failed(ue);
        assert_eq!((population.absent(), population.registered()), (1, 1));
        assert_eq!(population.take_absent(), Some(ue));
    }

    #[test]
    fn who_fails_three_times_is_given_up() {
        let mut population = population(1);
        for _ in 0..3 {
            let ue = population.take_absent().unwrap();
            population.has_failed(ue);
        }
        assert_eq!((population.take_absent(), population.lost()), (None, 1));
    }
}
