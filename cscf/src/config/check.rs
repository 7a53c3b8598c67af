//! What one value alone cannot tell: clashes between sections.

use super::Config;
use super::reader::Reader;
use super::value::EmergencyCallers;
use super::value::Fault;
use crate::emergency::NUMBER_DIGITS_MAX;
use crate::flow::{Local, Transport};
use std::net::SocketAddr;

/// Compares the sections with each other.
pub fn check(config: &Config, reader: &mut Reader<'_>) {
    for (section, key, name) in [
        ("pcscf", "host", &config.pcscf.host),
        ("icscf", "host", &config.icscf.host),
        ("icscf", "diameter_host", &config.icscf.diameter_host),
        ("scscf", "host", &config.scscf.host),
        ("scscf", "diameter_host", &config.scscf.diameter_host),
        ("ecscf", "host", &config.ecscf.host),
        ("hss", "host", &config.hss.host),
        ("hss", "realm", &config.hss.realm),
    ] {
        host_name(reader, section, key, name);
    }
    sip_uri(reader, "icscf", "uri", &config.icscf.uri);
    if let Some(icscf) = &config.pcscf.icscf {
        sip_uri(reader, "pcscf", "icscf", icscf);
    }
    for scscf in &config.icscf.scscfs {
        sip_uri(reader, "icscf", "scscfs", &scscf.uri);
    }
    if config.icscf.scscfs.is_empty() {
        reader.reject(
            "icscf",
            "scscfs",
            Fault::new("names no S-CSCF", "name at least one, or leave the key out"),
        );
    }
    if config.diameter.hss.is_empty() {
        reader.reject(
            "diameter",
            "hss",
            Fault::new("names no HSS", "name at least one, or leave the key out"),
        );
    }
    emergency(config, reader);
    sockets(config, reader);
    certificates(config, reader);
    families(config, reader);
    trust(config, reader);
}

/// Where emergency requests go.
fn emergency(config: &Config, reader: &mut Reader<'_>) {
    if let Some(ecscf) = &config.pcscf.ecscf {
        sip_uri(reader, "pcscf", "ecscf", ecscf);
    }
    for next_hop in config.bgcf.rules.iter().flat_map(|rule| &rule.next_hops) {
        sip_uri(reader, "bgcf", "rule", next_hop);
    }
    for psap in &config.ecscf.psaps {
        sip_uri(reader, "ecscf", "psap", &psap.uri);
    }
    if config.pcscf.emergency == EmergencyCallers::Anyone && config.pcscf.ecscf.is_none() {
        let fault = Fault::new(
            "takes calls that nobody serves",
            "give [ecscf] a listen, or name one in another file: ecscf = \"sip:ecscf.example:7060\"",
        );
        reader.reject("pcscf", "emergency", fault);
    }
    if !config.ecscf.listen.is_empty() && config.ecscf.psaps.is_empty() {
        let fault =
            Fault::new("names no PSAP", "write [[ecscf.psap]] and its uri = \"sip:psap.example:5060\"");
        reader.reject("ecscf", "listen", fault);
    }
    let is_number = |number: &String| {
        number.len() <= NUMBER_DIGITS_MAX && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !config.pcscf.emergency_numbers.iter().all(|number| !number.is_empty() && is_number(number)) {
        let fault = Fault::new(
            "holds what is no emergency number",
            "write one to eight digits each: [\"112\", \"911\"]",
        );
        reader.reject("pcscf", "emergency_numbers", fault);
    }
}

/// Reports a name that is not a host name (RFC 1123 §2.1).
pub fn host_name(reader: &mut Reader<'_>, section: &str, key: &str, name: &str) {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        let fault = Fault::new(
            format!("\"{name}\" is not a host name"),
            "write letters, digits, hyphens and dots only",
        );
        reader.reject(section, key, fault);
    }
}

