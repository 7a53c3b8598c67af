//! Metrics and health by HTTP: `/metrics` in the text format of Prometheus, `/livez` and `/readyz` (docs/monitoring.md).
//!
//! A thread of its own answers. It asks each shard for a copy of its numbers as `ims counters` does, so that a main loop
//! formats nothing, waits for nobody, and spends nothing while nobody asks.

mod exposition;
mod own_process;
mod readiness;
mod server;

pub(crate) use exposition::{READER_BEHIND, TRACE_DROPPED};
pub use readiness::{Expected, Needs, unready};

use crate::driver::Meter;
use cscf::metrics::{Snapshot, merged};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Who answers, and for whom.
#[derive(Debug)]
pub struct Subject {
    /// The machines of this process.
    pub meters: Vec<Meter>,
    /// The functions that must be there for it to be ready.
    pub expected: Vec<Expected>,
}

/// An address that answers; dropping it closes it.
#[derive(Debug)]
pub struct Metrics {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// Why nobody answers at an address.
#[derive(Debug)]
pub struct MetricsError {
    address: SocketAddr,
    reason: io::Error,
}

impl fmt::Display for MetricsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MetricsError { address, reason } = self;
        write!(f, "cannot serve metrics at {address}: {reason}; check [metrics]")
    }
}

impl std::error::Error for MetricsError {}

/// An address that is bound, and at which nobody answers yet.
#[derive(Debug)]
pub struct MetricsSocket {
    listener: TcpListener,
    address: SocketAddr,
}

impl MetricsSocket {
    /// Binds `address`.
    pub fn bind(address: SocketAddr) -> Result<MetricsSocket, MetricsError> {
        let error = |reason| MetricsError { address, reason };
        let listener = TcpListener::bind(address).map_err(error)?;
        listener.set_nonblocking(true).map_err(error)?;
        let address = listener.local_addr().map_err(error)?;
        Ok(MetricsSocket { listener, address })
    }

    /// Answers for `subject` from here on.
    pub fn serve(self, subject: Subject) -> Result<Metrics, MetricsError> {
        let MetricsSocket { listener, address } = self;
        let error = |reason| MetricsError { address, reason };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(error)?;
        let (stop, stopped) = watch::channel(false);
        let subject = Arc::new(subject);
        let thread = std::thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || runtime.block_on(server::serve(listener, subject, stopped)))
            .map_err(error)?;
        Ok(Metrics { address, stop, thread: Some(thread) })
    }
}

impl Metrics {
    /// Where it answers, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the metrics panicked");
        }
    }
}

impl Subject {
    /// What all machines tell, one snapshot of a role; a shard that does not answer in time is left out.
    fn snapshots(&self) -> Vec<Snapshot> {
        let until = Instant::now() + SNAPSHOT_MAX;
        let within = || until.saturating_duration_since(Instant::now());
        merged(self.meters.iter().flat_map(|meter| meter.snapshots(within())))
    }

    /// The text of `/metrics`.
    fn exposition(&self) -> String {
        let roles: Vec<_> = self.expected.iter().map(|expected| expected.role).collect();
        exposition::text(&roles, &self.snapshots(), own_process::usage())
    }

    /// Why the process is not ready.
    fn unready(&self) -> Vec<String> {
        unready(&self.expected, &self.snapshots())
    }
}

/// How long all shards may take: a main loop takes orders once a turn.
const SNAPSHOT_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
