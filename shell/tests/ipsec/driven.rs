//! Security associations of a machine that the driver runs: what it asks for, and what goes through them.

use crate::place::{in_a_bare_container, on_a_kernel};
use crate::world::{PCSCF, UE, World, kernel, sets, spi, udp_at};
use ambient::{Instant, Now};
use cscf::query::{Query, QueryId, Secure};
use cscf::station::{LinkId, Machine, Operated, Protocol, StreamTransport, WireInput, WireOutput};
use cscf::trace;
use ipsec::{SaSet, Selector};
use shell::ipsec::Xfrm;
use shell::sockets::Binding;
use shell::{Clock, Driver, Handle, Security, Setup, Sockets, Speaks, system_entropy};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Duration;

/// What a puppet is told to do.
#[derive(Clone, Debug)]
enum Ask {
    Secure(fn(Box<SaSet>) -> Secure, SaSet),
    Send(Selector, &'static str),
    Connect(LinkId, Selector),
    Write(LinkId, Vec<u8>),
    Close(LinkId),
}

/// Asks for what it is told to, and tells what it hears.
#[derive(Default)]
struct Puppet {
    /// Sets that it knows from an earlier life.
    known: Vec<SaSet>,
    outputs: VecDeque<WireOutput>,
    heard: VecDeque<String>,
    is_draining: bool,
}

impl Machine for Puppet {
    fn handle(&mut self, _: Now, input: WireInput) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let heard = match input {
            WireInput::Start { .. } => {
                let adopt = |set: SaSet| Puppet::asks(Secure::Adopt(Box::new(set)));
                self.outputs.extend(std::mem::take(&mut self.known).into_iter().map(adopt));
                "started".to_owned()
            }
            WireInput::Datagram { local, remote, bytes } => {
                format!("{} from {remote} at {local}", text(&bytes))
            }
            WireInput::Connected { link, local } => format!("connected {} at {local}", link.0),
            WireInput::ConnectFailed { link, why } => format!("not connected {}: {why}", link.0),
            WireInput::Accepted { link, local, remote, .. } => {
                // What it accepts, it greets.
                self.outputs.push_back(WireOutput::Write { link, bytes: b"welcome".to_vec() });
                format!("accepted {remote} at {local}")
            }
            WireInput::Received { bytes, .. } => text(&bytes),
            WireInput::Closed { .. } => "closed".to_owned(),
            WireInput::Answered { answer, .. } => format!("{answer:?}"),
            WireInput::Drain => {
                self.is_draining = true;
                return;
            }
            other => format!("{other:?}"),
        };
        self.heard.push_back(heard);
    }

    fn poll_output(&mut self) -> Option<WireOutput> {
        self.outputs.pop_front()
    }

    fn next_timeout(&self) -> Option<(Instant, &'static str)> {
        None
    }

    fn is_drained(&self) -> bool {
        self.is_draining
    }
}

impl Puppet {
    fn asks(wish: Secure) -> WireOutput {
        WireOutput::Query { id: QueryId(1), query: Query::Secure(wish) }
    }
}

impl Operated for Puppet {
    type Command = Ask;
    type Notice = String;

    fn command(&mut self, _: Now, ask: Ask) {
        self.outputs.push_back(match ask {
            Ask::Secure(wish, set) => Puppet::asks(wish(Box::new(set))),
            Ask::Send(Selector { local, remote }, text) => {
                WireOutput::Datagram { local, remote, bytes: text.into() }
            }
            Ask::Connect(link, Selector { local, remote }) => WireOutput::Connect {
                link,
                protocol: Protocol::Sip,
                transport: StreamTransport::Tcp,
                local: Some(local),
                remote,
            },
            Ask::Write(link, bytes) => WireOutput::Write { link, bytes },
            Ask::Close(link) => WireOutput::Close { link },
        });
    }

    fn poll_notice(&mut self) -> Option<String> {
        self.heard.pop_front()
    }

