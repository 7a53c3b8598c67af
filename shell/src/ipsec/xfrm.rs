//! Security associations in the Linux kernel: XFRM states and the policies that select them.
//!
//! A set is four states, and for each of them a policy for UDP and one for TCP. A policy names its state by SPI and request
//! id, so that what comes in clear, or by the association of another UE, does not pass at a protected port.

use super::SecurityError;
use super::netlink::{self, CREATE, Netlink, Request};
use ambient::Wall;
use ipsec::{Algorithms, Association, Direction, Encapsulation, Encryption, Integrity, Keys};
use ipsec::{NotInstalled, Protocol, Refusal, SaSet, Spi, Usage, esp};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// The kernel's IPsec, in the network namespace of the thread that opened it.
pub struct Xfrm {
    netlink: Netlink,
}

impl Xfrm {
    /// Opens a way to the kernel.
    pub fn open() -> Result<Xfrm, SecurityError> {
        let netlink = Netlink::open().map_err(SecurityError::system("open a netlink socket for IPsec"))?;
        Ok(Xfrm { netlink })
    }

    /// Installs a set, or nothing of it.
    pub fn install(&mut self, set: &SaSet) -> Result<(), SecurityError> {
        let step = "install security associations";
        if set.encapsulation != Encapsulation::Transport {
            return Err(SecurityError::set(step)(NotInstalled::Encapsulation));
        }
        if Algorithms::new(set.algorithms.integrity, set.algorithms.encryption).is_none() {
            return Err(SecurityError::set(step)(NotInstalled::Algorithms));
        }
        let mut requests = Vec::with_capacity(12);
        for association in set.associations() {
            requests.push(new_state(&association, set.algorithms, &set.keys, set.lifetime));
        }
        for association in set.associations() {
            for protocol in Protocol::ALL {
                requests.push(new_policy(&association, protocol));
            }
        }
        let outcomes = self.netlink.ask(&mut requests).map_err(SecurityError::system(step))?;
        let Some(refused) = outcomes.iter().position(Result::is_err) else { return Ok(()) };
        // What was made goes again, and nothing else: the rest of it may be another set's.
        let mut deletions = Xfrm::deletions(set);
        let made: Vec<_> = deletions.drain(..).zip(&outcomes).filter(|(_, made)| made.is_ok()).collect();
        let mut made: Vec<_> = made.into_iter().map(|(deletion, _)| deletion).collect();
        self.netlink.ask(&mut made).map_err(SecurityError::system(step))?;
        let cause = outcomes.into_iter().nth(refused).and_then(Result::err);
        Err(SecurityError::system(step)(cause.unwrap_or(io::ErrorKind::Other.into())))
    }

    /// Removes a set. What has gone already, as by its lifetime, is no error.
    pub fn remove(&mut self, set: &SaSet) -> Result<(), SecurityError> {
        let step = "remove security associations";
        let mut requests = Xfrm::deletions(set);
        self.delete(&mut requests).map_err(SecurityError::system(step))
    }

    /// Removes what was listed and belongs to no known set: the states, and the policies that name them.
    pub fn discard(&mut self, leftovers: &[Usage]) -> Result<(), SecurityError> {
        let step = "remove security associations of an earlier process";
        let mut requests = Vec::new();
        for leftover in leftovers {
            let mut request = Request::new(DELETE_STATE, 0);
            state_id(&mut request, leftover.destination, leftover.spi);
            requests.push(request);
        }
        let names = |(destination, spi)| {
            leftovers.iter().any(|leftover| leftover.destination == destination && leftover.spi == spi)
        };
        self.netlink
            .dump(GET_POLICY, |body| {
                if let (Some(selector), Some(direction)) = (body.get(..SELECTOR), body.get(POLICY_DIRECTION))
                    && read_template(body).is_some_and(names)
                {
                    let mut request = Request::new(DELETE_POLICY, 0);
                    request.octets(selector).u32(0).u8(*direction).zeros(3);
                    requests.push(request);
                }
            })
            .map_err(SecurityError::system(step))?;
        self.delete(&mut requests).map_err(SecurityError::system(step))
    }

