//! What a person reads. A reader that has gone (`ims demo | head`) is no reason to complain.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes `text` to standard output as it is.
pub fn show(text: impl Display) {
    let mut out = io::stdout().lock();
    // Nothing can be told to somebody who has stopped reading; the exit status still tells how the command went.
    let _ = write!(out, "{text}").and_then(|()| out.flush());
}

/// Writes `text` to standard output as a line.
pub fn line(text: impl Display) {
    show(format_args!("{text}\n"));
}

/// Writes `text` to standard error as a line.
pub fn complain(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
