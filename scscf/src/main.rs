//! The process of the S-CSCF (TS 24.229 §5.4).

use cscf::assembly::Part;
use scscf::Scscf;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::process::run_role(Part::Scscf, "The S-CSCF: where users are registered and served", Scscf::new)
}
