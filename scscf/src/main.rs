//! The process of the S-CSCF (TS 24.229 §5.4).

use cscf::assembly::Part;
use scscf::{Scscf, WORDING};
use std::process::ExitCode;

/// docs/decisions/21-allocator.md
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    shell::process::run_role(Part::Scscf, ABOUT, Scscf::new, WORDING)
}

const ABOUT: &str = "The S-CSCF: where users are registered and served";
