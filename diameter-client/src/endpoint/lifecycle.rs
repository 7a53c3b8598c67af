//! Connections, watchdog and goodbye: what the machines of a peer want, done (RFC 6733 §5, RFC 3539).

use super::connection::Connection;
use super::routing::Otherwise;
use super::{ConnId, Endpoint, EndpointOutput, PeerConfig, TimerKey};
use crate::cx::CxResult;
use crate::dictionary::{APPLICATION_BASE, DEVICE_WATCHDOG, DISCONNECT_PEER, avp};
use crate::peer::{PeerAction, PeerEvent, PeerState, Side, wins_election};
use crate::watchdog::{WatchdogAction, WatchdogEvent};
use crate::wire::{FLAG_REQUEST, Header, Message, Writer};
use std::time::Duration;

/// Disconnect-Cause REBOOTING: we come back.
const REBOOTING: u32 = 0;

/// RFC 3539 §3.4.1: Tw must not be shorter, and its jitter is 2 s either way.
const TW_MIN: Duration = Duration::from_secs(6);
const TW_JITTER_MS: u64 = 2000;

impl Endpoint {
    /// Feeds the peer's state machine and does what it asks for.
    pub(super) fn step(&mut self, index: usize, event: PeerEvent) {
        let Some(peer) = self.peer_mut(index) else { return };
        let before = peer.state;
        let (after, actions) = before.step(event);
        peer.state = after;
        for action in actions {
            self.act(index, *action);
        }
        // An election during the actions may have led further already.
        let Some(peer) = self.peer_mut(index) else { return };
        if peer.state != after || before == after {
            return;
        }
        let timer = peer.state_timer.take();
        self.disarm(timer);
        match after {
            PeerState::IOpen | PeerState::ROpen => self.opened(index),
            PeerState::Closed => self.went_down(index),
            PeerState::Closing => {
                self.announce_down(index);
                self.fail_over(index, Otherwise::Wait);
                self.arm_state_timer(index, "Diameter goodbye");
            }
            PeerState::WaitConnAck
            | PeerState::WaitICea
            | PeerState::WaitConnAckElect
            | PeerState::WaitReturns => self.arm_state_timer(index, "Diameter capabilities exchange"),
        }
    }

    fn act(&mut self, index: usize, action: PeerAction) {
        match action {
            PeerAction::ISndConnReq => self.connect(index),
            // The connection was tied to the peer when its CER was read.
            PeerAction::RAccept => {}
            // `capabilities_requested` closes the connection that did not become the peer's.
            PeerAction::RReject => {}
            PeerAction::ISndCer => {
                let (hop_by_hop, end_to_end) = (self.next_hop_by_hop(), self.next_end_to_end());
                let bytes = self.capabilities().encode_request(hop_by_hop, end_to_end);
                self.send_on(index, Side::Initiator, bytes);
            }
            PeerAction::RSndCea => {
                let cer = self.peer_mut(index).and_then(|peer| peer.cer.take());
                if let Some((header, answer)) = cer {
                    self.send_on(index, Side::Responder, answer.encode_answer(&header));
                }
            }
            PeerAction::Elect => {
                let own_host = &self.config.origin_host;
                let peer_host =
                    self.peers.get(index).and_then(Option::as_ref).and_then(|p| p.host.as_deref());
                if peer_host.is_some_and(|peer_host| wins_election(own_host, peer_host)) {
                    self.step(index, PeerEvent::WinElection);
                }
            }
            PeerAction::SndDpr(side) => {
                let header = self.base_request(DISCONNECT_PEER);
                let mut writer = Writer::new(header);
                self.write_origin(&mut writer);
                writer.unsigned32(&avp::DISCONNECT_CAUSE, REBOOTING);
                self.send_on(index, side, writer.finish());
            }
            PeerAction::SndDpa(side) => {
                if let Some(header) = self.peer_mut(index).and_then(|peer| peer.dpr.take()) {
                    let bytes = self.base_success(&header);
                    self.send_on(index, side, bytes);
                }
            }
            PeerAction::Disc(side) => self.close_side(index, side),
            PeerAction::Error => {
                self.close_side(index, Side::Initiator);
                self.close_side(index, Side::Responder);
            }
        }
    }

