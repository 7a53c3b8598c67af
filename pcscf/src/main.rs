//! The process of the P-CSCF (TS 24.229 §5.2).

use cscf::assembly::Part;
use pcscf::Pcscf;
use pcscf::wording::WORDING;
use std::process::ExitCode;

/// docs/decisions/21-allocator.md
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    shell::process::run_role(Part::Pcscf, ABOUT, Pcscf::new, WORDING)
}

const ABOUT: &str = "The P-CSCF: where UEs enter the IMS";
