//! Security associations of the UEs with their P-CSCF (TS 33.203), by ESP of our own. Pure: packets are bytes.
//!
//! Every UE has an address of its own, its server port is the port that it registers from, and its client port moves along
//! a ring. A challenge sets up a set on trial, which REGISTER goes through; everything else stays on the current one until
//! the 200 makes that of the trial the current one.

use crate::received::{Field, Received};
use ambient::{Entropy, Wall};
use ims_aka::Key;
use ipsec::udp::Datagram;
use ipsec::{
    Algorithms, Encapsulation, Ends, Keys, Mode, Offer, Protocol, Refusal, SaSet, Sad, Selector, Spi,
    agreement,
};
use std::net::{IpAddr, SocketAddr};

/// The associations of all UEs.
pub struct Security {
    sad: Sad,
    /// What each UE offers.
    pairs: Vec<Algorithms>,
    /// By the number of the UE.
    ues: Vec<Sets>,
    /// The last SPI that was given out: they are unique over all UEs.
    spi: u32,
    /// Header lines of the request that is being written.
    fields: Vec<u8>,
    packet: Vec<u8>,
    /// What refuses connections, for they are not taken: a P-CSCF then sends by UDP at once. Their ends, and packets.
    resets: Vec<(Selector, Vec<u8>)>,
    /// Packets that were refused.
    pub refused: u64,
}

/// What one UE has.
#[derive(Default)]
struct Sets {
    offered: Option<Ends>,
    trial: Option<Set>,
    current: Option<Set>,
    older: Option<Set>,
    /// Where in the ring of client ports it is.
    ring: u8,
}

/// A set, as far as it is needed to send and to forget it.
struct Set {
    /// Its name: what comes in at the server port.
    inbound: Spi,
    /// From the client port of the UE to the server port of the P-CSCF.
    selector: Selector,
    /// Security-Verify: header lines.
    verify: Box<[u8]>,
}

/// Which request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Register,
    Other,
}

impl std::fmt::Debug for Security {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Security").field("associations", &self.sad.len()).finish_non_exhaustive()
    }
}

impl Security {
    /// So many UEs, each of which offers these pairs of algorithms.
    pub fn new(ues: usize, pairs: Vec<Algorithms>, entropy: Entropy) -> Security {
        let ues = (0..ues).map(|_| Sets::default()).collect();
        Security {
            sad: Sad::new(entropy),
            pairs,
            ues,
            spi: SPI_FIRST,
            fields: Vec::new(),
            packet: Vec::new(),
            resets: Vec::new(),
            refused: 0,
        }
    }

    /// How many associations there are.
    pub fn len(&self) -> usize {
        self.sad.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sad.is_empty()
    }

    /// A UE begins a registration anew: it has none.
    pub(crate) fn forget(&mut self, ue: u32) {
        let sets = &mut self.ues[ue as usize];
        let gone = [sets.trial.take(), sets.current.take(), sets.older.take()];
        sets.offered = None;
        for set in gone.into_iter().flatten() {
            self.sad.remove(set.inbound);
        }
    }

    /// A UE at an address will offer new SPIs and the next client port.
    pub(crate) fn offer(&mut self, ue: u32, address: SocketAddr) {
        let sets = &mut self.ues[ue as usize];
        for set in [sets.trial.take(), sets.older.take()].into_iter().flatten() {
            self.sad.remove(set.inbound);
        }
        let mut next = || {
            // They begin anew after four thousand million, when those of the beginning are long gone.
            self.spi = self.spi.wrapping_add(1).max(SPI_FIRST);
            Spi::new(self.spi).unwrap_or(Spi::MIN)
        };
        let (spi_c, spi_s) = (next(), next());
        sets.ring = (sets.ring + 1) % CLIENT_PORTS as u8;
        let port_s = address.port();
        // The ring keeps off the server port.
        let first = if (CLIENT_PORT..CLIENT_PORT + CLIENT_PORTS).contains(&port_s) {
            CLIENT_PORT_ELSE
        } else {
            CLIENT_PORT
        };
        sets.offered = Some(Ends { spi_c, spi_s, port_c: first + u16::from(sets.ring), port_s });
    }

