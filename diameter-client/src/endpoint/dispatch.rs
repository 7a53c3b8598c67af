//! What arrives: bytes become messages, messages go to the machine or the caller that they are for.

use super::{ConnId, Endpoint, EndpointOutput, RequestId};
use crate::cx::{CxAnswer, CxResult, Envelope, Fault, decode_request};
use crate::dictionary::{
    APPLICATION_BASE, APPLICATION_CX, CAPABILITIES_EXCHANGE, DEVICE_WATCHDOG, DISCONNECT_PEER,
};
use crate::peer::{PeerEvent, Side};
use crate::watchdog::WatchdogEvent;
use crate::wire::{self, FLAG_ERROR, FLAG_REQUEST, Header, Message};

/// A request of a peer that waits for our answer.
#[derive(Debug)]
pub(super) struct Served {
    conn: ConnId,
    header: Header,
    /// The envelope of the answer.
    envelope: Envelope,
}

impl Endpoint {
    pub(super) fn received(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(connection) = self.conns.get_mut(&conn) else { return };
        connection.receive(bytes);
        // Handling a message may close the connection: it is looked up for each.
        while let Some(connection) = self.conns.get_mut(&conn) {
            match connection.next_message(self.config.message_len_max) {
                Ok(Some(message)) => self.dispatch(conn, &message),
                Ok(None) => return,
                Err((error, rest)) => {
                    self.counters.malformed += 1;
                    // Where the next message begins is unknown: say why, if a request's header is there, and hang up.
                    if let Ok(header) = wire::read_header(&rest)
                        && header.is_request()
                    {
                        let (host, realm) = (&self.config.origin_host, &self.config.origin_realm);
                        let bytes = Fault::from(error).answer(&header, wire::Avps::new(&[]), host, realm);
                        self.outputs.push_back(EndpointOutput::Send { conn, bytes });
                    }
                    return self.hang_up(conn, &format!("unreadable Diameter: {error}"));
                }
            }
        }
    }

    /// Closes a connection because of what the peer did on it.
    pub(super) fn hang_up(&mut self, conn: ConnId, reason: &str) {
        let Some(connection) = self.conns.get(&conn) else { return };
        let side = connection.side;
        tracing::warn!(conn = conn.0, reason, "Diameter connection closed");
        match connection.peer {
            Some(index) => {
                self.note_reason(index, reason);
                self.step(index, PeerEvent::PeerDisc(side));
            }
            None => self.close(conn),
        }
    }

    fn dispatch(&mut self, conn: ConnId, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else { return };
        let Some(connection) = self.conns.get(&conn) else { return };
        let side = connection.side;
        let header = message.header;
        let is_base = header.application == APPLICATION_BASE;
        let Some(index) = connection.peer else {
            // RFC 6733 §5.6: the first message on an accepted connection is a CER.
            if header.is_request() && header.command == CAPABILITIES_EXCHANGE && is_base {
                return self.capabilities_requested(conn, &message);
            }
            self.counters.malformed += 1;
            return self.close(conn);
        };
        let is_open = self.peer_mut(index).is_some_and(|peer| peer.open_conn() == Some(conn));
        if is_open {
            let is_dwa = !header.is_request() && header.command == DEVICE_WATCHDOG;
            self.watch(index, if is_dwa { WatchdogEvent::Dwa } else { WatchdogEvent::NonDwa });
        }
        match (header.command, header.is_request()) {
            (CAPABILITIES_EXCHANGE, false) if !is_open => self.capabilities_answered(index, &message),
            (DISCONNECT_PEER, true) => self.disconnect_requested(index, side, &message),
            (DISCONNECT_PEER, false) => {
                self.note_reason(index, "we disconnected");
                self.step(index, PeerEvent::RcvDpa(side));
            }
            (DEVICE_WATCHDOG, true) => {
                let bytes = self.base_success(&header);
                self.outputs.push_back(EndpointOutput::Send { conn, bytes });
            }
            (DEVICE_WATCHDOG, false) => {}
            (_, true) if is_open => self.requested(conn, &message),
            // Before its CEA a peer says nothing else on our connection.
            (_, true) if side == Side::Initiator => self.step(index, PeerEvent::IRcvNonCea),
            (_, true) => {}
            (CAPABILITIES_EXCHANGE, false) => {}
            (_, false) => self.answered(conn, &message),
        }
    }

