//! The log of a server process: one line an event on standard error, filtered by level and part, in words or as objects.

use cscf::config::{LogFormat, LogLevel};
use std::io::{IsTerminal, stderr};
use std::sync::OnceLock;
use tracing_subscriber::EnvFilter;

/// Begins to log by `filter` (`"info"`), in words.
pub fn start(filter: &str) {
    start_in(LogFormat::Text, filter);
}

/// Begins to log by `filter` (`"info,transaction=debug"`); the environment variable `CARILLON_LOG` wins, in the syntax of
/// `tracing_subscriber::EnvFilter`.
///
/// A second call in one process changes nothing.
pub fn start_in(format: LogFormat, filter: &str) {
    let of_environment = EnvFilter::try_from_env(VARIABLE);
    let is_fixed = of_environment.is_ok();
    let filter = of_environment.unwrap_or_else(|_| EnvFilter::new(filter));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    let (change, started): (Box<dyn Fn(EnvFilter) -> bool + Send + Sync>, bool) = match format {
        LogFormat::Text => {
            let builder = builder.with_ansi(has_colours()).with_target(false).with_filter_reloading();
            let handle = builder.reload_handle();
            (Box::new(move |filter| handle.reload(filter).is_ok()), builder.try_init().is_ok())
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            (Box::new(move |filter| handle.reload(filter).is_ok()), builder.try_init().is_ok())
        }
    };
    if !started {
        tracing::debug!("the log was started before");
        return;
    }
    // Set by the one call that has started the log.
    let _ = CHANGE.set(Change { change, is_fixed });
}

/// Logs as the configuration says; false when the environment has chosen the filter, or no log was started.
pub fn set_configured(level: LogLevel, transactions: bool) -> bool {
    let filter = EnvFilter::new(filter_of(level, transactions));
    CHANGE.get().is_some_and(|log| !log.is_fixed && (log.change)(filter))
}

/// Logs by another filter, as a person asks who knows what the environment says.
pub fn set_filter(filter: &str) -> Result<(), String> {
    check(filter)?;
    let parsed = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
    match CHANGE.get().map(|log| (log.change)(parsed)) {
        Some(true) => Ok(()),
        Some(false) | None => Err("this process has no log of its own".to_owned()),
    }
}

/// The filter of a level, with or without a line for each transaction.
pub fn filter_of(level: LogLevel, transactions: bool) -> String {
    let word = word(level);
    if transactions { format!("{word},transaction=debug") } else { word.to_owned() }
}

/// Whether a filter is a level, and levels of parts: `EnvFilter` takes a misspelt level for the name of a part, and is then
/// silent.
fn check(filter: &str) -> Result<(), String> {
    let is_level = |word: &str| LEVELS.contains(&word);
    let is_part = |name: &str| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':' || c == '-')
    };
    let mut levels = 0;
    for part in filter.split(',') {
        match part.split_once('=') {
            None if is_level(part) => levels += 1,
            Some((name, level)) if is_part(name) && is_level(level) => {}
            None | Some(_) => {
                return Err(format!(
                    "\"{part}\" is no level; write {}, or a part of the program and a level: transaction=debug",
                    LEVELS.join(", ")
                ));
            }
        }
    }
    match levels {
        1 => Ok(()),
        _ => {
            Err("write one level for all parts, and then others for some: info,transaction=debug".to_owned())
        }
    }
}

/// Whether a person reads the log who has not asked for plain text (no-color.org): a file keeps no colours.
fn has_colours() -> bool {
    let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stderr().is_terminal() && !wants_none
}

/// A level as the filter writes it.
fn word(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    }
}

/// Changes the filter of the log that was started.
struct Change {
    change: Box<dyn Fn(EnvFilter) -> bool + Send + Sync>,
    /// The environment has chosen the first one.
    is_fixed: bool,
}

static CHANGE: OnceLock<Change> = OnceLock::new();
const VARIABLE: &str = "CARILLON_LOG";
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_one_level_and_levels_of_parts() {
        for filter in ["info", "off", "warn,transaction=debug", "shell::driver=trace,info"] {
            assert_eq!(check(filter), Ok(()), "{filter}");
        }
        for filter in [
            "",
            "inof",
            "transaction=debug",
            "info,warn",
            "info,transaction",
            "info,a b=debug",
            "info,=debug",
        ] {
            assert!(check(filter).is_err(), "{filter}");
        }
        assert_eq!(filter_of(LogLevel::Warn, true), "warn,transaction=debug");
    }
}
