//! A configuration that was edited while the process runs (SIGHUP, `ims reload`).
//!
//! The whole file is read and checked, with the files of TLS that it names, and any error refuses all of it. What can
//! change in a running process does: the level of the log, certificates and trust anchors. The other keys that differ are named, and wait for a restart.

use crate::logging;
use crate::tls::Tls;
use cscf::config::{Config, LogLevel};
use cscf::wording::{Outcome, Reply};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// The configuration that a process runs with, and the file that it came from.
#[derive(Debug)]
pub struct Reload {
    running: Arc<Config>,
    /// `None` for a configuration that is built in.
    file: Option<PathBuf>,
    level: Mutex<LogLevel>,
    tls: Option<Tls>,
}

impl Reload {
    /// Of a process that has started with `running`.
    pub fn new(running: Arc<Config>, file: Option<PathBuf>) -> Reload {
        let level = Mutex::new(running.log.level);
        Reload { running, file, level, tls: None }
    }

    /// Of a process that has read the files of `[tls]`.
    pub fn with_tls(self, tls: Option<Tls>) -> Reload {
        Reload { tls, ..self }
    }

    /// Reads and checks the file, takes over what can be taken over, and tells the rest.
    pub fn reload(&self) -> Reply {
        let Some(file) = &self.file else {
            return Reply::of(Outcome::Failed("the process runs without a configuration file".to_owned()));
        };
        let shown = file.display().to_string();
        let edited = std::fs::read_to_string(file)
            .map_err(|error| vec![format!("{shown}: {error}")])
            .and_then(|text| {
                Config::parse(&text, &shown)
                    .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())
            })
            .and_then(|edited| {
                let files = self.tls.as_ref().map(|tls| tls.reread(&edited.tls)).transpose();
                let files = files.map_err(|error| vec![error.to_string()])?;
                Ok((edited, files))
            });
        match edited {
            Ok((edited, files)) => {
                let mut lines = self.take_over(&edited, files.is_some());
                if let (Some(tls), Some(files)) = (&self.tls, files) {
                    tls.take_over(files);
                    lines.push(
                        "tls: certificates and trust anchors are read, for handshakes from here on"
                            .to_owned(),
                    );
                }
                if lines.is_empty() {
                    lines.push("nothing has changed".to_owned());
                }
                tracing::debug!("the configuration was read again");
                Reply::done(lines)
            }
            Err(lines) => {
                let why = "the configuration has errors: nothing of it is taken over".to_owned();
                Reply { lines, outcome: Outcome::Failed(why) }
            }
        }
    }

    /// Logs by another filter until it is told again: `configured` is what the file said last.
    pub fn log(&self, filter: &str) -> Reply {
        let level = *self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let configured = logging::filter_of(level, self.running.log.transactions);
        let wanted = if filter == "configured" { configured.as_str() } else { filter };
        match logging::set_filter(wanted) {
            Ok(()) => Reply::done([format!("logs by {wanted}")]),
            Err(why) => Reply::of(Outcome::Usage(why)),
        }
    }

    fn take_over(&self, edited: &Config, has_files: bool) -> Vec<String> {
        let mut lines = Vec::new();
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        if *level != edited.log.level {
            *level = edited.log.level;
            lines.push(match logging::set_configured(edited.log.level, self.running.log.transactions) {
                true => format!("{LEVEL}: in effect"),
                false => format!("{LEVEL}: the environment has the last word on it"),
            });
        }
        let waiting = self.running.changed_keys(edited).into_iter().filter(|key| key != LEVEL);
        let waiting = waiting.filter(|key| !has_files || !TLS_FILES.contains(&key.as_str()));
        lines.extend(waiting.map(|key| format!("{key}: takes effect with a restart")));
        lines
    }
}

/// The level of the log.
const LEVEL: &str = "log.level";
/// The files that a process takes over which has read some at its start.
const TLS_FILES: [&str; 3] = ["tls.certificate", "tls.key", "tls.trust_anchors"];

#[cfg(test)]
mod tests {
    use super::*;

    const PLMN: &str = "[plmn]\nmcc = \"001\"\nmnc = \"01\"\n";

    /// What a reload says of a file that was edited.
    fn edited(more: &str) -> Reply {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("lab.toml");
        let running = Config::parse(PLMN, "lab.toml").unwrap();
        std::fs::write(&file, format!("{PLMN}{more}")).unwrap();
        Reload::new(Arc::new(running), Some(file)).reload()
    }

    #[test]
    fn a_valid_file_names_what_waits_for_a_restart() {
        assert_eq!(edited(""), Reply::done(["nothing has changed".to_owned()]));
        let reply = edited("[scscf]\nexpires_min = \"90s\"\n[log]\nlevel = \"debug\"\n");
        assert_eq!(reply.outcome, Outcome::Done);
        assert!(reply.lines[0].starts_with("log.level: "), "{reply}");
        assert_eq!(reply.lines[1..], ["scscf.expires_min: takes effect with a restart"]);
    }

    #[test]
    fn one_error_refuses_the_whole_file_and_is_named() {
        let reply = edited("[log]\nlevel = \"debug\"\n[scscf]\nexpires_mim = \"90s\"\n");
        assert!(matches!(reply.outcome, Outcome::Failed(_)), "{reply}");
        assert_eq!(reply.lines.len(), 1);
        assert!(reply.lines[0].contains("lab.toml:7:1: scscf.expires_mim: unknown key"), "{reply}");
    }

    #[test]
    fn a_file_that_is_gone_or_never_was_is_told() {
        let running = Arc::new(Config::parse(PLMN, "lab.toml").unwrap());
        let gone = Reload::new(Arc::clone(&running), Some("/nowhere/lab.toml".into())).reload();
        assert!(gone.lines[0].starts_with("/nowhere/lab.toml: "), "{gone}");
        assert!(matches!(Reload::new(running, None).reload().outcome, Outcome::Failed(_)));
    }
}
