//! A security agreement as the store keeps it, so that a phone does not notice a restart.
//!
//! The record has the keys of ESP, as the store of a P-CSCF must: whoever may read it may read what they protect.

use crate::agreements::{Agreement, State};
use ambient::Wall;
use cscf::query::Record;
use ipsec::{Algorithms, Encapsulation, Fingerprint, Keys, SaSet, Spi};
use std::net::{IpAddr, SocketAddr};

const KEY: &[u8] = b"pcscf/agreement/";
/// Of a set in transport mode.
const VERSION: u8 = 1;
/// The same, and behind it what there is of a NAT: the port of the tunnel, 0 for none, and what the UE calls itself.
const WITH_NAT: u8 = 2;

/// The record of an agreement that stands, in the state that it is to be found in.
pub fn of(agreement: &Agreement, state: State) -> Record {
    let set = &agreement.set;
    let is_plain = agreement.nat.is_none() && set.encapsulation == Encapsulation::Transport;
    let version = if is_plain { VERSION } else { WITH_NAT };
    let mut value = vec![version, u8::from(state == State::Replaced)];
    for ip in [set.own_ip, set.peer_ip] {
        put(&mut value, ip.to_string().as_bytes());
    }
    for port in [set.own_client_port, set.own_server_port, set.peer_client_port, set.peer_server_port] {
        value.extend_from_slice(&port.to_be_bytes());
    }
    for spi in [set.own_spi_c, set.own_spi_s, set.peer_spi_c, set.peer_spi_s] {
        value.extend_from_slice(&spi.get().to_be_bytes());
    }
    put(&mut value, set.algorithms.integrity.name().as_bytes());
    put(&mut value, set.algorithms.encryption.name().as_bytes());
    put(&mut value, set.keys.expose_integrity());
    put(&mut value, set.keys.expose_encryption());
    value.extend_from_slice(&agreement.client.octets());
    value.extend_from_slice(&agreement.server.octets());
    put(&mut value, agreement.impi.as_bytes());
    value.extend_from_slice(&agreement.since.as_millis().to_be_bytes());
    if version == WITH_NAT {
        let port = match set.encapsulation {
            Encapsulation::Transport => 0,
            Encapsulation::UdpTunnel { local, .. } => local.port(),
        };
        value.extend_from_slice(&port.to_be_bytes());
        put(&mut value, agreement.nat.map(|claimed| claimed.to_string()).unwrap_or_default().as_bytes());
    }
    Record { key: key(agreement.name()), value: Some(value) }
}

/// The record that removes an agreement.
pub fn removal(name: Spi) -> Record {
    Record { key: key(name), value: None }
}

/// The agreement of a record; `None` for a foreign record, or a version that this build does not know.
pub fn read(record: &Record) -> Option<Agreement> {
    record.key.strip_prefix(KEY)?;
    let mut rest = record.value.as_deref()?;
    let [version] = take::<1>(&mut rest)?;
    if ![VERSION, WITH_NAT].contains(&version) {
        return None;
    }
    let [is_replaced] = take::<1>(&mut rest)?;
    let own_ip: IpAddr = text(&mut rest)?.parse().ok()?;
    let peer_ip: IpAddr = text(&mut rest)?.parse().ok()?;
    let mut port = || take::<2>(&mut rest).map(u16::from_be_bytes);
    let (own_client_port, own_server_port) = (port()?, port()?);
    let (peer_client_port, peer_server_port) = (port()?, port()?);
    let mut spi = || Spi::new(u32::from_be_bytes(take::<4>(&mut rest)?));
    let (own_spi_c, own_spi_s, peer_spi_c, peer_spi_s) = (spi()?, spi()?, spi()?, spi()?);
    let integrity = ipsec::Integrity::parse(get(&mut rest)?)?;
    let encryption = ipsec::Encryption::parse(get(&mut rest)?)?;
    let algorithms = Algorithms::new(integrity, encryption)?;
    let keys = Keys::kept(get(&mut rest)?, get(&mut rest)?)?;
    let client = Fingerprint::from_octets(take(&mut rest)?);
    let server = Fingerprint::from_octets(take(&mut rest)?);
    let impi = text(&mut rest)?.into();
    let since = Wall::from_millis(u64::from_be_bytes(take(&mut rest)?));
    let (mut encapsulation, mut nat) = (Encapsulation::Transport, None);
    if version == WITH_NAT {
        let port = u16::from_be_bytes(take(&mut rest)?);
        nat = match text(&mut rest)? {
            "" => None,
            claimed => Some(claimed.parse().ok()?),
        };
        if port != 0 {
            // Where the NAT was, the back end has kept.
            let (local, remote) = (SocketAddr::new(own_ip, port), SocketAddr::new(peer_ip, 0));
            encapsulation = Encapsulation::UdpTunnel { local, remote };
        }
    }
    let set = SaSet {
        own_ip,
        peer_ip,
        own_client_port,
        own_server_port,
        peer_client_port,
        peer_server_port,
        own_spi_c,
        own_spi_s,
        peer_spi_c,
        peer_spi_s,
        algorithms,
        keys,
        encapsulation,
        lifetime: ipsec::association::LIFETIME_MAX,
    };
    Some(Agreement {
        set: Box::new(set),
        impi,
        client,
        server,
        previous: None,
        nat,
        since,
        state: if is_replaced == 0 { State::Current } else { State::Replaced },
        timer: None,
    })
}

