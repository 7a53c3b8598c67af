//! The HSS as a machine that a driver drives: the HSS and its Diameter endpoint.

use crate::command::{CommandError, CommandReport, HssCommand};
use crate::hss::{Hss, HssInput, HssOutput, StoreFailure};
use crate::record::HssRecord;
use ambient::{Instant, Now};
use cscf::assembly::Part;
use cscf::metrics::{Gauge, Holding, Snapshot};
use cscf::query::{Answer, Query, QueryId, Record};
use cscf::station::{LinkId, Machine, Operated, Protocol, WireInput, WireOutput};
use cscf::trace;
use diameter_client::endpoint::{ConnId, Endpoint, EndpointInput, EndpointOutput};
use recorder::{FactRef, Function, Rule};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Notices kept for a reader that never comes, at the most.
const NOTICES_MAX: usize = 1024;

/// How a command ended.
#[derive(Debug)]
pub struct HssNotice {
    /// Counts the commands, from 1.
    pub command: u64,
    /// What came of it.
    pub result: Result<CommandReport, CommandError>,
}

/// An HSS and its Diameter endpoint.
///
/// Records go out as [`Query::Store`] and come back through [`WireInput::Start`].
pub struct HssStation {
    hss: Hss,
    endpoint: Endpoint,
    outputs: VecDeque<WireOutput>,
    notices: VecDeque<HssNotice>,
    command_last: u64,
    tap: Option<trace::Tap>,
    is_stopping: bool,
}

impl HssStation {
    /// A station; the subscribers are already in `hss`, their dynamic records come with the start.
    pub fn new(hss: Hss, endpoint: Endpoint) -> HssStation {
        HssStation {
            hss,
            endpoint,
            outputs: VecDeque::new(),
            notices: VecDeque::new(),
            command_last: 0,
            tap: None,
            is_stopping: false,
        }
    }

    /// The HSS.
    pub fn hss(&self) -> &Hss {
        &self.hss
    }

    fn settle(&mut self, now: Now) {
        loop {
            if let Some(output) = self.endpoint.poll_output() {
                self.on_endpoint(now, output);
            } else if let Some(output) = self.hss.poll_output() {
                self.on_hss(now, output);
            } else {
                return;
            }
        }
    }

    fn on_endpoint(&mut self, now: Now, output: EndpointOutput) {
        match output {
            EndpointOutput::Connect { conn, addr, transport } => {
                let link = LinkId(conn.0);
                if let Some(tap) = &mut self.tap {
                    tap.opened(link, SocketAddr::new(unspecified(addr), 0), addr);
                }
                let protocol = Protocol::Diameter;
                self.outputs.push_back(WireOutput::Connect {
                    link,
                    protocol,
                    transport,
                    local: None,
                    remote: addr,
                });
            }
            EndpointOutput::Send { conn, bytes } => {
                if let Some(tap) = &mut self.tap {
                    tap.wrote(now, LinkId(conn.0), &bytes);
                }
                self.outputs.push_back(WireOutput::Write { link: LinkId(conn.0), bytes });
            }
            EndpointOutput::Close { conn } => {
                if let Some(tap) = &mut self.tap {
                    tap.closed(LinkId(conn.0));
                }
                self.outputs.push_back(WireOutput::Close { link: LinkId(conn.0) });
            }
            EndpointOutput::Answer { id, result, .. } => {
                self.hss.handle(now, HssInput::Answer { id, result });
            }
            EndpointOutput::Request { id, request, origin_host, origin_realm } => {
                self.hss.handle(now, HssInput::Request { id, request, origin_host, origin_realm });
            }
            EndpointOutput::PeerUp { peer } => {
                self.tap_fact(now, "peer_up", "connected", &peer);
                tracing::info!(role = "hss", peer, "Diameter peer is up");
            }
            EndpointOutput::PeerDown { peer, reason } => {
                self.tap_fact(now, "peer_down", "lost", &format!("{peer}: {reason}"));
                tracing::info!(role = "hss", peer, reason, "Diameter peer is down");
            }
        }
    }

    fn tap_fact(&mut self, now: Now, name: &str, cause: &str, detail: &str) {
        if let Some(tap) = &mut self.tap {
            tap.fact(now, &FactRef { name, cause, detail, ..FactRef::default() });
        }
    }

    fn on_hss(&mut self, now: Now, output: HssOutput) {
        match output {
            HssOutput::Answer { id, answer } => {
                self.endpoint.handle(now, EndpointInput::Answer { id, answer })
            }
            HssOutput::Request { id, request, destination } => {
                let input = EndpointInput::Request { id, request, destination, session: None };
                self.endpoint.handle(now, input);
            }
            HssOutput::Store { batch, records } => {
                let records = records.into_iter().map(to_record).collect();
                self.outputs
                    .push_back(WireOutput::Query { id: QueryId(batch), query: Query::Store(records) });
            }
            HssOutput::Done { command, result } => {
                if self.notices.len() == NOTICES_MAX {
                    self.notices.pop_front();
                }
                self.notices.push_back(HssNotice { command, result });
            }
        }
    }

