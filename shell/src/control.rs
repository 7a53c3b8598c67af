//! The control channel: a Unix-domain socket at which a person commands a running process.
//!
//! One line asks, a [`Reply`] answers, one connection at a time. What a line means is the [`Wording`]'s to say; five words
//! are every process's own: `help`, `counters`, `log`, `recorded` and `reload`. The socket is its owner's alone (0600): who may
//! write to it may read and change subscribers.

mod client;
mod place;

pub use client::{Connection, Unanswered};
pub use place::{private_directory, socket_path};

use crate::driver::Operator;
use crate::reload::Reload;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cscf::node::Count;
use cscf::wording::{Outcome, Reply, Wording};
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A control channel that is open; dropping it closes it and removes the socket.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Why a control channel could not be opened.
#[derive(Debug)]
pub struct ControlError {
    path: PathBuf,
    reason: String,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ControlError { path, reason } = self;
        write!(f, "cannot take commands at {}: {reason}; check `control.path`", path.display())
    }
}

impl std::error::Error for ControlError {}

/// A control channel that nobody serves yet: who asks meanwhile is answered when it is.
#[derive(Debug)]
pub struct ControlSocket {
    name: String,
    path: PathBuf,
    listener: UnixListener,
}

impl ControlSocket {
    /// Opens the socket of the process `name` in `directory`, which is made when it is not there.
    pub fn bind(directory: &Path, name: &str) -> Result<ControlSocket, ControlError> {
        let path = socket_path(directory, name);
        let error = |reason: String| ControlError { path: path.clone(), reason };
        place::prepare(directory).map_err(error)?;
        let listener = place::bind(&path).map_err(error)?;
        listener.set_nonblocking(true).map_err(|failure| error(failure.to_string()))?;
        Ok(ControlSocket { name: name.to_owned(), path, listener })
    }

    /// It cannot be served.
    pub(crate) fn error(&self, reason: &io::Error) -> ControlError {
        ControlError { path: self.path.clone(), reason: reason.to_string() }
    }

    /// Serves it: lines become commands of `operator` and `reload`.
    pub fn serve<C, N>(
        self,
        operator: Operator<C, N>,
        wording: Wording<C, N>,
        reload: Arc<Reload>,
    ) -> Result<Control, ControlError>
    where
        C: Clone + Send + 'static,
        N: Send + 'static,
    {
        let ControlSocket { name, path, listener } = self;
        let stop = Arc::new(AtomicBool::new(false));
        let desk = Desk { operator, wording, reload, given: 0, stop: Arc::clone(&stop) };
        let thread = std::thread::Builder::new()
            .name(format!("{name}-control"))
            .spawn(move || desk.serve(&listener))
            .map_err(|failure| ControlError { path: path.clone(), reason: failure.to_string() })?;
        Ok(Control { path, stop, thread: Some(thread) })
    }
}

impl Control {
    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if std::fs::remove_file(&self.path).is_err() {
            tracing::debug!(path = %self.path.display(), "the control socket is gone already");
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the control channel panicked");
        }
    }
}

/// Where commands are taken and answered.
struct Desk<C, N> {
    operator: Operator<C, N>,
    wording: Wording<C, N>,
    reload: Arc<Reload>,
    /// How many commands the machine was given.
    given: u64,
    stop: Arc<AtomicBool>,
}

