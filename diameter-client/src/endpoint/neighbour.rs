//! What the endpoint keeps about one peer while it runs.

use super::{ConnId, PeerConfig, PeerRole};
use crate::capabilities::Capabilities;
use crate::peer::{PeerState, Side};
use crate::watchdog::{Watchdog, WatchdogState};
use crate::wire::Header;
use ambient::TimerId;
use std::time::Duration;

/// A peer: one from the configuration, or a stranger who was let in.
#[derive(Debug)]
pub(super) struct Neighbour {
    pub config: PeerConfig,
    /// Let in without being in the configuration; forgotten when its connection ends.
    pub is_stranger: bool,
    /// Its identity: from the configuration, else as it says.
    pub host: Option<String>,
    /// Its realm, as it says.
    pub realm: Option<String>,
    /// Whether it relays for any realm.
    pub is_relay: bool,
    /// Origin-State-Id of its last capabilities exchange.
    pub origin_state_id: Option<u32>,
    pub state: PeerState,
    pub watchdog: Watchdog,
    /// Our connection to it.
    pub initiator: Option<ConnId>,
    /// Its connection to us.
    pub responder: Option<ConnId>,
    /// The CER on its connection, until it is answered: the header and our CEA.
    pub cer: Option<(Header, Capabilities)>,
    /// The DPR that waits for its answer.
    pub dpr: Option<Header>,
    /// Bounds the handshake and the goodbye.
    pub state_timer: Option<TimerId>,
    pub watchdog_timer: Option<TimerId>,
    pub reconnect_timer: Option<TimerId>,
    /// The wait before the next reconnection.
    pub backoff: Duration,
    /// Why it is going down, as far as that is known before it is down.
    pub down_reason: Option<String>,
    /// Whether the node was told that it is up.
    pub is_announced: bool,
}

impl Neighbour {
    pub fn new(config: PeerConfig, backoff: Duration) -> Neighbour {
        Neighbour {
            host: config.host.clone(),
            config,
            is_stranger: false,
            realm: None,
            is_relay: false,
            origin_state_id: None,
            state: PeerState::Closed,
            watchdog: Watchdog::default(),
            initiator: None,
            responder: None,
            cer: None,
            dpr: None,
            state_timer: None,
            watchdog_timer: None,
            reconnect_timer: None,
            backoff,
            down_reason: None,
            is_announced: false,
        }
    }

    /// The name for an operator: its identity, or its address.
    pub fn name(&self) -> String {
        self.host.clone().unwrap_or_else(|| self.config.addr.to_string())
    }

    pub fn conn(&self, side: Side) -> Option<ConnId> {
        match side {
            Side::Initiator => self.initiator,
            Side::Responder => self.responder,
        }
    }

    pub fn conn_slot(&mut self, side: Side) -> &mut Option<ConnId> {
        match side {
            Side::Initiator => &mut self.initiator,
            Side::Responder => &mut self.responder,
        }
    }

    /// The connection on which messages travel.
    pub fn open_conn(&self) -> Option<ConnId> {
        self.conn(self.state.open_side()?)
    }

    /// Takes over what it says of itself.
    pub fn learn(&mut self, offered: &Capabilities) {
        self.host = Some(offered.origin_host.clone());
        self.realm = Some(offered.origin_realm.clone());
        self.is_relay = offered.is_relay();
        self.origin_state_id = offered.origin_state_id;
    }

    pub fn is_host(&self, host: &str) -> bool {
        self.host.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(host))
    }

    pub fn serves(&self, realm: &str) -> bool {
        self.config.realm.eq_ignore_ascii_case(realm)
            || self.realm.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(realm))
    }

    pub fn connects(&self) -> bool {
        self.config.role == PeerRole::Connect
    }

    /// How far a new request may go to it, lower is better; `None` is not at all.
    ///
    /// A peer that came back and is not trusted yet (Reopen) is the last choice and still one: with a single HSS the
    /// alternative is no service for three Tw. A suspect peer is none.
    pub fn rank(&self) -> Option<u8> {
        self.open_conn()?;
        match self.watchdog.state() {
            WatchdogState::Okay => Some(0),
            WatchdogState::Reopen => Some(1),
            WatchdogState::Initial | WatchdogState::Suspect | WatchdogState::Down => None,
        }
    }
}
