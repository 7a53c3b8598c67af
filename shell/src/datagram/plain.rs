//! One datagram a call, for systems without `recvmmsg`; there, undeliverable datagrams are noticed by timeout.

use super::DATAGRAM_BYTES_MAX;
use std::io;
use std::net::SocketAddr;
use tokio::net::UdpSocket;

/// Room for one received datagram.
pub(super) struct ReceiveBatch {
    payload: Vec<u8>,
    received: Option<(SocketAddr, usize)>,
}

impl ReceiveBatch {
    pub(super) fn new() -> ReceiveBatch {
        ReceiveBatch { payload: vec![0; DATAGRAM_BYTES_MAX], received: None }
    }

    /// Receives a datagram without waiting.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let (length, remote) = socket.try_recv_from(&mut self.payload)?;
        self.received = Some((remote, length));
        Ok(1)
    }

    /// The datagram of the last call.
    pub(super) fn get(&self, at: usize) -> Option<(SocketAddr, &[u8])> {
        let (remote, length) = self.received.filter(|_| at == 0)?;
        Some((remote, self.payload.get(..length)?))
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
        waiting: &mut [(SocketAddr, Vec<u8>)],
    ) -> io::Result<usize> {
        let Some((remote, bytes)) = waiting.first() else { return Ok(0) };
        socket.try_send_to(bytes, *remote).map(|_| 1)
    }
}

/// Does nothing: what tells of undeliverable datagrams is Linux's own.
pub(super) fn enable_errors(_: &std::net::UdpSocket, _: bool) -> io::Result<()> {
    Ok(())
}

/// Never knows of an undeliverable datagram.
pub(super) fn next_error(_: &UdpSocket) -> io::Result<Option<SocketAddr>> {
    Ok(None)
}
