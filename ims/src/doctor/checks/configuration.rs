//! Whether what is written fits together: network, S-CSCF, subscribers, trust.

use crate::doctor::facts::Facts;
use crate::doctor::finding::Verdict;
use cscf::config::Config;
use cscf::identity::HomeNetwork;
use hss_mock::Subscriber;
use std::net::SocketAddr;

/// Whether names that are written contradict the PLMN that is written: two- against three-digit MNCs, another country.
pub fn plmn(config: &Config, _: &Facts) -> Verdict {
    let plmn = config.home.plmn();
    let derived = HomeNetwork::of(plmn);
    let names = [
        ("home.domain", config.home.domain()),
        ("home.realm", config.home.realm()),
        ("pcscf.host", &config.pcscf.host),
        ("icscf.host", &config.icscf.host),
        ("scscf.host", &config.scscf.host),
        ("scscf.diameter_host", &config.scscf.diameter_host),
        ("hss.realm", &config.hss.realm),
    ];
    let label = format!("mnc{:0>3}.mcc{}", plmn.mnc(), plmn.mcc());
    let of_other = names.iter().find(|(_, name)| is_of_3gpp(name) && !name.contains(&label));
    match of_other {
        Some((key, name)) => Verdict::bad(
            format!(
                "{key} = \"{name}\" is of another network than [plmn] {}/{}: {label}",
                plmn.mcc(),
                plmn.mnc()
            ),
            "write the same MCC and MNC in both, or leave the name out; MNC 01 and 001 are two networks, and both spell mnc001",
        ),
        None if config.home.domain() != derived.domain() => Verdict::good(format!(
            "{}/{}, with a domain of its own: {}",
            plmn.mcc(),
            plmn.mnc(),
            config.home.domain()
        )),
        None => Verdict::good(format!("{}/{}: {}", plmn.mcc(), plmn.mnc(), config.home.domain())),
    }
}

fn is_of_3gpp(name: &str) -> bool {
    name.ends_with(".3gppnetwork.org")
}

/// Whether the I-CSCF can choose the S-CSCF of this file.
pub fn scscf_pool(config: &Config, _: &Facts) -> Verdict {
    let own = &config.scscf.uri;
    match config.icscf.scscfs.iter().any(|scscf| scscf.uri == *own) {
        true => Verdict::good(format!("the I-CSCF knows {own}")),
        false => Verdict::bad(
            format!("the I-CSCF may choose {} and not our S-CSCF, {own}", {
                let others: Vec<_> = config.icscf.scscfs.iter().map(|scscf| scscf.uri.as_str()).collect();
                others.join(", ")
            }),
            "add it to [[icscf.scscfs]], or leave that key out; the HSS must have the same spelling",
        ),
    }
}

/// Whether subscribers are of this network.
pub fn subscribers(config: &Config, facts: &Facts) -> Verdict {
    let known = match &facts.subscribers {
        Ok(known) => known,
        Err(why) => {
            return Verdict::bad(
                why,
                "correct the file or the database that [hss] names: `ims sub list` reads it",
            );
        }
    };
    let plmn = config.home.plmn();
    let prefix = format!("{}{}", plmn.mcc(), plmn.mnc());
    let strangers: Vec<_> =
        known.iter().filter_map(|one| stranger(one, &prefix, config.home.domain())).collect();
    match strangers.first() {
        _ if known.is_empty() => {
            Verdict::warn("there is none", "add one: `ims sub add IMSI --k K --opc OPC --msisdn +49301`")
        }
        None => Verdict::good(format!("{} of this network", known.len())),
        Some(first) => Verdict::bad(
            format!("{} of {} are of another network; {first}", strangers.len(), known.len()),
            format!("IMSIs begin with {prefix}, and private identities end in @{}", config.home.domain()),
        ),
    }
}

/// Why a subscriber is not of this network.
fn stranger(one: &Subscriber, prefix: &str, domain: &str) -> Option<String> {
    let imsi = one.imsi.as_deref().filter(|imsi| !imsi.starts_with(prefix));
    let impi = || {
        let mut identities = one.private_identities.iter().map(|private| private.impi.as_str());
        identities
            .find(|impi| impi.rsplit_once('@').is_some_and(|(_, realm)| is_of_3gpp(realm) && realm != domain))
    };
    let foreign = imsi.map(|_| "its IMSI has another MCC or MNC");
    let foreign = foreign.or_else(|| impi().map(|_| "its private identity has another realm"));
    foreign.map(|why| format!("{}: {why}", one.name))
}

/// Whether UEs would be taken for part of the core.
pub fn trust(config: &Config, facts: &Facts) -> Verdict {
    let Some(route) = &facts.route else {
        return Verdict::skipped("--ue-pool NETWORK tells whether UEs lie inside of the trust domain");
    };
    let ue = SocketAddr::new(route.pool.ue(), 5060);
    match config.trust.domain.iter().any(|net| net.contains(ue)) {
        true => Verdict::bad(
            format!(
                "UEs of {}/{} lie in trust.domain: whatever identity they assert is believed",
                route.pool.address, route.pool.prefix
            ),
            "list the core's own addresses alone in trust.domain",
        ),
        false => Verdict::good("UEs are outside of the trust domain"),
    }
}
