//! Messages out of a byte stream, by Content-Length (RFC 3261 §18.3, §7.5), and the keep-alive of RFC 5626 §4.4.1.

use crate::grammar;
use crate::name::Name;
use crate::parse::Limits;

/// Puts a stream's bytes together and cuts them into messages.
///
/// It holds at most one message of [`Limits::message_bytes`] plus what one `push` brought. After an error the stream
/// has lost its frame, and every further call repeats the error: close the connection.
#[derive(Clone, Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Up to here the buffer was given out.
    start: usize,
    /// Up to here the end of the headers was looked for.
    scanned: usize,
    /// Whether the last thing given out was one line end, which the next may make a ping.
    pong_pending: bool,
    broken: Option<FramingReason>,
}

/// What a stream carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One message, for [`Message::parse`](crate::Message::parse).
    Message(Vec<u8>),
    /// Two line ends: answer with one.
    KeepAlivePing,
    /// One line end.
    KeepAlivePong,
}

/// The frame of a stream was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FramingError {
    /// Why.
    pub reason: FramingReason,
    /// The head of the message where that happened, so that it can be answered before the connection is closed.
    pub head: Vec<u8>,
}

/// Why a frame was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FramingReason {
    /// The headers, or headers and body, pass [`Limits::message_bytes`].
    TooLarge,
    /// No Content-Length, which a stream needs (RFC 3261 §20.14).
    ContentLengthMissing,
    /// Content-Length is no number, or two of them differ.
    ContentLength,
}

impl Framer {
    /// A framer of a new stream.
    pub fn new() -> Framer {
        Framer::default()
    }

    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.broken.is_some() {
            return;
        }
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame; `None` until more bytes come. Call it until it gives `None` after each `push`.
    pub fn next(&mut self, limits: &Limits) -> Result<Option<Frame>, FramingError> {
        if let Some(reason) = self.broken {
            return Err(FramingError { reason, head: Vec::new() });
        }
        if let Some(keep_alive) = self.keep_alive() {
            return Ok(Some(keep_alive));
        }
        let rest = &self.buffer[self.start..];
        let Some(body_start) = headers_end(rest, self.scanned - self.start) else {
            // The last three bytes may be the beginning of an end.
            self.scanned = self.buffer.len().saturating_sub(3).max(self.start);
            if rest.len() > limits.message_bytes {
                return Err(self.lose(FramingReason::TooLarge, rest.len()));
            }
            return Ok(None);
        };
        let body_bytes = match content_length(&rest[..body_start]) {
            Ok(body_bytes) => body_bytes,
            Err(reason) => return Err(self.lose(reason, body_start)),
        };
        let message_bytes = body_start.saturating_add(body_bytes as usize);
        if message_bytes > limits.message_bytes {
            return Err(self.lose(FramingReason::TooLarge, body_start));
        }
        if rest.len() < message_bytes {
            return Ok(None);
        }
        let message = rest[..message_bytes].to_vec();
        self.pong_pending = false;
        self.advance(message_bytes);
        Ok(Some(Frame::Message(message)))
    }

    /// How many bytes wait for more.
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Takes line ends before a start line.
    ///
    /// A lone CRLF is given out at once, because nothing may ever follow it; should the second half of a ping follow
    /// in another segment, it is given out then.
    fn keep_alive(&mut self) -> Option<Frame> {
        match self.buffer[self.start..] {
            [b'\r', b'\n', b'\r', b'\n', ..] => {
                self.pong_pending = false;
                self.advance(4);
                Some(Frame::KeepAlivePing)
            }
            [b'\r', b'\n', ref rest @ ..] => {
                if matches!(rest, [b'\r']) {
                    return None;
                }
                let is_second_half = std::mem::take(&mut self.pong_pending);
                self.pong_pending = !is_second_half && rest.is_empty();
                self.advance(2);
                Some(if is_second_half { Frame::KeepAlivePing } else { Frame::KeepAlivePong })
            }
            _ => None,
        }
    }

    fn advance(&mut self, bytes: usize) {
        self.start += bytes;
        self.scanned = self.start;
    }

    fn lose(&mut self, reason: FramingReason, head_bytes: usize) -> FramingError {
        self.broken = Some(reason);
        let head = self.buffer[self.start..self.start + head_bytes].to_vec();
        self.buffer = Vec::new();
        (self.start, self.scanned) = (0, 0);
        FramingError { reason, head }
    }
}

/// Where the body begins: behind the first empty line at or after `from`.
fn headers_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr::memchr(b'\n', &bytes[at..])? + 1;
        match bytes[at..] {
            [b'\r', b'\n', ..] => return Some(at + 2),
            [b'\n', ..] => return Some(at + 1),
            _ => {}
        }
    }
}

