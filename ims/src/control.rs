//! Commands to the running processes of a core, over their control channels.

use crate::arguments::{Core, Counters, Log, Reload};
use crate::exit::Failure;
use crate::screen;
use crate::settings;
use cscf::config::Config;
use cscf::wording::{Outcome, Reply};
use shell::control::{Connection, Unanswered, private_directory, socket_path};
use std::path::PathBuf;
use std::time::Duration;

/// The processes that take commands, by the names of their sockets.
pub const PROCESSES: [&str; 4] = [HSS, SCSCF, "icscf", PCSCF];
/// The P-CSCF.
pub const PCSCF: &str = "pcscf";
/// The HSS.
pub const HSS: &str = "hss-mock";
/// The S-CSCF.
pub const SCSCF: &str = "scscf";

/// Where the sockets of a core are: where its configuration says, or where `ims dev` then has them.
pub fn directory(config: &Config) -> PathBuf {
    config.control.path.clone().unwrap_or_else(|| {
        let first = config.pcscf.listen.first().map(|local| local.address.to_string());
        private_directory(&first.unwrap_or_default().replace(':', "_"))
    })
}

/// A conversation with one process of a running core.
pub struct Conversation(Connection);

impl Conversation {
    /// Begins one; `within` is for all of it.
    pub fn begin(config: &Config, process: &str, within: Duration) -> Result<Conversation, Failure> {
        let path = socket_path(&directory(config), process);
        Connection::open(&path, within).map(Conversation).map_err(|unanswered| failure(process, unanswered))
    }

    /// Asks one line; what there is to show.
    pub fn ask(&mut self, process: &str, line: &str) -> Result<Vec<String>, Failure> {
        let Reply { lines, outcome } = self.0.ask(line).map_err(|unanswered| failure(process, unanswered))?;
        let failure = match outcome {
            Outcome::Done => return Ok(lines),
            Outcome::Failed(why) => Failure::Failed(format!("{process}: {why}")),
            Outcome::Usage(why) => Failure::Usage(format!("{process}: {why}")),
            Outcome::Unreachable(why) => Failure::Unreachable(format!("{process}: {why}")),
            Outcome::Timeout(why) => Failure::Timeout(format!("{process}: {why}")),
        };
        lines.iter().for_each(|line| screen::complain(format_args!("{process}: {line}")));
        Err(failure)
    }
}

/// Asks one line of a process of a running core; what there is to show.
pub fn ask(config: &Config, process: &str, line: &str, within: Duration) -> Result<Vec<String>, Failure> {
    Conversation::begin(config, process, within)?.ask(process, line)
}

fn failure(process: &str, unanswered: Unanswered) -> Failure {
    match unanswered {
        Unanswered::Unreachable(why) => {
            Failure::Unreachable(format!("{process}: {why}; is it running, with the same `[control] path`?"))
        }
        Unanswered::Timeout => Failure::Timeout(format!("{process}: {unanswered}")),
        Unanswered::Nonsense => Failure::Failed(format!("{process}: {unanswered}")),
    }
}

/// Carries out `ims reload`.
pub fn reload(reload: &Reload) -> Result<(), Failure> {
    each(&reload.core, &PROCESSES, "reload")
}

/// Carries out `ims counters`.
pub fn counters(counters: &Counters) -> Result<(), Failure> {
    match &counters.process {
        Some(process) => each(&counters.core, &[process.as_str()], "counters"),
        None => each(&counters.core, &PROCESSES, "counters"),
    }
}

/// Carries out `ims log`.
pub fn log(log: &Log) -> Result<(), Failure> {
    let line = format!("log {}", word(&log.filter)?);
    match &log.process {
        Some(process) => each(&log.core, &[process.as_str()], &line),
        None => each(&log.core, &PROCESSES, &line),
    }
}

/// Asks one line of each process, whatever another one says.
fn each(core: &Core, processes: &[&str], line: &str) -> Result<(), Failure> {
    let config = settings::read(core.config.as_deref())?;
    let mut told = Ok(());
    for process in processes {
        match ask(&config, process, line, core.timeout) {
            Ok(lines) => lines.iter().for_each(|line| screen::line(format_args!("{process}: {line}"))),
            Err(failure) => {
                if told.is_ok() {
                    told = Err(failure);
                } else {
                    screen::complain(format_args!("ims: {failure}"));
                }
            }
        }
    }
    told
}

/// A word of a command line as one word of a command.
pub fn word(text: &str) -> Result<&str, Failure> {
    match text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        true => Err(Failure::Usage(format!("{text:?} is not one word"))),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cscf::identity::Plmn;

    #[test]
    fn a_core_without_a_configured_place_has_one_of_its_own() {
        let mut config = Config::lab(&Plmn::test());
        assert!(directory(&config).ends_with("127.0.0.10_5060"), "{:?}", directory(&config));
        config.control.path = Some("run".into());
        assert_eq!(directory(&config), PathBuf::from("run"));
    }

    #[test]
    fn a_core_that_does_not_run_is_unreachable() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = Config::lab(&Plmn::test());
        config.control.path = Some(folder.path().to_owned());
        let failure = ask(&config, HSS, "list", Duration::from_secs(1)).expect_err("nobody is there");
        assert!(matches!(&failure, Failure::Unreachable(why) if why.contains("hss-mock.sock")), "{failure}");
    }
}
