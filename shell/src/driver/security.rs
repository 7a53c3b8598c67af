//! IPsec of a machine: who does ESP for it, and what becomes of a wish of its.

use crate::ipsec::{SecurityBackEnd, SecurityError, Xfrm};
use cscf::query::{Secure, SecureFailure};
use ipsec::{SaSet, Spi};
use std::collections::BTreeSet;
use std::net::SocketAddr;

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
                Ok(Some(Associations { back_end, standing: None }))
            }
        }
    }
}

/// The associations of one machine.
pub(super) struct Associations {
    back_end: SecurityBackEnd,
    /// What an earlier process left in place, while a machine takes it up.
    standing: Option<BTreeSet<Spi>>,
}

impl Associations {
    /// Does what a machine asks for.
    pub(super) fn carry_out(&mut self, wish: &Secure) -> Result<(), SecureFailure> {
        let done = match wish {
            Secure::Install(set) => self.back_end.install(set),
            Secure::Adopt(set) => self.adopt(set),
            Secure::Remove(set) => self.back_end.remove(set),
        };
        if !matches!(wish, Secure::Adopt(_)) {
            self.standing = None;
        }
        done.map_err(|error| SecureFailure(error.to_string()))
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
