//! Calls, from both ends (RFC 3261 §13, §15), and texts from the end that gets them.

use crate::generator::Generator;
use crate::measure::{Cause, Part};
use crate::operation::{Called, End, Step, TRIES_T1};
use crate::received::{Field, Received, uri};
use crate::response::{self, Answer};
use crate::sources::Source;
use crate::transport::Transport;
use ambient::Instant;
use std::net::SocketAddr;

impl Generator {
    /// Sends an INVITE.
    pub(crate) fn start_call(&mut self, now: Instant, slot: u32) {
        let peer = self.operations[slot as usize].peer;
        self.operations[slot as usize].step = Step::Inviting;
        let to = self.population.ue(peer).identity.clone();
        let (sender, operation) = self.next_sender(slot);
        operation.invite_sequence = operation.sequence;
        sender.invite(&to, &mut operation.request.bytes);
        self.send_request(now, slot);
    }

    /// A response to an INVITE.
    pub(crate) fn invite_answered(&mut self, now: Instant, slot: u32, status: u16, received: &Received<'_>) {
        let operation = &mut self.operations[slot as usize];
        match status {
            ..200 => {
                if status == 180 {
                    self.note_part(now, slot, Part::Ringing);
                }
                // A provisional response ends the repetitions (RFC 3261 §17.1.1.2), but not our patience.
                let patience = self.setup.ring + self.setup.t1 * TRIES_T1;
                let operation = &mut self.operations[slot as usize];
                operation.request.until = operation.sent + patience;
                let until = operation.request.until;
                self.wake(slot, End::Caller, until);
            }
            200..300 => {
                operation.request.stop();
                operation.latency = Some(now.since(operation.scheduled));
                self.note_part(now, slot, Part::Connect);
                self.connected(now, slot, received);
            }
            _ => {
                let peer = self.operations[slot as usize].peer;
                let callee = self.population.ue(peer).identity.clone();
                let to = received.first(Field::To).unwrap_or_default();
                let (mut sender, operation) = self.next_sender(slot);
                sender.token.sequence = operation.invite_sequence;
                sender.ack_refusal(&callee, to, &mut operation.ack);
                let source = self.sources.of(self.operations[slot as usize].ue);
                self.outbox.push(source, self.setup.pcscf, &self.operations[slot as usize].ack);
                self.fail(now, slot, Cause::Refused("INVITE", status));
            }
        }
    }

    fn connected(&mut self, now: Instant, slot: u32, received: &Received<'_>) {
        let operation = &mut self.operations[slot as usize];
        operation.target.extend_from_slice(received.first(Field::Contact).map_or(&b"sip:invalid"[..], uri));
        operation.to.extend_from_slice(received.first(Field::To).unwrap_or_default());
        // RFC 3261 §12.1.2: the route set is Record-Route from its end.
        let routes: Vec<&[u8]> = received.all(Field::RecordRoute).collect();
        for route in routes.iter().rev() {
            operation.routes.extend_from_slice(b"Route: ");
            operation.routes.extend_from_slice(route);
            operation.routes.extend_from_slice(b"\r\n");
        }
        operation.step = Step::Talking;
        let (sender, operation) = self.next_sender(slot);
        let mut ack = std::mem::take(&mut operation.ack);
        sender.ack(operation, &mut ack);
        operation.ack = ack;
        let source = self.sources.of(self.operations[slot as usize].ue);
        self.outbox.push(source, self.setup.pcscf, &self.operations[slot as usize].ack);
        self.wake(slot, End::Caller, now + self.setup.talk);
    }

    /// The caller has talked enough.
    pub(crate) fn hang_up(&mut self, now: Instant, slot: u32) {
        self.operations[slot as usize].step = Step::Releasing;
        let (sender, operation) = self.next_sender(slot);
        let mut bye = std::mem::take(&mut operation.request.bytes);
        sender.bye(operation, &mut bye);
        operation.request.bytes = bye;
        self.send_request(now, slot);
    }

    /// A response to a BYE.
    pub(crate) fn released(&mut self, now: Instant, slot: u32, status: u16) {
        match status {
            ..200 => {}
            200..300 => {
                self.note_part(now, slot, Part::Release);
                self.succeed(now, slot);
            }
            _ => self.fail(now, slot, Cause::Refused("BYE", status)),
        }
    }