impl<C: Clone, N> Desk<C, N> {
    fn serve(mut self, listener: &UnixListener) {
        while !self.stop.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, _)) => {
                    if let Err(error) = self.attend(&stream) {
                        tracing::debug!(%error, "a control connection has ended");
                    }
                }
                // Nobody is there. Notices that nobody asked for are read here, lest they pile up.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let _ = self.operator.notices.recv_timeout(LOOK);
                    while self.operator.notices.try_recv().is_ok() {}
                    if self.operator.is_gone() {
                        std::thread::sleep(LOOK);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the control channel cannot accept");
                    std::thread::sleep(LOOK);
                }
            }
        }
    }

    /// Serves one connection until its end.
    fn attend(&mut self, stream: &UnixStream) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(IDLE_MAX))?;
        let mut reader = BufReader::new(stream);
        let mut writer = stream;
        while let Some(line) = self.next_line(&mut reader)? {
            let reply = match String::from_utf8(line) {
                Ok(line) => self.reply(line.trim()),
                Err(_) => Reply::of(Outcome::Usage("the line is not UTF-8".to_owned())),
            };
            writer.write_all(reply.to_string().as_bytes())?;
        }
        Ok(())
    }

    /// The next line without its end; `None` when the peer has closed, is silent, or the process stops.
    fn next_line(&self, reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
        let until = Instant::now() + IDLE_MAX;
        let mut line = Vec::new();
        loop {
            let room = (LINE_MAX - line.len()) as u64;
            match reader.by_ref().take(room).read_until(b'\n', &mut line) {
                Ok(_) if line.last() == Some(&b'\n') => {
                    line.pop();
                    return Ok(Some(line));
                }
                Ok(_) if line.len() == LINE_MAX => return Err(io::Error::other("a line is too long")),
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
            if Instant::now() >= until || self.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
        }
    }

    fn reply(&mut self, line: &str) -> Reply {
        match line {
            "help" => {
                let own = ["counters", "recorded SHARD AFTER", "log FILTER | configured", "reload", "help"];
                let own = own.map(str::to_owned);
                Reply::done(self.wording.help.iter().map(|line| (*line).to_owned()).chain(own))
            }
            "counters" => {
                let counters = self.operator.counters(COMMAND_MAX);
                let line = |Count { name, cause, count }| format!("{name}: {cause}: {count}");
                Reply::done(counters.into_iter().map(line))
            }
            "reload" => self.reload.reload(),
            _ if line.starts_with("log ") => self.reload.log(line.trim_start_matches("log ").trim()),
            _ if line.starts_with("recorded ") => self.recorded(line),
            _ => match (self.wording.read)(line) {
                Ok(command) => self.carry_out(command),
                Err(why) => Reply::of(Outcome::Usage(why)),
            },
        }
    }

    /// How many shards there are, and a chunk of what one of them has recorded, in base64.
    fn recorded(&self, line: &str) -> Reply {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (shard, after) = (words.next().map(str::parse), words.next().map(str::parse));
        let (Some(Ok(shard)), Some(Ok(after)), None) = (shard, after, words.next()) else {
            let why = "write: recorded SHARD AFTER, with the number of the entry that was read last";
            return Reply::of(Outcome::Usage(why.to_owned()));
        };
        let shards = self.operator.shards().to_string();
        match self.operator.recorded(shard, after, COMMAND_MAX) {
            Some(chunk) => Reply::done([shards, BASE64.encode(chunk)]),
            None => Reply::done([shards]),
        }
    }

    /// Gives the machine a command, and waits for what it says of it: each shard once.
    fn carry_out(&mut self, command: C) -> Reply {
        // What was said before is about something else.
        while self.operator.notices.try_recv().is_ok() {}
        if self.operator.command(command.clone()).is_err() {
            return Reply::of(Outcome::Unreachable("the process is stopping, or too busy".to_owned()));
        }
        self.given += 1;
        let until = Instant::now() + COMMAND_MAX;
        let mut replies = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            match self.operator.notices.recv_timeout(LOOK) {
                Ok(notice) => replies.extend((self.wording.tell)(&command, self.given, &notice)),
                Err(_) if self.operator.is_gone() => break,
                Err(_) => {}
            }
            if replies.len() >= self.operator.shards() {
                return merged(replies);
            }
            if Instant::now() >= until {
                let why = format!("nothing came of it within {} s", COMMAND_MAX.as_secs());
                replies.push(Reply::of(Outcome::Timeout(why)));
                return merged(replies);
            }
        }
        Reply::of(Outcome::Unreachable("the process has stopped".to_owned()))
    }
}

/// Reads the second line of a reply to `recorded`.
pub fn read_recorded(line: &str) -> Option<recorder::Chunk> {
    recorder::read_chunk(&BASE64.decode(line).ok()?).ok()
}

/// One reply of those of all shards. A user is known to one shard alone, so that who has done it outweighs who could
/// not; what is shown is what all of them show, in the order of its text where there are several.
fn merged(replies: Vec<Reply>) -> Reply {
    let weight = |outcome: &Outcome| match outcome {
        Outcome::Done => 0,
        Outcome::Timeout(_) => 1,
        Outcome::Unreachable(_) => 2,
        Outcome::Failed(_) => 3,
        Outcome::Usage(_) => 4,
    };
    let several = replies.len() > 1;
    let mut merged = Reply::of(Outcome::Usage("nobody has answered".to_owned()));
    for Reply { lines, outcome } in replies {
        merged.lines.extend(lines);
        if weight(&outcome) < weight(&merged.outcome) {
            merged.outcome = outcome;
        }
    }
    if several {
        merged.lines.sort();
    }
    merged
}

/// The longest line: a subscription with a profile of some hundred criteria.
pub const LINE_MAX: usize = 1 << 20;
/// How long a connection may be silent: meanwhile it keeps others waiting.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// How long a command may take; longer than Diameter waits for an S-CSCF.
const COMMAND_MAX: Duration = Duration::from_secs(30);
/// How often the wish to stop is looked at.
const LOOK: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