fn content_length(head: &[u8]) -> Result<u32, FramingReason> {
    let mut found = None;
    let mut at = memchr::memchr(b'\n', head).map_or(head.len(), |end| end + 1);
    while at < head.len() {
        let line = &head[at..];
        let mut end = 0;
        loop {
            end += memchr::memchr(b'\n', &line[end..]).map_or(line.len() - end, |end| end + 1);
            if !matches!(line.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        at += end;
        let (name, value) = grammar::take_token(&line[..end]);
        if Name::from_bytes(name) != Name::ContentLength {
            continue;
        }
        let Some(value) = grammar::trim(value).strip_prefix(b":") else { continue };
        let length = grammar::number(grammar::trim(value)).ok_or(FramingReason::ContentLength)?;
        if found.is_some_and(|earlier| earlier != length) {
            return Err(FramingReason::ContentLength);
        }
        found = Some(length);
    }
    found.ok_or(FramingReason::ContentLengthMissing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &[u8] = b"OPTIONS sip:a SIP/2.0\r\nCall-ID: 1\r\nContent-Length : \r\n 3\r\n\r\nabc";
    const SECOND: &[u8] = b"SIP/2.0 200 OK\r\nl:0\r\n\r\n";

    fn frames(framer: &mut Framer) -> Vec<Frame> {
        std::iter::from_fn(|| framer.next(&Limits::default()).expect("the frame holds")).collect()
    }

    #[test]
    fn messages_come_out_whole_however_the_stream_is_cut() {
        let stream = [FIRST, SECOND, b"\r\n\r\n", FIRST].concat();
        let expected = [
            Frame::Message(FIRST.to_vec()),
            Frame::Message(SECOND.to_vec()),
            Frame::KeepAlivePing,
            Frame::Message(FIRST.to_vec()),
        ];
        for size in [1, 2, 3, 5, 7, 64, stream.len()] {
            let mut framer = Framer::new();
            let mut seen = Vec::new();
            for chunk in stream.chunks(size) {
                framer.push(chunk);
                seen.extend(frames(&mut framer));
            }
            // A ping cut in two shows as a pong first.
            seen.retain(|frame| *frame != Frame::KeepAlivePong);
            assert_eq!(seen, expected, "in pieces of {size}");
            assert_eq!(framer.pending_bytes(), 0);
        }
    }

    #[test]
    fn line_ends_are_keep_alive() {
        let mut framer = Framer::new();
        framer.push(b"\r\n\r\n\r\n");
        assert_eq!(frames(&mut framer), [Frame::KeepAlivePing, Frame::KeepAlivePong]);
        framer.push(SECOND);
        assert_eq!(frames(&mut framer), [Frame::Message(SECOND.to_vec())]);
        framer.push(b"\r\n");
        assert_eq!(frames(&mut framer), [Frame::KeepAlivePong]);
        framer.push(b"\r\n");
        assert_eq!(frames(&mut framer), [Frame::KeepAlivePing]);
    }

    #[test]
    fn a_lost_frame_stays_lost_and_gives_the_head_back() {
        let cases: [(&[u8], FramingReason); 4] = [
            (b"OPTIONS sip:a SIP/2.0\r\nTo: x\r\n\r\n", FramingReason::ContentLengthMissing),
            (b"OPTIONS sip:a SIP/2.0\r\nl: -1\r\n\r\n", FramingReason::ContentLength),
            (b"OPTIONS sip:a SIP/2.0\r\nl: 1\r\nContent-Length: 2\r\n\r\n", FramingReason::ContentLength),
            (b"OPTIONS sip:a SIP/2.0\r\nl: 4294967295\r\n\r\n", FramingReason::TooLarge),
        ];
        for (head, reason) in cases {
            let mut framer = Framer::new();
            framer.push(head);
            let error = framer.next(&Limits::default()).expect_err("lost");
            assert_eq!(error, FramingError { reason, head: head.to_vec() });
            framer.push(SECOND);
            assert_eq!(framer.next(&Limits::default()).map_err(|error| error.reason), Err(reason));
            assert_eq!(framer.pending_bytes(), 0);
        }
    }

    #[test]
    fn headers_without_end_do_not_grow_without_end() {
        let mut framer = Framer::new();
        framer.push(&vec![b'x'; 65_535]);
        assert_eq!(framer.next(&Limits::default()), Ok(None));
        framer.push(b"x");
        assert_eq!(
            framer.next(&Limits::default()).map_err(|error| error.reason),
            Err(FramingReason::TooLarge)
        );
    }
}
