//! Security associations on a real kernel: two network namespaces, a P-CSCF in the one and a UE in the other.
//!
//! The running kernel may lack ESP, so that these tests run again under `tests/lab-kernel`; one runs again in a container that
//! may do nothing but open raw sockets. Where such a place cannot be had, a test says so and leaves it at that.

use ambient::{Entropy, Instant, Now, Wall};
use ipsec::{Algorithms, Direction, Encapsulation, Keys, Refusal, SaSet, Selector, Spi};
use nix::sched::{CloneFlags, setns};
use shell::SecurityBackEnd;
use shell::ipsec::userspace::Arrival;
use shell::ipsec::{Userspace, Xfrm};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// TS 33.203 §7.1, by the kernel: UDP and TCP in both directions, over both families, by every pair of algorithms.
#[test]
fn the_kernel_carries_udp_and_tcp_by_every_pair_of_algorithms() {
    on_a_kernel("the_kernel_carries_udp_and_tcp_by_every_pair_of_algorithms", || {
        let world = World::new();
        for (set, name) in sets() {
            let mut pcscf = world.at(PCSCF, || kernel(&set));
            let mut ue = world.at(UE, || kernel(&set.mirrored()));
            let [server_in, _, client_in, _] = set.associations();
            world.udp(UE, &server_in.selector, b"REGISTER");
            world.udp(PCSCF, &client_in.selector, b"200 OK");
            world.udp(UE, &server_in.selector, &[b'x'; 4000]);
            world.tcp(UE, &server_in.selector);
            world.tcp(PCSCF, &client_in.selector);
            for (end, list) in [(PCSCF, pcscf.list()), (UE, ue.list())] {
                let list = list.expect("the kernel tells");
                assert_eq!(list.len(), 4, "{name} at {end}");
                for usage in &list {
                    assert!(usage.packets > 0 && usage.sequence > 0, "{name} at {end}: {usage:?}");
                }
                // What the kernel's own tool says: the ACKs of a closing connection may have come since.
                let seen = ip(&["netns", "exec", end, "ip", "-s", "xfrm", "state"]);
                let packets = seen.split("lifetime current:").skip(1).filter_map(|state| {
                    state.split_once("(bytes),")?.1.split_once("(packets)")?.0.trim().parse::<u64>().ok()
                });
                let packets: Vec<_> = packets.collect();
                assert!(
                    packets.len() == 4 && packets.iter().all(|count| *count > 0),
                    "{name} at {end}: {seen}"
                );
            }
            pcscf.remove(&set).expect("what was installed");
            ue.remove(&set.mirrored()).expect("what was installed");
            assert!(pcscf.list().expect("the kernel tells").is_empty());
            for end in [PCSCF, UE] {
                let left = ip(&["netns", "exec", end, "ip", "xfrm", "policy"]);
                assert!(!left.contains("esp"), "{name} at {end}: {left}");
            }
            println!("{name}: UDP and TCP both ways");
        }
    });
}

#[test]
fn what_comes_in_clear_does_not_pass_at_a_protected_port() {
    on_a_kernel("what_comes_in_clear_does_not_pass_at_a_protected_port", || {
        let world = World::new();
        let (set, _) = sets().remove(0);
        let _pcscf = world.at(PCSCF, || kernel(&set));
        let selector = set.associations()[0].selector;
        let protected = world.at(PCSCF, || udp_at(selector.local));
        let open = world.at(PCSCF, || udp_at(SocketAddr::new(selector.local.ip(), 5060)));
        // The UE has no associations, so that it sends in clear.
        let ue = world.at(UE, || udp_at(selector.remote));
        ue.send_to(b"REGISTER", selector.local).expect("the link is up");
        ue.send_to(b"REGISTER", (selector.local.ip(), 5060)).expect("the link is up");
        let mut room = [0; 100];
        assert_eq!(open.recv(&mut room).expect("what is not protected passes"), 8);
        // One link keeps the order: the first has come as well, and has not passed.
        protected.set_nonblocking(true).expect("a socket");
        assert!(protected.recv(&mut room).is_err());
    });
}