    fn connect(&mut self, index: usize) {
        self.conn_count += 1;
        let conn = ConnId(self.conn_count);
        let Some(peer) = self.peer_mut(index) else { return };
        peer.initiator = Some(conn);
        let PeerConfig { addr, transport, .. } = peer.config;
        self.conns.insert(conn, Connection::initiated(index));
        self.outputs.push_back(EndpointOutput::Connect { conn, addr, transport });
    }

    /// CER and CEA were exchanged, and one connection is left.
    fn opened(&mut self, index: usize) {
        let reconnect_min = self.config.reconnect_min;
        let Some(peer) = self.peer_mut(index) else { return };
        peer.backoff = reconnect_min;
        peer.down_reason = None;
        let timer = peer.reconnect_timer.take();
        self.disarm(timer);
        self.watch(index, WatchdogEvent::ConnectionUp);
        self.announce_up(index);
    }

    /// No connection is left: requests go elsewhere, a stranger is forgotten, a friend is called again.
    fn went_down(&mut self, index: usize) {
        self.close_side(index, Side::Initiator);
        self.close_side(index, Side::Responder);
        self.watch(index, WatchdogEvent::ConnectionDown);
        self.announce_down(index);
        self.fail_over(index, Otherwise::Fail);
        let is_stopping = self.is_stopping;
        let reconnect_max = self.config.reconnect_max;
        let Some(peer) = self.peer_mut(index) else { return };
        peer.cer = None;
        let timer = peer.watchdog_timer.take();
        if peer.is_stranger {
            self.peers[index] = None;
        } else if peer.connects() && !is_stopping {
            let backoff = peer.backoff;
            peer.backoff = (backoff * 2).min(reconnect_max);
            // Half of the wait is random, so that a crowd does not come back at once.
            let half_ms = u64::try_from(backoff.as_millis() / 2).unwrap_or(u64::MAX);
            let wait = backoff / 2 + Duration::from_millis(self.entropy.below(half_ms.saturating_add(1)));
            let key = TimerKey::Reconnect { peer: index };
            let reconnect_timer = self.timers.arm(self.now, wait, key, "Diameter reconnection");
            if let Some(peer) = self.peer_mut(index) {
                peer.reconnect_timer = Some(reconnect_timer);
            }
        }
        self.disarm(timer);
    }

    /// Feeds the peer's watchdog and does what it asks for.
    pub(super) fn watch(&mut self, index: usize, event: WatchdogEvent) {
        let Some(peer) = self.peer_mut(index) else { return };
        for action in peer.watchdog.handle(event) {
            match action {
                WatchdogAction::SetWatchdog => self.arm_watchdog(index),
                WatchdogAction::SendWatchdog => {
                    let mut writer = Writer::new(self.base_request(DEVICE_WATCHDOG));
                    self.write_origin(&mut writer);
                    writer.unsigned32(&avp::ORIGIN_STATE_ID, self.origin_state_id);
                    let side = self.peer_mut(index).and_then(|peer| peer.state.open_side());
                    if let Some(side) = side {
                        self.send_on(index, side, writer.finish());
                    }
                }
                // Of a connection that is gone `went_down` takes care.
                WatchdogAction::Failover if event == WatchdogEvent::ConnectionDown => {}
                WatchdogAction::Failover => {
                    self.note_reason(index, "no answer to a Diameter watchdog");
                    self.announce_down(index);
                    self.fail_over(index, Otherwise::Wait);
                }
                WatchdogAction::Failback => self.announce_up(index),
                WatchdogAction::CloseConnection => {
                    let side = self.peer_mut(index).and_then(|peer| peer.state.open_side());
                    if let Some(side) = side {
                        self.step(index, PeerEvent::PeerDisc(side));
                    }
                }
            }
        }
    }

    fn arm_watchdog(&mut self, index: usize) {
        let jitter = Duration::from_millis(self.entropy.below(2 * TW_JITTER_MS + 1));
        let tw = self.config.tw.max(TW_MIN) + jitter - Duration::from_millis(TW_JITTER_MS);
        let timer = self.timers.arm(self.now, tw, TimerKey::Watchdog { peer: index }, "Diameter watchdog");
        let old = self.peer_mut(index).and_then(|peer| peer.watchdog_timer.replace(timer));
        self.disarm(old);
    }

