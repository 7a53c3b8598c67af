//! Messages through security associations (TS 33.203 §7.1): from which port to which.

use super::*;
use ipsec::{Algorithms, Encapsulation, Encryption, Integrity, Keys};

const SERVER: &str = "192.0.2.10:6100";
const CLIENT: &str = "192.0.2.10:5100";
const UE_CLIENT: &str = "203.0.113.9:31000";
const UE_SERVER: &str = "203.0.113.9:31001";
const SET: Spi = Spi::MIN;

fn spi(number: u32) -> Spi {
    Spi::new(number).unwrap()
}

fn set() -> SaSet {
    let algorithms = Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::Null };
    SaSet {
        own_ip: at(SERVER).ip(),
        peer_ip: at(UE_CLIENT).ip(),
        own_client_port: at(CLIENT).port(),
        own_server_port: at(SERVER).port(),
        peer_client_port: at(UE_CLIENT).port(),
        peer_server_port: at(UE_SERVER).port(),
        own_spi_c: spi(257),
        own_spi_s: SET,
        peer_spi_c: spi(300),
        peer_spi_s: spi(301),
        algorithms,
        keys: Keys::derive(algorithms, [1; 16], [2; 16]),
        encapsulation: Encapsulation::Transport,
        lifetime: ipsec::association::LIFETIME_MAX,
    }
}

fn bench() -> Bench {
    let mut bench = Bench::new();
    let local = |transport, address| Local { side: Side::Protected, transport, address: at(address) };
    let protected =
        [local(Transport::Udp, SERVER), local(Transport::Tcp, SERVER), local(Transport::Udp, CLIENT)];
    bench.transports.locals.extend(protected);
    bench
}

fn secured_bench() -> Bench {
    let mut bench = bench();
    bench.transports.secure(&set());
    bench
}

impl Bench {
    fn send_secured(&mut self, transport: Transport, flow: Option<Flow>, text: &str) {
        let exit = Exit::Secured { set: SET, transport, flow };
        self.transports.send(self.now, exit, text.into(), Ticket(7));
    }

    fn source(&mut self) -> Source {
        let sources = std::iter::from_fn(|| self.transports.poll_output());
        let mut sources = sources.filter_map(|output| match output {
            TransportOutput::Message { source, .. } => Some(source),
            _ => None,
        });
        sources.next().unwrap()
    }
}

#[test]
fn what_comes_through_an_association_says_so() {
    let mut bench = secured_bench();
    for (local, remote, expected) in
        [(SERVER, UE_CLIENT, Some(SET)), (CLIENT, UE_SERVER, Some(SET)), (OURS, UE_CLIENT, None)]
    {
        bench.transports.datagram(bench.now, at(local), at(remote), OPTIONS.to_vec());
        assert_eq!(bench.source().secured, expected, "{remote} to {local}");
    }
}

/// TS 33.203 §7.1: a protected port takes nothing that no association protects.
#[test]
fn nothing_in_clear_is_taken_at_a_protected_port() {
    let mut bench = secured_bench();
    for (local, remote) in [(SERVER, STRANGER), (SERVER, UE_SERVER), (CLIENT, UE_CLIENT)] {
        bench.transports.datagram(bench.now, at(local), at(remote), OPTIONS.to_vec());
    }
    assert_eq!(bench.seen(), [""; 0]);
    bench.transports.accepted(bench.now, LINK, at(SERVER), at(STRANGER));
    assert_eq!(bench.seen(), ["close"]);
    assert_eq!(bench.transports.counts()["unprotected at a protected port"], 4);
}

/// TS 33.203 §7.1: requests and responses over UDP, from client port to server port.
#[test]
fn datagrams_leave_from_the_client_port_for_the_server_port_of_the_ue() {
    let mut bench = secured_bench();
    bench.send_secured(Transport::Udp, None, "200");
    assert_eq!(bench.seen(), ["datagram 192.0.2.10:5100 to 203.0.113.9:31001: 200"]);
}

#[test]
fn a_response_goes_by_the_connection_of_the_request_and_by_one_of_ours_when_it_is_gone() {
    let mut bench = secured_bench();
    bench.transports.accepted(bench.now, LINK, at(SERVER), at(UE_CLIENT));
    bench.receive(LINK, OPTIONS);
    let source = bench.source();
    assert_eq!((source.secured, source.transport), (Some(SET), Transport::Tcp));
    bench.send_secured(Transport::Tcp, Some(source.flow), "100");
    assert_eq!(bench.seen(), ["write \"100\""]);
    bench.transports.closed(LINK);
    bench.seen();
    bench.send_secured(Transport::Tcp, Some(source.flow), "200");
    assert_eq!(bench.seen(), ["connect 1 from 192.0.2.10:5100 to 203.0.113.9:31001"]);
    bench.transports.connected(bench.now, LinkId(1), at(CLIENT));
    assert_eq!(bench.seen(), ["write \"200\""]);
}

/// TS 33.203 §7.1: the connection that the UE opened is for its own requests.
#[test]
fn requests_go_by_one_connection_of_ours_and_never_by_the_ues() {
    let mut bench = secured_bench();
    bench.transports.accepted(bench.now, LINK, at(SERVER), at(UE_CLIENT));
    bench.send_secured(Transport::Tcp, None, "INVITE");
    bench.transports.connected(bench.now, LinkId(1), at(CLIENT));
    bench.send_secured(Transport::Tcp, None, "BYE");
    assert_eq!(
        bench.seen(),
        ["connect 1 from 192.0.2.10:5100 to 203.0.113.9:31001", "write \"INVITE\"", "write \"BYE\""]
    );
}

#[test]
fn with_the_association_its_connections_end_and_nothing_leaves() {
    let mut bench = secured_bench();
    bench.transports.accepted(bench.now, LINK, at(SERVER), at(UE_CLIENT));
    bench.send_secured(Transport::Tcp, None, "INVITE");
    bench.transports.connected(bench.now, LinkId(1), at(CLIENT));
    bench.seen();
    bench.transports.unsecure(SET);
    let seen = bench.seen();
    assert_eq!(seen.iter().filter(|line| *line == "close").count(), 2, "{seen:?}");
    for transport in [Transport::Udp, Transport::Tcp] {
        bench.send_secured(transport, None, "BYE");
        assert_eq!(bench.seen(), ["ticket 7 failed: no security association"]);
    }
    bench.transports.datagram(bench.now, at(SERVER), at(UE_CLIENT), OPTIONS.to_vec());
    assert_eq!(bench.seen(), [""; 0]);
}

/// A re-registration keeps the UE's server port: the newer set takes over without a word from the older one.
#[test]
fn sets_that_differ_in_their_client_ports_stand_beside_each_other() {
    let mut bench = secured_bench();
    let newer = SaSet { own_client_port: 5101, own_spi_s: spi(400), peer_client_port: 31_002, ..set() };
    bench.transports.secure(&newer);
    let exit = Exit::Secured { set: spi(400), transport: Transport::Udp, flow: None };
    bench.transports.send(bench.now, exit, b"new".to_vec(), Ticket(0));
    bench.send_secured(Transport::Udp, None, "old");
    assert_eq!(
        bench.seen(),
        [
            "datagram 192.0.2.10:5101 to 203.0.113.9:31001: new",
            "datagram 192.0.2.10:5100 to 203.0.113.9:31001: old"
        ]
    );
    bench.transports.unsecure(SET);
    bench.transports.datagram(bench.now, at(SERVER), at("203.0.113.9:31002"), OPTIONS.to_vec());
    assert_eq!(bench.source().secured, Some(spi(400)));
}
