//! The driver with a machine that echoes, over real sockets of the loopback interface.

mod shards;
mod tls;

use super::*;
use crate::clock::system_entropy;
use crate::sockets::{Binding, Speaks};
use ambient::{Instant, Now};
use cscf::query::{Query, QueryId};
use cscf::station::{LinkId, Machine, Protocol, StreamTransport, WireInput, WireOutput};
use cscf::trace;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

/// Sends back what it receives. A few words make it do more.
#[derive(Default)]
struct Echo {
    outputs: VecDeque<WireOutput>,
    notices: VecDeque<String>,
    timer: Option<Instant>,
    draining: bool,
    drains_at_once: bool,
}

#[derive(Clone, Debug)]
enum Ask {
    Connect(SocketAddr),
    ConnectTls(SocketAddr),
    Store(&'static str, &'static str),
    Datagram { local: SocketAddr, remote: SocketAddr },
    Sleep(Duration),
    Panic,
}

impl Machine for Echo {
    fn handle(&mut self, now: Now, input: WireInput) {
        match input {
            WireInput::Start { restored } => {
                for record in restored {
                    let key = String::from_utf8_lossy(&record.key).into_owned();
                    self.notices.push_back(format!("restored {key}"));
                }
            }
            WireInput::Datagram { local, remote, bytes } => {
                self.outputs.push_back(WireOutput::Datagram { local, remote, bytes });
            }
            WireInput::Accepted { protocol, .. } => self.notices.push_back(format!("accepted {protocol}")),
            WireInput::Connected { link, .. } => {
                self.outputs.push_back(WireOutput::Write { link, bytes: b"hello".to_vec() });
            }
            WireInput::ConnectFailed { why, .. } => self.notices.push_back(format!("failed: {why}")),
            WireInput::Received { link, bytes } if bytes.starts_with(b"flood") => {
                for _ in 0..64 {
                    self.outputs.push_back(WireOutput::Write { link, bytes: vec![b'x'; 1 << 20] });
                }
            }
            WireInput::Received { link, bytes } => {
                let ends = bytes.starts_with(b"bye");
                self.outputs.push_back(WireOutput::Write { link, bytes });
                if ends {
                    self.outputs.push_back(WireOutput::Close { link });
                }
            }
            WireInput::Closed { .. } => self.notices.push_back("closed".to_owned()),
            WireInput::DatagramFailed { remote, .. } => {
                self.notices.push_back(format!("undelivered {remote}"))
            }
            WireInput::Answered { answer, .. } => self.notices.push_back(format!("{answer:?}")),
            WireInput::Timeout => {
                if self.timer.is_some_and(|at| at <= now.instant) {
                    self.timer = None;
                    self.notices.push_back("timer".to_owned());
                }
            }
            WireInput::Parcel { .. } | WireInput::ParcelReturned { .. } => {}
            WireInput::Drain => self.draining = true,
        }
    }

    fn poll_output(&mut self) -> Option<WireOutput> {
        self.outputs.pop_front()
    }

    fn next_timeout(&self) -> Option<(Instant, &'static str)> {
        self.timer.map(|at| (at, "echo"))
    }

    fn is_drained(&self) -> bool {
        self.draining && self.drains_at_once
    }
}

impl Operated for Echo {
    type Command = Ask;
    type Notice = String;

    fn command(&mut self, now: Now, ask: Ask) {
        match ask {
            Ask::Connect(remote) => self.outputs.push_back(WireOutput::Connect {
                link: LinkId(1),
                protocol: Protocol::Sip,
                transport: StreamTransport::Tcp,
                local: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
                remote,
            }),
            Ask::ConnectTls(remote) => self.outputs.push_back(WireOutput::Connect {
                link: LinkId(1),
                protocol: Protocol::Sip,
                transport: StreamTransport::Tls,
                local: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
                remote,
            }),
            Ask::Store(key, value) => {
                let records = vec![Record { key: key.into(), value: Some(value.into()) }];
                self.outputs.push_back(WireOutput::Query { id: QueryId(1), query: Query::Store(records) });
            }
            Ask::Datagram { local, remote } => {
                self.outputs.push_back(WireOutput::Datagram { local, remote, bytes: b"x".to_vec() });
            }
            Ask::Sleep(after) => self.timer = Some(now.instant + after),
            Ask::Panic => panic!("asked to"),
        }
    }

    fn poll_notice(&mut self) -> Option<String> {
        self.notices.pop_front()
    }

    fn set_trace(&mut self, _: bool) {}

    fn poll_trace(&mut self) -> Option<trace::Event> {
        None
    }
}

const PATIENCE: Duration = Duration::from_secs(5);

fn setup(speaks: &[Speaks]) -> Setup {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let sockets = Sockets::bind(speaks.iter().map(|speaks| Binding { speaks: *speaks, address })).unwrap();
    let setup = Setup::new(sockets, Clock::start(), system_entropy().unwrap());
    Setup { drain_max: Duration::from_millis(200), ..setup }
}

