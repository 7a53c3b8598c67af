//! A NAT between hosts and the rest of the world: it gives each of their ports one of its own, for as long as it stays where
//! it is (RFC 4787 §4.1: a mapping that does not depend on the other end). ESP that is not in UDP does not pass.

use crate::world::HostId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// One NAT.
#[derive(Debug)]
pub struct Nat {
    outside: IpAddr,
    behind: BTreeSet<HostId>,
    mappings: BTreeMap<(HostId, SocketAddr), u16>,
    next_port: u16,
}

impl Nat {
    /// A NAT that nobody is behind yet.
    pub fn new(outside: IpAddr) -> Nat {
        Nat { outside, behind: BTreeSet::new(), mappings: BTreeMap::new(), next_port: FIRST_PORT }
    }

    /// Its address.
    pub fn outside(&self) -> IpAddr {
        self.outside
    }

    /// One more host is behind it.
    pub fn take_in(&mut self, host: HostId) {
        self.behind.insert(host);
    }

    /// Whether a host is behind it.
    pub fn hides(&self, host: HostId) -> bool {
        self.behind.contains(&host)
    }

    /// It has another address from here on, and has forgotten all it knew.
    pub fn move_to(&mut self, outside: IpAddr) {
        self.outside = outside;
        self.mappings.clear();
    }

    /// How a port of a host looks from outside.
    pub fn translate(&mut self, host: HostId, local: SocketAddr) -> SocketAddr {
        let next = &mut self.next_port;
        let port = *self.mappings.entry((host, local)).or_insert_with(|| {
            *next = next.checked_add(1).unwrap_or(FIRST_PORT);
            *next
        });
        SocketAddr::new(self.outside, port)
    }

    /// The port of a host that this address of ours stands for.
    pub fn inside(&self, outer: SocketAddr) -> Option<(HostId, SocketAddr)> {
        let is_it = |(_, port): &(&(HostId, SocketAddr), &u16)| **port == outer.port();
        let found = self.mappings.iter().find(is_it).filter(|_| outer.ip() == self.outside);
        found.map(|(inner, _)| *inner)
    }
}

const FIRST_PORT: u16 = 50_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_another_outside_until_the_nat_moves() {
        let outside = |last| IpAddr::from([203, 0, 113, last]);
        let mut nat = Nat::new(outside(1));
        nat.take_in(7);
        let local = SocketAddr::from(([10, 0, 0, 1], 4500));
        let outer = nat.translate(7, local);
        assert_eq!((nat.translate(7, local), outer.ip()), (outer, outside(1)));
        assert_ne!(nat.translate(8, local), outer, "another host may have the same address");
        assert_eq!(nat.inside(outer), Some((7, local)));
        nat.move_to(outside(2));
        assert_eq!(nat.inside(outer), None);
        let outer = nat.translate(7, local);
        assert_eq!((nat.inside(outer), outer.ip()), (Some((7, local)), outside(2)));
        assert!(nat.hides(7) && !nat.hides(8));
    }
}