    /// Sends deletions; what is not there any more is no error.
    fn delete(&mut self, requests: &mut [Request]) -> io::Result<()> {
        let gone = |error: &io::Error| matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENOENT));
        // A socket takes so much at once.
        for batch in requests.chunks_mut(64) {
            let outcomes = self.netlink.ask(batch)?;
            if let Some(error) = outcomes.into_iter().filter_map(Result::err).find(|error| !gone(error)) {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Lets nothing pass in clear at protected ports of ours, wherever it is from (TS 33.203 §7.1).
    ///
    /// The policies of sets go before this one. It stays when the process ends, which is no error at the next start.
    pub fn guard(&mut self, protected: &[SocketAddr]) -> Result<(), SecurityError> {
        let step = "close the protected ports to what comes in clear";
        for port in protected {
            let mut requests = Protocol::ALL.map(|protocol| guard(port, protocol));
            let outcomes = self.netlink.ask(&mut requests).map_err(SecurityError::system(step))?;
            let is_there = |error: &io::Error| error.raw_os_error() == Some(libc::EEXIST);
            if let Some(error) = outcomes.into_iter().filter_map(Result::err).find(|error| !is_there(error)) {
                return Err(SecurityError::system(step)(error));
            }
        }
        Ok(())
    }

    /// The deletions that undo the requests of an installation, in the same order.
    fn deletions(set: &SaSet) -> Vec<Request> {
        let mut requests = Vec::with_capacity(12);
        for association in set.associations() {
            let mut request = Request::new(DELETE_STATE, 0);
            state_id(&mut request, association.destination().ip(), association.spi);
            requests.push(request);
        }
        for association in set.associations() {
            for protocol in Protocol::ALL {
                let mut request = Request::new(DELETE_POLICY, 0);
                selector(&mut request, &association, protocol.number());
                request.u32(0).u8(direction(&association)).zeros(3);
                requests.push(request);
            }
        }
        requests
    }

    /// The ESP states of this namespace that were made here or by an earlier process of ours, with their counters.
    ///
    /// The kernel tells when a state was used last from Linux 6.2 on; before that, counters alone tell that it was.
    pub fn list(&mut self) -> Result<Vec<Usage>, SecurityError> {
        let mut states = Vec::new();
        self.netlink
            .dump(GET_STATE, |body| states.extend(read_state(body)))
            .map_err(SecurityError::system("list security associations"))?;
        Ok(states)
    }

    /// Those of [`list`](Xfrm::list) that have one of these ports at an end.
    pub fn list_at(&mut self, ports: &[SocketAddr]) -> Result<Vec<Usage>, SecurityError> {
        let mut states = Vec::new();
        let is_at =
            |body: &[u8]| read_ends(body).is_some_and(|ends| ends.iter().any(|end| ports.contains(end)));
        self.netlink
            .dump(GET_STATE, |body| states.extend(read_state(body).filter(|_| is_at(body))))
            .map_err(SecurityError::system("list security associations"))?;
        Ok(states)
    }

    /// How many packets the kernel refused for a reason: see [`SecurityBackEnd::refused`](super::SecurityBackEnd::refused).
    pub fn refused(&self, reason: Refusal) -> Option<u64> {
        let counters = std::fs::read_to_string("/proc/thread-self/net/xfrm_stat").ok()?;
        read_counters(&counters, reason)
    }
}

/// Adds up the counters of `xfrm_stat` that stand for a reason.
fn read_counters(counters: &str, reason: Refusal) -> Option<u64> {
    let names: &[&str] = match reason {
        Refusal::Malformed => &["XfrmInHdrError"],
        Refusal::UnknownSpi => &["XfrmInNoStates"],
        Refusal::BadIcv => &["XfrmInStateProtoError"],
        Refusal::Replay => &["XfrmInStateSeqError"],
        Refusal::Selector => &["XfrmInStateMismatch", "XfrmInTmplMismatch", "XfrmInNoPols"],
        // The kernel takes an association's packets from anywhere, and refuses what was inside by its policy.
        Refusal::Source => return None,
    };
    let mut sum = None;
    for line in counters.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(Ok(count))) = (words.next(), words.next().map(str::parse::<u64>))
            && names.contains(&name)
        {
            sum = Some(sum.unwrap_or(0) + count);
        }
    }
    sum
}

