//! The process of the E-CSCF (TS 24.229 §5.11).

use cscf::wording::Wording;
use ecscf::Ecscf;
use std::process::ExitCode;

/// docs/decisions/21-allocator.md
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    shell::process::run_alone(ABOUT, |config| config.ecscf.listen.clone(), Ecscf::new, Wording::NONE)
}

const ABOUT: &str = "The E-CSCF: brings emergency calls to the PSAP that serves the place of the caller";
