//! The server of the console: HTTP on one thread with a runtime of its own, apart from the core.

mod access;
mod routes;

pub use access::Access;

use crate::operator::Operator;
use crate::recording::Recording;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{Semaphore, oneshot};

/// A console that is served until this is dropped.
pub struct Console {
    address: SocketAddr,
    access: Arc<Access>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Why a console is not served.
#[derive(Debug)]
pub enum ServeError {
    /// No address could be bound.
    Bind(SocketAddr, io::Error),
    /// There is no thread or no randomness.
    System(io::Error),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Bind(address, error) => write!(f, "the console cannot listen at {address}: {error}"),
            ServeError::System(error) => write!(f, "the console cannot start: {error}"),
        }
    }
}

/// What every request needs.
#[derive(Clone)]
pub(crate) struct Served {
    pub recording: Arc<Recording>,
    pub operator: Arc<dyn Operator>,
    pub access: Arc<Access>,
    /// Those who may still read live events.
    pub readers: Arc<Semaphore>,
}

impl Console {
    /// Serves at an address. Where its port is taken, the next free one of the following [`PORTS`] is.
    pub fn serve(
        wanted: SocketAddr,
        access: Access,
        recording: Arc<Recording>,
        operator: Arc<dyn Operator>,
    ) -> Result<Console, ServeError> {
        let listener = bind(wanted)?;
        let address = listener.local_addr().map_err(ServeError::System)?;
        let access = Arc::new(access);
        let served = Served {
            recording,
            operator,
            access: access.clone(),
            readers: Arc::new(Semaphore::new(READERS_MAX)),
        };
        let (stop, is_asked_to_stop) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(THREADS_MAX)
            .build();
        let runtime = runtime.map_err(ServeError::System)?;
        let serve = move || {
            let served = runtime.block_on(run(listener, served, is_asked_to_stop));
            if let Err(error) = served {
                tracing::warn!(%error, "the console has ended");
            }
            // A reader of live events that stays would hold the program.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("console".to_owned()).spawn(serve);
        let thread = thread.map_err(ServeError::System)?;
        Ok(Console { address, access, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a person opens, with the token where one is needed.
    pub fn url(&self) -> String {
        match self.access.token() {
            Some(token) => format!("http://{}/#token={token}", self.address),
            None => format!("http://{}", self.address),
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Readers of live events at once; one tab of a browser is one.
const READERS_MAX: usize = 64;
/// Questions to the core at once: each waits for its answer on a thread.
const THREADS_MAX: usize = 8;
/// Ports that are tried, from the one that was wanted.
const PORTS: u16 = 20;

fn bind(wanted: SocketAddr) -> Result<TcpListener, ServeError> {
    let mut first = None;
    for step in 0..PORTS {
        let Some(port) = wanted.port().checked_add(step) else { break };
        match TcpListener::bind(SocketAddr::new(wanted.ip(), port)) {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && wanted.port() != 0 => {
                first.get_or_insert(error);
            }
            Err(error) => return Err(ServeError::Bind(wanted, error)),
        }
    }
    let error = first.unwrap_or_else(|| io::ErrorKind::AddrInUse.into());
    Err(ServeError::Bind(wanted, error))
}

async fn run(listener: TcpListener, served: Served, stop: oneshot::Receiver<()>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let server = axum::serve(listener, routes::router(served));
    tokio::select! {
        ended = server => ended,
        _ = stop => Ok(()),
    }
}

/// The OpenAPI document of the console, as `openapi.json` has it.
pub fn openapi() -> String {
    routes::openapi()
}
