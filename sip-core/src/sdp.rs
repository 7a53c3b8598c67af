//! Session descriptions as lines over the body (RFC 8866), for policies that look and do not rewrite.

use std::ops::Range;

/// A session description, read tolerantly: unknown types and any order are kept.
#[derive(Clone, Copy, Debug)]
pub struct Sdp<'a> {
    body: &'a [u8],
}

/// Why a body is no session description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SdpError {
    /// It does not begin with `v=0`.
    Version,
    /// A line is not one letter, `=` and a value.
    Line,
    /// An `m=` line has less than media, port and protocol, or a port beyond 65 535.
    Media,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The letter before `=`.
    pub kind: u8,
    /// What stands behind it, without the line end.
    pub value: &'a [u8],
    /// The whole line in the body, line end included.
    pub range: Range<usize>,
}

/// One media description: its `m=` line and what follows up to the next.
#[derive(Clone, Copy, Debug)]
pub struct Media<'a> {
    body: &'a [u8],
    start: usize,
    end: usize,
    /// `audio`, `video`, `message` and so on.
    pub media: &'a [u8],
    /// The port; 0 refuses the stream (RFC 3264 §6).
    pub port: u16,
    /// `RTP/AVP` and so on.
    pub protocol: &'a [u8],
    /// The formats, separated by spaces.
    pub formats: &'a [u8],
}

/// A `c=` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection<'a> {
    /// `IP4` or `IP6`.
    pub address_type: &'a [u8],
    /// The address, without TTL and count.
    pub address: &'a [u8],
}

/// Who sends (RFC 8866 §6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both; also when nothing is said.
    SendRecv,
    /// The describing side only sends.
    SendOnly,
    /// The describing side only receives.
    RecvOnly,
    /// Nobody sends.
    Inactive,
}

impl<'a> Sdp<'a> {
    /// Reads a body: every line must be one, and every `m=` line must be readable.
    pub fn parse(body: &'a [u8]) -> Result<Sdp<'a>, SdpError> {
        let sdp = Sdp { body };
        let mut lines = Lines { body, at: 0, end: body.len() };
        let first = lines.next_line()?;
        if first.is_none_or(|line| line.kind != b'v' || line.value != b"0") {
            return Err(SdpError::Version);
        }
        while let Some(line) = lines.next_line()? {
            if line.kind == b'm' {
                read_media(line.value).ok_or(SdpError::Media)?;
            }
        }
        Ok(sdp)
    }

    /// Every line of the body.
    pub fn lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        lines(self.body, 0, self.body.len())
    }

    /// The lines before the first `m=`.
    pub fn session_lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        self.lines().take_while(|line| line.kind != b'm')
    }

    /// The session's `o=` line.
    pub fn origin(&self) -> Option<&'a [u8]> {
        self.session_lines().find(|line| line.kind == b'o').map(|line| line.value)
    }

    /// The session's `c=` line.
    pub fn connection(&self) -> Option<Connection<'a>> {
        self.session_lines().find(|line| line.kind == b'c').and_then(|line| read_connection(line.value))
    }

    /// The session's attributes: name, and value where there is a colon.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        self.session_lines().filter(|line| line.kind == b'a').map(|line| split_attribute(line.value))
    }

    /// The media descriptions in order.
    pub fn media(&self) -> impl Iterator<Item = Media<'a>> + use<'a> {
        let body = self.body;
        let mut starts = self.lines().filter(|line| line.kind == b'm').peekable();
        std::iter::from_fn(move || {
            let line = starts.next()?;
            let end = starts.peek().map_or(body.len(), |next| next.range.start);
            let (media, port, protocol, formats) = read_media(line.value)?;
            Some(Media { body, start: line.range.start, end, media, port, protocol, formats })
        })
    }
}

impl<'a> Media<'a> {
    /// The lines of this description, the `m=` line first.
    pub fn lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        lines(self.body, self.start, self.end)
    }

    /// Where the description lies in the body.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Its own `c=` line; the session's counts where there is none.
    pub fn connection(&self) -> Option<Connection<'a>> {
        self.lines().find(|line| line.kind == b'c').and_then(|line| read_connection(line.value))
    }

    /// Its `b=` lines as (modifier, value), such as (`AS`, `49`).
    pub fn bandwidths(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        self.lines().filter(|line| line.kind == b'b').filter_map(|line| match split_attribute(line.value) {
            (modifier, Some(value)) => Some((modifier, value)),
            (_, None) => None,
        })
    }

    /// Its attributes: name, and value where there is a colon.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        self.lines().filter(|line| line.kind == b'a').map(|line| split_attribute(line.value))
    }

    /// The first attribute of this name: its value, or `""` for a flag.
    pub fn attribute(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.attributes().find(|(found, _)| *found == name).map(|(_, value)| value.unwrap_or(b""))
    }

    /// Who sends, as far as this description says itself.
    pub fn direction(&self) -> Option<Direction> {
        self.attributes().find_map(|(name, _)| match name {
            b"sendrecv" => Some(Direction::SendRecv),
            b"sendonly" => Some(Direction::SendOnly),
            b"recvonly" => Some(Direction::RecvOnly),
            b"inactive" => Some(Direction::Inactive),
            _ => None,
        })
    }

    /// The formats one by one.
    pub fn each_format(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.formats.split(|byte| *byte == b' ').filter(|format| !format.is_empty())
    }
}

