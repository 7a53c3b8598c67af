//! Diameter connections, as their messages show them.

use crate::api::Peer;
use crate::traffic::Traffic;
use recorder::{Entry, Message};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Connections by their two ends.
#[derive(Debug, Default)]
pub struct Peers(BTreeMap<(SocketAddr, SocketAddr), Connection>);

#[derive(Debug, Default)]
struct Connection {
    node: String,
    host: String,
    since_ms: Option<u64>,
    last_ms: u64,
    is_refused: bool,
    is_closing: bool,
    requests: u64,
    errors: u64,
    watchdogs: u64,
}

/// Connections that are shown; the one that was silent longest makes room.
const CONNECTIONS_MAX: usize = 64;
/// Two watchdog intervals (RFC 3539 §3.4.1: Tw is 30 s) and what they may vary.
const SILENT_MS: u64 = 64_000;

impl Peers {
    /// Who said at a connection who it is.
    pub fn host(&self, local: SocketAddr, remote: SocketAddr) -> Option<&str> {
        self.0.get(&(local, remote)).map(|connection| connection.host.as_str())
    }

    /// Adds a message.
    pub fn tell(&mut self, entry: &Entry, message: &Message, traffic: &Traffic) {
        let ends = (message.local, message.remote);
        if !self.0.contains_key(&ends) && self.0.len() >= CONNECTIONS_MAX {
            let oldest =
                self.0.iter().min_by_key(|(_, connection)| connection.last_ms).map(|(ends, _)| *ends);
            oldest.and_then(|ends| self.0.remove(&ends));
        }
        let now_ms = entry.at.wall.as_millis();
        let connection = self.0.entry(ends).or_default();
        connection.node = entry.node.title();
        connection.last_ms = now_ms;
        if !message.sent && !traffic.from.is_empty() {
            connection.host.clone_from(&traffic.from);
        }
        connection.errors += u64::from(traffic.cause.is_some());
        match (traffic.method.as_str(), traffic.is_request()) {
            ("CE", false) if traffic.cause.is_some() => connection.is_refused = true,
            ("CE", false) => {
                connection.since_ms = Some(now_ms);
                connection.is_closing = false;
                connection.is_refused = false;
            }
            ("DW", true) => connection.watchdogs += 1,
            ("DP", _) => connection.is_closing = true,
            ("CE" | "DW", _) => {}
            (_, true) => connection.requests += 1,
            (_, false) => {}
        }
    }

    /// All of them.
    pub fn shown(&self, now_ms: u64) -> Vec<Peer> {
        let shown = |((_, remote), connection): (&(SocketAddr, SocketAddr), &Connection)| Peer {
            node: connection.node.clone(),
            host: connection.host.clone(),
            address: remote.to_string(),
            state: connection.state(now_ms).to_owned(),
            since_ms: connection.since_ms,
            last_ms: connection.last_ms,
            requests: connection.requests,
            errors: connection.errors,
            watchdogs: connection.watchdogs,
        };
        self.0.iter().map(shown).collect()
    }
}

impl Connection {
    fn state(&self, now_ms: u64) -> &'static str {
        match () {
            () if self.is_refused => "refused",
            () if self.is_closing => "closing",
            () if now_ms.saturating_sub(self.last_ms) > SILENT_MS => "silent",
            () if self.since_ms.is_none() => "opening",
            () => "open",
        }
    }
}