/// `xfrm_usersa_info` and its algorithms.
fn new_state(association: &Association, algorithms: Algorithms, keys: &Keys, lifetime: Duration) -> Request {
    let mut request = Request::new(NEW_STATE, CREATE);
    // Of what comes in, the kernel holds this against the ports inside; a policy alone would let pass what none is for.
    selector(&mut request, association, ANY_PROTOCOL);
    address(&mut request, association.destination().ip());
    request.octets(&association.spi.get().to_be_bytes()).u8(esp::PROTOCOL).zeros(3);
    address(&mut request, association.source().ip());
    lifetimes(&mut request, lifetime);
    request.zeros(32 + 12).u32(0);
    request.u32(association.spi.get()).u16(family(association)).u8(TRANSPORT).u8(0).u8(0).zeros(7);
    match (algorithms.integrity, algorithms.encryption) {
        (Integrity::Null, _) => aead(&mut request, "rfc4106(gcm(aes))", keys.expose_encryption()),
        (Integrity::AesGmac, _) => aead(&mut request, "rfc4543(gcm(aes))", keys.expose_integrity()),
        (Integrity::HmacSha1, _) => truncated(&mut request, "hmac(sha1)", keys.expose_integrity()),
        (Integrity::HmacMd5, _) => truncated(&mut request, "hmac(md5)", keys.expose_integrity()),
    }
    if matches!(algorithms.integrity, Integrity::HmacSha1 | Integrity::HmacMd5) {
        let name = match algorithms.encryption {
            Encryption::AesCbc => "cbc(aes)",
            Encryption::DesEde3Cbc => "cbc(des3_ede)",
            Encryption::Null | Encryption::AesGcm => "ecb(cipher_null)",
        };
        let key = keys.expose_encryption();
        request.attribute(ALGORITHM_CRYPT, |value| {
            algorithm(value, name);
            value.u32(bits(key)).octets(key);
        });
    }
    // `xfrm_replay_state_esn`, which has room for a window of more than 32 without extended numbers as well.
    request.attribute(REPLAY_STATE, |value| {
        value.u32(WINDOW / 32).zeros(16).u32(WINDOW).zeros(WINDOW as usize / 8);
    });
    request
}

fn aead(request: &mut Request, name: &str, key: &[u8]) {
    request.attribute(ALGORITHM_AEAD, |value| {
        algorithm(value, name);
        value.u32(bits(key)).u32(128).octets(key);
    });
}

fn truncated(request: &mut Request, name: &str, key: &[u8]) {
    request.attribute(ALGORITHM_AUTH_TRUNC, |value| {
        algorithm(value, name);
        value.u32(bits(key)).u32(96).octets(key);
    });
}

/// The name of an algorithm, in 64 octets.
fn algorithm(request: &mut Request, name: &str) {
    request.octets(name.as_bytes()).zeros(64 - name.len());
}

const fn bits(key: &[u8]) -> u32 {
    8 * key.len() as u32
}