struct Lines<'a> {
    body: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Lines<'a> {
    /// The next line; empty lines are passed over, and the last one may lack its line end.
    fn next_line(&mut self) -> Result<Option<Line<'a>>, SdpError> {
        while self.at < self.end {
            let rest = &self.body[self.at..self.end];
            let (text, length) = match memchr::memchr(b'\n', rest) {
                Some(feed) => (rest[..feed].strip_suffix(b"\r").unwrap_or(&rest[..feed]), feed + 1),
                None => (rest, rest.len()),
            };
            let range = self.at..self.at + length;
            self.at += length;
            match text {
                [] => {}
                [kind, b'=', value @ ..] if kind.is_ascii_alphabetic() => {
                    return Ok(Some(Line { kind: *kind, value, range }));
                }
                _ => return Err(SdpError::Line),
            }
        }
        Ok(None)
    }
}

fn lines(body: &[u8], start: usize, end: usize) -> impl Iterator<Item = Line<'_>> {
    let mut lines = Lines { body, at: start, end };
    // `Sdp::parse` has seen every line, so none is an error.
    std::iter::from_fn(move || lines.next_line().ok().flatten())
}

/// Media, port, protocol and formats of an `m=` line.
type MediaLine<'a> = (&'a [u8], u16, &'a [u8], &'a [u8]);

fn read_media(value: &[u8]) -> Option<MediaLine<'_>> {
    let mut parts = value.splitn(4, |byte| *byte == b' ');
    let media = parts.next().filter(|media| !media.is_empty())?;
    // `port/count` announces several ports in a row.
    let port = parts.next()?.split(|byte| *byte == b'/').next()?;
    let port = crate::grammar::number(port).and_then(|port| u16::try_from(port).ok())?;
    let protocol = parts.next().filter(|protocol| !protocol.is_empty())?;
    Some((media, port, protocol, parts.next().unwrap_or_default()))
}

fn read_connection(value: &[u8]) -> Option<Connection<'_>> {
    let mut parts = value.split(|byte| *byte == b' ').filter(|part| !part.is_empty());
    let (Some(b"IN"), address_type, address) = (parts.next(), parts.next()?, parts.next()?) else {
        return None;
    };
    let address = address.split(|byte| *byte == b'/').next()?;
    Some(Connection { address_type, address })
}

fn split_attribute(value: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b':', value) {
        Some(colon) => (&value[..colon], Some(&value[colon + 1..])),
        None => (value, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &[u8] =
        b"v=0\r\no=- 1 1 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\na=x:1\r\n\
        m=audio 49170 RTP/AVP 0 97\r\nb=AS:49\r\na=rtpmap:97 AMR-WB/16000\r\na=sendonly\r\n\
        m=video 0/2 RTP/AVP 31\nc=IN IP4 192.0.2.1/127";

    #[test]
    fn media_lie_where_their_ranges_say() {
        let sdp = Sdp::parse(OFFER).unwrap();
        assert_eq!(sdp.origin(), Some(&b"- 1 1 IN IP6 2001:db8::1"[..]));
        assert_eq!(sdp.connection().unwrap().address, b"2001:db8::1");
        assert_eq!(sdp.attributes().collect::<Vec<_>>(), [(&b"x"[..], Some(&b"1"[..]))]);
        let media: Vec<_> = sdp.media().collect();
        let [audio, video] = &media[..] else { panic!("two descriptions") };
        assert_eq!((audio.media, audio.port, audio.protocol), (&b"audio"[..], 49170, &b"RTP/AVP"[..]));
        assert_eq!(audio.each_format().collect::<Vec<_>>(), [&b"0"[..], b"97"]);
        assert_eq!(audio.attribute(b"rtpmap"), Some(&b"97 AMR-WB/16000"[..]));
        assert_eq!(audio.direction(), Some(Direction::SendOnly));
        assert_eq!(audio.bandwidths().collect::<Vec<_>>(), [(&b"AS"[..], &b"49"[..])]);
        assert_eq!(audio.connection(), None);
        assert!(
            OFFER[audio.range()].starts_with(b"m=audio") && OFFER[audio.range()].ends_with(b"a=sendonly\r\n")
        );
        assert_eq!((video.port, video.direction()), (0, None));
        assert_eq!(video.connection(), Some(Connection { address_type: b"IP4", address: b"192.0.2.1" }));
    }

    #[test]
    fn a_body_that_is_no_description_is_refused() {
        assert_eq!(Sdp::parse(b"").err(), Some(SdpError::Version));
        assert_eq!(Sdp::parse(b"v=1\r\n").err(), Some(SdpError::Version));
        assert_eq!(Sdp::parse(b"v=0\r\nhello\r\n").err(), Some(SdpError::Line));
        assert_eq!(Sdp::parse(b"v=0\r\nm=audio x RTP/AVP 0\r\n").err(), Some(SdpError::Media));
        assert_eq!(Sdp::parse(b"v=0\r\nm=audio 65536 RTP/AVP 0\r\n").err(), Some(SdpError::Media));
    }
}