fn run(setup: Setup) -> Handle<Ask, String> {
    let echo = Echo { drains_at_once: true, ..Echo::default() };
    Driver::spawn("echo", echo, setup).unwrap()
}

fn notice(handle: &Handle<Ask, String>) -> String {
    handle.notices.recv_timeout(PATIENCE).expect("a notice comes")
}

fn dial(handle: &Handle<Ask, String>) -> TcpStream {
    let stream = TcpStream::connect(handle.addresses()[0].address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn free_port() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn datagrams_go_in_and_out() {
    let handle = run(setup(&[Speaks::SipDatagrams]));
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    for n in 0..200 {
        let sent = format!("datagram {n}");
        client.send_to(sent.as_bytes(), handle.addresses()[0].address).unwrap();
        let mut buffer = [0; 100];
        let length = client.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], sent.as_bytes());
    }
    assert_eq!(handle.stop().unwrap(), Ended::Drained);
}

#[test]
fn a_stream_is_accepted_served_and_its_last_words_leave_before_it_closes() {
    for (speaks, accepted) in
        [(Speaks::SipStreams, "accepted SIP"), (Speaks::DiameterStreams, "accepted Diameter")]
    {
        let handle = run(setup(&[speaks]));
        let mut client = dial(&handle);
        client.write_all(b"bye").unwrap();
        assert_eq!(notice(&handle), accepted);
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).unwrap();
        assert_eq!(heard, b"bye");
        assert_eq!(handle.stop().unwrap(), Ended::Drained);
    }
}

#[test]
fn the_end_of_a_peer_is_told() {
    let handle = run(setup(&[Speaks::SipStreams]));
    drop(dial(&handle));
    assert_eq!(notice(&handle), "accepted SIP");
    assert_eq!(notice(&handle), "closed");
}

#[test]
fn a_connection_of_ours_opens_or_fails_with_a_reason() {
    let handle = run(setup(&[]));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    handle.command(Ask::Connect(listener.local_addr().unwrap())).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    let mut heard = [0; 5];
    peer.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    drop((peer, listener));
    assert_eq!(notice(&handle), "closed");
    handle.command(Ask::Connect(free_port())).unwrap();
    assert_eq!(notice(&handle), "failed: connection refused");
}

#[test]
fn a_peer_that_does_not_read_loses_its_connection_and_nobody_else() {
    let handle = run(setup(&[Speaks::SipStreams]));
    let mut slow = dial(&handle);
    slow.write_all(b"flood").unwrap();
    assert_eq!(notice(&handle), "accepted SIP");
    assert_eq!(notice(&handle), "closed");
    let mut other = dial(&handle);
    other.write_all(b"bye").unwrap();
    let mut heard = Vec::new();
    other.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, b"bye");
}

#[cfg(target_os = "linux")]
#[test]
fn a_datagram_that_nobody_takes_is_told() {
    let handle = run(setup(&[Speaks::SipDatagrams]));
    let (local, remote) = (handle.addresses()[0].address, free_port());
    handle.command(Ask::Datagram { local, remote }).unwrap();
    assert_eq!(notice(&handle), format!("undelivered {remote}"));
}

#[test]
fn time_passes() {
    let handle = run(setup(&[]));
    let begun = std::time::Instant::now();
    handle.command(Ask::Sleep(Duration::from_millis(30))).unwrap();
    assert_eq!(notice(&handle), "timer");
    assert!(begun.elapsed() >= Duration::from_millis(30));
}

#[test]
fn a_stored_record_is_given_to_the_next_machine_even_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    for (key, restored) in [("a", &[][..]), ("b", &["a"]), ("c", &["a", "b"])] {
        let (store, records) = Store::file(&path).unwrap();
        let handle = run(Setup { store, restored: records, ..setup(&[]) });
        for key in restored {
            assert_eq!(notice(&handle), format!("restored {key}"));
        }
        handle.command(Ask::Store(key, "value")).unwrap();
        assert_eq!(notice(&handle), "Stored(Ok(()))");
        assert_eq!(handle.abort().unwrap(), Ended::Aborted);
    }
}

#[test]
fn work_that_does_not_finish_is_left_after_its_time() {
    let handle = Driver::spawn("echo", Echo::default(), setup(&[])).unwrap();
    let begun = std::time::Instant::now();
    assert_eq!(handle.stop().unwrap(), Ended::Late);
    assert!(begun.elapsed() >= Duration::from_millis(200));
}

#[test]
fn a_machine_that_panics_ends_its_thread_with_an_error() {
    let handle = run(setup(&[]));
    handle.command(Ask::Panic).unwrap();
    assert!(handle.join().unwrap_err().to_string().contains("panicked"));
}
