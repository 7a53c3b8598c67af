//! Two network namespaces with a link between them, and what the stories do in them.

use ambient::{Instant, Now, Wall};
use ipsec::{Algorithms, Encapsulation, Keys, SaSet, Selector, Spi};
use nix::sched::{CloneFlags, setns};
use shell::SecurityBackEnd;
use shell::ipsec::userspace::Arrival;
use shell::ipsec::{Userspace, Xfrm};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub const PCSCF: &str = "pcscf";
pub const UE: &str = "ue";

/// Two network namespaces with a link between them.
pub struct World;

impl World {
    pub fn new() -> World {
        for end in [PCSCF, UE] {
            ip(&["netns", "add", end]);
            ip(&["-n", end, "link", "set", "lo", "up"]);
        }
        ip(&["link", "add", "gm", "netns", PCSCF, "type", "veth", "peer", "name", "gm", "netns", UE]);
        for (end, host) in [(PCSCF, 1), (UE, 2)] {
            ip(&["-n", end, "addr", "add", &format!("192.0.2.{host}/24"), "dev", "gm"]);
            ip(&["-n", end, "addr", "add", &format!("2001:db8::{host}/64"), "dev", "gm", "nodad"]);
            ip(&["-n", end, "link", "set", "gm", "up"]);
        }
        World
    }

    /// Does something in a namespace: what is opened there stays there.
    pub fn at<T>(&self, end: &str, act: impl FnOnce() -> T) -> T {
        let namespace = File::open(Path::new("/run/netns").join(end)).expect("the namespace was made");
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may enter it");
        act()
    }

    /// Sends a datagram from an end to the other, between the ends of a selector of the P-CSCF's.
    pub fn udp(&self, from: &str, selector: &Selector, payload: &[u8]) {
        let (source, target) = self.ends(from, selector);
        let receiver = self.at(if from == UE { PCSCF } else { UE }, || udp_at(target));
        let sender = self.at(from, || udp_at(source));
        sender.send_to(payload, target).expect("the link is up");
        let mut room = [0; 5000];
        let (length, seen) = receiver.recv_from(&mut room).expect("the datagram");
        assert_eq!((&room[..length], seen), (payload, source));
    }

    /// Connects from an end to the other and sends something to and fro.
    pub fn tcp(&self, from: &str, selector: &Selector) {
        let (source, target) = self.ends(from, selector);
        let listener =
            self.at(if from == UE { PCSCF } else { UE }, || TcpListener::bind(target).expect("a free port"));
        let mut near = self.at(from, || connect(source, target));
        let (mut far, seen) = listener.accept().expect("a connection");
        assert_eq!(seen, source);
        for stream in [&near, &far] {
            stream.set_read_timeout(Some(WAIT_MAX)).expect("a socket");
        }
        let mut room = [0; 5];
        near.write_all(b"hello").expect("connected");
        far.read_exact(&mut room).expect("connected");
        far.write_all(&room).expect("connected");
        near.read_exact(&mut room).expect("connected");
        assert_eq!(&room, b"hello");
        // The ports are for the next connection as well: a reset leaves nobody waiting.
        socket2::SockRef::from(&near).set_linger(Some(Duration::ZERO)).expect("a socket");
        drop(near);
    }

    fn ends(&self, from: &str, selector: &Selector) -> (SocketAddr, SocketAddr) {
        if from == UE { (selector.remote, selector.local) } else { (selector.local, selector.remote) }
    }

    /// The next datagram of our own ESP.
    pub fn receive(&self, own: &mut Userspace) -> (Selector, Vec<u8>) {
        let mut got = None;
        until(own, |arrival| {
            if let Arrival::Datagram(selector, payload) = arrival {
                got = Some((selector, payload.to_vec()));
            }
            got.is_some()
        });
        got.expect("a datagram")
    }
}