fn key(name: Spi) -> Vec<u8> {
    [KEY, &name.get().to_be_bytes()].concat()
}

fn put(value: &mut Vec<u8>, octets: &[u8]) {
    let length =
        u16::try_from(octets.len()).expect("a part of a message, or a key, has at most 65535 octets");
    value.extend_from_slice(&length.to_be_bytes());
    value.extend_from_slice(octets);
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn get<'r>(rest: &mut &'r [u8]) -> Option<&'r [u8]> {
    let length = u16::from_be_bytes(take(rest)?);
    let (head, tail) = rest.split_at_checked(length.into())?;
    *rest = tail;
    Some(head)
}

fn text<'r>(rest: &mut &'r [u8]) -> Option<&'r str> {
    std::str::from_utf8(get(rest)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agreements::tests::agreement;

    #[test]
    fn an_agreement_comes_back_from_its_record() {
        for state in [State::Current, State::Replaced] {
            let kept = agreement(300, 5100, State::Awaiting);
            let back = read(&of(&kept, state)).expect("an agreement");
            assert_eq!((&back.set, &back.impi, back.state), (&kept.set, &kept.impi, state));
            assert_eq!((back.client, back.server), (kept.client, kept.server));
        }
        let mut kept = agreement(300, 5100, State::Awaiting);
        kept.nat = Some(IpAddr::from([192, 168, 1, 2]));
        let (local, remote) = (SocketAddr::new(kept.set.own_ip, 4500), SocketAddr::new(kept.set.peer_ip, 0));
        for encapsulation in [Encapsulation::UdpTunnel { local, remote }, Encapsulation::Transport] {
            kept.set.encapsulation = encapsulation;
            let back = read(&of(&kept, State::Current)).expect("an agreement");
            assert_eq!((back.set, back.nat, &back.impi), (kept.set.clone(), kept.nat, &kept.impi));
        }
    }

    #[test]
    fn what_is_cut_or_foreign_is_no_agreement() {
        let mut kept = agreement(300, 5100, State::Current);
        kept.nat = Some(IpAddr::from([192, 168, 1, 2]));
        let with_nat = of(&kept, State::Current);
        let cut = |len: usize| with_nat.value.as_ref().map(|value| value[..len].to_vec());
        let whole = with_nat.value.as_ref().map_or(0, Vec::len);
        for len in 0..whole {
            assert!(read(&Record { value: cut(len), ..with_nat.clone() }).is_none(), "cut at {len}");
        }
        let record = of(&agreement(300, 5100, State::Current), State::Current);
        let value = record.value.clone().expect("a value");
        for len in 0..value.len() {
            let cut = Record { value: Some(value[..len].to_vec()), ..record.clone() };
            assert!(read(&cut).is_none(), "cut at {len}");
        }
        assert!(read(&Record { key: b"pcscf/binding/".to_vec(), ..record.clone() }).is_none());
        assert!(read(&removal(Spi::MIN)).is_none());
        assert!(read(&Record { value: Some([&[3], &value[1..]].concat()), ..record }).is_none());
    }
}