    /// A request of a peer.
    fn requested(&mut self, conn: ConnId, message: &Message<'_>) {
        let header = message.header;
        let refusal = if header.flags & (FLAG_REQUEST | FLAG_ERROR) == FLAG_REQUEST | FLAG_ERROR {
            Some((CxResult::INVALID_HDR_BITS, "a request with the E bit"))
        } else if header.application == APPLICATION_BASE {
            Some((CxResult::COMMAND_UNSUPPORTED, "not a command of the base protocol that is served here"))
        } else if header.application != APPLICATION_CX {
            Some((CxResult::APPLICATION_UNSUPPORTED, "only Cx is served here"))
        } else {
            None
        };
        let read = match refusal {
            Some((result, reason)) => Err(Fault { result, failed_avp: None, reason: reason.to_owned() }),
            None => decode_request(message).and_then(|(envelope, request)| {
                self.check_destination(&envelope)?;
                Ok((envelope, request))
            }),
        };
        let (envelope, request) = match read {
            Ok(read) => read,
            Err(fault) => {
                self.counters.refused_requests += 1;
                self.traffic.answered(header.command, fault.result);
                tracing::debug!(command = header.command, %fault, "request of a peer refused");
                let bytes = self.refuse(message, &fault);
                return self.outputs.push_back(EndpointOutput::Send { conn, bytes });
            }
        };
        let answer = envelope.answer(&self.config.origin_host, &self.config.origin_realm);
        match self.served.insert(Served { conn, header, envelope: answer }) {
            Some(id) => self.outputs.push_back(EndpointOutput::Request {
                id: RequestId(id.into()),
                request,
                origin_host: envelope.origin_host,
                origin_realm: envelope.origin_realm,
            }),
            None => {
                self.counters.overloads += 1;
                let reason = "too many requests wait for an answer".to_owned();
                let fault = Fault { result: CxResult::TOO_BUSY, failed_avp: None, reason };
                self.traffic.answered(header.command, fault.result);
                let bytes = self.refuse(message, &fault);
                self.outputs.push_back(EndpointOutput::Send { conn, bytes });
            }
        }
    }

    /// RFC 6733 §6.1.4: a request is for us when it names us, or nobody and our realm. We relay nothing.
    fn check_destination(&self, envelope: &Envelope) -> Result<(), Fault> {
        let is_ours =
            |name: &Option<String>, own: &str| name.as_ref().map(|name| name.eq_ignore_ascii_case(own));
        let loops =
            envelope.route_records.iter().any(|host| host.eq_ignore_ascii_case(&self.config.origin_host));
        let host = is_ours(&envelope.destination_host, &self.config.origin_host);
        let realm = is_ours(&envelope.destination_realm, &self.config.origin_realm);
        let (result, reason) = match (loops, host, realm) {
            (true, ..) => (CxResult::LOOP_DETECTED, "the request was here before"),
            (_, Some(true), _) | (_, None, Some(true) | None) => return Ok(()),
            (_, Some(false), _) => (CxResult::UNABLE_TO_DELIVER, "Destination-Host is not this node"),
            (_, None, Some(false)) => (CxResult::REALM_NOT_SERVED, "Destination-Realm is not this node's"),
        };
        Err(Fault { result, failed_avp: None, reason: reason.to_owned() })
    }

    /// Our answer to a peer's request; nothing is sent when its connection is gone.
    pub(super) fn answer(&mut self, id: RequestId, answer: &CxAnswer) {
        let served = u32::try_from(id.0).ok().and_then(|id| self.served.remove(id));
        let Some(Served { conn, header, envelope }) = served else { return };
        if answer.command() != header.command {
            // The caller mixed up two requests: the peer gets an answer all the same.
            debug_assert!(false, "an answer has the command of its request");
            let fault = Fault { result: CxResult::UNABLE_TO_COMPLY, failed_avp: None, reason: String::new() };
            let bytes =
                fault.answer(&header, wire::Avps::new(&[]), &envelope.origin_host, &envelope.origin_realm);
            return self.outputs.push_back(EndpointOutput::Send { conn, bytes });
        }
        self.traffic.answered(header.command, answer.result());
        let bytes = answer.encode(&header, &envelope);
        self.outputs.push_back(EndpointOutput::Send { conn, bytes });
    }

    /// The requests of a connection that is gone need no answer.
    pub(super) fn forget_served(&mut self, conn: ConnId) {
        for id in self.served.ids(|served| served.conn == conn) {
            self.served.remove(id);
        }
    }

    pub(super) fn refuse(&self, message: &Message<'_>, fault: &Fault) -> Vec<u8> {
        fault.answer(&message.header, message.avps(), &self.config.origin_host, &self.config.origin_realm)
    }
}
