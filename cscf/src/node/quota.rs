//! How many requests of one source outside of the trust domain are in progress, so that one cannot fill the tables for
//! all the others.
//!
//! A request counts until its context is gone, which is some time after its final response: what a flood leaves behind is
//! what fills the tables.

use crate::flow::{Source, Trust};
use ambient::entropy::KeyedState;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// Open contexts by source.
#[derive(Debug)]
pub(crate) struct Quota {
    open: HashMap<IpAddr, usize, KeyedState>,
    max: usize,
}

impl Quota {
    pub(crate) fn new(max: usize, hash_state: KeyedState) -> Quota {
        Quota { open: HashMap::with_hasher(hash_state), max }
    }

    /// Whether the source has as many contexts as it may have; never for one inside the trust domain.
    pub(crate) fn is_used_up(&self, source: &Source) -> bool {
        holder(source).and_then(|holder| self.open.get(&holder)).is_some_and(|open| *open >= self.max)
    }

    /// As [`Quota::is_used_up`], for an emergency: there is a reserve, and a bound to it.
    pub(crate) fn is_reserve_used_up(&self, source: &Source) -> bool {
        let max = self.max.saturating_add(emergency_reserve(self.max));
        holder(source).and_then(|holder| self.open.get(&holder)).is_some_and(|open| *open >= max)
    }

    /// Counts a context; what comes back is for [`Quota::leave`].
    pub(crate) fn enter(&mut self, source: &Source) -> Option<IpAddr> {
        let holder = holder(source)?;
        *self.open.entry(holder).or_default() += 1;
        Some(holder)
    }

    /// Takes a context off; a source without any is forgotten.
    pub(crate) fn leave(&mut self, holder: Option<IpAddr>) {
        let Some(holder) = holder else { return };
        if let Some(open) = self.open.get_mut(&holder) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(&holder);
            }
        }
    }

    /// How many sources are counted.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}

/// What is kept for emergencies above a bound of so many: an eighth, and at least what one call takes.
pub(crate) const fn emergency_reserve(max: usize) -> usize {
    if max / 8 > CALL { max / 8 } else { CALL }
}

/// Requests that one call has open at a time: INVITE, PRACK, UPDATE, CANCEL.
const CALL: usize = 4;

/// Who a source is: its address without the port, for ports cost nothing; of IPv6 the 64 bits that a network assigns.
fn holder(source: &Source) -> Option<IpAddr> {
    match (source.trust, source.remote.ip()) {
        (Trust::Domain, _) => None,
        (Trust::Outside, IpAddr::V6(address)) => {
            Some(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into())
        }
        (Trust::Outside, address) => Some(address),
    }
}
