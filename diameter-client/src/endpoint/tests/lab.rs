//! Nodes with memory for sockets and virtual time: pipes split the bytes anyhow.

use super::*;

/// Nodes with pipes between them.
pub(super) struct Lab {
    pub(super) nodes: Vec<Node>,
    /// Pairs of ends; each byte written at one arrives at the other.
    pub(super) pipes: Vec<[(usize, ConnId); 2]>,
    pub(super) now: Now,
    pub(super) entropy: Entropy,
    pub(super) accepted: u64,
}

pub(super) struct Node {
    pub(super) endpoint: Endpoint,
    pub(super) addr: SocketAddr,
    pub(super) heard: Vec<EndpointOutput>,
    /// Whole messages that it wrote.
    pub(super) sent: Vec<Vec<u8>>,
    /// Reads and writes nothing, and keeps its connections: a process that hangs.
    pub(super) is_frozen: bool,
    /// Takes no connection, and has none.
    pub(super) is_dead: bool,
}

pub(super) fn addr(n: u8) -> SocketAddr {
    ([127, 0, 0, n], 3868).into()
}

pub(super) fn connect_to(n: u8, host: Option<&str>, priority: u16) -> PeerConfig {
    let host = host.map(|host| format!("{host}.{REALM}"));
    let transport = StreamTransport::Tcp;
    PeerConfig { host, realm: REALM.into(), addr: addr(n), transport, role: PeerRole::Connect, priority }
}

pub(super) fn accept_from(n: u8, host: &str) -> PeerConfig {
    PeerConfig { role: PeerRole::Accept, ..connect_to(n, Some(host), 0) }
}

impl Lab {
    pub(super) fn new(seed: u64) -> Lab {
        Lab {
            nodes: Vec::new(),
            pipes: Vec::new(),
            now: Now { instant: Instant::START, wall: ambient::Wall::from_millis(1_700_000_000_000) },
            entropy: Entropy::seeded(seed),
            accepted: 0,
        }
    }

    /// Adds a node at 127.0.0.`n`.
    pub(super) fn node(&mut self, n: u8, host: &str, peers: Vec<PeerConfig>) -> usize {
        self.node_with(n, host, |config| config.peers = peers)
    }

    pub(super) fn node_with(&mut self, n: u8, host: &str, change: impl FnOnce(&mut EndpointConfig)) -> usize {
        let mut config = EndpointConfig::new(format!("{host}.{REALM}"), REALM);
        config.host_ips.push(addr(n).ip());
        change(&mut config);
        let endpoint = Endpoint::new(config, self.entropy.fork());
        let addr = addr(n);
        let (heard, sent) = (Vec::new(), Vec::new());
        self.nodes.push(Node { endpoint, addr, heard, sent, is_frozen: false, is_dead: false });
        self.nodes.len() - 1
    }

    pub(super) fn start(&mut self) {
        for node in 0..self.nodes.len() {
            self.input(node, EndpointInput::Start);
        }
    }

    pub(super) fn input(&mut self, node: usize, input: EndpointInput<'_>) {
        self.nodes[node].endpoint.handle(self.now, input);
        self.settle();
    }

    /// Carries out outputs until there are none.
    pub(super) fn settle(&mut self) {
        loop {
            let mut is_quiet = true;
            for node in 0..self.nodes.len() {
                while let Some(output) = self.nodes[node].endpoint.poll_output() {
                    is_quiet = false;
                    self.carry_out(node, output);
                }
            }
            if is_quiet {
                return;
            }
        }
    }