#[test]
fn a_set_that_clashes_is_refused_whole_and_the_error_names_no_key() {
    on_a_kernel("a_set_that_clashes_is_refused_whole_and_the_error_names_no_key", || {
        let world = World::new();
        let (set, _) = sets().remove(4);
        let mut pcscf = world.at(PCSCF, || kernel(&set));
        let _ue = world.at(UE, || kernel(&set.mirrored()));
        let again = pcscf.install(&set).expect_err("the SPIs are taken");
        assert!(again.to_string().contains("another set has the SPI or the ports"), "{again}");
        let mut same_ports = set.clone();
        (same_ports.own_spi_c, same_ports.own_spi_s) = (spi(77_001), spi(77_002));
        (same_ports.peer_spi_c, same_ports.peer_spi_s) = (spi(77_003), spi(77_004));
        let clash = pcscf.install(&same_ports).expect_err("the ports are taken");
        for error in [format!("{again:?} {again}"), format!("{clash:?} {clash}")] {
            let key = set.keys.expose_encryption();
            assert!(!error.contains(&format!("{}, {}, {}", key[0], key[1], key[2])), "{error}");
        }
        assert_eq!(pcscf.list().expect("the kernel tells").len(), 4, "nothing of the others stayed");
        world.udp(UE, &set.associations()[0].selector, b"the first set works on");
    });
}

/// The associations of a P-CSCF that was killed are in the kernel still: its successor finds them, and they work.
#[test]
fn a_successor_finds_the_associations_and_their_counters() {
    on_a_kernel("a_successor_finds_the_associations_and_their_counters", || {
        let world = World::new();
        let (set, _) = sets().remove(0);
        drop(world.at(PCSCF, || kernel(&set)));
        let _ue = world.at(UE, || kernel(&set.mirrored()));
        world.udp(UE, &set.associations()[0].selector, b"before");
        let mut successor = world.at(PCSCF, || SecurityBackEnd::Xfrm(Xfrm::open().expect("CAP_NET_ADMIN")));
        let found = successor.list().expect("the kernel tells");
        for association in set.associations() {
            let usage = found.iter().find(|usage| usage.spi == association.spi).expect("adopted");
            assert_eq!(usage.source, association.source().ip());
            assert_eq!(usage.destination, association.destination().ip());
            let is_used =
                association.direction == Direction::Inbound && association.selector.local.port() == 6100;
            assert_eq!((usage.packets, usage.sequence), (u64::from(is_used), u32::from(is_used)));
        }
        world.udp(PCSCF, &set.associations()[2].selector, b"after");
        // Of a set that no store remembers, only this is known.
        successor.discard(&found).expect("what was found");
        assert!(successor.list().expect("the kernel tells").is_empty());
        let left = ip(&["netns", "exec", PCSCF, "ip", "xfrm", "policy"]);
        assert!(!left.contains("esp"), "{left}");
        successor.discard(&found).expect("nothing, which is no error");
    });
}

/// Our own ESP at the P-CSCF and the kernel's at the UE read each other, by every pair and over both families.
#[test]
fn our_own_esp_and_the_kernels_read_each_other() {
    on_a_kernel("our_own_esp_and_the_kernels_read_each_other", || {
        let world = World::new();
        for (set, name) in sets() {
            let mut pcscf = world.at(PCSCF, || {
                let mut own = Userspace::open(&[set.own_ip], Entropy::seeded(5)).expect("CAP_NET_RAW");
                own.install(&set).expect("an empty database");
                own
            });
            let mut ue = world.at(UE, || kernel(&set.mirrored()));
            let [server_in, _, _, client_out] = set.associations();
            let (from, to) = (server_in.selector, client_out.selector);
            let (sender, receiver) = world.at(UE, || (udp_at(from.remote), udp_at(to.remote)));
            for payload in [&b"REGISTER"[..], &[b'x'; 4000]] {
                sender.send_to(payload, from.local).expect("the link is up");
                assert_eq!(world.receive(&mut pcscf), (from, payload.to_vec()), "{name}");
                pcscf.send(&to, payload, at(0)).expect("the link is up");
                let mut room = [0; 5000];
                let (length, source) = receiver.recv_from(&mut room).expect("an answer");
                assert_eq!((&room[..length], source), (payload, to.local), "{name}");
            }
            for reason in Refusal::ALL {
                assert_eq!(pcscf.refused(reason), 0, "{name}: {reason:?}");
            }
            let counts = |list: Vec<ipsec::Usage>| {
                let mut counts: Vec<_> = list.iter().map(|usage| (usage.spi, usage.packets)).collect();
                counts.sort();
                counts
            };
            assert_eq!(counts(pcscf.list()), counts(ue.list().expect("the kernel tells")), "{name}");
            ue.remove(&set.mirrored()).expect("what was installed");
            println!("{name}: both ways");
        }
    });
}

