//! One transport connection: whose it is, and the bytes of a message that is not whole yet.

use crate::peer::Side;
use crate::wire::{self, WireError};
use ambient::TimerId;
use std::net::SocketAddr;

/// A connection that is being opened, or open.
#[derive(Debug)]
pub(super) struct Connection {
    /// Which of the peer's two connections it is.
    pub side: Side,
    /// The peer that it belongs to; `None` until the CER of an accepted connection is read.
    pub peer: Option<usize>,
    /// Where an accepted connection came from.
    pub remote: Option<SocketAddr>,
    /// Closes an accepted connection on which no CER comes.
    pub cer_timer: Option<TimerId>,
    received: Vec<u8>,
    /// How much of `received` was handled.
    handled: usize,
}

impl Connection {
    pub fn initiated(peer: usize) -> Connection {
        Connection {
            side: Side::Initiator,
            peer: Some(peer),
            remote: None,
            cer_timer: None,
            received: Vec::new(),
            handled: 0,
        }
    }

    pub fn accepted(remote: SocketAddr, cer_timer: TimerId) -> Connection {
        Connection {
            side: Side::Responder,
            peer: None,
            remote: Some(remote),
            cer_timer: Some(cer_timer),
            received: Vec::new(),
            handled: 0,
        }
    }

    pub fn receive(&mut self, bytes: &[u8]) {
        self.received.drain(..self.handled);
        self.handled = 0;
        self.received.extend_from_slice(bytes);
    }

    /// Takes the next whole message; `None` while there is none.
    ///
    /// An error means that the stream cannot be read on; it comes with what was received.
    pub fn next_message(&mut self, len_max: usize) -> Result<Option<Vec<u8>>, (WireError, Vec<u8>)> {
        let rest = &self.received[self.handled..];
        // Even what is wrong with the first octets is said after the header, which the refusal needs.
        if rest.len() < wire::HEADER_LEN {
            return Ok(None);
        }
        match wire::message_len(rest, len_max) {
            Ok(Some(len)) if len <= rest.len() => {
                let message = rest[..len].to_vec();
                self.handled += len;
                Ok(Some(message))
            }
            Ok(_) => Ok(None),
            Err(error) => Err((error, rest.to_vec())),
        }
    }
}