/// `xfrm_userpolicy_info` with one `xfrm_user_tmpl`.
fn new_policy(association: &Association, protocol: Protocol) -> Request {
    let mut request = Request::new(NEW_POLICY, CREATE);
    selector(&mut request, association, protocol.number());
    // The policy ends with its set; until then nothing may pass in clear, even if the states have run out.
    lifetimes(&mut request, ipsec::association::LIFETIME_MAX);
    request.zeros(32).u32(PRIORITY).u32(0).u8(direction(association)).zeros(7);
    request.attribute(TEMPLATE, |value| {
        address(value, association.destination().ip());
        value.octets(&association.spi.get().to_be_bytes()).u8(esp::PROTOCOL).zeros(3);
        value.u16(family(association)).zeros(2);
        address(value, association.source().ip());
        value.u32(association.spi.get()).u8(TRANSPORT).zeros(3);
        // Any algorithm: the state has been chosen.
        value.u32(u32::MAX).u32(u32::MAX).u32(u32::MAX);
    });
    request
}

/// `xfrm_userpolicy_info` that blocks what comes to a port from anywhere.
fn guard(port: &SocketAddr, protocol: Protocol) -> Request {
    let mut request = Request::new(NEW_POLICY, CREATE);
    address(&mut request, port.ip());
    request.zeros(16).octets(&port.port().to_be_bytes()).u16(0xffff).zeros(4);
    let prefix = if port.is_ipv4() { 32 } else { 128 };
    request.u16(family_of(port.ip())).u8(prefix).u8(0).u8(protocol.number()).zeros(3 + 4 + 4);
    lifetimes(&mut request, ipsec::association::LIFETIME_MAX);
    request.zeros(32).u32(GUARD_PRIORITY).u32(0).u8(0).u8(BLOCK).zeros(6);
    request
}

/// `xfrm_selector`: the addresses and ports of an association, for one protocol or any.
fn selector(request: &mut Request, association: &Association, protocol: u8) {
    let (source, destination) = (association.source(), association.destination());
    let prefix = if source.is_ipv4() { 32 } else { 128 };
    address(request, destination.ip());
    address(request, source.ip());
    request.octets(&destination.port().to_be_bytes()).u16(0xffff);
    request.octets(&source.port().to_be_bytes()).u16(0xffff);
    request.u16(family(association)).u8(prefix).u8(prefix).u8(protocol).zeros(3 + 4 + 4);
}

/// `xfrm_usersa_id`.
fn state_id(request: &mut Request, destination: IpAddr, spi: Spi) {
    address(request, destination);
    request.octets(&spi.get().to_be_bytes()).u16(family_of(destination)).u8(esp::PROTOCOL).zeros(1);
}

/// `xfrm_lifetime_cfg`: no bound but a time.
fn lifetimes(request: &mut Request, lifetime: Duration) {
    for _ in 0..4 {
        request.u64(u64::MAX);
    }
    let seconds = if lifetime < ipsec::association::LIFETIME_MAX { lifetime.as_secs().max(1) } else { 0 };
    request.u64(0).u64(seconds).u64(0).u64(0);
}

/// `xfrm_address_t`.
fn address(request: &mut Request, address: IpAddr) {
    match address {
        IpAddr::V4(address) => request.octets(&address.octets()).zeros(12),
        IpAddr::V6(address) => request.octets(&address.octets()),
    };
}

const fn family(association: &Association) -> u16 {
    family_of(association.source().ip())
}

const fn family_of(address: IpAddr) -> u16 {
    if address.is_ipv4() { libc::AF_INET as u16 } else { libc::AF_INET6 as u16 }
}

const fn direction(association: &Association) -> u8 {
    match association.direction {
        Direction::Inbound => 0,
        Direction::Outbound => 1,
    }
}

