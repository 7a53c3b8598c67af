//! Faults of a core in which Kamailio is one of the CSCFs: what is told then comes from the others, the HSS and the phones.

use crate::faults::FAULTS;
use crate::setup::Who;
use crate::{Fault, Takes};

/// Faults by their names, and whose place Kamailio takes.
const BESIDE: [(Who, &str); 10] = [
    (Who::Pcscf, "another K in the HSS"),
    (Who::Pcscf, "capabilities that no S-CSCF has"),
    (Who::Pcscf, "no codec in common"),
    (Who::Icscf, "no such subscriber"),
    (Who::Icscf, "a subscriber who may not roam here"),
    (Who::Icscf, "a subscriber who may not register"),
    (Who::Icscf, "a number that nobody has"),
    (Who::Scscf, "another OPc in the HSS"),
    (Who::Scscf, "a phone with another RES"),
    (Who::Scscf, "an HSS that cannot store"),
];

/// A fault, and whose place Kamailio takes.
pub struct Beside {
    pub stranger: Who,
    pub fault: &'static Fault,
}

/// The faults.
pub fn faults() -> Vec<Beside> {
    let fault = |(stranger, name): (Who, &str)| {
        let fault = FAULTS.iter().find(|fault| fault.name == name && fault.takes == Takes::Sockets);
        Beside { stranger, fault: fault.unwrap_or_else(|| panic!("no fault has the name {name:?}")) }
    };
    BESIDE.into_iter().map(fault).collect()
}
