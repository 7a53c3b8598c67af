//! The log of a server process: one line an event on standard error, filtered by level.

use cscf::config::LogLevel;
use std::io::{IsTerminal, stderr};
use std::sync::OnceLock;
use tracing_subscriber::EnvFilter;

/// Begins to log at `level` (`"info"`); the environment variable `CARILLON_LOG` wins, in the syntax of
/// `tracing_subscriber::EnvFilter`.
///
/// A second call in one process changes nothing.
pub fn start(level: &str) {
    let of_environment = EnvFilter::try_from_env(VARIABLE);
    let is_fixed = of_environment.is_ok();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(of_environment.unwrap_or_else(|_| EnvFilter::new(level)))
        .with_writer(stderr)
        .with_ansi(has_colours())
        .with_target(false)
        .with_filter_reloading();
    let handle = builder.reload_handle();
    if builder.try_init().is_err() {
        tracing::debug!("the log was started before");
        return;
    }
    if !is_fixed {
        let change = move |level: &str| handle.reload(EnvFilter::new(level)).is_ok();
        // Set by the one call that has started the log.
        let _ = CHANGE.set(Change(Box::new(change)));
    }
}

/// Changes the level of a log that was started; false when the environment has chosen it, or none was started.
pub fn set_level(level: &str) -> bool {
    CHANGE.get().is_some_and(|Change(change)| change(level))
}

/// Whether a person reads the log who has not asked for plain text (no-color.org): a file keeps no colours.
fn has_colours() -> bool {
    let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stderr().is_terminal() && !wants_none
}

/// A level as the filter writes it.
pub fn word(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    }
}

/// Changes the level of the log that was started.
struct Change(Box<dyn Fn(&str) -> bool + Send + Sync>);

static CHANGE: OnceLock<Change> = OnceLock::new();
const VARIABLE: &str = "CARILLON_LOG";
