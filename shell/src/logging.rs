//! The log of a server process: one line an event on standard error, filtered by level.

use cscf::config::LogLevel;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Begins to log at `level`; the environment variable `CARILLON_LOG` wins, in the syntax of
/// `tracing_subscriber::EnvFilter`.
///
/// A second call in one process changes nothing.
pub fn start(level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let filter = EnvFilter::try_from_env("CARILLON_LOG").unwrap_or_else(|_| EnvFilter::default().add_directive(level.into()));
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .try_init();
    if started.is_err() {
        tracing::debug!("the log was started before");
    }
}
