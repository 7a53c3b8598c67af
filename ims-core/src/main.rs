//! The process that is P-, I- and S-CSCF.

use ims_core::{ICSCF, PCSCF, SCSCF};
use std::process::ExitCode;

/// docs/decisions/21-allocator.md
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    shell::colocated::run("ims-core", ABOUT, (PCSCF, ICSCF, SCSCF))
}

const ABOUT: &str = "P-, I- and S-CSCF in one process, for a machine that has all three";