    /// Header lines that a request of a UE has (RFC 3329 §2.3, TS 24.229 §5.1.1.2.2, §5.1.2A.1).
    pub(crate) fn fields(&mut self, ue: u32, kind: Kind) -> &[u8] {
        let Security { fields, ues, pairs, .. } = self;
        let sets = &ues[ue as usize];
        fields.clear();
        let verify = match kind {
            Kind::Register => sets.trial.as_ref().or(sets.current.as_ref()),
            Kind::Other => sets.current.as_ref(),
        };
        let offered = sets.offered.filter(|_| kind == Kind::Register);
        if offered.is_none() && verify.is_none() {
            return fields;
        }
        fields.extend_from_slice(b"Require: sec-agree\r\nProxy-Require: sec-agree\r\n");
        if let Some(ends) = offered {
            for mechanism in agreement::written(pairs.iter().map(|pair| (Mode::Transport, *pair)), Some(ends))
            {
                fields.extend_from_slice(b"Security-Client: ");
                fields.extend_from_slice(mechanism.as_bytes());
                fields.extend_from_slice(b"\r\n");
            }
        }
        if let Some(set) = verify {
            fields.extend_from_slice(&set.verify);
        }
        fields
    }

    /// Sets up what a challenge agrees on.
    pub(crate) fn agree(
        &mut self,
        ue: u32,
        (own_ip, peer_ip): (IpAddr, IpAddr),
        challenge: &Received<'_>,
        (ck, ik): (&Key<16>, &Key<16>),
    ) -> Result<(), &'static str> {
        let Security { sad, ues, pairs, .. } = self;
        let sets = &mut ues[ue as usize];
        let own = sets.offered.ok_or("nothing was offered")?;
        let values = || challenge.all(Field::SecurityServer);
        let theirs = Offer::read(values()).map_err(|_| "no Security-Server that can be used")?;
        let is_ours = |(mode, pair): &&(Mode, Algorithms)| *mode == Mode::Transport && pairs.contains(pair);
        let (_, algorithms) = *theirs.mechanisms.iter().find(is_ours).ok_or("no common algorithms")?;
        let mut verify = Vec::new();
        for value in values() {
            verify.extend_from_slice(b"Security-Verify: ");
            verify.extend_from_slice(value);
            verify.extend_from_slice(b"\r\n");
        }
        let set = SaSet {
            own_ip,
            peer_ip,
            own_client_port: own.port_c,
            own_server_port: own.port_s,
            peer_client_port: theirs.ends.port_c,
            peer_server_port: theirs.ends.port_s,
            own_spi_c: own.spi_c,
            own_spi_s: own.spi_s,
            peer_spi_c: theirs.ends.spi_c,
            peer_spi_s: theirs.ends.spi_s,
            algorithms,
            keys: Keys::derive(algorithms, *ck.expose(), *ik.expose()),
            encapsulation: Encapsulation::Transport,
            lifetime: ipsec::association::LIFETIME_MAX,
        };
        if let Some(failed) = sets.trial.take() {
            sad.remove(failed.inbound);
        }
        sad.install(&set).map_err(|_| "associations that cannot be")?;
        let selector = set.associations()[3].selector;
        sets.trial = Some(Set { inbound: set.own_spi_s, selector, verify: verify.into() });
        Ok(())
    }

    /// A REGISTER has come to a good end: what was on trial is in use.
    pub(crate) fn accepted(&mut self, ue: u32) {
        let sets = &mut self.ues[ue as usize];
        sets.offered = None;
        if let Some(trial) = sets.trial.take() {
            let older = std::mem::replace(&mut sets.older, sets.current.replace(trial));
            if let Some(older) = older {
                self.sad.remove(older.inbound);
            }
        }
    }

    /// The ESP packet that a message of a UE becomes; `None` while the UE has no association.
    pub(crate) fn protect(&mut self, ue: u32, message: &[u8]) -> Option<&[u8]> {
        let sets = self.ues.get(ue as usize)?;
        let set = match message.starts_with(b"REGISTER ") {
            true => sets.trial.as_ref().or(sets.current.as_ref()),
            false => sets.current.as_ref().or(sets.trial.as_ref()),
        }?;
        let header = ipsec::udp::header(set.selector.local, set.selector.remote, message)?;
        self.packet.clear();
        let parts: [&[u8]; 2] = [&header, message];
        self.sad
            .protect(&set.selector, Protocol::Udp, &parts, Wall::from_millis(0), &mut self.packet)
            .ok()?;
        Some(&self.packet)
    }

    fn refuse(&mut self, selector: Selector, segment: Option<[u8; 20]>) {
        let Some(segment) = segment.filter(|_| self.resets.len() < RESETS_MAX) else { return };
        let mut packet = Vec::new();
        let now = Wall::from_millis(0);
        if self.sad.protect(&selector, Protocol::Tcp, &[&segment], now, &mut packet).is_ok() {
            self.resets.push((selector, packet));
        }
    }

    /// What refuses a connection, and between whom.
    pub(crate) fn take_reset(&mut self) -> Option<(Selector, Vec<u8>)> {
        self.resets.pop()
    }

    /// What an ESP packet for a UE holds, and where that comes from.
    pub(crate) fn accept<'p>(
        &mut self,
        source: IpAddr,
        packet: &'p mut [u8],
    ) -> Option<(SocketAddr, &'p [u8])> {
        let accepted = match self.sad.accept(source, packet, Wall::from_millis(0)) {
            Ok(accepted) => accepted,
            Err(refusal) => {
                // What is for a set that is gone is late; everything else is wrong.
                self.refused += u64::from(refusal != Refusal::UnknownSpi);
                return None;
            }
        };
        let (from, to) = (accepted.association.source(), accepted.association.destination());
        if accepted.protocol == Protocol::Tcp {
            let (selector, reset) = (accepted.association.selector, reset(to, from, accepted.payload));
            self.refuse(selector, reset);
            return None;
        }
        let datagram = Datagram::parse(from.ip(), to.ip(), accepted.payload);
        self.refused += u64::from(datagram.is_none());
        Some((from, datagram?.payload))
    }
}

