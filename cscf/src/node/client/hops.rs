//! The hops of a client transaction, tried one after the other (RFC 3263 §4.3), and our Via for each.

use super::{Attempt, Cancelling, Client, ClientId, ClientState, Owner};
use crate::bucket::Bucket;
use crate::flow::{Hop, Side, Transport};
use crate::input::Exit;
use crate::metrics::{Flowing, Kind};
use crate::node::branch_id::BranchId;
use crate::node::{Core, Key, Pending};
use crate::query::Answer;
use crate::resolve::{self, Resolved};
use crate::role::Role;
use crate::turn::Target;
use ambient::Now;
use sip_core::transaction::{invite_client, non_invite_client};
use sip_core::{Message, Name, NameAddr, Uri};
use smallvec::SmallVec;
use std::net::SocketAddr;
use std::ops::Range;

impl<R: Role> Core<R> {
    /// The hops of a target; `received` is the request that is forwarded, where one is.
    pub(super) fn resolve(
        &self,
        target: &Target,
        received: Option<&Message>,
    ) -> Result<Resolved, &'static str> {
        const NO_URI: &str = "next hop is not a SIP URI";
        let uri = match (target, received) {
            (Target::Hop(hop) | Target::Flow(_, hop) | Target::Secured(_, hop), _) => {
                return Ok(Resolved::Hops(SmallVec::from_slice(&[*hop])));
            }
            (Target::Uri(uri), _) => &uri[..],
            (Target::Route(slot), Some(received)) => {
                NameAddr::parse(Name::Route, received.slot(*slot)).map_err(|_| NO_URI)?.uri()
            }
            (Target::RequestUri, Some(received)) => received.uri(),
            (Target::Route(_) | Target::RequestUri, None) => return Err("no request is forwarded"),
        };
        let uri = Uri::parse(uri).map_err(|_| NO_URI)?;
        Ok(resolve::hops(&uri, &self.statics, &self.transports))
    }

    /// Fills the list of what to try: a large request over UDP tries TCP first (RFC 3261 §18.1.1).
    pub(super) fn set_attempts(&mut self, id: ClientId, attempts: impl Iterator<Item = Attempt>) {
        let Some(client) = self.clients.get((id.0, id.1)) else { return };
        let len = client.request.len();
        let mut rest = SmallVec::new();
        for attempt in attempts {
            if self.wants_tcp(&attempt, len) {
                rest.push(Attempt { hop: Hop { transport: Transport::Tcp, ..attempt.hop }, ..attempt });
            }
            rest.push(attempt);
        }
        if let Some(client) = self.clients.get_mut((id.0, id.1)) {
            client.rest = rest;
        }
    }

    /// Whether a request of `len` bytes, to which our Via comes, is too large for a datagram on this way (RFC 3261
    /// §18.1.1). A neighbour in this process has no path between, and so no MTU.
    pub(super) fn wants_tcp(&self, attempt: &Attempt, len: usize) -> bool {
        self.udp_request_max > 0
            && len + VIA_BYTES > self.udp_request_max
            && attempt.flow.is_none()
            && attempt.hop.transport == Transport::Udp
            && self.transports.contains(&Transport::Tcp)
            && !self.colocated.contains(&attempt.hop.remote)
    }

    /// The answer to a resolve query.
    pub(crate) fn resolved(&mut self, now: Now, id: ClientId, answer: Answer) {
        match answer {
            Answer::Resolved(Ok(hops)) => {
                self.set_attempts(id, hops.into_iter().map(Attempt::at));
                self.next_attempt(now, id, "no hop left");
            }
            Answer::Resolved(Err(unresolved)) => {
                tracing::warn!(role = R::NAME, %unresolved, "next hop does not resolve");
                self.about_client(id);
                self.count("unresolved", unresolved.name());
                self.pending.push_back(Pending::ClientFailed(id, "next hop does not resolve"));
            }
            Answer::Cx(_) | Answer::Naptr(_) | Answer::Stored(_) | Answer::Secured(_) => {
                self.pending.push_back(Pending::ClientFailed(id, "driver answered another question"));
            }
        }
    }

    /// Starts the machine at the next hop, or reports that none is left.
    pub(super) fn next_attempt(&mut self, now: Now, id: ClientId, why: &'static str) {
        let random = self.entropy.next_u64() & ((1 << 60) - 1);
        let Some(client) = self.clients.get_mut((id.0, id.1)) else { return };
        if client.rest.is_empty() || client.cancelling == Cancelling::Wanted {
            self.pending.push_back(Pending::ClientFailed(id, why));
            return;
        }
        let attempt = client.rest.remove(0);
        client.attempt = Some(attempt);
        client.attempts = client.attempts.wrapping_add(1);
        client.random = random;
        let branch = BranchId {
            // The response comes back to this shard, whichever receives it.
            bucket: self.share.nearest(Bucket::new((random & 0xfff) as u16)),
            slot: id.0,
            generation: (id.1 & 0x7fff) as u16,
            loop_hash: client.loop_hash,
            random,
        };
        let (state, start) = match client.is_invite {
            true if self.colocated.contains(&attempt.hop.remote) => {
                (ClientState::Invite(invite_client::State::Proceeding), invite_client::START_HEARD)
            }
            true => (ClientState::Invite(invite_client::State::Calling), invite_client::START),
            false => (ClientState::NonInvite(non_invite_client::State::Trying), non_invite_client::START),
        };
        client.state = state;
        let local = self.local_address(attempt);
        self.write_via(attempt.hop.transport, local, &branch);
        let Some(client) = self.clients.get_mut((id.0, id.1)) else { return };
        install_via(&mut client.request, &mut client.via, &self.scratch);
        if let Some(traffic) = &mut self.traffic {
            traffic.request(Flowing::Out, Kind::of_request(&client.request), attempt.hop.transport);
        }
        // A proxy's Timer C. A UA waits as long for a sign of life: a UAS that keeps a call ringing repeats its
        // provisional response every minute (RFC 3261 §13.3.1.1), so that no lost peer leaves a transaction behind.
        if client.is_invite && client.timer_c.is_none() {
            let armed = self.timers.arm(now.instant, self.timer_c, Key::TimerC(id), "timer C");
            client.timer_c = Some(armed);
        }
        self.client_actions(now, id, start, None);
    }

    /// Moves a branch whose hop said 503 to the next hop (RFC 3263 §4.3); false when none is left.
    pub(crate) fn try_next_hop(&mut self, now: Now, id: ClientId) -> bool {
        let Some(client) = self.clients.get_mut((id.0, id.1)) else { return false };
        // The same server over another transport is no other server.
        let busy = client.attempt.as_ref().map(|attempt| attempt.hop.remote);
        client.rest.retain(|attempt| Some(attempt.hop.remote) != busy);
        if client.rest.is_empty() || client.cancelling != Cancelling::No {
            return false;
        }
        let (slot, generation) = {
            let moved = Client {
                owner: std::mem::replace(&mut client.owner, Owner::Nobody),
                state: ClientState::Resolving,
                is_invite: client.is_invite,
                request: client.request.clone(),
                via: client.via.clone(),
                attempt: None,
                attempts: 0,
                rest: std::mem::take(&mut client.rest),
                random: 0,
                loop_hash: client.loop_hash,
                timing: client.timing,
                timers: SmallVec::new(),
                timer_c: None,
                cancelling: Cancelling::No,
                has_provisional: false,
                has_shown_life: false,
            };
            self.clients.insert(moved)
        };
        let next = ClientId(slot, generation);
        self.name_branch(next);
        self.count("hop_failover", "503");
        self.next_attempt(now, next, "no hop left");
        true
    }

    /// Our address for a hop: the listening point of its side, transport and family.
    pub(super) fn local_address(&self, attempt: Attempt) -> SocketAddr {
        let side = match attempt {
            Attempt { secured: Some(_), .. } => Side::Protected,
            Attempt { flow: Some(_), .. } => Side::Access,
            Attempt { .. } => Side::Core,
        };
        self.local(side, Some(attempt.hop)).address
    }

    pub(super) fn exit_of(&self, attempt: Attempt) -> Exit {
        match (attempt.secured, attempt.flow) {
            (Some(set), _) => Exit::Secured { set, transport: attempt.hop.transport, flow: None },
            (None, Some(flow)) => Exit::Flow { flow, or: Some(attempt.hop) },
            (None, None) => Exit::Hop { hop: attempt.hop, local: self.local_address(attempt) },
        }
    }

    /// Writes the line of our Via into the scratch buffer.
    pub(super) fn write_via(&mut self, transport: Transport, local: SocketAddr, branch: &BranchId) {
        let line = &mut self.scratch;
        line.clear();
        line.extend_from_slice(b"Via: SIP/2.0/");
        line.extend_from_slice(transport.via_token().as_bytes());
        line.push(b' ');
        if let Some((_, text)) = self.sent_by.iter().find(|(address, _)| *address == local) {
            line.extend_from_slice(text);
        }
        line.extend_from_slice(b";branch=");
        branch.write(line);
        if R::ASKS_RPORT && transport == Transport::Udp {
            line.extend_from_slice(b";rport");
        }
        line.extend_from_slice(b"\r\n");
    }
}

/// Room that is left for our Via when a request is judged by its size.
const VIA_BYTES: usize = 120;

/// The offset behind the start line.
pub(super) fn line_end(request: &[u8]) -> usize {
    request.iter().position(|byte| *byte == b'\n').map_or(request.len(), |at| at + 1)
}

/// Makes `line` the first header, in place of the one at `via`.
pub(super) fn install_via(request: &mut Vec<u8>, via: &mut Range<usize>, line: &[u8]) {
    let (old_len, behind) = (request.len(), via.start + line.len());
    let len = old_len - via.len() + line.len();
    request.resize(old_len.max(len), 0);
    request.copy_within(via.end..old_len, behind);
    request.truncate(len);
    request[via.start..behind].copy_from_slice(line);
    via.end = behind;
}