    pub(super) fn carry_out(&mut self, node: usize, output: EndpointOutput) {
        let now = self.now;
        match output {
            EndpointOutput::Connect { conn, addr, .. } => {
                let target = self.nodes.iter().position(|n| n.addr == addr && !n.is_dead);
                let Some(target) = target else {
                    return self.nodes[node].endpoint.handle(now, EndpointInput::ConnectFailed { conn });
                };
                self.accepted += 1;
                let theirs = ConnId::accepted(self.accepted);
                self.pipes.push([(node, conn), (target, theirs)]);
                let remote = SocketAddr::new(self.nodes[node].addr.ip(), 40_000);
                self.nodes[target].endpoint.handle(now, EndpointInput::Accepted { conn: theirs, remote });
                self.nodes[node].endpoint.handle(now, EndpointInput::Connected { conn });
            }
            EndpointOutput::Send { conn, bytes } => {
                self.nodes[node].sent.push(bytes.clone());
                let Some((other, theirs)) = self.other_end(node, conn) else { return };
                if self.nodes[node].is_frozen || self.nodes[other].is_frozen {
                    return;
                }
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let len = 1 + self.entropy.below(rest.len() as u64) as usize;
                    let (piece, after) = rest.split_at(len);
                    self.nodes[other]
                        .endpoint
                        .handle(now, EndpointInput::Bytes { conn: theirs, bytes: piece });
                    rest = after;
                }
            }
            EndpointOutput::Close { conn } => self.break_pipe(node, conn),
            other => self.nodes[node].heard.push(other),
        }
    }

    pub(super) fn other_end(&self, node: usize, conn: ConnId) -> Option<(usize, ConnId)> {
        self.pipes.iter().find_map(|[a, b]| match (node, conn) {
            end if end == *a => Some(*b),
            end if end == *b => Some(*a),
            _ => None,
        })
    }

    /// One end closes; the other hears of it.
    pub(super) fn break_pipe(&mut self, node: usize, conn: ConnId) {
        let Some((other, theirs)) = self.other_end(node, conn) else { return };
        self.pipes.retain(|pipe| !pipe.contains(&(node, conn)));
        self.nodes[other].endpoint.handle(self.now, EndpointInput::Closed { conn: theirs });
    }

    /// The process ends: its peers see their connections close, and nobody can connect.
    pub(super) fn kill(&mut self, node: usize) {
        self.nodes[node].is_dead = true;
        while let Some(end) = self.pipes.iter().flatten().copied().find(|end| end.0 == node) {
            self.break_pipe(end.0, end.1);
        }
        self.settle();
    }

    pub(super) fn advance(&mut self, by: Duration) {
        let end = self.now.after(by);
        loop {
            let due = (0..self.nodes.len())
                .filter(|&node| !self.nodes[node].is_frozen)
                .filter_map(|node| Some((self.nodes[node].endpoint.next_timeout()?.0, node)))
                .min();
            match due {
                Some((at, node)) if at <= end.instant => {
                    self.now = self.now.after(at.since(self.now.instant));
                    self.input(node, EndpointInput::Timeout);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    pub(super) fn ask(&mut self, node: usize, id: u64, host: Option<&str>) {
        let destination = Destination { realm: REALM.into(), host: host.map(|h| format!("{h}.{REALM}")) };
        let request = CxRequest::Uar(uar());
        let session = Some(format!("trace-{id}"));
        self.input(node, EndpointInput::Request { id, request, destination, session });
    }

    /// Takes what the node heard since the last time.
    pub(super) fn heard(&mut self, node: usize) -> Vec<EndpointOutput> {
        std::mem::take(&mut self.nodes[node].heard)
    }

    /// The requests that a node was asked since the last time.
    pub(super) fn asked(&mut self, node: usize) -> Vec<RequestId> {
        let ids = |output| match output {
            EndpointOutput::Request { id, .. } => Some(id),
            _ => None,
        };
        self.heard(node).into_iter().filter_map(ids).collect()
    }

    pub(super) fn answers(&mut self, node: usize) -> Vec<(u64, Result<CxResult, CxFailure>)> {
        let answer = |output| match output {
            EndpointOutput::Answer { id, result, .. } => Some((id, result.map(|answer| answer.result()))),
            _ => None,
        };
        self.heard(node).into_iter().filter_map(answer).collect()
    }

    pub(super) fn answer(&mut self, node: usize, id: RequestId, result: CxResult) {
        let answer = CxAnswer::Uaa(Uaa { result, ..Uaa::default() });
        self.input(node, EndpointInput::Answer { id, answer });
    }

    pub(super) fn open_peers(&self, node: usize) -> Vec<(String, WatchdogState)> {
        self.nodes[node].endpoint.open_peers()
    }

    /// Writes raw bytes at the node's end of its only connection.
    pub(super) fn inject(&mut self, node: usize, bytes: &[u8]) {
        let conn = self.pipes.iter().flatten().find(|end| end.0 == node).expect("the node is connected").1;
        self.carry_out(node, EndpointOutput::Send { conn, bytes: bytes.to_vec() });
        self.settle();
    }

    /// The last message that a node wrote.
    pub(super) fn last_sent(&self, node: usize) -> Message<'_> {
        Message::parse(self.nodes[node].sent.last().expect("something was sent"))
            .expect("we write what we read")
    }
}

pub(super) fn uar() -> Uar {
    Uar {
        user_name: "alice@ims.example".into(),
        public_identity: "sip:alice@ims.example".into(),
        visited_network: b"ims.example".to_vec(),
        ..Uar::default()
    }
}

/// An I-CSCF that knows one HSS.
pub(super) fn pair(seed: u64) -> (Lab, usize, usize) {
    let mut lab = Lab::new(seed);
    let icscf = lab.node(11, "icscf", vec![connect_to(13, Some("hss"), 0)]);
    let hss = lab.node(13, "hss", vec![accept_from(11, "icscf")]);
    lab.start();
    (lab, icscf, hss)
}

/// An I-CSCF that knows two HSSs and prefers the first.
pub(super) fn trio(seed: u64) -> (Lab, usize, usize, usize) {
    let mut lab = Lab::new(seed);
    let peers = vec![connect_to(13, Some("hss-1"), 1), connect_to(14, Some("hss-2"), 2)];
    let icscf = lab.node(11, "icscf", peers);
    let first = lab.node(13, "hss-1", vec![accept_from(11, "icscf")]);
    let second = lab.node(14, "hss-2", vec![accept_from(11, "icscf")]);
    lab.start();
    (lab, icscf, first, second)
}