/// Runs our own ESP until `is_enough` says so of what came; its clock moves only as far as this waits.
pub fn until(own: &mut Userspace, mut is_enough: impl FnMut(Arrival<'_>) -> bool) {
    let mut done = false;
    for turn in 0..1000 {
        let now = at(10 * turn);
        let mut take = |arrival: Arrival<'_>| done |= is_enough(arrival);
        own.receive(1, now, &mut take).expect("a socket");
        own.expire(now, &mut take);
        if done {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("nothing came");
}

/// So many milliseconds after the start.
pub fn at(ms: u64) -> Now {
    Now { instant: Instant::from_micros(1000 * ms), wall: Wall::from_millis(ms) }
}

impl Drop for World {
    fn drop(&mut self) {
        for end in [PCSCF, UE] {
            let _ = Command::new("ip").args(["netns", "del", end]).status();
        }
    }
}

pub fn udp_at(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(address).expect("a free port");
    socket.set_read_timeout(Some(WAIT_MAX)).expect("a socket");
    socket
}

/// The kernel of the present namespace with a set installed.
pub fn kernel(set: &SaSet) -> SecurityBackEnd {
    let mut back_end = SecurityBackEnd::Xfrm(Xfrm::open().expect("CAP_NET_ADMIN"));
    back_end.install(set).unwrap_or_else(|error| panic!("{}: {error}", set.algorithms));
    back_end
}

pub fn ip(words: &[&str]) -> String {
    let run = Command::new("ip").args(words).output().expect("iproute2 is installed");
    assert!(run.status.success(), "ip {words:?}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stdout).into_owned()
}

pub fn spi(number: u32) -> Spi {
    Spi::new(number).expect("not reserved")
}

/// The P-CSCF's side of a set for each pair of algorithms and each family.
pub fn sets() -> Vec<(SaSet, String)> {
    let mut sets = Vec::new();
    for algorithms in Algorithms::ALL {
        for family in ["IPv4", "IPv6"] {
            let host = |host: u8| match family {
                "IPv4" => IpAddr::from([192, 0, 2, host]),
                _ => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(host)]),
            };
            // Each has ports of its own, because TCP holds on to those of a connection for a while.
            let (number, port) = (10_000 + 10 * sets.len() as u32, 2 * sets.len() as u16);
            let set = SaSet {
                own_ip: host(1),
                peer_ip: host(2),
                own_client_port: 6101 + port,
                own_server_port: 6100,
                peer_client_port: 31_000 + port,
                peer_server_port: 31_001 + port,
                own_spi_c: spi(number),
                own_spi_s: spi(number + 1),
                peer_spi_c: spi(number + 2),
                peer_spi_s: spi(number + 3),
                algorithms,
                keys: Keys::derive(algorithms, [0xc1; 16], [0x1c; 16]),
                encapsulation: Encapsulation::Transport,
                lifetime: Duration::from_secs(3600),
            };
            sets.push((set, format!("{algorithms} over {family}")));
        }
    }
    sets
}

pub const WAIT_MAX: Duration = Duration::from_secs(10);

/// Sends a message and takes it back.
pub fn echo(mut stream: TcpStream, message: &[u8]) {
    stream.set_read_timeout(Some(WAIT_MAX)).expect("a socket");
    let mut writer = stream.try_clone().expect("a socket");
    let sent = message.to_vec();
    let writing = std::thread::spawn(move || writer.write_all(&sent).expect("connected"));
    let mut got = vec![0; message.len()];
    stream.read_exact(&mut got).expect("connected");
    writing.join().expect("written");
    assert_eq!(got, message);
}

/// A connection of the kernel's between two ends.
pub fn connect(source: SocketAddr, target: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(source), Type::STREAM, None).expect("a socket");
    socket.bind(&SockAddr::from(source)).expect("a free port");
    socket.connect_timeout(&SockAddr::from(target), WAIT_MAX).expect("a listener");
    socket.into()
}
