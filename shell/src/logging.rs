//! The log of a server process: one line an event on standard error, filtered by level.

use tracing_subscriber::EnvFilter;

/// Begins to log at `level` (`"info"`); the environment variable `CARILLON_LOG` wins, in the syntax of
/// `tracing_subscriber::EnvFilter`.
///
/// A second call in one process changes nothing.
pub fn start(level: &str) {
    let filter = EnvFilter::try_from_env("CARILLON_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .try_init();
    if started.is_err() {
        tracing::debug!("the log was started before");
    }
}
