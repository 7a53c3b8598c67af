//! How a command ends, as a shell sees it.

use std::fmt;
use std::process::ExitCode;

/// Why a command did not do what was asked. Each kind has its own exit status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The network, or the other end, refused.
    Failed(String),
    /// The command line or the configuration is wrong: nothing was sent.
    Usage(String),
    /// Nobody is there.
    Unreachable(String),
    /// Nobody answered in time.
    Timeout(String),
}

impl Failure {
    /// The exit status: 1 failed, 2 usage or configuration, 3 unreachable, 4 timeout.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Failed(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Unreachable(_) => 3,
            Failure::Timeout(_) => 4,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Failed(why) | Failure::Usage(why) => f.write_str(why),
            Failure::Unreachable(why) => write!(f, "unreachable: {why}"),
            Failure::Timeout(why) => write!(f, "timeout: {why}"),
        }
    }
}