    fn set_trace(&mut self, _: bool) {}

    fn poll_trace(&mut self) -> Option<trace::Event> {
        None
    }
}

/// A puppet on its strings.
struct Driven(Handle<Ask, String>);

impl Driven {
    /// One whose protected ports are those of a set.
    fn own(set: &SaSet) -> Driven {
        let ports = set.associations().map(|association| association.selector.local);
        let security = Security::Userspace { protected: ports.to_vec(), encapsulated: Vec::new() };
        let setup = Setup { security, ..Driven::setup(Sockets::default()) };
        let driven = Driven(Driver::spawn("puppet", Puppet::default(), setup).expect("CAP_NET_RAW"));
        driven.hears("started");
        driven.secure(Secure::Install, set);
        driven
    }

    fn setup(sockets: Sockets) -> Setup {
        Setup::new(sockets, Clock::start(), system_entropy().expect("the system has some"))
    }

    fn does(&self, ask: Ask) {
        self.0.command(ask).expect("it runs");
    }

    fn secure(&self, wish: fn(Box<SaSet>) -> Secure, set: &SaSet) {
        self.does(Ask::Secure(wish, set.clone()));
        self.hears("Secured(Ok(()))");
    }

    fn hears(&self, words: &str) {
        assert_eq!(self.0.notices.recv_timeout(PATIENCE).as_deref(), Ok(words));
    }
}

/// TS 33.203 §7.1: datagrams and connections in both directions, by nothing but raw sockets; and a set takes its connections
/// along when it goes.
#[test]
fn machines_speak_through_their_own_esp() {
    in_a_bare_container("driven::machines_speak_through_their_own_esp", || {
        for (set, _) in sets().into_iter().take(2) {
            let (pcscf, ue) = (Driven::own(&set), Driven::own(&set.mirrored()));
            let [server, _, client, _] = set.associations().map(|association| association.selector);
            let [at_ue, _, from_ue, _] =
                set.mirrored().associations().map(|association| association.selector);
            for (sender, receiver, ends) in [(&ue, &pcscf, from_ue), (&pcscf, &ue, client)] {
                let Selector { local, remote } = ends;
                sender.does(Ask::Send(ends, "a datagram"));
                receiver.hears(&format!("a datagram from {local} at {remote}"));
                sender.does(Ask::Connect(LinkId(7), ends));
                receiver.hears(&format!("accepted {local} at {remote}"));
                sender.hears(&format!("connected 7 at {local}"));
                sender.hears("welcome");
                sender.does(Ask::Write(LinkId(7), b"on a stream".to_vec()));
                receiver.hears("on a stream");
                sender.does(Ask::Close(LinkId(7)));
                receiver.hears("closed");
            }
            assert_eq!((server.local, at_ue.local), (from_ue.remote, client.remote));

            ue.does(Ask::Connect(LinkId(8), from_ue));
            pcscf.hears(&format!("accepted {} at {}", from_ue.local, from_ue.remote));
            ue.hears(&format!("connected 8 at {}", from_ue.local));
            ue.hears("welcome");
            pcscf.secure(Secure::Remove, &set);
            pcscf.hears("closed");
            pcscf.does(Ask::Send(client, "lost"));
            pcscf.does(Ask::Connect(LinkId(9), client));
            pcscf.hears("not connected 9: no security association");
            // The peer is told nothing, for there is nothing to tell it by.
            assert!(ue.0.notices.try_recv().is_err());
        }
    });
}

