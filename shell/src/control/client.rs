//! The other end of a control channel: asks, and waits for the reply.

use super::{LINE_MAX, place};
use cscf::wording::Reply;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Nobody listens at the socket, or it is not to be trusted.
    Unreachable(String),
    /// The reply did not come in time.
    Timeout,
    /// What came is no reply.
    Nonsense,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unanswered::Unreachable(why) => f.write_str(why),
            Unanswered::Timeout => f.write_str("no reply in time"),
            Unanswered::Nonsense => f.write_str("what came back is no reply"),
        }
    }
}

impl std::error::Error for Unanswered {}

/// A connection with the control channel of a process.
#[derive(Debug)]
pub struct Connection {
    path: PathBuf,
    stream: BufReader<UnixStream>,
    until: Instant,
}

impl Connection {
    /// Connects to the socket at `path`; `within` is for all that is then asked.
    pub fn open(path: &Path, within: Duration) -> Result<Connection, Unanswered> {
        let unreachable = |why: String| Unanswered::Unreachable(format!("{}: {why}", path.display()));
        let directory = path.parent().unwrap_or(Path::new("."));
        if !path.exists() {
            return Err(unreachable("nobody takes commands there".to_owned()));
        }
        // A line may hold keys: they are not for whoever made a socket of this name.
        place::check(directory).map_err(unreachable)?;
        let stream = UnixStream::connect(path).map_err(|error| unreachable(error.to_string()))?;
        Ok(Connection {
            path: path.to_owned(),
            stream: BufReader::new(stream),
            until: Instant::now() + within,
        })
    }

    /// Asks one line.
    pub fn ask(&mut self, line: &str) -> Result<Reply, Unanswered> {
        if line.len() >= LINE_MAX || line.contains('\n') {
            let why = "the command is too long, or has several lines";
            return Err(Unanswered::Unreachable(why.to_owned()));
        }
        match self.exchange(line) {
            Ok(text) => Reply::read(&text).ok_or(Unanswered::Nonsense),
            Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
                Err(Unanswered::Timeout)
            }
            Err(error) => Err(Unanswered::Unreachable(format!("{}: {error}", self.path.display()))),
        }
    }

    fn exchange(&mut self, line: &str) -> io::Result<String> {
        self.stream.get_ref().set_write_timeout(Some(self.left()?))?;
        self.stream.get_mut().write_all(format!("{line}\n").as_bytes())?;
        let mut text = String::new();
        loop {
            self.stream.get_ref().set_read_timeout(Some(self.left()?))?;
            let start = text.len();
            if self.stream.by_ref().take(LINE_MAX as u64).read_line(&mut text)? == 0 {
                return Ok(text);
            }
            // Lines to show have a bar in front; the outcome ends the reply.
            if !text[start..].starts_with('|') {
                return Ok(text);
            }
            if text.len() > REPLY_MAX {
                return Err(io::Error::other("the reply is too long"));
            }
        }
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// Bytes of a reply that are read: the names of a million subscribers.
const REPLY_MAX: usize = 64 << 20;