    fn input(&mut self, now: Now, input: WireInput) {
        match input {
            WireInput::Start { restored } => {
                let records = restored
                    .into_iter()
                    .filter_map(|record| Some((String::from_utf8(record.key).ok()?, record.value?)))
                    .collect();
                if let Err(error) = self.hss.load(Vec::new(), records) {
                    tracing::error!(role = "hss", %error, "stored state cannot be read");
                }
                self.endpoint.handle(now, EndpointInput::Start);
            }
            WireInput::Accepted { link, protocol: Protocol::Diameter, local, remote } => {
                if let Some(tap) = &mut self.tap {
                    tap.opened(link, local, remote);
                }
                self.endpoint.handle(now, EndpointInput::Accepted { conn: ConnId(link.0), remote });
            }
            WireInput::Accepted { link, protocol: Protocol::Sip, .. } => {
                self.outputs.push_back(WireOutput::Close { link });
            }
            WireInput::Connected { link, local } => {
                if let Some(tap) = &mut self.tap {
                    tap.connected(link, local);
                }
                self.endpoint.handle(now, EndpointInput::Connected { conn: ConnId(link.0) });
            }
            WireInput::ConnectFailed { link, .. } => {
                self.endpoint.handle(now, EndpointInput::ConnectFailed { conn: ConnId(link.0) });
            }
            WireInput::Received { link, bytes } => {
                if let Some(tap) = &mut self.tap {
                    tap.read(now, link, &bytes);
                }
                self.endpoint.handle(now, EndpointInput::Bytes { conn: ConnId(link.0), bytes: &bytes });
            }
            WireInput::Closed { link } => {
                if let Some(tap) = &mut self.tap {
                    tap.closed(link);
                }
                self.endpoint.handle(now, EndpointInput::Closed { conn: ConnId(link.0) });
            }
            WireInput::Answered { id, answer: Answer::Stored(result) } => {
                let result = result.map_err(|failure| {
                    tracing::warn!(role = "hss", %failure, "state is not durable: the answer is refused");
                    StoreFailure
                });
                self.hss.handle(now, HssInput::Stored { batch: id.0, result });
            }
            WireInput::Timeout => self.endpoint.handle(now, EndpointInput::Timeout),
            WireInput::Drain => {
                self.is_stopping = true;
                self.endpoint.handle(now, EndpointInput::Stop);
            }
            // Nothing else was asked for.
            WireInput::Datagram { .. } | WireInput::DatagramFailed { .. } | WireInput::Answered { .. } => {}
            // The HSS is one machine.
            WireInput::Parcel { .. } | WireInput::ParcelReturned { .. } => {}
        }
    }
}

impl Machine for HssStation {
    fn handle(&mut self, now: Now, input: WireInput) {
        self.input(now, input);
        self.settle(now);
    }

    fn poll_output(&mut self) -> Option<WireOutput> {
        self.outputs.pop_front()
    }

    fn next_timeout(&self) -> Option<(Instant, &'static str)> {
        self.endpoint.next_timeout()
    }

    fn is_drained(&self) -> bool {
        self.is_stopping && self.endpoint.open_peers().is_empty()
    }
}

impl Operated for HssStation {
    type Command = HssCommand;
    type Notice = HssNotice;

    fn command(&mut self, now: Now, command: HssCommand) {
        self.command_last += 1;
        self.hss.handle(now, HssInput::Command { id: self.command_last, command });
        self.settle(now);
    }

    fn poll_notice(&mut self) -> Option<HssNotice> {
        self.notices.pop_front()
    }

    fn set_trace(&mut self, on: bool) {
        self.set_recorder("", &if on { Rule::default() } else { Rule::off() });
    }

    fn set_recorder(&mut self, name: &str, rule: &Rule) {
        let node = recorder::Node { function: Function::Hss, name: name.to_owned() };
        self.tap = trace::Tap::new(node, rule);
    }

    fn recorded(&mut self, _of: Option<Part>, after: u64) -> Option<Vec<u8>> {
        Some(self.tap.as_mut()?.chunk(after))
    }

    fn snapshots(&self) -> Vec<Snapshot> {
        vec![Snapshot {
            role: "hss",
            diameter: Some(self.endpoint.traffic()),
            gauges: vec![Gauge::new(Holding::Registrations, "known", self.hss.directory().len())],
            ..Snapshot::default()
        }]
    }

    fn poll_trace(&mut self) -> Option<trace::Event> {
        self.tap.as_mut()?.poll()
    }
}

/// A record as a driver stores it.
fn to_record(record: HssRecord) -> Record {
    let (key, value) = record.into_stored();
    Record { key: key.into_bytes(), value }
}

fn unspecified(like: SocketAddr) -> IpAddr {
    match like {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}
