//! All that is under way: requests out, answers in, timers. Pure: time comes with each input, messages go to an outbox.

use crate::measure::{Cause, Measures, Part};
use crate::operation::{End, Operation, Step};
use crate::outbox::Outbox;
use crate::population::Population;
use crate::received::{Field, Received, Start};
use crate::request::Sender;
use crate::response::{self, Answer};
use crate::scenario::Scenario;
use crate::security::{Kind, Security};
use crate::sources::{Source, Sources};
use crate::token::Token;
use crate::transport::Transport;
use ambient::{Entropy, Instant};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What all UEs have in common.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where the UEs send.
    pub pcscf: SocketAddr,
    /// Over what.
    pub transport: Transport,
    /// The home network.
    pub domain: String,
    /// The Request-URI of REGISTER.
    pub registrar: String,
    /// P-Access-Network-Info.
    pub access: String,
    /// How long a registration is asked for, in seconds.
    pub expires_s: u32,
    /// Timer T1 (RFC 3261 §17).
    pub t1: Duration,
    /// The longest pause between repetitions (T2).
    pub t2: Duration,
    /// How long a UE waits before it answers a challenge.
    pub answer_after: Duration,
    /// How long a called UE rings.
    pub ring: Duration,
    /// How long a call lasts.
    pub talk: Duration,
    /// A success that takes longer is late.
    pub late_after: Duration,
}

impl Setup {
    /// The usual timers and durations, for a P-CSCF and a home network.
    pub fn new(pcscf: SocketAddr, domain: &str) -> Setup {
        Setup {
            pcscf,
            transport: Transport::Udp,
            domain: domain.to_owned(),
            registrar: format!("sip:{domain}"),
            access: "3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=0010100010000001".to_owned(),
            expires_s: 3600,
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            answer_after: Duration::ZERO,
            ring: Duration::ZERO,
            talk: Duration::from_secs(1),
            late_after: Duration::from_secs(2),
        }
    }
}

/// When an end of an operation wants to be woken; it has changed its mind if it is not due at that time.
type Wake = Reverse<(Instant, u32, u32, End)>;

/// The UEs and everything that they do.
#[derive(Debug)]
pub struct Generator {
    pub(crate) setup: Setup,
    pub(crate) sources: Sources,
    pub(crate) run: u32,
    /// The UEs.
    pub population: Population,
    /// Their associations, if they use IPsec.
    pub security: Option<Security>,
    pub(crate) operations: Vec<Operation>,
    free: Vec<u32>,
    background: usize,
    wakes: BinaryHeap<Wake>,
    /// What is to be sent.
    pub outbox: Outbox,
    /// What came of it.
    pub measures: Measures,
    entropy: Entropy,
    /// Messages that came.
    pub received: u64,
    /// Messages that belong to nothing that is under way.
    pub strays: u64,
}

impl Generator {
    /// UEs that are switched off. The name of the run and every choice come from `entropy`.
    pub fn new(setup: Setup, sources: Sources, population: Population, mut entropy: Entropy) -> Generator {
        let measures = Measures::new(setup.late_after);
        Generator {
            setup,
            sources,
            run: entropy.next_u32(),
            population,
            security: None,
            operations: Vec::new(),
            free: Vec::new(),
            background: 0,
            wakes: BinaryHeap::new(),
            outbox: Outbox::default(),
            measures,
            entropy,
            received: 0,
            strays: 0,
        }
    }

    /// The same UEs, which use IPsec.
    pub fn with_security(self, security: Security) -> Generator {
        Generator { security: Some(security), ..self }
    }

    /// The timers and durations.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Forgets what was measured, and keeps the UEs.
    pub fn start_over(&mut self) {
        self.measures = Measures::new(self.setup.late_after);
        self.strays = 0;
    }

    /// How many operations are under way, with those that do not count.
    pub fn in_flight(&self) -> usize {
        self.operations.len() - self.free.len()
    }

    /// How many registrations are under way that nobody asked for.
    pub fn background(&self) -> usize {
        self.background
    }

