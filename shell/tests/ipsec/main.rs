//! Security associations on a real kernel: two network namespaces, a P-CSCF in the one and a UE in the other.
//!
//! The running kernel may lack ESP, so that these tests run again under `tests/lab-kernel`; one runs again in a container that
//! may do nothing but open raw sockets. Where such a place cannot be had, a test says so and leaves it at that.

mod driven;
mod place;
mod world;

use ambient::{Entropy, Wall};
use ipsec::{Direction, Encapsulation, Refusal, SaSet};
use place::{in_a_bare_container, on_a_kernel};
use shell::SecurityBackEnd;
use shell::ipsec::userspace::Arrival;
use shell::ipsec::{Userspace, Xfrm};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::Read;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;
use world::{PCSCF, UE, World, at, connect, echo, ip, kernel, sets, spi, udp_at, until};

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
        let mut pcscf = world.at(PCSCF, || kernel(&set));
        let selector = set.associations()[0].selector;
        let protected = world.at(PCSCF, || udp_at(selector.local));
        let open = world.at(PCSCF, || udp_at(SocketAddr::new(selector.local.ip(), 5060)));
        let passes = |from: SocketAddr| {
            let ue = world.at(UE, || udp_at(from));
            ue.send_to(b"REGISTER", selector.local).expect("the link is up");
            ue.send_to(b"REGISTER", open.local_addr().expect("bound")).expect("the link is up");
            let mut room = [0; 100];
            assert_eq!(open.recv(&mut room).expect("what is not protected passes"), 8);
            // One link keeps the order: what was sent before has come as well.
            protected.set_nonblocking(true).expect("a socket");
            protected.recv(&mut room).is_ok()
        };
        // The UE has no associations, so that it sends in clear.
        let mut other = selector.remote;
        other.set_port(40_000);
        assert!(!passes(selector.remote), "from the ports of an association");
        assert!(passes(other), "from ports that nobody has spoken of");
        pcscf.guard(&[selector.local]).expect("CAP_NET_ADMIN");
        pcscf.guard(&[selector.local]).expect("it is there already");
        assert!(!passes(other) && !passes(selector.remote), "from anywhere");
        let mut ue = world.at(UE, || kernel(&set.mirrored()));
        protected.set_nonblocking(false).expect("a socket");
        let sender = world.at(UE, || udp_at(selector.remote));
        sender.send_to(b"REGISTER", selector.local).expect("the link is up");
        assert_eq!(protected.recv(&mut [0; 100]).expect("what is protected passes"), 8);
        ue.remove(&set.mirrored()).expect("what was installed");
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