/// Our own TCP above our own ESP at the P-CSCF, and the kernel's at the UE: each opens a connection, and each ends one.
#[test]
fn our_own_tcp_and_the_kernels_read_each_other() {
    on_a_kernel("our_own_tcp_and_the_kernels_read_each_other", || {
        let world = World::new();
        let message: Vec<_> = (0..40_000_u32).map(|number| number as u8).collect();
        for (set, name) in sets() {
            let mut own =
                world.at(PCSCF, || Userspace::open(&[set.own_ip], Entropy::seeded(5)).expect("CAP_NET_RAW"));
            own.install(&set).expect("an empty database");
            let mut ue = world.at(UE, || kernel(&set.mirrored()));
            let [server_in, _, client_in, _] = set.associations().map(|association| association.selector);
            // The UE connects, sends, gets it back, and ends.
            let theirs = world.at(UE, || {
                let (message, from, to) = (message.clone(), server_in.remote, server_in.local);
                std::thread::spawn(move || echo(connect(from, to), &message))
            });
            let mut echoed = 0;
            let mut opened = None;
            while echoed < message.len() {
                let mut octets = Vec::new();
                until(&mut own, |arrival| match arrival {
                    Arrival::Opened(id, ends) => {
                        assert_eq!(ends, server_in);
                        opened = Some(id);
                        false
                    }
                    Arrival::Octets(id, more) => {
                        assert_eq!(Some(id), opened);
                        octets.extend_from_slice(more);
                        true
                    }
                    other => panic!("{name}: {other:?}"),
                });
                echoed += octets.len();
                own.write(opened.expect("opened before it speaks"), &octets, at(0)).expect("room");
            }
            until(&mut own, |arrival| arrival == Arrival::Closed(opened.expect("opened")));
            theirs.join().expect("the UE got back what it sent");
            // The P-CSCF connects, sends, gets it back, and ends.
            let listener = world.at(UE, || TcpListener::bind(client_in.remote).expect("a free port"));
            let theirs = std::thread::spawn(move || {
                let (mut stream, from) = listener.accept().expect("a connection");
                let mut got = Vec::new();
                stream.read_to_end(&mut got).expect("connected");
                (got, from)
            });
            let id = own.connect(&client_in, at(0)).expect("a set");
            until(&mut own, |arrival| arrival == Arrival::Opened(id, client_in));
            own.write(id, &message, at(0)).expect("room");
            own.close(id, at(0));
            until(&mut own, |arrival| arrival == Arrival::Closed(id));
            assert_eq!(theirs.join().expect("the UE's thread"), (message.clone(), client_in.local), "{name}");
            assert_eq!(own.due(), None, "a set without connections has no TCP");
            ue.remove(&set.mirrored()).expect("what was installed");
            println!("{name}: both ways");
        }
    });
}

