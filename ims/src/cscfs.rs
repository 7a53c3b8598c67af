//! The three CSCFs of a core in this process: on threads of their own, or together on each.

use crate::control::{PCSCF, SCSCF};
use crate::core::{Launch, check, entropy, spawn_shards};
use crate::exit::Failure;
use cscf::assembly::{self, Part};
use cscf::config::Config;
use cscf::station::OfPart;
use cscf::trace;
use cscf::wording::Wording;
use icscf::Icscf;
use pcscf::Pcscf;
use scscf::Scscf;
use shell::control::ControlError;
use shell::driver::Meter;
use shell::{Control, ControlSocket, Handle, Reload, Setup, Sockets, colocated, process};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

/// How the CSCFs reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrangement {
    /// By the sockets of each, as processes do: Mw can be captured.
    Sockets,
    /// In memory (docs/decisions/28-one-process.md).
    Memory,
}

/// Bound sockets of the three, in the order of [`Part::ALL`].
#[derive(Debug)]
pub enum CscfSockets {
    /// Of each.
    Apart([Sockets; 3]),
    /// Of all.
    Together(Sockets),
}

type OfAll<P, S> = OfPart<P, Infallible, S>;

/// CSCFs on threads of their own.
pub struct Apart {
    pcscf: Handle<pcscf::wording::Command, pcscf::wording::Notice>,
    icscf: Handle<Infallible, Infallible>,
    scscf: Handle<scscf::Command, scscf::Notice>,
}

/// The running CSCFs.
pub enum Cscfs {
    /// Each on threads of its own.
    Apart(Box<Apart>),
    /// All three on each thread.
    Together(
        Handle<OfAll<pcscf::wording::Command, scscf::Command>, OfAll<pcscf::wording::Notice, scscf::Notice>>,
    ),
}

impl Apart {
    fn ended(&self) -> impl Iterator<Item = bool> {
        [self.pcscf.is_finished(), self.icscf.is_finished(), self.scscf.is_finished()].into_iter()
    }
}

impl Cscfs {
    /// Who tells what they have counted.
    pub fn meters(&self) -> Vec<Meter> {
        match self {
            Cscfs::Apart(apart) => vec![apart.pcscf.meter(), apart.icscf.meter(), apart.scscf.meter()],
            Cscfs::Together(handle) => vec![handle.meter()],
        }
    }

    /// Starts them.
    pub fn start(config: &Arc<Config>, sockets: CscfSockets, launch: &Launch) -> Result<Cscfs, Failure> {
        let failed = |failure: process::Failure| Failure::Failed(failure.to_string());
        let security = process::security(Part::Pcscf, config).map_err(failed)?;
        match sockets {
            CscfSockets::Apart([p, i, s]) => {
                let setup = |part: Part, sockets| {
                    let kept = process::open_store(part.name(), config).map_err(failed)?;
                    launch.setup(config, kept, sockets)
                };
                let scscf = assembly::shards(Part::Scscf, || Scscf::new(config.clone()), config, entropy()?);
                let scscf = spawn_shards("scscf", scscf, setup(Part::Scscf, s)?)?;
                let icscf = assembly::shards(Part::Icscf, || Icscf::new(config.clone()), config, entropy()?);
                let icscf = spawn_shards("icscf", icscf, setup(Part::Icscf, i)?)?;
                let pcscf = assembly::shards(Part::Pcscf, || Pcscf::new(config.clone()), config, entropy()?);
                let setup = Setup { security, ..setup(Part::Pcscf, p)? };
                let pcscf = spawn_shards("pcscf", pcscf, setup)?;
                Ok(Cscfs::Apart(Box::new(Apart { pcscf, icscf, scscf })))
            }
            CscfSockets::Together(sockets) => {
                let roles =
                    (Pcscf::new as colocated::Make<_>, Icscf::new as colocated::Make<_>, Scscf::new as _);
                let stations = colocated::stations(config, roles, entropy()?).map_err(failed)?;
                let kept = colocated::open_store(config).map_err(failed)?;
                let setup = Setup { security, ..launch.setup(config, kept, sockets)? };
                Ok(Cscfs::Together(spawn_shards("cscfs", stations, setup)?))
            }
        }
    }

    /// Takes commands of an operator at sockets in `directory` while what is returned lives.
    pub fn operate(&mut self, directory: &Path, reload: &Arc<Reload>) -> Result<Vec<Control>, ControlError> {
        let [pcscf, icscf, scscf] = [PCSCF, "icscf", SCSCF].map(|name| ControlSocket::bind(directory, name));
        let sockets = vec![pcscf?, icscf?, scscf?];
        let wordings = (pcscf::wording::WORDING, Wording::NONE, scscf::WORDING);
        match self {
            Cscfs::Together(handle) => colocated::serve(handle, sockets, wordings, reload),
            Cscfs::Apart(apart) => {
                let Ok([p, i, s]) = <[ControlSocket; 3]>::try_from(sockets) else { return Ok(Vec::new()) };
                Ok(vec![
                    p.serve(apart.pcscf.operator(), wordings.0, reload.clone())?,
                    i.serve(apart.icscf.operator(), wordings.1, reload.clone())?,
                    s.serve(apart.scscf.operator(), wordings.2, reload.clone())?,
                ])
            }
        }
    }

    /// Asks them to finish what they have begun.
    pub fn drain(&self) {
        match self {
            Cscfs::Together(handle) => handle.drain(),
            Cscfs::Apart(apart) => {
                apart.pcscf.drain();
                apart.icscf.drain();
                apart.scscf.drain();
            }
        }
    }

    /// Whether all have ended.
    pub fn are_finished(&self) -> bool {
        match self {
            Cscfs::Together(handle) => handle.is_finished(),
            Cscfs::Apart(apart) => apart.ended().all(|has_ended| has_ended),
        }
    }

    /// Whether one has ended.
    pub fn has_one_ended(&self) -> bool {
        match self {
            Cscfs::Together(handle) => handle.is_finished(),
            Cscfs::Apart(apart) => apart.ended().any(|has_ended| has_ended),
        }
    }

    /// Adds what P-, I- and S-CSCF have reported since the last time; where they are together, all of it is the first's.
    pub fn collect(&self, events: &mut [Vec<trace::Event>; 3]) {
        match self {
            Cscfs::Together(handle) => events[0].extend(handle.traces.try_iter()),
            Cscfs::Apart(apart) => {
                events[0].extend(apart.pcscf.traces.try_iter());
                events[1].extend(apart.icscf.traces.try_iter());
                events[2].extend(apart.scscf.traces.try_iter());
            }
        }
    }

    /// Waits for their end.
    pub fn join(self) -> Result<(), Failure> {
        match self {
            Cscfs::Together(handle) => check(handle.join()),
            Cscfs::Apart(apart) => {
                let Apart { pcscf, icscf, scscf } = *apart;
                [pcscf.join(), icscf.join(), scscf.join()].into_iter().try_for_each(check)
            }
        }
    }
}