    /// Registers a UE that is not, without counting it; whether there was one.
    pub fn start_background(&mut self, now: Instant) -> bool {
        let Some(ue) = self.population.take_absent() else { return false };
        let slot = self.take_slot();
        self.operations[slot as usize].begin(Scenario::Register, ue, ue, now);
        self.operations[slot as usize].is_background = true;
        self.background += 1;
        self.start_register(now, slot);
        true
    }

    /// What was scheduled begins. When no UE is free for it, it is counted as dropped by us.
    pub fn start(&mut self, now: Instant, scenario: Scenario, scheduled: Instant, is_measured: bool) {
        let Some((ue, peer)) = self.choose(scenario, is_measured) else {
            self.measures.dropped += u64::from(is_measured);
            return;
        };
        let slot = self.take_slot();
        let operation = &mut self.operations[slot as usize];
        operation.begin(scenario, ue, peer, scheduled);
        operation.is_measured = is_measured;
        if is_measured {
            self.measures.attempted(scenario, scheduled, now);
        }
        match scenario {
            Scenario::Register | Scenario::Reregister | Scenario::Deregister => {
                self.start_register(now, slot);
            }
            Scenario::Message => self.start_message(now, slot),
            Scenario::Call => self.start_call(now, slot),
        }
    }

    fn choose(&mut self, scenario: Scenario, is_measured: bool) -> Option<(u32, u32)> {
        let Generator { population, entropy, measures, .. } = self;
        match scenario {
            Scenario::Register => {
                let fresh = population.take_absent();
                let ue = fresh.or_else(|| {
                    let again = population.take_restarted(entropy)?;
                    measures.again += u64::from(is_measured);
                    Some(again)
                })?;
                Some((ue, ue))
            }
            Scenario::Reregister => population.take_registered(false, entropy).map(|ue| (ue, ue)),
            Scenario::Deregister => population.take_registered(true, entropy).map(|ue| (ue, ue)),
            Scenario::Message | Scenario::Call => {
                let ue = population.next_registered(entropy)?;
                let peer = population.any_other(ue, entropy)?;
                population.ue_mut(ue).busy += 1;
                population.ue_mut(peer).busy += 1;
                Some((ue, peer))
            }
        }
    }