/// What is under way at an orderly end leaves, and the peer hears that it is one.
#[test]
fn connections_through_our_own_esp_end_in_good_order_with_their_process() {
    in_a_bare_container(
        "driven::connections_through_our_own_esp_end_in_good_order_with_their_process",
        || {
            let (set, _) = sets().remove(0);
            let (pcscf, ue) = (Driven::own(&set), Driven::own(&set.mirrored()));
            let ends = set.associations()[2].selector;
            pcscf.does(Ask::Connect(LinkId(7), ends));
            ue.hears(&format!("accepted {} at {}", ends.local, ends.remote));
            pcscf.hears(&format!("connected 7 at {}", ends.local));
            pcscf.hears("welcome");
            // Much more than a window holds: most of it has to leave after the machine has ended.
            let much = vec![b'x'; 200_000];
            pcscf.does(Ask::Write(LinkId(7), much.clone()));
            pcscf.0.stop().expect("an end in good order");
            let mut count = 0;
            loop {
                match ue.0.notices.recv_timeout(PATIENCE).as_deref() {
                    Ok("closed") => break,
                    Ok(octets) => count += octets.len(),
                    Err(error) => panic!("{error} after {count}"),
                }
            }
            assert_eq!(count, much.len());
        },
    );
}

/// Who may not do ESP is told so before anything is served, with what it takes.
#[test]
fn a_machine_that_may_not_tell_the_kernel_does_not_start() {
    in_a_bare_container("driven::a_machine_that_may_not_tell_the_kernel_does_not_start", || {
        let security = Security::Xfrm { guarded: Vec::new() };
        let setup = Setup { security, ..Driven::setup(Sockets::default()) };
        let error =
            Driver::spawn("puppet", Puppet::default(), setup).expect_err("no CAP_NET_ADMIN").to_string();
        let has_remedy = error.contains("CAP_NET_ADMIN") || error.contains("or use our own");
        assert!(has_remedy, "{error}");
    });
}