    fn arm_state_timer(&mut self, index: usize, why: &'static str) {
        let key = TimerKey::State { peer: index };
        let timer = self.timers.arm(self.now, self.config.handshake_timeout, key, why);
        let old = self.peer_mut(index).and_then(|peer| peer.state_timer.replace(timer));
        self.disarm(old);
    }

    /// A DPR: the peer leaves, and says for how long.
    pub(super) fn disconnect_requested(&mut self, index: usize, side: Side, message: &Message<'_>) {
        let cause = message.find(&avp::DISCONNECT_CAUSE).and_then(|each| each.unsigned32().ok());
        let reconnect_max = self.config.reconnect_max;
        let Some(peer) = self.peer_mut(index) else { return };
        peer.dpr = Some(message.header);
        // BUSY and DO_NOT_WANT_TO_TALK_TO_YOU (RFC 6733 §5.4.3) ask us to stay away. A service that never tries again
        // needs a hand to heal, so it tries again at the longest interval.
        if cause != Some(REBOOTING) {
            peer.backoff = reconnect_max;
        }
        self.note_reason(
            index,
            match cause {
                Some(REBOOTING) => "the peer disconnected: rebooting",
                Some(1) => "the peer disconnected: busy",
                Some(2) => "the peer disconnected: does not want to talk to us",
                _ => "the peer disconnected",
            },
        );
        self.step(index, PeerEvent::RcvDpr(side));
    }

    pub(super) fn base_success(&self, header: &Header) -> Vec<u8> {
        let mut writer = Writer::new(header.answer());
        writer.unsigned32(&avp::RESULT_CODE, CxResult::SUCCESS.code());
        self.write_origin(&mut writer);
        if header.command == DEVICE_WATCHDOG {
            writer.unsigned32(&avp::ORIGIN_STATE_ID, self.origin_state_id);
        }
        writer.finish()
    }

    fn base_request(&mut self, command: u32) -> Header {
        Header {
            flags: FLAG_REQUEST,
            command,
            application: APPLICATION_BASE,
            hop_by_hop: self.next_hop_by_hop(),
            end_to_end: self.next_end_to_end(),
        }
    }

    fn write_origin(&self, writer: &mut Writer) {
        writer.text(&avp::ORIGIN_HOST, &self.config.origin_host);
        writer.text(&avp::ORIGIN_REALM, &self.config.origin_realm);
    }

    fn send_on(&mut self, index: usize, side: Side, bytes: Vec<u8>) {
        if let Some(conn) = self.peer_mut(index).and_then(|peer| peer.conn(side)) {
            self.outputs.push_back(EndpointOutput::Send { conn, bytes });
        }
    }

    fn close_side(&mut self, index: usize, side: Side) {
        if let Some(conn) = self.peer_mut(index).and_then(|peer| peer.conn_slot(side).take()) {
            self.close(conn);
        }
    }

    /// Closes a connection, unless it is gone.
    pub(super) fn close(&mut self, conn: ConnId) {
        if let Some(connection) = self.conns.remove(&conn) {
            self.disarm(connection.cer_timer);
            self.forget_served(conn);
            self.outputs.push_back(EndpointOutput::Close { conn });
        }
    }

    fn announce_up(&mut self, index: usize) {
        let Some(peer) = self.peer_mut(index) else { return };
        if !std::mem::replace(&mut peer.is_announced, true) {
            let peer = peer.name();
            self.outputs.push_back(EndpointOutput::PeerUp { peer });
        }
    }

    fn announce_down(&mut self, index: usize) {
        let Some(peer) = self.peer_mut(index) else { return };
        if std::mem::replace(&mut peer.is_announced, false) {
            let reason = peer.down_reason.take().unwrap_or_else(|| "the connection is gone".to_owned());
            let peer = peer.name();
            self.outputs.push_back(EndpointOutput::PeerDown { peer, reason });
        }
    }

    /// Notes why a peer goes down, unless that is known already.
    pub(super) fn note_reason(&mut self, index: usize, reason: &str) {
        if let Some(peer) = self.peer_mut(index) {
            peer.down_reason.get_or_insert_with(|| reason.to_owned());
        }
    }
}