/// Reports a URI that is not `sip:` with a host.
pub fn sip_uri(reader: &mut Reader<'_>, section: &str, key: &str, uri: &str) {
    let host = uri.strip_prefix("sip:").map(|rest| rest.rsplit('@').next().unwrap_or(rest));
    let is_sound = host.is_some_and(|host| {
        host.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[')
            && !uri.contains(|c: char| c.is_whitespace() || c.is_control() || "<>\",".contains(c))
    });
    if !is_sound {
        let fault = Fault::new(format!("\"{uri}\" is not a SIP URI"), "write it as \"sip:host:port\"");
        reader.reject(section, key, fault);
    }
}

/// One socket, one owner; and each address must be one that a peer can send to.
fn sockets(config: &Config, reader: &mut Reader<'_>) {
    let protected = config.ipsec.locals(&config.pcscf.listen);
    let sip = [
        ("pcscf", "listen", &config.pcscf.listen),
        ("pcscf", "core_listen", &config.pcscf.core_listen),
        ("icscf", "listen", &config.icscf.listen),
        ("scscf", "listen", &config.scscf.listen),
        ("ecscf", "listen", &config.ecscf.listen),
        ("ipsec", "server_port", &protected),
    ];
    let diameter = config.hss.listen.iter();
    let diameter = diameter.map(|point| ("hss", "listen", point.transport.to_string(), point.address));
    // A port of TLS is one of TCP.
    let socket = |transport| if transport == Transport::Tls { Transport::Tcp } else { transport };
    let all = sip
        .into_iter()
        .flat_map(|(section, key, locals)| {
            let name = move |local: &Local| socket(local.transport).to_string();
            locals.iter().map(move |local| (section, key, name(local), local.address))
        })
        .chain(diameter);
    let mut seen: Vec<(&str, &str, String, SocketAddr)> = Vec::new();
    for (section, key, transport, address) in all {
        if address.ip().is_unspecified() {
            let fault = Fault::new(
                format!("{address} is not an address that a peer can answer to"),
                "name the one address that Via and Contact shall carry",
            );
            reader.reject(section, key, fault);
        }
        if address.port() == 0 {
            let fault = Fault::new("has port 0", "name the port that peers shall use");
            reader.reject(section, key, fault);
        }
        let owner = seen.iter().find(|(.., taken, at)| *taken == transport && *at == address);
        if let Some((other_section, other_key, ..)) = owner {
            let fault = Fault::new(
                format!("{transport}:{address} is taken by {other_section}.{other_key}"),
                "give each function its own address or port",
            );
            reader.reject(section, key, fault);
        }
        seen.push((section, key, transport, address));
    }
}

/// Whoever listens for TLS shows a certificate.
fn certificates(config: &Config, reader: &mut Reader<'_>) {
    if config.tls.has_certificate() {
        return;
    }
    for (section, key, locals) in [
        ("pcscf", "listen", &config.pcscf.listen),
        ("pcscf", "core_listen", &config.pcscf.core_listen),
        ("icscf", "listen", &config.icscf.listen),
        ("scscf", "listen", &config.scscf.listen),
    ] {
        if let Some(local) = locals.iter().find(|local| local.transport == Transport::Tls) {
            let fault = Fault::new(
                format!("tls:{} has no certificate to show", local.address),
                "name the PEM files: [tls] certificate = \"certificate.pem\", key = \"key.pem\"",
            );
            reader.reject(section, key, fault);
        }
    }
}

/// Functions that talk to each other need an address family in common.
fn families(config: &Config, reader: &mut Reader<'_>) {
    let core =
        if config.pcscf.core_listen.is_empty() { &config.pcscf.listen } else { &config.pcscf.core_listen };
    let has = |locals: &[Local], v6: bool| locals.iter().any(|local| local.address.is_ipv6() == v6);
    for (section, locals) in [("icscf", &config.icscf.listen), ("scscf", &config.scscf.listen)] {
        let common = [false, true].into_iter().any(|v6| has(core, v6) && has(locals, v6));
        if !common {
            let fault = Fault::new(
                "shares no address family with the P-CSCF",
                "use IPv4 in both, or IPv6 in both, or list an address of each",
            );
            reader.reject(section, "listen", fault);
        }
    }
}

/// A CSCF outside the trust domain would have every request refused.
fn trust(config: &Config, reader: &mut Reader<'_>) {
    let core =
        if config.pcscf.core_listen.is_empty() { &config.pcscf.listen } else { &config.pcscf.core_listen };
    for (name, locals) in
        [("P-CSCF", core), ("I-CSCF", &config.icscf.listen), ("S-CSCF", &config.scscf.listen)]
    {
        if let Some(outside) = locals.iter().find(|local| !config.trust.contains(local.address)) {
            let fault = Fault::new(
                format!("does not hold {}, an address of the {name}", outside.address.ip()),
                "add it, or leave the key out: the functions of this file are trusted then",
            );
            reader.reject("trust", "domain", fault);
        }
    }
}
