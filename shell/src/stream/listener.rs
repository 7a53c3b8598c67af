//! Listening points of streams: connections are accepted as they come, and who owns them is asked above.

use crate::driver::Accepted;
use crate::sockets::Speaks;
use mio::net::TcpListener;
use mio::{Interest, Registry, Token};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The listening points of one machine.
pub(crate) struct Listeners {
    first_token: usize,
    listeners: Vec<Listener>,
    /// Until when nothing is accepted: descriptors have run out.
    paused_until: Option<Instant>,
}

struct Listener {
    listener: TcpListener,
    local: SocketAddr,
    speaks: Speaks,
    /// Whether somebody may be waiting.
    is_ready: bool,
}

impl Listeners {
    /// Takes over bound sockets; their events carry the tokens from `first_token` up.
    pub(crate) fn new(
        sockets: Vec<(SocketAddr, Speaks, std::net::TcpListener)>,
        registry: &Registry,
        first_token: usize,
    ) -> io::Result<Listeners> {
        let mut listeners = Vec::new();
        for (index, (local, speaks, listener)) in sockets.into_iter().enumerate() {
            let mut listener = TcpListener::from_std(listener);
            registry.register(&mut listener, Token(first_token + index), Interest::READABLE)?;
            listeners.push(Listener { listener, local, speaks, is_ready: true });
        }
        Ok(Listeners { first_token, listeners, paused_until: None })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.listeners.len()
    }

    /// Somebody may be waiting at the listener with this token.
    pub(crate) fn event(&mut self, token: usize) {
        let index = token.wrapping_sub(self.first_token);
        if let Some(listener) = self.listeners.get_mut(index) {
            listener.is_ready = true;
        }
    }

    /// Whether somebody may be waiting who can be accepted.
    pub(crate) fn has_work(&self) -> bool {
        self.paused_until.is_none() && self.listeners.iter().any(|listener| listener.is_ready)
    }

    /// When [`Listeners::resume`] is due.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.paused_until
    }

    /// Tries again to accept where descriptors had run out.
    pub(crate) fn resume(&mut self, now: Instant) {
        self.paused_until = self.paused_until.filter(|until| *until > now);
    }

    /// Accepts the next connection.
    pub(crate) fn accept(&mut self, now: Instant) -> Option<Accepted> {
        if self.paused_until.is_some() {
            return None;
        }
        for Listener { listener, local, speaks, is_ready } in &mut self.listeners {
            while *is_ready {
                match listener.accept() {
                    Ok((stream, remote)) => {
                        let (protocol, transport) = speaks.stream()?;
                        return Some(Accepted { stream, transport, protocol, local: *local, remote });
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => *is_ready = false,
                    // The peer was gone before it was accepted.
                    Err(error)
                        if matches!(
                            error.kind(),
                            io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                        ) => {}
                    Err(error) => {
                        // Out of descriptors, mostly: those in use come back, so wait rather than spin.
                        tracing::warn!(%local, %error, "cannot accept a connection");
                        self.paused_until = Some(now + ACCEPT_PAUSE);
                        return None;
                    }
                }
            }
        }
        None
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
