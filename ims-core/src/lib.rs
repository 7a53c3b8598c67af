//! P-, I- and S-CSCF in one process, which hand messages to each other in memory ([`cscf::station::colocation`]).

use ambient::Entropy;
use cscf::config::Config;
use cscf::station::Colocation;
use cscf::wording::Wording;
use icscf::Icscf;
use pcscf::Pcscf;
use scscf::Scscf;
use shell::colocated::{self, Function};
use shell::process::Failure;
use std::sync::Arc;

/// The three as one machine.
pub type ImsCore = Colocation<Pcscf, Icscf, Scscf>;

/// The P-CSCF.
pub const PCSCF: Function<Pcscf> = Function { role: Pcscf::new, wording: pcscf::wording::WORDING };
/// The I-CSCF, which takes no commands.
pub const ICSCF: Function<Icscf> = Function { role: Icscf::new, wording: Wording::NONE };
/// The S-CSCF.
pub const SCSCF: Function<Scscf> = Function { role: Scscf::new, wording: scscf::WORDING };

/// One machine for each shard.
pub fn machines(config: &Arc<Config>, entropy: Entropy) -> Result<Vec<ImsCore>, Failure> {
    colocated::stations(config, (PCSCF.role, ICSCF.role, SCSCF.role), entropy)
}
