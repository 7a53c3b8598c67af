//! The process of the I-CSCF (TS 24.229 §5.3).

use cscf::assembly::Part;
use cscf::wording::Wording;
use icscf::Icscf;
use std::process::ExitCode;

/// docs/decisions/21-allocator.md
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    shell::process::run_role(Part::Icscf, ABOUT, Icscf::new, Wording::NONE)
}

const ABOUT: &str = "The I-CSCF: where requests enter the home network";