/// The store of a P-CSCF that was killed may lack sets that stand: they go, so that their ports are free; and nothing else.
#[test]
fn what_no_shard_takes_up_of_an_earlier_process_goes() {
    on_a_kernel("driven::what_no_shard_takes_up_of_an_earlier_process_goes", || {
        let world = World::new();
        // Each has ports of its own; the last one's are none of this process.
        let [one, other, lost, foreign] = [0, 2, 4, 6].map(|at| sets().swap_remove(at).0);
        for set in [&one, &other, &lost, &foreign] {
            drop(world.at(PCSCF, || kernel(set)));
        }
        let mut foreign_at_server_port = foreign.clone();
        foreign_at_server_port.own_server_port = 7100;
        let mut stranger = world.at(PCSCF, || kernel_anew(&foreign, &foreign_at_server_port));
        let _ue = world.at(UE, || kernel(&one.mirrored()));
        world.udp(UE, &one.associations()[0].selector, b"before");

        let client = |set: &SaSet| SocketAddr::new(set.own_ip, set.own_client_port);
        let mut guarded = vec![SocketAddr::new(one.own_ip, one.own_server_port)];
        guarded.extend([&one, &other, &lost].map(client));
        let puppet = |set: &SaSet| Puppet { known: vec![set.clone()], ..Puppet::default() };
        let driven = world.at(PCSCF, || {
            let bindings =
                guarded.iter().map(|address| Binding { speaks: Speaks::SipDatagrams, address: *address });
            let shards = NonZeroU16::new(2).expect("two");
            let sockets = Sockets::bind_for(shards, bindings).expect("free ports");
            let security = Security::Xfrm { guarded: guarded.clone() };
            let setup = Setup { security, ..Driven::setup(sockets) };
            let puppets = vec![puppet(&one), puppet(&other)];
            Driven(Driver::spawn_shards("puppet", puppets, setup).expect("CAP_NET_ADMIN"))
        });
        let mut heard: Vec<String> =
            (0..4).map(|_| driven.0.notices.recv_timeout(PATIENCE).expect("two shards start")).collect();
        heard.sort();
        assert_eq!(heard, ["Secured(Ok(()))", "Secured(Ok(()))", "started", "started"]);

        let mut xfrm = world.at(PCSCF, || Xfrm::open().expect("CAP_NET_ADMIN"));
        let mut spis = |set: &SaSet| {
            let listed = xfrm.list().expect("the kernel tells");
            let own = set.associations().map(|association| association.spi);
            listed.iter().filter(|usage| own.contains(&usage.spi)).count()
        };
        let mut turns = 0;
        while spis(&lost) > 0 {
            // The last shard to start does it, right after.
            assert!(turns < 1000, "what nobody knows stays");
            turns += 1;
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!((spis(&one), spis(&other), spis(&foreign)), (4, 4, 4));
        let used = xfrm.list().expect("the kernel tells");
        let used = used.iter().find(|usage| usage.spi == one.own_spi_s).expect("adopted");
        assert_eq!(used.packets, 1, "with its counters");

        // The ports of what has gone are free for a phone that begins anew.
        let mut again = lost.clone();
        (again.own_spi_c, again.own_spi_s) = (spi(88_001), spi(88_002));
        (again.peer_spi_c, again.peer_spi_s) = (spi(88_003), spi(88_004));
        drop(world.at(PCSCF, || kernel(&again)));

        let ue = world.at(UE, || udp_at(one.associations()[0].selector.remote));
        ue.send_to(b"after", one.associations()[0].selector.local).expect("the link is up");
        let ends = one.associations()[0].selector;
        driven.hears(&format!("after from {} at {}", ends.remote, ends.local));
        stranger.remove(&foreign_at_server_port).expect("what was installed");
    });
}

/// The kernel knows policies by their ports alone: what was never set up must not take those of another set away.
#[test]
fn a_set_that_was_refused_takes_nothing_away_when_it_ends() {
    on_a_kernel("driven::a_set_that_was_refused_takes_nothing_away_when_it_ends", || {
        let world = World::new();
        let [stands, ends] = [0, 2].map(|at| sets().swap_remove(at).0);
        let mut refused = stands.clone();
        (refused.own_spi_c, refused.own_spi_s) = (spi(77_001), spi(77_002));
        (refused.peer_spi_c, refused.peer_spi_s) = (spi(77_003), spi(77_004));
        let driven = world.at(PCSCF, || {
            let setup = Setup {
                security: Security::Xfrm { guarded: Vec::new() },
                ..Driven::setup(Sockets::default())
            };
            Driven(Driver::spawn("puppet", Puppet::default(), setup).expect("CAP_NET_ADMIN"))
        });
        driven.hears("started");
        driven.secure(Secure::Install, &stands);
        driven.secure(Secure::Install, &ends);
        driven.does(Ask::Secure(Secure::Install, refused.clone()));
        let failed = driven.0.notices.recv_timeout(PATIENCE).expect("an answer");
        assert!(
            failed.contains("Err") && failed.contains("another set has the SPI or the ports"),
            "{failed}"
        );
        driven.secure(Secure::Remove, &refused);
        driven.secure(Secure::Remove, &ends);
        let mut xfrm = world.at(PCSCF, || Xfrm::open().expect("CAP_NET_ADMIN"));
        let mut turns = 0;
        // Sets end in the order in which that was asked for.
        while xfrm.list().expect("the kernel tells").len() > 4 {
            assert!(turns < 1000, "what has ended stays");
            turns += 1;
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ue = world.at(UE, || kernel(&stands.mirrored()));
        world.udp(UE, &stands.associations()[0].selector, b"REGISTER");
        world.udp(PCSCF, &stands.associations()[2].selector, b"200 OK");
    });
}

/// The same associations between other ports.
fn kernel_anew(old: &SaSet, new: &SaSet) -> shell::SecurityBackEnd {
    let mut back_end = shell::SecurityBackEnd::Xfrm(Xfrm::open().expect("CAP_NET_ADMIN"));
    back_end.remove(old).expect("what was installed");
    back_end.install(new).expect("other ports");
    back_end
}

const PATIENCE: Duration = Duration::from_secs(20);
