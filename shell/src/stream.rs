//! Stream connections, TCP and SCTP: a reading and a writing task each, with bounds on both sides.
//!
//! A machine that is slow stops the reading task at the full channel, and the transport then stops the peer; a peer that is slow
//! fills the connection's write budget, and the connection ends.

use crate::driver::Arrived;
use crate::sctp;
use crate::sockets::Speaks;
use cscf::station::{LinkId, StreamTransport};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{Sender, UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, JoinHandle};

/// One connection as the driver holds it.
pub(crate) enum Link {
    /// Being opened.
    Connecting(AbortHandle),
    /// Open.
    Open(OpenLink),
}

/// An open connection.
pub(crate) struct OpenLink {
    /// Unbounded as a channel, bounded by `queued_bytes`.
    writes: UnboundedSender<Vec<u8>>,
    queued_bytes: Arc<AtomicUsize>,
    reader: AbortHandle,
    writer: JoinHandle<()>,
}

impl Link {
    /// Opens a connection in the background: [`Arrived::Connected`] or [`Arrived::ConnectFailed`] follows.
    pub(crate) fn connect(
        link: LinkId,
        transport: StreamTransport,
        local: Option<SocketAddr>,
        remote: SocketAddr,
        events: Sender<Arrived>,
    ) -> Link {
        let task = tokio::spawn(async move {
            let event = match connect(transport, local, remote).await {
                Ok((stream, local)) => Arrived::Connected { link, stream, local },
                Err(error) => Arrived::ConnectFailed { link, why: why(&error) },
            };
            // The driver is gone when this fails.
            let _ = events.send(event).await;
        });
        Link::Connecting(task.abort_handle())
    }
}

impl OpenLink {
    /// Begins to read and write an open connection.
    pub(crate) fn start(link: LinkId, stream: TcpStream, events: Sender<Arrived>) -> OpenLink {
        let (read_half, write_half) = stream.into_split();
        let (writes, written) = unbounded_channel();
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let reader = tokio::spawn(read(link, read_half, events.clone())).abort_handle();
        let writer = tokio::spawn(write(link, write_half, written, Arc::clone(&queued_bytes), events));
        OpenLink { writes, queued_bytes, reader, writer }
    }

    /// Queues bytes; false when the peer is so slow that they would pass `budget`.
    pub(crate) fn write(&self, bytes: Vec<u8>, budget: usize) -> bool {
        let queued = self.queued_bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        queued + bytes.len() <= budget && self.writes.send(bytes).is_ok()
    }

    /// Ends reading at once, and writing when everything queued is out; the task that does so.
    pub(crate) fn close(self) -> JoinHandle<()> {
        self.reader.abort();
        self.writer
    }
}

async fn connect(
    transport: StreamTransport,
    local: Option<SocketAddr>,
    remote: SocketAddr,
) -> io::Result<(TcpStream, SocketAddr)> {
    let socket = match transport {
        StreamTransport::Tcp if remote.is_ipv4() => TcpSocket::new_v4()?,
        StreamTransport::Tcp => TcpSocket::new_v6()?,
        StreamTransport::Sctp => sctp::tcp_like(remote)?,
    };
    if let Some(local) = local {
        socket.bind(SocketAddr::new(local.ip(), 0))?;
    }
    let stream = socket.connect(remote).await?;
    if transport == StreamTransport::Tcp {
        at_once(&stream);
    }
    let local = stream.local_addr()?;
    Ok((stream, local))
}

/// Messages are written whole: waiting for more only delays them.
fn at_once(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY refused");
    }
}

/// Accepts connections for as long as the driver lives.
pub(crate) async fn accept(
    listener: TcpListener,
    local: SocketAddr,
    speaks: Speaks,
    events: Sender<Arrived>,
) {
    let Some(protocol) = speaks.protocol() else { return };
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                if speaks != Speaks::DiameterSctp {
                    at_once(&stream);
                }
                if events.send(Arrived::Accepted { stream, protocol, local, remote }).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                // Out of descriptors, mostly: those in use come back, so wait rather than spin.
                tracing::warn!(%local, %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn read(link: LinkId, mut stream: OwnedReadHalf, events: Sender<Arrived>) {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let event = match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => Arrived::Closed { link },
            Ok(count) => Arrived::Received { link, bytes: buffer[..count].to_vec() },
        };
        let is_last = matches!(event, Arrived::Closed { .. });
        if events.send(event).await.is_err() || is_last {
            return;
        }
    }
}

async fn write(
    link: LinkId,
    mut stream: OwnedWriteHalf,
    mut written: UnboundedReceiver<Vec<u8>>,
    queued_bytes: Arc<AtomicUsize>,
    events: Sender<Arrived>,
) {
    while let Some(bytes) = written.recv().await {
        // Nothing bounds a write to an open connection but this; once it is closed, nobody waits for long either.
        match tokio::time::timeout(WRITE_STALL, stream.write_all(&bytes)).await {
            Ok(Ok(())) => queued_bytes.fetch_sub(bytes.len(), Ordering::Relaxed),
            Ok(Err(_)) | Err(_) => {
                let _ = events.send(Arrived::Closed { link }).await;
                return;
            }
        };
    }
    let _ = stream.shutdown().await;
}

/// An error in the few words that a machine reports.
pub(crate) fn why(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::HostUnreachable => "host unreachable",
        io::ErrorKind::NetworkUnreachable => "network unreachable",
        io::ErrorKind::TimedOut => "connection timed out",
        io::ErrorKind::AddrNotAvailable => "own address not available",
        io::ErrorKind::AddrInUse => "no free port",
        io::ErrorKind::PermissionDenied => "not permitted",
        io::ErrorKind::Unsupported => "no SCTP in this program or kernel",
        _ => "cannot be reached",
    }
}

const READ_BYTES: usize = 64 * 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A peer that takes nothing for so long is gone.
const WRITE_STALL: Duration = Duration::from_secs(30);