    /// A request of a call or text reached the UE that is called.
    pub(crate) fn called(
        &mut self,
        now: Instant,
        slot: u32,
        remote: SocketAddr,
        method: &[u8],
        uri: &[u8],
        received: &Received<'_>,
    ) {
        let operation = &mut self.operations[slot as usize];
        let source = self.sources.of(operation.peer);
        match (method, operation.called) {
            (b"INVITE" | b"MESSAGE", Called::Nothing) => {
                operation.response_remote = remote;
                if !is_at(uri, source.address) {
                    // Somebody else's request: the core has taken a wrong turn.
                    let wrong = Answer::Refused(404, "Not This UE");
                    return self.answer(slot, source, wrong, received);
                }
                if method == b"MESSAGE" {
                    self.operations[slot as usize].called = Called::Confirmed;
                    return self.answer(slot, source, Answer::Ok, received);
                }
                self.operations[slot as usize].called = Called::Ringing;
                self.answer(slot, source, Answer::Ringing, received);
                // The 200 is made with the 180, while the request is at hand.
                let tag = self.call_tag(slot);
                let bytes = &mut self.operations[slot as usize].response.bytes;
                let contact = (source.address, self.setup.transport);
                response::write(Answer::Connected, received, contact, &tag, bytes);
                if self.setup.ring.is_zero() {
                    self.pick_up(now, slot);
                } else {
                    self.wake(slot, End::Called, now + self.setup.ring);
                }
            }
            (b"INVITE", Called::Ringing) => {
                self.measures.retransmissions_received += u64::from(operation.is_measured);
                self.answer(slot, source, Answer::Ringing, received);
            }
            (b"INVITE", _) => {
                self.measures.retransmissions_received += u64::from(operation.is_measured);
                self.outbox.push(source, remote, &operation.response.bytes);
            }
            (b"ACK", Called::Answered) => {
                operation.called = Called::Confirmed;
                operation.response.stop();
            }
            // Each 200 that was sent again has an ACK of its own.
            (b"ACK", _) => {}
            (b"BYE" | b"MESSAGE", called) => {
                let is_first = method == b"BYE" && called != Called::Released;
                self.measures.retransmissions_received += u64::from(operation.is_measured && !is_first);
                operation.response.stop();
                operation.called = if method == b"BYE" { Called::Released } else { called };
                operation.response_remote = remote;
                self.answer(slot, source, Answer::Ok, received);
            }
            _ => {}
        }
    }

    /// The called UE answers.
    fn pick_up(&mut self, now: Instant, slot: u32) {
        let t1 = self.setup.t1;
        let operation = &mut self.operations[slot as usize];
        operation.called = Called::Answered;
        let source = self.sources.of(operation.peer);
        self.outbox.push(source, operation.response_remote, &operation.response.bytes);
        // RFC 3261 §13.3.1.4: a 2xx is sent again over a reliable transport too, for what is behind the next hop.
        let due = operation.response.begin(now, t1, Transport::Udp);
        self.wake(slot, End::Called, due);
    }

    /// The called UE has rung long enough, or its 200 has no ACK yet (RFC 3261 §13.3.1.4).
    pub(crate) fn called_wakes(&mut self, now: Instant, slot: u32) {
        let operation = &mut self.operations[slot as usize];
        match operation.called {
            Called::Ringing => self.pick_up(now, slot),
            Called::Answered if now >= operation.response.until => {
                operation.response.stop();
                operation.fault = Some(Cause::NoAck);
            }
            Called::Answered => {
                let due = (now + operation.response.pause).min(operation.response.until);
                operation.response.pause = (operation.response.pause * 2).min(self.setup.t2);
                self.measures.retransmissions_sent += u64::from(operation.is_measured);
                let source = self.sources.of(operation.peer);
                self.outbox.push(source, operation.response_remote, &operation.response.bytes);
                self.wake(slot, End::Called, due);
            }
            Called::Nothing | Called::Confirmed | Called::Released => {}
        }
    }

    fn answer(&mut self, slot: u32, source: Source, answer: Answer, received: &Received<'_>) {
        let tag = self.call_tag(slot);
        let mut bytes = Vec::with_capacity(RESPONSE_BYTES_USUAL);
        response::write(answer, received, (source.address, self.setup.transport), &tag, &mut bytes);
        self.outbox.push(source, self.operations[slot as usize].response_remote, &bytes);
    }

    /// The tag of the called end.
    fn call_tag(&self, slot: u32) -> [u8; 9] {
        let mut tag = *b"t00000000";
        let mut generation = self.operations[slot as usize].generation;
        for digit in tag[1..].iter_mut().rev() {
            *digit = b"0123456789abcdef"[(generation & 15) as usize];
            generation >>= 4;
        }
        tag
    }
}

/// Whether a Request-URI is the Contact of the UE at `address`.
fn is_at(uri: &[u8], address: SocketAddr) -> bool {
    let text = std::str::from_utf8(uri).unwrap_or_default();
    let host = text.strip_prefix("sip:").map(|text| text.rsplit_once('@').map_or(text, |(_, host)| host));
    host.and_then(|host| host.split([';', '?']).next()?.parse().ok()) == Some(address)
}

/// Bytes of an ordinary response.
const RESPONSE_BYTES_USUAL: usize = 1024;
