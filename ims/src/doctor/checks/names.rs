//! Whether others find this network by DNS (RFC 3263 §4).

use crate::doctor::facts::Facts;
use crate::doctor::finding::Verdict;
use cscf::config::Config;
use cscf::resolve::{Question, Records};

/// What a missing name costs: our own functions know each other from the file, so only who names DNS servers depends on them.
fn missing(config: &Config, what: String, fix: String) -> Verdict {
    match config.dns.servers.is_empty() {
        true => Verdict::warn(format!("{what}: our own functions do not need it, others do"), fix),
        false => Verdict::bad(what, fix),
    }
}

fn dns(config: &Config, facts: &Facts, wanted: &Question, record: &str) -> Verdict {
    let records = facts.names.iter().find(|(question, _)| question == wanted).map(|(_, records)| records);
    let (Question::Naptr(name) | Question::Srv(name) | Question::Address(name)) = wanted;
    let found = match records {
        None => return Verdict::skipped("not asked"),
        Some(Records::Unreachable) => {
            let what = format!("no name server answers for {name}");
            return missing(config, what, "check [dns] servers, or /etc/resolv.conf".to_owned());
        }
        Some(Records::Naptr(records)) => records.iter().map(|naptr| naptr.replacement.clone()).collect(),
        Some(Records::Srv(records)) => {
            records.iter().map(|srv| format!("{}:{}", srv.target, srv.port)).collect::<Vec<_>>()
        }
        Some(Records::Addresses(addresses)) => addresses.iter().map(ToString::to_string).collect(),
    };
    match found.is_empty() {
        false => Verdict::good(format!("{name}: {}", found.join(", "))),
        true => missing(
            config,
            format!("{name} has no {}", kind(wanted)),
            format!("add to the zone: {name}. {record}"),
        ),
    }
}

fn kind(question: &Question) -> &'static str {
    match question {
        Question::Naptr(_) => "NAPTR record",
        Question::Srv(_) => "SRV record",
        Question::Address(_) => "A or AAAA record",
    }
}

pub fn dns_naptr(config: &Config, facts: &Facts) -> Verdict {
    let domain = config.home.domain();
    let record = format!("IN NAPTR 20 50 \"s\" \"SIP+D2U\" \"\" _sip._udp.{domain}.");
    dns(config, facts, &Question::Naptr(domain.to_owned()), &record)
}

pub fn dns_srv(config: &Config, facts: &Facts) -> Verdict {
    let port = config.icscf.listen.first().map_or(5060, |local| local.address.port());
    let record = format!("IN SRV 0 0 {port} {}.", config.icscf.host);
    dns(config, facts, &Question::Srv(format!("_sip._udp.{}", config.home.domain())), &record)
}

pub fn dns_pcscf(config: &Config, facts: &Facts) -> Verdict {
    let address = config.pcscf.listen.first().map(|local| local.address.ip());
    dns(config, facts, &Question::Address(config.pcscf.host.clone()), &address_record(address))
}

pub fn dns_icscf(config: &Config, facts: &Facts) -> Verdict {
    let address = config.icscf.listen.first().map(|local| local.address.ip());
    dns(config, facts, &Question::Address(config.icscf.host.clone()), &address_record(address))
}

fn address_record(address: Option<std::net::IpAddr>) -> String {
    match address {
        Some(address) if address.is_ipv6() => format!("IN AAAA {address}"),
        Some(address) => format!("IN A {address}"),
        None => "IN A ADDRESS".to_owned(),
    }
}
