//! Our requests: which peer gets them, and what happens when it goes away (RFC 6733 §5.5.4, §6.1).

use super::{ConnId, CxFailure, Destination, Endpoint, EndpointOutput, TimerKey};
use crate::cx::{CxAnswer, CxRequest, CxResult, Envelope, decode_answer};
use crate::wire::{FLAG_RETRANSMITTED, Message};
use ambient::{Instant, TimerId};

/// A request of ours that waits for its answer.
#[derive(Debug)]
pub(super) struct Pending {
    /// The caller's name for it.
    id: u64,
    request: CxRequest,
    envelope: Envelope,
    destination: Destination,
    end_to_end: u32,
    /// The peer that has it, and the connection it went out on.
    pub peer: usize,
    pub conn: ConnId,
    /// The peers that had it, in order; none gets it twice.
    tried: Vec<usize>,
    since: Instant,
    deadline: Instant,
    timer: Option<TimerId>,
}

/// What becomes of a request whose peer is gone when there is no other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Otherwise {
    /// The connection stands: the answer may still come.
    Wait,
    /// The connection is gone, and the answer with it.
    Fail,
}

/// Whether the T bit goes with a request that is sent again.
#[derive(Debug, PartialEq, Eq)]
enum Attempt {
    /// It is the first.
    First,
    /// The first peer said that it did not handle the request.
    Refused,
    /// The first peer may have handled the request (RFC 6733 §5.5.4).
    MaybeHandled,
}

/// Longest trace that goes into a Session-Id, in octets.
const TRACE_LEN_MAX: usize = 128;

/// Redirect-Hosts that are tried of one answer (TS 29.229 §5.5).
const REDIRECTS_MAX: usize = 4;

impl Endpoint {
    pub(super) fn request(
        &mut self,
        id: u64,
        request: CxRequest,
        destination: Destination,
        trace: Option<String>,
    ) {
        if self.pending.is_full() {
            self.counters.overloads += 1;
            self.traffic.unsent(request.command(), &CxFailure::Overload);
            return self.finish(id, Err(CxFailure::Overload), None);
        }
        let Some((peer, conn)) = self.choose(&destination, &[]) else {
            self.traffic.unsent(request.command(), &CxFailure::NoPeer);
            return self.finish(id, Err(CxFailure::NoPeer), None);
        };
        let end_to_end = self.next_end_to_end();
        let envelope = Envelope {
            session_id: self.next_session_id(trace.as_deref()),
            origin_host: self.config.origin_host.clone(),
            origin_realm: self.config.origin_realm.clone(),
            destination_realm: Some(destination.realm.clone()),
            destination_host: self.host_towards(peer, &destination),
            ..Envelope::default()
        };
        let deadline = self.now + self.config.request_timeout;
        let first = Pending {
            id,
            request,
            envelope,
            destination,
            end_to_end,
            peer,
            conn,
            tried: vec![peer],
            since: self.now,
            deadline,
            timer: None,
        };
        self.send(first, Attempt::First);
    }

    /// Destination-Host as it goes to `peer`.
    ///
    /// When the host named is a neighbour of ours and the request goes to another one (it is down), the name is left out,
    /// so that the other may answer for the realm; behind a relay the name stays.
    fn host_towards(&self, peer: usize, destination: &Destination) -> Option<String> {
        let host = destination.host.clone()?;
        let is_neighbour = self.peers.iter().flatten().any(|p| p.is_host(&host));
        let chosen = self.peers.get(peer)?.as_ref()?;
        (chosen.is_host(&host) || chosen.is_relay || !is_neighbour).then_some(host)
    }

