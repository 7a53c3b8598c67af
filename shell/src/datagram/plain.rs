//! One datagram a call, for systems without `recvmmsg`; there, undeliverable datagrams are noticed by timeout.

use super::DATAGRAM_BYTES_MAX;
use crate::spare::Spare;
use mio::net::UdpSocket;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

/// Room for one received datagram.
pub(super) struct ReceiveBatch {
    room: Vec<u8>,
    received: Option<(SocketAddr, Vec<u8>)>,
}

impl ReceiveBatch {
    pub(super) fn new() -> ReceiveBatch {
        ReceiveBatch { room: vec![0; DATAGRAM_BYTES_MAX], received: None }
    }

    /// Receives a datagram without waiting.
    pub(super) fn receive(&mut self, socket: &UdpSocket, spare: &mut Spare) -> io::Result<usize> {
        let (length, remote) = socket.recv_from(&mut self.room)?;
        self.received = Some((remote, spare.copy(&self.room[..length])));
        Ok(1)
    }

    /// The datagram of the last call.
    pub(super) fn take(&mut self, _: usize) -> Option<(SocketAddr, Vec<u8>)> {
        self.received.take()
    }
}

/// Sends datagrams.
pub(super) struct SendBatch;

impl SendBatch {
    pub(super) fn new() -> SendBatch {
        SendBatch
    }

    /// Sends the first of `waiting` without waiting.
    pub(super) fn send(
        &mut self,
        socket: &UdpSocket,
        waiting: &mut VecDeque<(SocketAddr, Vec<u8>)>,
    ) -> io::Result<usize> {
        let Some((remote, bytes)) = waiting.front() else { return Ok(0) };
        socket.send_to(bytes, *remote).map(|_| 1)
    }
}

/// Does nothing: what tells of undeliverable datagrams is Linux's own.
pub(super) fn enable_errors(_: &UdpSocket, _: bool) -> io::Result<()> {
    Ok(())
}

/// Leaves the buffers as they are, and cannot tell their size.
pub(crate) fn set_buffers(_: &std::net::UdpSocket, _: usize) -> usize {
    usize::MAX
}

/// Does nothing: how a system spreads datagrams over sockets of one address is its own affair.
pub(crate) fn spread(_: &std::net::UdpSocket, _: u16) -> io::Result<&'static str> {
    Ok("as the system likes")
}

/// Cannot tell.
pub(super) fn drops(_: &UdpSocket) -> Option<u32> {
    None
}

/// Never knows of an undeliverable datagram.
pub(super) fn next_error(_: &UdpSocket) -> io::Result<Option<SocketAddr>> {
    Ok(None)
}
