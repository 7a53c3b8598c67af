//! The words in which a person commands a running machine: one line asks, a few lines reply.
//!
//! Each role that takes commands has a [`Wording`]: plain functions from a line to its command, and from its notice to
//! a [`Reply`]. How lines travel is the driver's business.

use std::convert::Infallible;
use std::fmt::{self, Write};

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It was refused, or is done only in part.
    Failed(String),
    /// The line is none that the machine understands: nothing was done.
    Usage(String),
    /// Whom it had to reach could not be reached.
    Unreachable(String),
    /// The answer to it did not come in time.
    Timeout(String),
}

/// What a person reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What there is to show, line by line.
    pub lines: Vec<String>,
    /// How the command ended.
    pub outcome: Outcome,
}

impl Reply {
    /// Done, with something to show.
    pub fn done(lines: impl IntoIterator<Item = String>) -> Reply {
        Reply { lines: lines.into_iter().collect(), outcome: Outcome::Done }
    }

    /// Ended as told, with nothing to show.
    pub fn of(outcome: Outcome) -> Reply {
        Reply { lines: Vec::new(), outcome }
    }

    /// Reads what [`Reply`] prints; `None` when it is cut short or something else.
    pub fn read(text: &str) -> Option<Reply> {
        let mut lines = Vec::new();
        let mut rest = text.strip_suffix('\n')?.split('\n');
        loop {
            let line = rest.next()?;
            if let Some(shown) = line.strip_prefix("| ") {
                lines.push(shown.to_owned());
                continue;
            }
            let (word, why) = line.split_once(' ').unwrap_or((line, ""));
            let why = why.to_owned();
            let outcome = match word {
                "done" => Outcome::Done,
                "failed" => Outcome::Failed(why),
                "usage" => Outcome::Usage(why),
                "unreachable" => Outcome::Unreachable(why),
                "timeout" => Outcome::Timeout(why),
                _ => return None,
            };
            return rest.next().is_none().then_some(Reply { lines, outcome });
        }
    }
}

impl fmt::Display for Reply {
    /// A line with a bar in front for each that there is to show, then the outcome on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            write_line(f, "|", line)?;
        }
        match &self.outcome {
            Outcome::Done => f.write_str("done\n"),
            Outcome::Failed(why) => write_line(f, "failed", why),
            Outcome::Usage(why) => write_line(f, "usage", why),
            Outcome::Unreachable(why) => write_line(f, "unreachable", why),
            Outcome::Timeout(why) => write_line(f, "timeout", why),
        }
    }
}

/// What a peer sent may be in the text: no character of it begins a line, or moves a cursor.
fn write_line(f: &mut fmt::Formatter<'_>, word: &str, text: &str) -> fmt::Result {
    write!(f, "{word} ")?;
    for character in text.chars() {
        f.write_char(if character.is_control() { ' ' } else { character })?;
    }
    f.write_char('\n')
}

/// The words of one kind of machine, whose commands are `C` and whose notices are `N`.
#[derive(Clone, Copy, Debug)]
pub struct Wording<C, N> {
    /// What can be asked, one line each, for people.
    pub help: &'static [&'static str],
    /// The command that a line asks for, or what is wrong with the line.
    pub read: fn(&str) -> Result<C, String>,
    /// What a notice says of a command, which was the n-th that the machine was given (from 1); `None` when it is about
    /// something else.
    pub tell: fn(&C, u64, &N) -> Option<Reply>,
}

impl Wording<Infallible, Infallible> {
    /// Of a machine that takes no commands.
    pub const NONE: Wording<Infallible, Infallible> = Wording {
        help: &[],
        read: |_| Err("this process takes no commands of its own".to_owned()),
        tell: |command, _, _| match *command {},
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_as_it_was_written() {
        for (reply, text) in [
            (Reply::done(Vec::new()), "done\n"),
            (Reply::done(["a  b".to_owned(), String::new()]), "| a  b\n| \ndone\n"),
            (Reply::of(Outcome::Failed("it is so".to_owned())), "failed it is so\n"),
            (Reply::of(Outcome::Usage("x".to_owned())), "usage x\n"),
            (Reply::of(Outcome::Unreachable("x".to_owned())), "unreachable x\n"),
            (
                Reply { lines: vec!["done".to_owned()], outcome: Outcome::Timeout("x".to_owned()) },
                "| done\ntimeout x\n",
            ),
        ] {
            assert_eq!(reply.to_string(), text);
            assert_eq!(Reply::read(text), Some(reply));
        }
    }

    #[test]
    fn what_was_cut_short_or_goes_on_is_no_reply() {
        for text in ["", "done", "| a\n", "| a\ndon", "done\ndone\n", "well\n", "\n"] {
            assert_eq!(Reply::read(text), None, "{text:?}");
        }
    }

    #[test]
    fn text_from_a_peer_cannot_forge_an_outcome() {
        let forged = Reply {
            lines: vec!["x\ndone\u{1b}".to_owned()],
            outcome: Outcome::Failed("no\r\ndone".to_owned()),
        };
        assert_eq!(forged.to_string(), "| x done \nfailed no  done\n");
    }
}
