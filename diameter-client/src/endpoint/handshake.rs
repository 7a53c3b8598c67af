//! CER and CEA: who a connection belongs to, and whether it may stay (RFC 6733 §5.3).

use super::neighbour::Neighbour;
use super::{ConnId, Endpoint, EndpointOutput, PeerConfig, PeerRole, StreamTransport};
use crate::capabilities::Capabilities;
use crate::cx::{CxResult, Fault};
use crate::peer::{PeerEvent, PeerState};
use crate::wire::Message;

impl Endpoint {
    /// What we announce.
    pub(super) fn capabilities(&self) -> Capabilities {
        let config = &self.config;
        Capabilities {
            origin_state_id: Some(self.origin_state_id),
            ..Capabilities::own(
                &config.origin_host,
                &config.origin_realm,
                &config.product_name,
                &config.host_ips,
            )
        }
    }

    /// A CER on a connection that belongs to nobody yet.
    pub(super) fn capabilities_requested(&mut self, conn: ConnId, message: &Message<'_>) {
        let header = message.header;
        let offered = match Capabilities::decode(message) {
            Ok(offered) => offered,
            Err(error) => {
                let bytes = self.refuse(message, &Fault::from(error));
                self.outputs.push_back(EndpointOutput::Send { conn, bytes });
                return self.close(conn);
            }
        };
        let remote = self.conns.get(&conn).and_then(|connection| connection.remote);
        let ip = remote.map(|addr| addr.ip());
        if let Some(Found::Peer(index)) = self.peer_of(&offered, ip) {
            self.drop_former_life(index, &offered);
        }
        let found = self.peer_of(&offered, ip);
        let refusal = match found {
            None => Some(CxResult::UNKNOWN_PEER),
            Some(_) => offered.refusal(),
        };
        if let Some(result) = refusal {
            let reason = format!("{} is refused: {result}", offered.origin_host);
            let answer = Capabilities { result, error_message: Some(reason), ..self.capabilities() };
            let mut bytes = answer.encode_answer(&header);
            if result.is_protocol_error() {
                bytes[4] |= crate::wire::FLAG_ERROR;
            }
            self.counters.refused_peers += 1;
            self.outputs.push_back(EndpointOutput::Send { conn, bytes });
            return self.close(conn);
        }
        let index = match found {
            Some(Found::Peer(index)) => index,
            Some(Found::Stranger) | None => self.let_in(&offered, remote),
        };
        let answer = offered.in_common(&self.capabilities());
        let Some(peer) = self.peer_mut(index) else { return self.close(conn) };
        if !matches!(peer.state, PeerState::Closed | PeerState::WaitConnAck | PeerState::WaitICea) {
            // RFC 6733 §5.6, R-Reject: what stands is kept.
            self.step(index, PeerEvent::RConnCer);
            return self.close(conn);
        }
        peer.learn(&offered);
        peer.responder = Some(conn);
        peer.cer = Some((header, answer));
        let timer = self.conns.get_mut(&conn).and_then(|connection| {
            connection.peer = Some(index);
            connection.cer_timer.take()
        });
        self.disarm(timer);
        self.step(index, PeerEvent::RConnCer);
    }

    /// A peer whose Origin-State-Id grew has started anew (RFC 6733 §8.16): the connection of its former life is dead,
    /// whether or not the transport knows.
    fn drop_former_life(&mut self, index: usize, offered: &Capabilities) {
        let Some(peer) = self.peer_mut(index) else { return };
        let is_reborn = match (peer.origin_state_id, offered.origin_state_id) {
            (Some(before), Some(after)) => after > before,
            _ => false,
        };
        if let Some(side) = peer.state.open_side()
            && is_reborn
        {
            self.note_reason(index, "the peer started anew");
            self.step(index, PeerEvent::PeerDisc(side));
        }
    }

    /// Whose CER it is: the peer of that identity; else one without identity at that address; else a stranger.
    fn peer_of(&self, offered: &Capabilities, ip: Option<std::net::IpAddr>) -> Option<Found> {
        if offered.origin_host.eq_ignore_ascii_case(&self.config.origin_host) {
            return None;
        }
        let known = |peer: &Neighbour| peer.is_host(&offered.origin_host);
        let nameless = |peer: &Neighbour| {
            peer.config.host.is_none() && peer.open_conn().is_none() && Some(peer.config.addr.ip()) == ip
        };
        let position = |wanted: &dyn Fn(&Neighbour) -> bool| {
            self.peers.iter().position(|peer| peer.as_ref().is_some_and(wanted))
        };
        match position(&known).or_else(|| position(&|peer| nameless(peer) && !peer.is_stranger)) {
            Some(index) => Some(Found::Peer(index)),
            None => self.config.accept_unknown_peers.then_some(Found::Stranger),
        }
    }

    fn let_in(&mut self, offered: &Capabilities, remote: Option<std::net::SocketAddr>) -> usize {
        let config = PeerConfig {
            host: Some(offered.origin_host.clone()),
            realm: offered.origin_realm.clone(),
            addr: remote.unwrap_or_else(|| (std::net::Ipv4Addr::UNSPECIFIED, 0).into()),
            transport: StreamTransport::Tcp,
            role: PeerRole::Accept,
            priority: u16::MAX,
        };
        let stranger = Neighbour { is_stranger: true, ..Neighbour::new(config, self.config.reconnect_min) };
        match self.peers.iter().position(Option::is_none) {
            Some(index) => {
                self.peers[index] = Some(stranger);
                index
            }
            None => {
                self.peers.push(Some(stranger));
                self.peers.len() - 1
            }
        }
    }

    /// A CEA on our connection.
    pub(super) fn capabilities_answered(&mut self, index: usize, message: &Message<'_>) {
        let problem = match Capabilities::decode(message) {
            Err(error) => Some(Fault::from(error).reason),
            Ok(offered) if !offered.result.is_success() => {
                let words = offered.error_message.unwrap_or_default();
                Some(format!("the peer refused the connection: {} {words}", offered.result))
            }
            Ok(offered) => match (self.peer_mut(index), offered.refusal()) {
                (_, Some(result)) => Some(format!("{} cannot be talked to: {result}", offered.origin_host)),
                (Some(peer), None) if peer.config.host.is_some() && !peer.is_host(&offered.origin_host) => {
                    Some(format!(
                        "the peer calls itself {}, it is configured as {}",
                        offered.origin_host,
                        peer.name()
                    ))
                }
                (Some(peer), None) => {
                    peer.learn(&offered);
                    None
                }
                (None, None) => return,
            },
        };
        match problem {
            None => self.step(index, PeerEvent::IRcvCea),
            Some(reason) => {
                // A peer that never was up is announced as down as well: the operator wants to know why.
                if let Some(peer) = self.peer_mut(index) {
                    peer.down_reason = Some(reason);
                    peer.is_announced = true;
                }
                self.step(index, PeerEvent::IRcvNonCea);
            }
        }
    }
}

/// Whose CER it is.
enum Found {
    Peer(usize),
    Stranger,
}