/// The segment that refuses a connection (RFC 9293 §3.10.7.1); `None` for anything but a SYN.
fn reset(from: SocketAddr, to: SocketAddr, segment: &[u8]) -> Option<[u8; 20]> {
    let header: &[u8; 20] = segment.first_chunk()?;
    if header[13] & (SYN | ACK | RST) != SYN {
        return None;
    }
    let acknowledged = u32::from_be_bytes([header[4], header[5], header[6], header[7]]).wrapping_add(1);
    let mut reset = [0; 20];
    reset[..2].copy_from_slice(&from.port().to_be_bytes());
    reset[2..4].copy_from_slice(&to.port().to_be_bytes());
    reset[8..12].copy_from_slice(&acknowledged.to_be_bytes());
    // Five words of header.
    reset[12] = 5 << 4;
    reset[13] = RST | ACK;
    let sum = ipsec::udp::checksum(from.ip(), to.ip(), Protocol::Tcp.number(), &[&reset]);
    reset[16..18].copy_from_slice(&sum.to_be_bytes());
    Some(reset)
}

/// Bits of a TCP header (RFC 9293 §3.1).
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
/// Refusals that wait to be sent: of one batch of packets.
const RESETS_MAX: usize = 64;
/// The first SPI, above those that are reserved.
const SPI_FIRST: u32 = 0x1000;
/// The ring of protected client ports; no socket has them.
const CLIENT_PORT: u16 = 6301;
const CLIENT_PORTS: u16 = 3;
/// Where the ring is when the server port is in it.
const CLIENT_PORT_ELSE: u16 = 6401;

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGE: &[u8] = b"SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP 127.64.0.1:5070;branch=z9hG4bK1\r\n\
        Security-Server: ipsec-3gpp;q=0.9;alg=null;ealg=aes-gcm;spi-c=7001;spi-s=7002;port-c=5100;port-s=6100\r\n\
        Security-Server: ipsec-3gpp;q=0.8;alg=hmac-md5-96;ealg=null;spi-c=7001;spi-s=7002;port-c=5100;port-s=6100\r\n\
        Content-Length: 0\r\n\r\n";

    fn ends() -> (IpAddr, IpAddr) {
        (IpAddr::from([127, 64, 0, 1]), IpAddr::from([127, 0, 0, 10]))
    }

    fn agreed() -> Security {
        let mut security = Security::new(2, Algorithms::ALL.to_vec(), Entropy::seeded(1));
        security.offer(1, SocketAddr::new(ends().0, 5070));
        let challenge = Received::read(CHALLENGE).unwrap();
        let (ck, ik) = (Key::new([1; 16]), Key::new([2; 16]));
        security.agree(1, ends(), &challenge, (&ck, &ik)).unwrap();
        security
    }

    fn text(security: &mut Security, kind: Kind) -> String {
        String::from_utf8(security.fields(1, kind).to_vec()).unwrap()
    }

    /// The end of the P-CSCF, as the challenge above has it.
    fn pcscf(security: &mut Security) -> Sad {
        let register = text(security, Kind::Register);
        let own = register.lines().filter_map(|line| line.strip_prefix("Security-Client: "));
        let own = Offer::read(own.map(str::as_bytes)).unwrap().ends;
        let algorithms = Algorithms::ALL[0];
        let spi = |number| Spi::new(number).unwrap();
        let (own_ip, peer_ip) = (ends().1, ends().0);
        let mut sad = Sad::new(Entropy::seeded(2));
        let set = SaSet {
            own_ip,
            peer_ip,
            own_client_port: 5100,
            own_server_port: 6100,
            peer_client_port: own.port_c,
            peer_server_port: own.port_s,
            own_spi_c: spi(7001),
            own_spi_s: spi(7002),
            peer_spi_c: own.spi_c,
            peer_spi_s: own.spi_s,
            algorithms,
            keys: Keys::derive(algorithms, [1; 16], [2; 16]),
            encapsulation: Encapsulation::Transport,
            lifetime: ipsec::association::LIFETIME_MAX,
        };
        sad.install(&set).unwrap();
        sad
    }

    #[test]
    fn a_message_goes_through_what_the_challenge_agreed_on_and_one_comes_back() {
        let mut security = agreed();
        let mut pcscf = pcscf(&mut security);
        assert!(security.protect(0, b"REGISTER x").is_none(), "the other UE has nothing");
        let mut packet = security.protect(1, b"REGISTER x").unwrap().to_vec();
        let accepted = pcscf.accept(ends().0, &mut packet, Wall::from_millis(0)).unwrap();
        assert!(accepted.payload.ends_with(b"REGISTER x"));
        let selector = accepted.association.selector;
        assert_eq!((selector.local.port(), selector.remote.port()), (6100, 6302));

        // To its server port, from the client port of the P-CSCF.
        let selector =
            Selector { local: SocketAddr::new(ends().1, 5100), remote: SocketAddr::new(ends().0, 5070) };
        let header = ipsec::udp::header(selector.local, selector.remote, b"SIP/2.0 200 OK").unwrap();
        let mut packet = Vec::new();
        let parts: [&[u8]; 2] = [&header, b"SIP/2.0 200 OK"];
        pcscf.protect(&selector, Protocol::Udp, &parts, Wall::from_millis(0), &mut packet).unwrap();
        let mut replay = packet.clone();
        assert_eq!(security.accept(ends().1, &mut packet), Some((selector.local, &b"SIP/2.0 200 OK"[..])));
        assert_eq!(security.accept(ends().1, &mut replay), None);
        assert_eq!(security.refused, 1);
    }

    /// A UE without TCP refuses a connection, so that its P-CSCF does not wait.
    #[test]
    fn a_connection_is_refused_by_the_association_that_it_came_through() {
        let mut security = agreed();
        let mut pcscf = pcscf(&mut security);
        let selector =
            Selector { local: SocketAddr::new(ends().1, 5100), remote: SocketAddr::new(ends().0, 5070) };
        let mut syn = [0; 20];
        syn[..2].copy_from_slice(&5100_u16.to_be_bytes());
        syn[2..4].copy_from_slice(&5070_u16.to_be_bytes());
        syn[4..8].copy_from_slice(&77_u32.to_be_bytes());
        syn[12..14].copy_from_slice(&[5 << 4, SYN]);
        let mut packet = Vec::new();
        pcscf.protect(&selector, Protocol::Tcp, &[&syn], Wall::from_millis(0), &mut packet).unwrap();
        assert_eq!(security.accept(ends().1, &mut packet), None);
        let (_, mut reset) = security.take_reset().unwrap();
        assert!(security.take_reset().is_none());
        let accepted = pcscf.accept(ends().0, &mut reset, Wall::from_millis(0)).unwrap();
        assert_eq!((accepted.association.selector, accepted.protocol), (selector, Protocol::Tcp));
        assert_eq!((accepted.payload[8..12].to_vec(), accepted.payload[13]), (vec![0, 0, 0, 78], RST | ACK));
        let sum = ipsec::udp::checksum(ends().0, ends().1, 6, &[accepted.payload]);
        assert_eq!(sum, 0, "the checksum is right");
    }

    #[test]
    fn a_register_offers_and_verifies_and_other_requests_verify_once_it_is_accepted() {
        let mut security = agreed();
        assert_eq!(text(&mut security, Kind::Other), "");
        let register = text(&mut security, Kind::Register);
        assert_eq!(register.matches("Security-Client: ").count(), 8, "{register}");
        assert_eq!(
            register.matches("Security-Verify: ipsec-3gpp;q=0.9;alg=null;ealg=aes-gcm;spi-c=7001").count(),
            1
        );
        security.accepted(1);
        let other = text(&mut security, Kind::Other);
        assert!(
            other.starts_with("Require: sec-agree\r\nProxy-Require: sec-agree\r\nSecurity-Verify: "),
            "{other}"
        );
        assert!(!other.contains("Security-Client"), "{other}");
        assert_eq!(security.len(), 4);
        security.forget(1);
        assert!(security.is_empty() && security.protect(1, b"MESSAGE x").is_none());
    }

    #[test]
    fn a_set_is_kept_until_the_one_behind_the_next_is_there() {
        let mut security = agreed();
        security.accepted(1);
        let challenge = String::from_utf8(CHALLENGE.to_vec()).unwrap();
        for round in 1..4 {
            security.offer(1, SocketAddr::new(ends().0, 5070));
            // The P-CSCF moves its client port too (TS 33.203 §7.4).
            let challenge = challenge.replace("port-c=5100", &format!("port-c={}", 5100 + round % 3));
            let (ck, ik) = (Key::new([1; 16]), Key::new([2; 16]));
            let received = Received::read(challenge.as_bytes()).unwrap();
            security.agree(1, ends(), &received, (&ck, &ik)).unwrap();
            security.accepted(1);
            assert_eq!(security.len(), 8, "round {round}");
        }
    }

    #[test]
    fn a_challenge_without_what_the_ue_knows_says_so() {
        let mut security = Security::new(1, vec![Algorithms::ALL[1]], Entropy::seeded(1));
        let (ck, ik) = (Key::new([1; 16]), Key::new([2; 16]));
        let challenge = Received::read(CHALLENGE).unwrap();
        assert_eq!(security.agree(0, ends(), &challenge, (&ck, &ik)), Err("nothing was offered"));
        security.offer(0, SocketAddr::new(ends().0, 5070));
        assert_eq!(security.agree(0, ends(), &challenge, (&ck, &ik)), Err("no common algorithms"));
        let plain = Received::read(b"SIP/2.0 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").unwrap();
        assert_eq!(security.agree(0, ends(), &plain, (&ck, &ik)), Err("no Security-Server that can be used"));
    }
}