    /// The peer for a destination: the host itself; else one that serves the realm; else a relay. Of those the one that
    /// is trusted, then by priority, then in turn.
    fn choose(&mut self, destination: &Destination, tried: &[usize]) -> Option<(usize, ConnId)> {
        let mut best: Vec<(usize, ConnId)> = Vec::new();
        let mut best_key = None;
        for (index, peer) in self.peers.iter().enumerate() {
            let Some(peer) = peer else { continue };
            let (Some(rank), Some(conn)) = (peer.rank(), peer.open_conn()) else { continue };
            if tried.contains(&index) {
                continue;
            }
            let nearness = if destination.host.as_deref().is_some_and(|host| peer.is_host(host)) {
                0
            } else if peer.serves(&destination.realm) {
                1
            } else if peer.is_relay {
                2
            } else {
                continue;
            };
            let key = (nearness, rank, peer.config.priority);
            if best_key.is_none_or(|b| key < b) {
                best_key = Some(key);
                best.clear();
            }
            if best_key == Some(key) {
                best.push((index, conn));
            }
        }
        if best.is_empty() {
            return None;
        }
        self.turn = self.turn.wrapping_add(1);
        Some(best[self.turn % best.len()])
    }

    /// The peer lost its connection, or is suspected to be dead: what waits for it goes to another peer.
    pub(super) fn fail_over(&mut self, peer: usize, otherwise: Otherwise) {
        if self.is_stopping && otherwise == Otherwise::Wait {
            // The other peers are about to be left as well; this one may still answer before it goes.
            return;
        }
        for hop_by_hop in self.pending.ids(|pending| pending.peer == peer) {
            if !self.send_again(hop_by_hop, Attempt::MaybeHandled, None) && otherwise == Otherwise::Fail {
                self.fail(hop_by_hop, CxFailure::NoPeer);
            }
        }
    }

    /// Sends a request to a peer that did not have it: new Hop-by-Hop, same End-to-End, same deadline. False when there is
    /// none.
    fn send_again(&mut self, hop_by_hop: u32, attempt: Attempt, redirect: Option<&str>) -> bool {
        let Some(pending) = self.pending.get_mut(hop_by_hop) else { return true };
        let tried = std::mem::take(&mut pending.tried);
        let mut destination = pending.destination.clone();
        if let Some(host) = redirect {
            destination.host = Some(host.to_owned());
        }
        let chosen = self.choose(&destination, &tried).filter(|(peer, _)| {
            let named = self.peers.get(*peer).and_then(Option::as_ref);
            redirect.is_none_or(|host| named.is_some_and(|peer| peer.is_host(host)))
        });
        let host = chosen.and_then(|(peer, _)| self.host_towards(peer, &destination));
        if let Some(pending) = self.pending.get_mut(hop_by_hop) {
            pending.tried = tried;
        }
        let Some((peer, conn)) = chosen else { return false };
        let Some(mut pending) = self.pending.remove(hop_by_hop) else { return true };
        self.disarm(pending.timer);
        pending.envelope.destination_host = host;
        pending.tried.push(peer);
        self.send(Pending { peer, conn, destination, ..pending }, attempt);
        self.counters.failovers += 1;
        true
    }

    /// Gives the request a Hop-by-Hop id and writes it.
    fn send(&mut self, pending: Pending, attempt: Attempt) {
        let (id, conn, deadline) = (pending.id, pending.conn, pending.deadline);
        let Some(hop_by_hop) = self.pending.insert(pending) else {
            return self.finish(id, Err(CxFailure::Overload), None);
        };
        let left = deadline.since(self.now);
        let timer = self.timers.arm(self.now, left, TimerKey::Request { hop_by_hop }, "Cx request timeout");
        if let Some(pending) = self.pending.get_mut(hop_by_hop) {
            pending.timer = Some(timer);
            let mut bytes = pending.request.encode(&pending.envelope, hop_by_hop, pending.end_to_end);
            if attempt == Attempt::MaybeHandled {
                bytes[4] |= FLAG_RETRANSMITTED;
            }
            self.outputs.push_back(EndpointOutput::Send { conn, bytes });
        }
    }