/// Reads `xfrm_usersa_info`, if it is a state that we made: ESP in transport mode with its SPI for a request id.
fn read_state(body: &[u8]) -> Option<Usage> {
    let (fixed, attributes) = body.split_at_checked(STATE)?;
    let at = |offset: usize| netlink::number(fixed.get(offset..)?);
    let wide = |offset: usize| Some(u64::from_ne_bytes(*fixed.get(offset..)?.first_chunk()?));
    let spi = Spi::new(u32::from_be_bytes(*fixed.get(72..)?.first_chunk()?))?;
    let is_ours = fixed[76] == esp::PROTOCOL && fixed[214] == TRANSPORT && at(208)? == spi.get();
    if !is_ours {
        return None;
    }
    let family = i32::from(u16::from_ne_bytes([fixed[212], fixed[213]]));
    let (mut last_used, mut sequence) = (None, 0);
    for (kind, value) in netlink::attributes(attributes) {
        match kind {
            LAST_USED => {
                let seconds = value.first_chunk().copied().map(u64::from_ne_bytes);
                last_used = seconds.map(|seconds| Wall::from_millis(seconds.saturating_mul(1000)));
            }
            REPLAY_STATE => {
                // Of the two numbers, the one that this end does not count is 0.
                let of = |at: usize| value.get(at..).and_then(netlink::number).unwrap_or(0);
                sequence = of(4).max(of(8));
            }
            _ => {}
        }
    }
    Some(Usage {
        spi,
        source: read_address(fixed.get(80..96)?, family)?,
        destination: read_address(fixed.get(56..72)?, family)?,
        packets: wide(168)?,
        octets: wide(160)?,
        last_used,
        sequence,
    })
}

/// Reads the ends of the `xfrm_selector` that a state begins with: its receiver and its sender.
fn read_ends(state: &[u8]) -> Option<[SocketAddr; 2]> {
    let port = |at: usize| Some(u16::from_be_bytes(*state.get(at..)?.first_chunk()?));
    let family = i32::from(u16::from_ne_bytes(*state.get(40..)?.first_chunk()?));
    let destination = SocketAddr::new(read_address(state.get(..16)?, family)?, port(32)?);
    let source = SocketAddr::new(read_address(state.get(16..32)?, family)?, port(36)?);
    Some([destination, source])
}

/// Reads where and to which SPI the template of a policy leads.
fn read_template(policy: &[u8]) -> Option<(IpAddr, Spi)> {
    let (_, attributes) = policy.split_at_checked(POLICY)?;
    let (_, template) = netlink::attributes(attributes).find(|(kind, _)| *kind == TEMPLATE)?;
    let spi = Spi::new(u32::from_be_bytes(*template.get(16..)?.first_chunk()?))?;
    let family = i32::from(u16::from_ne_bytes(*template.get(24..)?.first_chunk()?));
    Some((read_address(template.get(..16)?, family)?, spi))
}

fn read_address(octets: &[u8], family: i32) -> Option<IpAddr> {
    match family {
        libc::AF_INET => octets.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets).into()),
        libc::AF_INET6 => octets.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into()),
        _ => None,
    }
}

// linux/xfrm.h
const NEW_STATE: u16 = 0x10;
const DELETE_STATE: u16 = 0x11;
const GET_STATE: u16 = 0x12;
const NEW_POLICY: u16 = 0x13;
const DELETE_POLICY: u16 = 0x14;
const GET_POLICY: u16 = 0x15;
const ALGORITHM_CRYPT: u16 = 2;
const TEMPLATE: u16 = 5;
const LAST_USED: u16 = 15;
const ALGORITHM_AEAD: u16 = 18;
const ALGORITHM_AUTH_TRUNC: u16 = 20;
const REPLAY_STATE: u16 = 23;
const TRANSPORT: u8 = 0;
const ANY_PROTOCOL: u8 = 0;
const BLOCK: u8 = 1;
/// The octets of `xfrm_selector`.
const SELECTOR: usize = 56;
/// The octets of `xfrm_usersa_info`.
const STATE: usize = 224;
/// The octets of `xfrm_userpolicy_info`.
const POLICY: usize = 168;
/// Where the direction is in it.
const POLICY_DIRECTION: usize = 160;

/// The same as in [`ipsec::ReplayWindow`].
const WINDOW: u32 = ipsec::ReplayWindow::SIZE;
/// Before policies that leave theirs at the default, such as those of a VPN over the same interface.
const PRIORITY: u32 = 1000;
/// After the policies of sets.
const GUARD_PRIORITY: u32 = 2000;

#[cfg(test)]
mod tests;
