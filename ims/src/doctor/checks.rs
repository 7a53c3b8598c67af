//! The checks: from facts to verdicts, in the order in which a person would look.

mod configuration;
mod host;
mod names;
mod neighbours;
mod room;

use super::facts::Facts;
use super::finding::{Finding, Verdict};
use cscf::config::Config;

/// The verdict of a check.
type Check = fn(&Config, &Facts) -> Verdict;

/// Every check by name.
const CHECKS: [(&str, Check); 24] = [
    ("plmn", configuration::plmn),
    ("scscf.pool", configuration::scscf_pool),
    ("subscribers", configuration::subscribers),
    ("trust", configuration::trust),
    ("kernel.esp", host::kernel_esp),
    ("kernel.sctp", host::kernel_sctp),
    ("capabilities", host::capabilities),
    ("addresses", host::addresses),
    ("ports", host::ports),
    ("ue.route", host::ue_route),
    ("mtu", host::mtu),
    ("clock", host::clock),
    ("tls", host::tls),
    ("dns.naptr", names::dns_naptr),
    ("dns.srv", names::dns_srv),
    ("dns.pcscf", names::dns_pcscf),
    ("dns.icscf", names::dns_icscf),
    ("diameter", neighbours::diameter),
    ("files", room::files),
    ("processors", room::processors),
    ("memory", room::memory),
    ("journal", room::journal),
    ("journal.space", room::journal_space),
    ("control", room::control),
];

/// All of them.
pub fn all(config: &Config, facts: &Facts) -> Vec<Finding> {
    let configuration = Finding::new("configuration", Verdict::good("is complete and has no mistake"));
    let checks = CHECKS.iter().map(|(name, check)| Finding::new(name, check(config, facts)));
    std::iter::once(configuration)
        .chain(checks)
        .chain([Finding::new("processes", neighbours::processes(facts))])
        .collect()
}

/// The only finding of a configuration that cannot be read.
pub fn broken_configuration(why: &str) -> Finding {
    Finding::new(
        "configuration",
        Verdict::bad(why, "correct the file; `--check-config` of each process reads it alike"),
    )
}

#[cfg(test)]
mod tests;
