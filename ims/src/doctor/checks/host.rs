//! Whether this host has what is needed: kernel, rights, addresses, ports, routes, clock, certificates.

use crate::doctor::facts::{Bound, Facts, Point};
use crate::doctor::finding::Verdict;
use cscf::config::{Config, SecurityBackEnd};
use diameter_client::endpoint::StreamTransport;

pub fn kernel_esp(config: &Config, facts: &Facts) -> Verdict {
    if !config.ipsec.is_on() {
        return Verdict::skipped("[ipsec] is off: phones come in clear, or by TLS");
    }
    let kernel = match (&facts.xfrm, facts.esp) {
        (Ok(()), Some(true)) => Ok("the kernel has ESP"),
        (Ok(()), None) => Ok("the kernel can be asked for IPsec; whether it has ESP is not told here"),
        (Ok(()), Some(false)) => Err("the kernel has no ESP".to_owned()),
        (Err(why), _) => Err(format!("the kernel cannot be asked for ESP: {why}")),
    };
    match (config.ipsec.back_end, kernel) {
        (SecurityBackEnd::Userspace, Ok(_)) => {
            Verdict::good("ESP is our own, as configured; the kernel has it too")
        }
        (SecurityBackEnd::Userspace, Err(why)) => {
            Verdict::good(format!("ESP is our own, as it must be: {why}"))
        }
        (SecurityBackEnd::Xfrm, Ok(what)) => Verdict::good(what),
        (SecurityBackEnd::Xfrm, Err(why)) => Verdict::bad(
            why,
            "`modprobe esp4 esp6 xfrm_user`, give CAP_NET_ADMIN, or write ipsec.back_end = \"userspace\"",
        ),
    }
}

pub fn kernel_sctp(config: &Config, facts: &Facts) -> Verdict {
    let listens = config.hss.listen.iter().any(|point| point.transport == StreamTransport::Sctp);
    let connects = config.diameter.hss.iter().any(|peer| peer.transport == StreamTransport::Sctp);
    match (&facts.sctp, listens || connects) {
        (Ok(()), _) => Verdict::good("SCTP can be had"),
        (Err(_), false) => Verdict::skipped("Diameter goes by TCP"),
        (Err(why), true) => {
            Verdict::bad(why, "`modprobe sctp`, or write the address of the HSS without \"sctp:\"")
        }
    }
}

/// What the processes need beyond an ordinary user's rights.
pub fn capabilities(config: &Config, facts: &Facts) -> Verdict {
    let needs_raw = config.ipsec.is_on() && config.ipsec.back_end == SecurityBackEnd::Userspace;
    let needs_admin = config.ipsec.is_on() && config.ipsec.back_end == SecurityBackEnd::Xfrm;
    let needs_low = facts.points.iter().any(|point| point.bound == Bound::NotAllowed);
    let needed = [
        ("CAP_NET_ADMIN", 12, needs_admin, "for ESP of the kernel"),
        ("CAP_NET_RAW", 13, needs_raw, "for our own ESP"),
        ("CAP_NET_BIND_SERVICE", 10, needs_low, "for a port below 1024"),
    ];
    let has = |bit: u32| facts.capabilities & (1 << bit) != 0;
    let missing = needed.iter().find(|(_, bit, is_needed, _)| *is_needed && !has(*bit));
    match missing {
        Some((name, _, _, why)) => Verdict::bad(
            format!("this user lacks {name}, {why}"),
            format!(
                "`setcap {}=ep` the program, or AmbientCapabilities={name} in its unit",
                name.to_ascii_lowercase()
            ),
        ),
        None => {
            let names: Vec<_> =
                needed.iter().filter(|(_, _, is_needed, _)| *is_needed).map(|(name, ..)| *name).collect();
            Verdict::good(match names.is_empty() {
                true => "none is needed".to_owned(),
                false => format!("this user has {}", names.join(", ")),
            })
        }
    }
}

pub fn addresses(_: &Config, facts: &Facts) -> Verdict {
    match facts.points.iter().find(|point| point.bound == Bound::NotLocal) {
        Some(Point { process, address, .. }) => Verdict::bad(
            format!(
                "{process} is to listen at {address}, and no interface of this host has {}",
                address.ip()
            ),
            format!("`ip address add {}/32 dev lo`, or correct [{process}] listen", address.ip()),
        ),
        None => Verdict::good("all are this host's"),
    }
}