/// In a container that may do nothing but open raw sockets, on any kernel: both ends are our own.
#[test]
fn our_own_esp_and_tcp_need_cap_net_raw_alone() {
    in_a_bare_container("our_own_esp_and_tcp_need_cap_net_raw_alone", || {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let may = status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("its capabilities");
        assert_eq!(u64::from_str_radix(may.trim(), 16), Ok(1 << 13 /* CAP_NET_RAW */));
        let message: Vec<_> = (0..40_000_u32).map(|number| number as u8).collect();
        for (set, name) in sets() {
            let open = |set: &SaSet, seed| {
                let mut own = Userspace::open(&[set.own_ip], Entropy::seeded(seed)).expect("CAP_NET_RAW");
                own.install(set).expect("an empty database");
                own
            };
            let (mut pcscf, mut ue) = (open(&set, 1), open(&set.mirrored(), 2));
            let at_ue = set.mirrored().associations().map(|association| association.selector);
            ue.send(&at_ue[3], b"REGISTER", at(0)).expect("a loopback");
            let mut got = Vec::new();
            until(&mut pcscf, |arrival| {
                let Arrival::Datagram(_, payload) = arrival else { panic!("{name}: {arrival:?}") };
                got.extend_from_slice(payload);
                true
            });
            assert_eq!(got, b"REGISTER", "{name}");
            // A connection of the UE's carries a message there and back, and ends.
            let id = ue.connect(&at_ue[3], at(0)).expect("a set");
            ue.write(id, &message, at(0)).expect("room");
            let (mut echoed, mut closed) = (Vec::new(), 0);
            for turn in 0..10_000 {
                let now = at(10 * turn);
                let mut replies = Vec::new();
                pcscf
                    .receive(64, now, |arrival| match arrival {
                        Arrival::Octets(id, octets) => replies.push((id, octets.to_vec())),
                        Arrival::Closed(_) => closed += 1,
                        _ => {}
                    })
                    .expect("a socket");
                for (id, octets) in replies {
                    pcscf.write(id, &octets, now).expect("room");
                }
                ue.receive(64, now, |arrival| match arrival {
                    Arrival::Octets(_, octets) => echoed.extend_from_slice(octets),
                    Arrival::Closed(_) => closed += 1,
                    _ => {}
                })
                .expect("a socket");
                if echoed.len() == message.len() {
                    ue.close(id, now);
                }
                pcscf.expire(now, |arrival| closed += u32::from(matches!(arrival, Arrival::Closed(_))));
                ue.expire(now, |arrival| closed += u32::from(matches!(arrival, Arrival::Closed(_))));
                if closed == 2 {
                    break;
                }
            }
            assert!(echoed == message, "{name}: {} octets came back", echoed.len());
            assert_eq!(closed, 2, "{name}: both ends know");
        }
    });
}

/// Sends a message and takes it back.
fn echo(mut stream: TcpStream, message: &[u8]) {
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
fn connect(source: SocketAddr, target: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(source), Type::STREAM, None).expect("a socket");
    socket.bind(&SockAddr::from(source)).expect("a free port");
    socket.connect_timeout(&SockAddr::from(target), WAIT_MAX).expect("a listener");
    socket.into()
}

// --- the two namespaces -------------------------------------------------------------------------------------------

const PCSCF: &str = "pcscf";
const UE: &str = "ue";

/// Two network namespaces with a link between them.
struct World;