    /// An answer that is not to CER, DWR or DPR.
    pub(super) fn answered(&mut self, conn: ConnId, message: &Message<'_>) {
        let hop_by_hop = message.header.hop_by_hop;
        let is_awaited = self.pending.get_mut(hop_by_hop).is_some_and(|pending| {
            pending.conn == conn && pending.request.command() == message.header.command
        });
        if !is_awaited {
            // Late, or never asked for: RFC 6733 §6.2 has it dropped.
            self.counters.late_answers += 1;
            tracing::debug!(command = message.header.command, hop_by_hop, "nobody waits for this answer");
            return;
        }
        let (envelope, answer) = match decode_answer(message) {
            Ok(read) => read,
            Err(fault) => {
                self.counters.undecodable_answers += 1;
                return self.fail(hop_by_hop, CxFailure::Undecodable { reason: fault.reason });
            }
        };
        let result = answer.result();
        if result.is_retried_elsewhere() && self.send_again(hop_by_hop, Attempt::Refused, None) {
            return;
        }
        if result == CxResult::REDIRECT_INDICATION {
            let hosts = answer.details().redirect_hosts.iter().filter_map(|uri| host_of(uri));
            for host in hosts.take(REDIRECTS_MAX) {
                if self.send_again(hop_by_hop, Attempt::Refused, Some(host)) {
                    return;
                }
            }
        }
        if result.is_protocol_error() {
            return self.fail(hop_by_hop, CxFailure::Rejected { result });
        }
        let origin_host = Some(envelope.origin_host).filter(|host| !host.is_empty());
        self.close_pending(hop_by_hop, Ok(answer), origin_host);
    }

    /// The time of a request is up.
    pub(super) fn request_timed_out(&mut self, hop_by_hop: u32) {
        self.counters.timeouts += 1;
        self.fail(hop_by_hop, CxFailure::Timeout);
    }

    fn fail(&mut self, hop_by_hop: u32, failure: CxFailure) {
        self.close_pending(hop_by_hop, Err(failure), None);
    }

    fn close_pending(
        &mut self,
        hop_by_hop: u32,
        result: Result<CxAnswer, CxFailure>,
        origin_host: Option<String>,
    ) {
        if let Some(pending) = self.pending.remove(hop_by_hop) {
            self.disarm(pending.timer);
            let told = result.as_ref().map(CxAnswer::result);
            self.traffic.ended(pending.request.command(), told, self.now.since(pending.since));
            self.finish(pending.id, result, origin_host);
        }
    }

    fn finish(&mut self, id: u64, result: Result<CxAnswer, CxFailure>, origin_host: Option<String>) {
        self.outputs.push_back(EndpointOutput::Answer { id, result, origin_host });
    }

    /// RFC 6733 §8.8: this node, a number that grows from start to start, a counter, and the trace.
    fn next_session_id(&mut self, trace: Option<&str>) -> String {
        self.session_count = self.session_count.wrapping_add(1);
        let mut id = format!("{};{};{}", self.config.origin_host, self.origin_state_id, self.session_count);
        if let Some(trace) = trace {
            let printable = |c: &char| c.is_ascii_graphic() && *c != ';';
            id.push(';');
            id.extend(trace.chars().filter(printable).take(TRACE_LEN_MAX));
        }
        id
    }
}

/// The host of an `aaa://HOST:PORT;...` URI, or the text itself when it is a bare name.
fn host_of(uri: &str) -> Option<&str> {
    let rest = uri.strip_prefix("aaa://").or_else(|| uri.strip_prefix("aaas://")).unwrap_or(uri);
    rest.split([':', ';']).next().filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn the_host_of_a_redirect_is_found_with_and_without_scheme() {
        assert_eq!(host_of("aaa://hss.example:3868;transport=tcp"), Some("hss.example"));
        assert_eq!(host_of("aaas://hss.example"), Some("hss.example"));
        assert_eq!(host_of("hss.example"), Some("hss.example"));
        assert_eq!(host_of("aaa://"), None);
    }
}