    fn take_slot(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.operations.push(Operation::new());
            (self.operations.len() - 1) as u32
        })
    }

    /// A message came to one of the UEs.
    pub fn receive(&mut self, now: Instant, remote: SocketAddr, bytes: &[u8]) {
        self.received += 1;
        let Some(received) = Received::read(bytes) else {
            self.strays += 1;
            return;
        };
        match received.start {
            Start::Response(status) => self.response(now, status, &received),
            Start::Request { method, uri } => self.request(now, remote, method, uri, &received),
        }
    }

    /// An ESP packet came to one of the UEs.
    pub fn receive_protected(&mut self, now: Instant, source: IpAddr, packet: &mut [u8]) {
        match self.security.as_mut().and_then(|security| security.accept(source, packet)) {
            Some((remote, bytes)) => self.receive(now, remote, bytes),
            None => self.strays += 1,
        }
    }

    fn response(&mut self, now: Instant, status: u16, received: &Received<'_>) {
        let token = received.first(Field::Via).and_then(Token::in_via);
        let Some((slot, sequence)) = token.and_then(|token| self.live(token)) else {
            self.strays += 1;
            return;
        };
        let operation = &mut self.operations[slot as usize];
        if sequence != operation.sequence || operation.request.due.is_none() && status < 200 {
            return self.repeated(slot, sequence, status, received);
        }
        match operation.step {
            Step::Registering | Step::Answering => self.registered(now, slot, status, received),
            Step::Sending => self.message_answered(now, slot, status),
            Step::Inviting => self.invite_answered(now, slot, status, received),
            Step::Releasing => self.released(now, slot, status),
            Step::Pausing | Step::Talking | Step::Free => self.repeated(slot, sequence, status, received),
        }
    }

    /// A response to a request that is answered already.
    fn repeated(&mut self, slot: u32, sequence: u16, status: u16, received: &Received<'_>) {
        if status < 200 {
            return;
        }
        let operation = &self.operations[slot as usize];
        self.measures.retransmissions_received += u64::from(operation.is_measured);
        // RFC 3261 §13.2.2.4: each 2xx that comes again is acknowledged again.
        if sequence == operation.invite_sequence
            && received.cseq_method() == b"INVITE"
            && !operation.ack.is_empty()
        {
            let source = self.sources.of(operation.ue);
            self.measures.retransmissions_sent += u64::from(operation.is_measured);
            self.outbox.push(source, self.setup.pcscf, &operation.ack);
        }
    }

    fn request(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        method: &[u8],
        uri: &[u8],
        received: &Received<'_>,
    ) {
        let token = received.first(Field::CallId).and_then(Token::read);
        let slot = token.and_then(|token| self.live(token)).map(|(slot, _)| slot);
        let is_ours = |operation: &&Operation| {
            matches!(
                (operation.scenario, method),
                (Scenario::Call, b"INVITE" | b"ACK" | b"BYE") | (Scenario::Message, b"MESSAGE")
            )
        };
        match slot.filter(|slot| is_ours(&&self.operations[*slot as usize])) {
            Some(slot) => self.called(now, slot, remote, method, uri, received),
            None => self.foreign(remote, method, uri, received),
        }
    }

    /// A request that belongs to no call or text of ours.
    fn foreign(&mut self, remote: SocketAddr, method: &[u8], uri: &[u8], received: &Received<'_>) {
        self.strays += 1;
        let answer = match method {
            b"ACK" => return,
            b"INVITE" => Answer::Refused(486, "Busy Here"),
            b"BYE" | b"CANCEL" => Answer::Refused(481, "Call/Transaction Does Not Exist"),
            _ => Answer::Ok,
        };
        let Some(source) = self.source_of(uri) else { return };
        let mut bytes = Vec::new();
        let contact = (source.address, self.setup.transport);
        response::write(answer, received, contact, b"foreign", &mut bytes);
        self.outbox.push(source, remote, &bytes);
    }

    /// Which UE a Request-URI is of.
    fn source_of(&self, uri: &[u8]) -> Option<Source> {
        let text = std::str::from_utf8(uri).ok()?.strip_prefix("sip:")?;
        let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
        let address: SocketAddr = host.split([';', '?']).next()?.parse().ok()?;
        self.sources.at(address)
    }

    /// The operation that a token names, if it is still under way.
    fn live(&self, token: Token) -> Option<(u32, u16)> {
        let operation = self.operations.get(token.slot as usize)?;
        let is_live =
            token.run == self.run && token.generation == operation.generation && operation.step != Step::Free;
        is_live.then_some((token.slot, token.sequence))
    }

    /// When the next timer is due.
    pub fn next_wake(&self) -> Option<Instant> {
        self.wakes.peek().map(|Reverse((due, ..))| *due)
    }

    /// Fires what is due.
    pub fn tick(&mut self, now: Instant) {
        while let Some(Reverse((due, slot, generation, end))) = self.wakes.peek().copied() {
            if due > now {
                return;
            }
            self.wakes.pop();
            let operation = &self.operations[slot as usize];
            if operation.generation != generation || operation.step == Step::Free {
                continue;
            }
            match end {
                End::Caller if operation.request.due == Some(due) => self.caller_wakes(now, slot),
                End::Called if operation.response.due == Some(due) => self.called_wakes(now, slot),
                End::Caller | End::Called => {}
            }
        }
    }

    fn caller_wakes(&mut self, now: Instant, slot: u32) {
        let operation = &mut self.operations[slot as usize];
        match operation.step {
            Step::Pausing => return self.send_answer(now, slot),
            Step::Talking => return self.hang_up(now, slot),
            _ if now >= operation.request.until => {
                let cause = Cause::Timeout(operation.method());
                return self.fail(now, slot, cause);
            }
            _ => {}
        }
        // Timer A doubles without end, Timer E up to T2 (RFC 3261 §17.1.1.2, §17.1.2.2).
        let is_invite = operation.step == Step::Inviting;
        let due = (now + operation.request.pause).min(operation.request.until);
        let pause = operation.request.pause * 2;
        operation.request.pause = if is_invite { pause } else { pause.min(self.setup.t2) };
        operation.request.due = Some(due);
        let generation = operation.generation;
        self.measures.retransmissions_sent += u64::from(operation.is_measured);
        let source = self.sources.of(operation.ue);
        self.outbox.push(source, self.setup.pcscf, &operation.request.bytes);
        self.wakes.push(Reverse((due, slot, generation, End::Caller)));
    }

    /// Sends the present request of an operation for the first time, and waits for its answer.
    pub(crate) fn send_request(&mut self, now: Instant, slot: u32) {
        let operation = &mut self.operations[slot as usize];
        operation.sent = now;
        let due = operation.request.begin(now, self.setup.t1, self.setup.transport);
        let source = self.sources.of(operation.ue);
        self.outbox.push(source, self.setup.pcscf, &operation.request.bytes);
        let generation = operation.generation;
        self.wakes.push(Reverse((due, slot, generation, End::Caller)));
    }

    /// Has an end of an operation woken.
    pub(crate) fn wake(&mut self, slot: u32, end: End, due: Instant) {
        let operation = &mut self.operations[slot as usize];
        match end {
            End::Caller => operation.request.due = Some(due),
            End::Called => operation.response.due = Some(due),
        }
        self.wakes.push(Reverse((due, slot, operation.generation, end)));
    }

    /// Who sends the next request of an operation, with a branch of its own.
    pub(crate) fn next_sender(&mut self, slot: u32) -> (Sender<'_>, &mut Operation) {
        let Generator { setup, sources, run, population, operations, security, .. } = self;
        let operation = &mut operations[slot as usize];
        operation.sequence = operation.sequence.wrapping_add(1);
        let sequence = operation.sequence;
        let token = Token { run: *run, slot, generation: operation.generation, sequence };
        let number = operation.ue;
        let kind = if operation.scenario.registers() { Kind::Register } else { Kind::Other };
        let security = security.as_mut().map_or(&b""[..], |security| security.fields(number, kind));
        let address = sources.of(number).address;
        let sender = Sender { setup, ue: population.ue(number), number, address, token, security };
        (sender, operation)
    }

    /// A part of an operation was answered.
    pub(crate) fn note_part(&mut self, now: Instant, slot: u32, part: Part) {
        let operation = &self.operations[slot as usize];
        if operation.is_measured {
            self.measures.part(part, now.since(operation.sent));
        }
    }

    /// An operation has ended well.
    pub(crate) fn succeed(&mut self, now: Instant, slot: u32) {
        let operation = &mut self.operations[slot as usize];
        if let Some(fault) = operation.fault {
            return self.fail(now, slot, fault);
        }
        let latency = operation.latency.unwrap_or_else(|| now.since(operation.scheduled));
        if operation.is_measured {
            self.measures.succeeded(operation.scenario, latency, now);
        }
        let (scenario, ue) = (operation.scenario, operation.ue);
        match scenario {
            Scenario::Register | Scenario::Reregister => self.population.has_registered(ue),
            Scenario::Deregister => self.population.has_deregistered(ue),
            Scenario::Message | Scenario::Call => {}
        }
        self.release(slot);
    }

    /// An operation has failed.
    pub(crate) fn fail(&mut self, now: Instant, slot: u32, cause: Cause) {
        let operation = &self.operations[slot as usize];
        let (scenario, ue) = (operation.scenario, operation.ue);
        if operation.is_measured {
            self.measures.failed(scenario, cause, now);
        }
        if scenario.registers() {
            self.population.has_failed(ue);
        }
        self.release(slot);
    }

    fn release(&mut self, slot: u32) {
        let operation = &mut self.operations[slot as usize];
        if !operation.scenario.registers() {
            self.population.ue_mut(operation.ue).busy -= 1;
            self.population.ue_mut(operation.peer).busy -= 1;
        } else if operation.is_background {
            self.background -= 1;
        }
        operation.end();
        self.free.push(slot);
    }

    /// The run has to end: what is under way has failed.
    pub fn abandon(&mut self, now: Instant) {
        for slot in 0..self.operations.len() as u32 {
            if self.operations[slot as usize].step != Step::Free {
                self.fail(now, slot, Cause::Unfinished);
            }
        }
    }
}
