//! The process of the P-CSCF (TS 24.229 §5.2).

use cscf::assembly::Part;
use pcscf::Pcscf;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::process::run_role(Part::Pcscf, "The P-CSCF: where UEs enter the IMS", Pcscf::new)
}