/// Whether each listening point is free, or one of our own has it.
pub fn ports(_: &Config, facts: &Facts) -> Verdict {
    let is_ours = |point: &Point| {
        facts.running.contains(point.process) || point.process == "ims-core" && !facts.running.is_empty()
    };
    let wrong = facts.points.iter().find(|point| match point.bound {
        Bound::Taken => !is_ours(point),
        Bound::Failed(_) => true,
        Bound::Free | Bound::NotLocal | Bound::NotAllowed | Bound::NotTried => false,
    });
    match wrong {
        Some(Point { process, what, address, bound: Bound::Failed(why) }) => Verdict::bad(
            format!("{process} cannot have {address} for {what}: {why}"),
            format!("correct [{process}] in the configuration"),
        ),
        Some(Point { process, what, address, .. }) => Verdict::bad(
            format!("{address} is taken, which {process} needs for {what}"),
            format!(
                "`ss -lnptu 'sport = :{}'` names who has it: stop that, or choose another port",
                address.port()
            ),
        ),
        None => {
            let taken = facts.points.iter().filter(|point| point.bound == Bound::Taken).count();
            Verdict::good(format!(
                "{} are free, {taken} are our running processes'",
                facts.points.len() - taken
            ))
        }
    }
}

pub fn ue_route(_: &Config, facts: &Facts) -> Verdict {
    let Some(route) = &facts.route else {
        return Verdict::skipped("--ue-pool NETWORK tells whether packets to UEs find their way");
    };
    let network = format!("{}/{}", route.pool.address, route.pool.prefix);
    let fix =
        format!("`ip route add {network} via UPF-ADDRESS`, where the UPF or PGW is the one that has the UEs");
    match (&route.own, route.is_default) {
        (Err(why), _) => Verdict::bad(format!("there is no route to {network}: {why}"), fix),
        (Ok(own), Some(true)) if !own.is_loopback() => {
            Verdict::warn(format!("{network} is reached by the default route alone, from {own}"), fix)
        }
        (Ok(own), _) => Verdict::good(format!("{network} is reached from {own}")),
    }
}

pub fn mtu(config: &Config, facts: &Facts) -> Verdict {
    let smallest = facts.mtus.iter().min_by_key(|(_, octets)| *octets);
    match (smallest, config.network.path_mtu) {
        (None, _) => Verdict::skipped("no interface of a listening point is found"),
        (Some((address, octets)), Some(path)) if path > *octets => Verdict::bad(
            format!("network.path_mtu = {path} is above the {octets} octets of the interface of {address}"),
            format!("write network.path_mtu = {octets}, or leave it out"),
        ),
        // RFC 8200 §5: IPv6 needs that much; ESP and a tunnel take some of it.
        (Some((address, octets)), _) if *octets < MTU_MIN => Verdict::warn(
            format!(
                "the interface of {address} takes {octets} octets: protected requests of phones fall into pieces"
            ),
            format!("`ip link set DEV mtu {MTU_MIN}` or more, or let phones use TCP"),
        ),
        (Some((_, octets)), _) => Verdict::good(format!("{octets} octets at the least")),
    }
}

pub fn clock(_: &Config, facts: &Facts) -> Verdict {
    match (facts.clock.now_s, facts.clock.is_synchronised) {
        (now_s, _) if now_s < BUILT_S => Verdict::bad(
            format!("it is before this program was made: {now_s} s since 1970"),
            "`timedatectl set-ntp true`, or set it by hand: expiries and certificates depend on it",
        ),
        (_, Some(false)) => Verdict::warn(
            "nothing has synchronised it yet",
            "`timedatectl set-ntp true`: traces of several hosts are put in order by it",
        ),
        (_, Some(true)) => Verdict::good("is synchronised"),
        (_, None) => Verdict::good("is plausible; nobody tells whether it is synchronised"),
    }
}

pub fn tls(_: &Config, facts: &Facts) -> Verdict {
    match &facts.tls {
        Ok(true) => Verdict::good("certificate, key and trust anchors fit"),
        Ok(false) => Verdict::skipped("nothing listens for TLS, and nothing connects by it"),
        Err(why) => Verdict::bad(why, "correct [tls]: certificate, key, trust_anchors"),
    }
}

/// What IPv6 needs of every link (RFC 8200 §5), and some room for ESP.
const MTU_MIN: u32 = 1400;
/// 1 January 2026: this program is younger.
pub(super) const BUILT_S: u64 = 1_767_225_600;
