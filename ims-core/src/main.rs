//! The process that is P-, I- and S-CSCF, which hand messages to each other in memory ([`cscf::station::colocation`]), with
//! an E-CSCF beside them.

use cscf::wording::Wording;
use ecscf::Ecscf;
use icscf::Icscf;
use pcscf::Pcscf;
use scscf::Scscf;
use shell::colocated::{self, Function};
use std::process::ExitCode;

/// docs/decisions/21-allocator.md
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let pcscf = Function { role: Pcscf::new, wording: pcscf::wording::WORDING };
    let icscf = Function { role: Icscf::new, wording: Wording::NONE };
    let scscf = Function { role: Scscf::new, wording: scscf::WORDING };
    let ecscf = Function { role: Ecscf::new, wording: Wording::NONE };
    colocated::run("ims-core", ABOUT, (pcscf, icscf, scscf), ecscf)
}

const ABOUT: &str =
    "P-, I- and S-CSCF in one process, for a machine that has all three; and an E-CSCF beside them";
