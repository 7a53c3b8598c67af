//! Two hosts with mirrored sets: what passes between them, and what does not.

use super::*;
use crate::host::Factory;
use crate::world::{HostId, World};
use ambient::{Instant, Now};
use cscf::query::{Answer, Query, QueryId};
use cscf::station::{LinkId, Machine, Operated, WireInput, WireOutput};
use cscf::trace;
use diameter_client::endpoint::StreamTransport;
use ipsec::{Algorithms, Encapsulation, Keys};
use std::collections::VecDeque;
use std::time::Duration;

/// A machine that does what it is told, and at each start adopts the sets that it was made with.
#[derive(Default)]
struct End {
    adopted: Vec<SaSet>,
    links: u64,
    outputs: VecDeque<WireOutput>,
    heard: VecDeque<Heard>,
}

#[derive(Debug)]
enum Do {
    Secure(Secure),
    Send(Selector, &'static [u8]),
    Connect(Selector),
    Write(&'static [u8]),
}

#[derive(Debug, PartialEq)]
enum Heard {
    Secured(Result<(), SecureFailure>),
    Datagram(Selector, Vec<u8>),
    Accepted(Selector),
    Connected(SocketAddr),
    NotConnected,
    Piece(Vec<u8>),
}

impl End {
    fn secure(&mut self, wish: Secure) {
        self.outputs.push_back(WireOutput::Query { id: QueryId(0), query: Query::Secure(wish) });
    }
}

impl Machine for End {
    fn handle(&mut self, _: Now, input: WireInput) {
        let heard = match input {
            WireInput::Start { .. } => {
                for set in std::mem::take(&mut self.adopted) {
                    self.secure(Secure::Adopt(Box::new(set)));
                }
                None
            }
            WireInput::Answered { answer: Answer::Secured(outcome), .. } => Some(Heard::Secured(outcome)),
            WireInput::Datagram { local, remote, bytes } => {
                Some(Heard::Datagram(Selector { local, remote }, bytes))
            }
            WireInput::Accepted { local, remote, .. } => Some(Heard::Accepted(Selector { local, remote })),
            WireInput::Connected { local, .. } => Some(Heard::Connected(local)),
            WireInput::ConnectFailed { .. } => Some(Heard::NotConnected),
            WireInput::Received { bytes, .. } => Some(Heard::Piece(bytes)),
            _ => None,
        };
        self.heard.extend(heard);
    }

    fn poll_output(&mut self) -> Option<WireOutput> {
        self.outputs.pop_front()
    }

    fn next_timeout(&self) -> Option<(Instant, &'static str)> {
        None
    }

    fn is_drained(&self) -> bool {
        true
    }
}

impl Operated for End {
    type Command = Do;
    type Notice = Heard;

    fn command(&mut self, _: Now, command: Do) {
        match command {
            Do::Secure(wish) => self.secure(wish),
            Do::Send(Selector { local, remote }, bytes) => {
                self.outputs.push_back(WireOutput::Datagram { local, remote, bytes: bytes.to_vec() });
            }
            Do::Connect(Selector { local, remote }) => {
                self.links += 1;
                self.outputs.push_back(WireOutput::Connect {
                    link: LinkId(self.links),
                    protocol: cscf::station::Protocol::Sip,
                    transport: StreamTransport::Tcp,
                    local: Some(local),
                    remote,
                });
            }
            Do::Write(bytes) => {
                self.outputs.push_back(WireOutput::Write { link: LinkId(self.links), bytes: bytes.to_vec() });
            }
        }
    }

    fn poll_notice(&mut self) -> Option<Heard> {
        self.heard.pop_front()
    }

    fn set_trace(&mut self, _: bool) {}

    fn poll_trace(&mut self) -> Option<trace::Event> {
        None
    }
}

/// The set of the phone of this number, as the P-CSCF sees it. Every phone gives out the same SPIs.
fn set(phone: u8) -> SaSet {
    let spi = |number| Spi::new(number).expect("not reserved");
    let algorithms = Algorithms::ALL[0];
    SaSet {
        own_ip: IpAddr::from([192, 0, 2, 1]),
        peer_ip: IpAddr::from([192, 0, 2, 100 + phone]),
        own_client_port: 6101,
        own_server_port: 6100,
        peer_client_port: 31_000,
        peer_server_port: 31_001,
        own_spi_c: spi(1001 + 10 * u32::from(phone)),
        own_spi_s: spi(1002 + 10 * u32::from(phone)),
        peer_spi_c: spi(2001),
        peer_spi_s: spi(2002),
        algorithms,
        keys: Keys::derive(algorithms, [phone; 16], [2; 16]),
        encapsulation: Encapsulation::Transport,
        lifetime: Duration::from_secs(3600),
    }
}

/// From the client port of this end to the server port of the other.
fn ends(set: &SaSet) -> Selector {
    Selector {
        local: SocketAddr::new(set.own_ip, set.own_client_port),
        remote: SocketAddr::new(set.peer_ip, set.peer_server_port),
    }
}

/// A P-CSCF and a phone with sets that need not agree.
struct Pair {
    world: World,
    pcscf: HostId,
    phone: HostId,
}

impl Pair {
    fn of(at_pcscf: &SaSet, at_phone: &SaSet) -> Pair {
        let mut world = World::seeded(1);
        let plain = || -> Factory { Box::new(|_| Box::new(End::default())) };
        let pcscf = world.add("pcscf", at_pcscf.own_ip, plain());
        let phone = world.add("phone", at_phone.own_ip, plain());
        let mut pair = Pair { world, pcscf, phone };
        for (host, set) in [(pcscf, at_pcscf), (phone, at_phone)] {
            let installed = pair.tell(host, Do::Secure(Secure::Install(Box::new(set.clone()))));
            assert_eq!(installed, [Heard::Secured(Ok(()))]);
        }
        pair.world.tap();
        pair
    }

    fn good() -> Pair {
        Pair::of(&set(0), &set(0).mirrored())
    }

    /// What a host hears within a second of being told something.
    fn tell(&mut self, host: HostId, what: Do) -> Vec<Heard> {
        self.world.command(host, what);
        self.heard(host)
    }

    fn heard(&mut self, host: HostId) -> Vec<Heard> {
        self.world.advance(Duration::from_secs(1));
        self.world.take_notices(host).into_iter().map(|(_, heard)| heard).collect()
    }

    /// What the P-CSCF hears of a datagram from the phone.
    fn sent(&mut self, bytes: &'static [u8]) -> Vec<Heard> {
        self.world.command(self.phone, Do::Send(ends(&set(0).mirrored()), bytes));
        self.heard(self.pcscf)
    }

    fn esp(&self, host: HostId) -> &Esp {
        &self.world.hosts()[host].esp
    }

    fn packets(&self, host: HostId) -> u64 {
        self.esp(host).usage().iter().map(|usage| usage.packets).sum()
    }
}

/// What the P-CSCF hears when the phone has sent this from its client port.
fn datagram(bytes: &[u8]) -> Heard {
    let Selector { local, remote } = ends(&set(0).mirrored());
    Heard::Datagram(Selector { local: remote, remote: local }, bytes.to_vec())
}

#[test]
fn datagrams_between_protected_ports_are_esp_and_are_counted_at_both_ends() {
    let mut pair = Pair::good();
    assert_eq!(pair.sent(b"hello"), [datagram(b"hello")]);
    let taken = pair.world.taken();
    assert!(matches!(taken, [packet] if packet.is_esp && !packet.bytes.windows(5).any(|at| at == b"hello")));
    assert_eq!((pair.packets(pair.pcscf), pair.packets(pair.phone)), (1, 1));
}

#[test]
fn a_wrong_key_and_a_foreign_spi_are_refused_each_with_its_counter() {
    let mut wrong_key = set(0).mirrored();
    wrong_key.keys = Keys::derive(wrong_key.algorithms, [9; 16], [9; 16]);
    let mut foreign_spi = set(0).mirrored();
    foreign_spi.peer_spi_s = Spi::new(7777).expect("not reserved");
    for (at_phone, refusal) in [(wrong_key, Refusal::BadIcv), (foreign_spi, Refusal::UnknownSpi)] {
        let mut pair = Pair::of(&set(0), &at_phone);
        assert_eq!(pair.sent(b"hello"), []);
        assert_eq!((pair.esp(pair.pcscf).refused(refusal), pair.packets(pair.pcscf)), (1, 0), "{refusal:?}");
    }
}

#[test]
fn a_replayed_and_an_altered_packet_are_refused_each_with_its_counter() {
    let mut pair = Pair::good();
    assert_eq!(pair.sent(b"hello").len(), 1);
    let packet = pair.world.taken()[0].bytes.clone();
    let mut altered = packet.clone();
    altered[4..8].copy_from_slice(&2_u32.to_be_bytes());
    for (packet, refusal) in [(packet, Refusal::Replay), (altered, Refusal::BadIcv)] {
        pair.world.inject_esp(set(0).peer_ip, pair.pcscf, &packet);
        assert_eq!(pair.heard(pair.pcscf), []);
        assert_eq!(pair.esp(pair.pcscf).refused(refusal), 1, "{refusal:?}");
    }
    assert_eq!(pair.sent(b"again"), [datagram(b"again")]);
}

/// TS 33.203 §7.1.
#[test]
fn what_comes_in_clear_is_let_in_at_other_ports_only() {
    let mut pair = Pair::good();
    let phone = ends(&set(0).mirrored());
    let stranger = SocketAddr::from(([203, 0, 113, 9], 5060));
    for (count, remote) in [(1, phone.local), (2, SocketAddr::new(phone.local.ip(), 5060)), (3, stranger)] {
        pair.world.inject(remote, phone.remote, b"clear");
        assert_eq!(pair.heard(pair.pcscf), []);
        assert_eq!(pair.esp(pair.pcscf).clear_refused(), count);
    }
    let local = SocketAddr::new(phone.remote.ip(), 5060);
    pair.world.inject(stranger, local, b"clear");
    let heard = Heard::Datagram(Selector { local, remote: stranger }, b"clear".to_vec());
    assert_eq!(pair.heard(pair.pcscf), [heard]);
}

#[test]
fn a_stream_between_protected_ports_is_esp_from_its_first_segment() {
    let mut pair = Pair::good();
    let phone = ends(&set(0).mirrored());
    assert_eq!(pair.tell(pair.phone, Do::Connect(phone)), [Heard::Connected(phone.local)]);
    let at_pcscf = Selector { local: phone.remote, remote: phone.local };
    assert_eq!(pair.heard(pair.pcscf), [Heard::Accepted(at_pcscf)]);
    pair.world.command(pair.phone, Do::Write(b"hello"));
    assert_eq!(pair.heard(pair.pcscf), [Heard::Piece(b"hello".to_vec())]);
    assert!(pair.world.taken().iter().all(|packet| packet.is_esp));
    assert_eq!(pair.packets(pair.pcscf), 2);
}

#[test]
fn a_stream_opens_only_when_both_ends_have_the_association_and_its_keys() {
    let mut wrong_key = set(0).mirrored();
    wrong_key.keys = Keys::derive(wrong_key.algorithms, [9; 16], [9; 16]);
    let remove = Do::Secure(Secure::Remove(Box::new(set(0).mirrored())));
    for (at_phone, before) in [(wrong_key, None), (set(0).mirrored(), Some(remove))] {
        let mut pair = Pair::of(&set(0), &at_phone);
        if let Some(before) = before {
            pair.tell(pair.phone, before);
        }
        pair.world.command(pair.phone, Do::Connect(ends(&at_phone)));
        pair.world.advance(Duration::from_secs(30));
        assert!(!pair.heard(pair.pcscf).iter().any(|heard| matches!(heard, Heard::Accepted(_))));
        assert_eq!(pair.heard(pair.phone), [Heard::NotConnected]);
        let esp = pair.esp(pair.pcscf);
        assert_eq!(esp.refused(Refusal::BadIcv) + esp.clear_refused(), 1);
    }
}

#[test]
fn a_removed_set_carries_nothing_and_its_stream_never_goes_on_in_clear() {
    for at_phone in [false, true] {
        let mut pair = Pair::good();
        pair.tell(pair.phone, Do::Connect(ends(&set(0).mirrored())));
        pair.heard(pair.pcscf);
        let (host, gone) = if at_phone { (pair.phone, set(0).mirrored()) } else { (pair.pcscf, set(0)) };
        pair.tell(host, Do::Secure(Secure::Remove(Box::new(gone))));
        pair.world.command(pair.phone, Do::Write(b"hello"));
        assert_eq!(pair.heard(pair.pcscf), []);
        assert!(pair.world.taken().iter().all(|packet| packet.is_esp));
        let unknown = pair.esp(pair.pcscf).refused(Refusal::UnknownSpi);
        assert_eq!(unknown, u64::from(!at_phone));
    }
}

#[test]
fn a_set_whose_spi_or_ports_are_taken_is_refused_and_the_first_one_stands() {
    let mut pair = Pair::good();
    let refused = |why: &str| [Heard::Secured(Err(SecureFailure(why.to_owned())))];
    let install = |set: SaSet| Do::Secure(Secure::Install(Box::new(set)));
    assert_eq!(pair.tell(pair.pcscf, install(set(0))), refused("the SPI is in use"));
    let same_ports = SaSet { own_spi_c: set(1).own_spi_c, own_spi_s: set(1).own_spi_s, ..set(0) };
    assert_eq!(pair.tell(pair.pcscf, install(same_ports)), refused("the ports are in use"));
    assert_eq!(pair.sent(b"hello"), [datagram(b"hello")]);
}

/// RFC 4303 §3.4.3: to the peer a number that it has heard is a replay, however often the sender has crashed. Two phones that
/// gave out the same SPIs are two phones.
#[test]
fn an_adopted_set_goes_on_after_one_crash_and_the_next() {
    let mut world = World::seeded(2);
    let mut lives = 0;
    let pcscf = world.add(
        "pcscf",
        set(0).own_ip,
        Box::new(move |_| {
            lives += 1;
            let adopted = if lives > 1 { vec![set(0), set(1)] } else { Vec::new() };
            Box::new(End { adopted, ..End::default() })
        }),
    );
    let phones = [0, 1].map(|phone| {
        let set = set(phone);
        let plain: Factory = Box::new(|_| Box::new(End::default()));
        let host = world.add(&format!("phone {phone}"), set.peer_ip, plain);
        world.command(host, Do::Secure(Secure::Install(Box::new(set.mirrored()))));
        world.command(pcscf, Do::Secure(Secure::Install(Box::new(set.clone()))));
        (host, set)
    });
    for life in 0..4 {
        // Unlike in number, so that one phone's mark would not do for the other.
        for ((host, set), packets) in phones.iter().zip([100, 3]) {
            for packet in 0..packets {
                world.command(pcscf, Do::Send(ends(set), b"hello"));
                world.command(*host, Do::Send(ends(&set.mirrored()), b"hello"));
                world.advance(Duration::from_secs(1));
                for end in [pcscf, *host] {
                    let heard = world.take_notices::<Heard>(end);
                    let datagrams =
                        heard.iter().filter(|(_, heard)| matches!(heard, Heard::Datagram(..))).count();
                    assert_eq!(datagrams, 1, "life {life}, packet {packet}, host {end}");
                }
            }
        }
        world.crash(pcscf);
        world.start(pcscf);
    }
}