/// A replayed packet, a forged one, one with a foreign SPI, and one with another association's ports inside: by the kernel and
/// by our own ESP, each is refused and counted by its cause, and nothing of it arrives.
#[test]
fn attacks_on_an_association_are_refused_and_counted_by_their_cause() {
    on_a_kernel("attacks_on_an_association_are_refused_and_counted_by_their_cause", || {
        let world = World::new();
        for (at, (set, name)) in sets().into_iter().enumerate().filter(|(_, (set, _))| set.own_ip.is_ipv4()) {
            let own = at % 4 == 0;
            let mut pcscf = world.at(PCSCF, || {
                if own {
                    let mut own = Userspace::open(&[set.own_ip], Entropy::seeded(5)).expect("CAP_NET_RAW");
                    own.install(&set).expect("an empty database");
                    SecurityBackEnd::Userspace(Box::new(own))
                } else {
                    kernel(&set)
                }
            });
            let before = world.at(PCSCF, || Refusal::ALL.map(|reason| pcscf.refused(reason)));
            let selector = set.associations()[0].selector;
            let receiver = world.at(PCSCF, || udp_at(selector.local));
            // The attacker has the UE's keys for what only a UE can do wrong.
            let mut attacker = ipsec::Sad::new(Entropy::seeded(6));
            attacker.install(&set.mirrored()).expect("an empty database");
            let toward = set.mirrored().associations()[3].selector;
            let mut esp_of = |target: SocketAddr, payload: &[u8]| {
                let header = ipsec::udp::header(toward.local, target, payload).expect("short");
                let mut packet = Vec::new();
                let parts: [&[u8]; 2] = [&header, payload];
                attacker
                    .protect(&toward, ipsec::Protocol::Udp, &parts, Wall::from_millis(0), &mut packet)
                    .expect("an association");
                packet
            };
            let genuine = esp_of(toward.remote, b"genuine");
            let (mut forged, mut foreign) =
                (esp_of(toward.remote, b"forged"), esp_of(toward.remote, b"foreign"));
            *forged.last_mut().expect("not empty") ^= 1;
            foreign[..4].copy_from_slice(&4_000_000_u32.to_be_bytes());
            let elsewhere = esp_of(SocketAddr::new(set.own_ip, set.own_client_port), b"elsewhere");
            let last = esp_of(toward.remote, b"last");
            let raw = world.at(UE, || {
                let protocol = socket2::Protocol::from(i32::from(ipsec::esp::PROTOCOL));
                let raw = Socket::new(Domain::IPV4, Type::RAW, Some(protocol)).expect("CAP_NET_RAW");
                raw.bind(&SockAddr::from(SocketAddr::new(set.peer_ip, 0))).expect("its address");
                raw
            });
            for packet in [&genuine, &genuine, &forged, &foreign, &elsewhere, &last] {
                raw.send_to(packet, &SockAddr::from(SocketAddr::new(set.own_ip, 0))).expect("the link is up");
            }
            let mut got = Vec::new();
            while got.last().is_none_or(|payload| payload != b"last") {
                got.push(match &mut pcscf {
                    SecurityBackEnd::Userspace(own) => world.receive(own).1,
                    SecurityBackEnd::Xfrm(_) => {
                        let mut room = [0; 100];
                        let length = receiver.recv(&mut room).expect("the last is genuine");
                        room[..length].to_vec()
                    }
                });
            }
            assert_eq!(got, [&b"genuine"[..], b"last"], "{name}");
            let reasons = [Refusal::Replay, Refusal::BadIcv, Refusal::UnknownSpi, Refusal::Selector];
            // The kernel counts for its namespace, so that the thread has to be there.
            world.at(PCSCF, || {
                for (reason, before) in Refusal::ALL.into_iter().zip(before) {
                    let more = u64::from(reasons.contains(&reason));
                    assert_eq!(
                        pcscf.refused(reason),
                        before.map(|before| before + more),
                        "{name}: {reason:?}"
                    );
                }
                pcscf.remove(&set).expect("what was installed");
            });
            println!("{name}: {}", if own { "our own" } else { "the kernel" });
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

/// TS 33.203 Annex M, RFC 3948: the P-CSCF sees the NAT's address, which moves; UDP and TCP find the UE all the same.
#[test]
fn a_ue_behind_a_nat_is_served_in_udp_and_found_again_when_the_nat_moves() {
    in_a_bare_container("a_ue_behind_a_nat_is_served_in_udp_and_found_again_when_the_nat_moves", || {
        let (mut set, _) = sets().remove(0);
        let (at_pcscf, near) = (SocketAddr::new(set.own_ip, 4500), SocketAddr::new(set.peer_ip, 4500));
        // The UE knows its own address, which nobody else does, and the NAT has two sides.
        set.peer_ip = "10.0.0.2".parse().expect("an address");
        let (inside, outside) =
            (udp_at(SocketAddr::new(near.ip(), 5000)), udp_at(SocketAddr::new(near.ip(), 6000)));
        let address = |socket: &UdpSocket| socket.local_addr().expect("bound");
        set.encapsulation = Encapsulation::UdpTunnel { local: at_pcscf, remote: address(&outside) };
        let mut at_ue = set.mirrored();
        at_ue.encapsulation = Encapsulation::UdpTunnel { local: near, remote: address(&inside) };
        let open = |set: &SaSet, port: SocketAddr, seed| {
            let mut own = Userspace::open(&[], Entropy::seeded(seed)).expect("nothing to open");
            own.open_encapsulated(port).expect("a free port");
            own.install(set).expect("an empty database");
            own
        };
        let (mut pcscf, mut ue) = (open(&set, at_pcscf, 1), open(&at_ue, near, 2));
        let forward = |outside: &UdpSocket| {
            for (from, by, to) in [(&inside, outside, at_pcscf), (outside, &inside, near)] {
                from.set_nonblocking(true).expect("a socket");
                let mut room = [0; 2000];
                while let Ok((length, source)) = from.recv_from(&mut room) {
                    assert!(source == near || source == at_pcscf, "only ESP in UDP: {source}");
                    by.send_to(&room[..length], to).expect("a loopback");
                }
            }
        };
        let (to_pcscf, to_ue) = (at_ue.associations()[3].selector, set.associations()[3].selector);
        let moved = udp_at(SocketAddr::new(near.ip(), 6001));
        for outside in [&outside, &moved] {
            assert_eq!((ue.keep_nats_open(at(20_000)), pcscf.keep_nats_open(at(20_000))), (1, 0), "silent");
            ue.send(&to_pcscf, b"REGISTER", at(0)).expect("a loopback");
            forward(outside);
            let mut got = Vec::new();
            until(&mut pcscf, |arrival| got_datagram(&arrival, &mut got));
            pcscf.send(&to_ue, b"200 OK", at(0)).expect("a loopback");
            forward(outside);
            until(&mut ue, |arrival| got_datagram(&arrival, &mut got));
            assert_eq!(got, [&b"REGISTER"[..], b"200 OK"]);
            assert_eq!(ue.keep_nats_open(at(9_000)), 0, "it has just sent");
            assert_eq!(
                ue.nats_stay_open_for(at(9_000)),
                Duration::from_secs(1),
                "and its silence is counted from then"
            );
            assert_eq!(
                ue.nats_stay_open_for(at(11_000)),
                Duration::from_secs(10),
                "it is kept open at this time"
            );
            assert_eq!(pcscf.outer(set.own_spi_s), Some(address(outside)));
        }
        let id = pcscf.connect(&to_ue, at(0)).expect("a set");
        pcscf.write(id, b"INVITE", at(0)).expect("room");
        let mut got = Vec::new();
        for turn in 0..100 {
            forward(&moved);
            ue.receive(64, at(turn), |arrival| {
                if let Arrival::Octets(_, octets) = arrival {
                    got.extend_from_slice(octets);
                }
            })
            .expect("a socket");
            pcscf.receive(64, at(turn), |_| ()).expect("a socket");
        }
        assert_eq!(got, b"INVITE", "by TCP");
        for reason in Refusal::ALL {
            assert_eq!((pcscf.refused(reason), ue.refused(reason)), (0, 0), "{reason:?}");
        }
    });
}

/// Whoever floods one address of ours leaves the others theirs.
#[test]
fn each_address_has_its_share_of_a_turn() {
    in_a_bare_container("each_address_has_its_share_of_a_turn", || {
        let [(four, _), (six, _)] =
            sets().into_iter().take(2).collect::<Vec<_>>().try_into().expect("two families");
        let open = |addresses: [std::net::IpAddr; 2], mirrored: bool, seed| {
            let mut own = Userspace::open(&addresses, Entropy::seeded(seed)).expect("CAP_NET_RAW");
            for set in [&four, &six] {
                own.install(&if mirrored { set.mirrored() } else { set.clone() }).expect("an empty database");
            }
            own
        };
        let mut pcscf = open([four.own_ip, six.own_ip], false, 1);
        let mut ue = open([four.peer_ip, six.peer_ip], true, 2);
        for _ in 0..20 {
            ue.send(&four.mirrored().associations()[3].selector, b"flood", at(0)).expect("a loopback");
        }
        ue.send(&six.mirrored().associations()[3].selector, b"REGISTER", at(0)).expect("a loopback");
        let mut got = Vec::new();
        let count = pcscf
            .receive(4, at(0), |arrival| {
                got_datagram(&arrival, &mut got);
            })
            .expect("sockets");
        assert_eq!((count, got), (3, vec![b"flood".to_vec(), b"flood".to_vec(), b"REGISTER".to_vec()]));
    });
}

fn got_datagram(arrival: &Arrival<'_>, got: &mut Vec<Vec<u8>>) -> bool {
    let Arrival::Datagram(_, payload) = arrival else { return false };
    got.push(payload.to_vec());
    true
}
