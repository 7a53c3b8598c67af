//! The process of the I-CSCF (TS 24.229 §5.3).

use cscf::assembly::Part;
use icscf::Icscf;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::process::run_role(Part::Icscf, "The I-CSCF: where requests enter the home network", Icscf::new)
}
