//! IPsec of a machine: who does ESP for it, and what becomes of a wish of its.

use crate::ipsec::{SecurityBackEnd, SecurityError, Xfrm};
use ambient::Instant;
use cscf::query::{Secure, SecureFailure};
use ipsec::{SaSet, Spi};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// Who does ESP for a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Nobody: a machine that asks for associations is refused.
    #[default]
    None,
    /// The kernel of the network namespace that the machine is started in.
    Xfrm {
        /// Protected ports that take nothing in clear, from wherever it is.
        guarded: Vec<SocketAddr>,
    },
}

impl Security {
    /// Opens the way to it; ports are guarded from here on.
    pub(super) fn open(&self) -> Result<Option<Associations>, SecurityError> {
        match self {
            Security::None => Ok(None),
            Security::Xfrm { guarded } => {
                let mut back_end = SecurityBackEnd::Xfrm(Xfrm::open()?);
                back_end.guard(guarded)?;
                Ok(Some(Associations { back_end, standing: None, ending: Vec::new() }))
            }
        }
    }
}

/// The associations of one machine.
pub(super) struct Associations {
    back_end: SecurityBackEnd,
    /// What an earlier process left in place, while a machine takes it up.
    standing: Option<BTreeSet<Spi>>,
    /// Sets that go at a moment, the next one first: until then the connections through them end in good order, which in
    /// clear they could not.
    ending: Vec<(Instant, Box<SaSet>)>,
}

impl Associations {
    /// Does what a machine asks for.
    pub(super) fn carry_out(&mut self, now: Instant, wish: Secure) -> Result<(), SecureFailure> {
        if !matches!(wish, Secure::Adopt(_)) {
            self.standing = None;
        }
        let done = match wish {
            Secure::Install(set) => self.make_way(&set).and_then(|()| self.back_end.install(&set)),
            Secure::Adopt(set) => self.adopt(&set),
            Secure::Remove(set) => {
                self.ending.push((now + FAREWELL, set));
                Ok(())
            }
        };
        done.map_err(|error| SecureFailure(error.to_string()))
    }

    /// When [`Associations::timeout`] is due.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.ending.first().map(|(at, _)| *at)
    }

    /// Removes what has had its time.
    pub(super) fn timeout(&mut self, now: Instant) {
        let is_over = |(at, _): &mut (Instant, Box<SaSet>)| *at <= now;
        let over: Vec<_> = self.ending.extract_if(.., is_over).collect();
        over.iter().for_each(|(_, set)| self.remove(set));
    }

    /// Removes everything that has to go, at once.
    pub(super) fn close(mut self) {
        for (_, set) in std::mem::take(&mut self.ending) {
            self.remove(&set);
        }
    }

    fn remove(&mut self, set: &SaSet) {
        if let Err(error) = self.back_end.remove(set) {
            tracing::warn!(set = %set.own_spi_s, %error, "security associations that have ended stay in place");
        }
    }

    /// Removes at once what is about to go and has the ports of a new set.
    fn make_way(&mut self, set: &SaSet) -> Result<(), SecurityError> {
        let selectors = |set: &SaSet| set.associations().map(|association| association.selector);
        let new = selectors(set);
        let clashes = |other: &SaSet| selectors(other).iter().any(|selector| new.contains(selector));
        for (_, other) in self.ending.extract_if(.., |(_, other)| clashes(other)) {
            self.back_end.remove(&other)?;
        }
        Ok(())
    }

    /// Leaves a set in place that stands whole, with its counters; else it is installed anew.
    fn adopt(&mut self, set: &SaSet) -> Result<(), SecurityError> {
        if self.standing.is_none() {
            let listed = self.back_end.list()?;
            self.standing = Some(listed.into_iter().map(|usage| usage.spi).collect());
        }
        let standing = self.standing.as_ref();
        let stands = |spi| standing.is_some_and(|standing| standing.contains(spi));
        if [set.own_spi_c, set.own_spi_s, set.peer_spi_c, set.peer_spi_s].iter().all(stands) {
            return Ok(());
        }
        self.back_end.remove(set)?;
        self.back_end.install(set)
    }
}

/// How long a set stays that a machine has no use for.
const FAREWELL: Duration = Duration::from_secs(1);
