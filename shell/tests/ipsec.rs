//! Security associations on a real kernel: two network namespaces, a P-CSCF in the one and a UE in the other.
//!
//! The running kernel may lack ESP, so that each test runs again under `tests/lab-kernel`. Where that cannot start, the tests
//! say so and leave it at that.

use ambient::{Entropy, Wall};
use ipsec::{Algorithms, Direction, Encapsulation, Keys, Refusal, SaSet, Selector, Spi};
use nix::sched::{CloneFlags, setns};
use shell::SecurityBackEnd;
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
                pcscf.send(&to, payload, Wall::from_millis(0)).expect("the link is up");
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
        let socket = self.at(from, || {
            let socket = Socket::new(Domain::for_address(source), Type::STREAM, None).expect("a socket");
            socket.bind(&SockAddr::from(source)).expect("a free port");
            socket.connect_timeout(&SockAddr::from(target), WAIT_MAX).expect("a listener");
            socket
        });
        let mut near: TcpStream = socket.into();
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

    /// What our own ESP gets next.
    fn receive(&self, own: &mut Userspace) -> (Selector, Vec<u8>) {
        let mut got = None;
        // What was sent over a link between namespaces has come before the call to send it ends; a slow kernel is forgiven.
        for _ in 0..500 {
            own.receive(1, Wall::from_millis(0), |selector, payload| {
                got = Some((selector, payload.to_vec()))
            })
            .expect("a socket");
            if got.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        got.expect("a datagram")
    }
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
            let number = 10_000 + 10 * sets.len() as u32;
            let set = SaSet {
                own_ip: host(1),
                peer_ip: host(2),
                own_client_port: 6101,
                own_server_port: 6100,
                peer_client_port: 31_000,
                peer_server_port: 31_001,
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

/// Tells this program that it runs on a kernel of our own.
const INSIDE: &str = "CARILLON_IPSEC_KERNEL";