impl World {
    fn new() -> World {
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
    fn at<T>(&self, end: &str, act: impl FnOnce() -> T) -> T {
        let namespace = File::open(Path::new("/run/netns").join(end)).expect("the namespace was made");
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may enter it");
        act()
    }

    /// Sends a datagram from an end to the other, between the ends of a selector of the P-CSCF's.
    fn udp(&self, from: &str, selector: &Selector, payload: &[u8]) {
        let (source, target) = self.ends(from, selector);
        let receiver = self.at(if from == UE { PCSCF } else { UE }, || udp_at(target));
        let sender = self.at(from, || udp_at(source));
        sender.send_to(payload, target).expect("the link is up");
        let mut room = [0; 5000];
        let (length, seen) = receiver.recv_from(&mut room).expect("the datagram");
        assert_eq!((&room[..length], seen), (payload, source));
    }

    /// Connects from an end to the other and sends something to and fro.
    fn tcp(&self, from: &str, selector: &Selector) {
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
    fn receive(&self, own: &mut Userspace) -> (Selector, Vec<u8>) {
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
fn until(own: &mut Userspace, mut is_enough: impl FnMut(Arrival<'_>) -> bool) {
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
fn at(ms: u64) -> Now {
    Now { instant: Instant::from_micros(1000 * ms), wall: Wall::from_millis(ms) }
}

impl Drop for World {
    fn drop(&mut self) {
        for end in [PCSCF, UE] {
            let _ = Command::new("ip").args(["netns", "del", end]).status();
        }
    }
}

fn udp_at(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(address).expect("a free port");
    socket.set_read_timeout(Some(WAIT_MAX)).expect("a socket");
    socket
}

/// The kernel of the present namespace with a set installed.
fn kernel(set: &SaSet) -> SecurityBackEnd {
    let mut back_end = SecurityBackEnd::Xfrm(Xfrm::open().expect("CAP_NET_ADMIN"));
    back_end.install(set).unwrap_or_else(|error| panic!("{}: {error}", set.algorithms));
    back_end
}

fn ip(words: &[&str]) -> String {
    let run = Command::new("ip").args(words).output().expect("iproute2 is installed");
    assert!(run.status.success(), "ip {words:?}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stdout).into_owned()
}

fn spi(number: u32) -> Spi {
    Spi::new(number).expect("not reserved")
}

/// The P-CSCF's side of a set for each pair of algorithms and each family.
fn sets() -> Vec<(SaSet, String)> {
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

const WAIT_MAX: Duration = Duration::from_secs(10);

// --- the kernel ---------------------------------------------------------------------------------------------------

/// Runs a story on a kernel that has ESP, by starting one that runs this test again.
fn on_a_kernel(test: &str, story: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return story();
    }
    let has = |program: &str| {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&folders).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
        folders.into_iter().any(|folder| folder.join(program).exists())
    };
    if let Some(missing) = ["linux.uml", "modprobe", "ip"].iter().find(|program| !has(program)) {
        eprintln!("left out: {missing} is not here (apt-get install user-mode-linux kmod iproute2)");
        return;
    }
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let own = std::env::current_exe().expect("a test knows its own file");
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("shell/ lies in the workspace");
    let mut kernel = Command::new(top.join("tests/lab-kernel"));
    kernel.args(["--timeout", "200", "--mem", "512", "--share"]).arg(own.parent().expect("a folder"));
    kernel.arg("--").arg(&own).args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    // User-mode Linux keeps a folder in the home of its user.
    let run = kernel.env("HOME", scratch.path()).current_dir(top).output().expect("a shell script");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{}: {said}", run.status);
    eprint!("{said}");
}

/// Runs a story in a network and user namespace of its own, with CAP_NET_RAW and no other capability.
fn in_a_bare_container(test: &str, story: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return story();
    }
    let own = std::env::current_exe().expect("a test knows its own file");
    // The container's network is made before the capabilities go.
    let script = "ip link set lo up && for a in 192.0.2.1/32 192.0.2.2/32 2001:db8::1/128 2001:db8::2/128; do \
                  ip addr add $a dev lo || exit 99; done && \
                  exec setpriv --inh-caps=-all --bounding-set=-all,+net_raw \"$0\" --exact \"$1\" --nocapture";
    let mut container = Command::new("unshare");
    container.args(["--user", "--map-root-user", "--net", "sh", "-c", script]).arg(own).arg(test);
    match container.env(INSIDE, "1").output() {
        Ok(run) if String::from_utf8_lossy(&run.stdout).contains("running 1 test") => {
            let said = String::from_utf8_lossy(&run.stdout);
            assert!(run.status.success() && said.contains("1 passed"), "{}: {said}", run.status);
        }
        Ok(run) => eprintln!("left out: no container here: {}", String::from_utf8_lossy(&run.stderr)),
        Err(error) => eprintln!("left out: no unshare here: {error}"),
    }
}

/// Tells this program that it runs where a story is to run.
const INSIDE: &str = "CARILLON_IPSEC_KERNEL";
