//! Session descriptions of a phone with one audio stream (RFC 4566, RFC 3264): offers and answers. No media flows.

use std::fmt::Write;
use std::net::SocketAddr;

/// Which way media flows, from our side (RFC 3264 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    fn token(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    fn from_token(token: &str) -> Option<Direction> {
        [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive]
            .into_iter()
            .find(|direction| direction.token() == token)
    }

    /// The answer to an offer of this direction by somebody who wants everything.
    fn mirrored(self) -> Direction {
        match self {
            Direction::SendOnly => Direction::RecvOnly,
            Direction::RecvOnly => Direction::SendOnly,
            both => both,
        }
    }
}

/// The codecs of the phone: RTP payload type where it is static, and the encoding name of `a=rtpmap`.
const CODECS: &[(Option<u8>, &str)] = &[
    (None, "AMR-WB/16000"),
    (None, "AMR/8000"),
    (Some(0), "PCMU/8000"),
    (Some(8), "PCMA/8000"),
    (None, "telephone-event/8000"),
];

/// Our side of the media of one call.
#[derive(Clone, Debug)]
pub(crate) struct Media {
    address: SocketAddr,
    session: u64,
    version: u64,
    direction: Direction,
}

impl Media {
    /// Media at `address`; `session` is the number of the origin line.
    pub(crate) fn new(address: SocketAddr, session: u64) -> Media {
        // Below 2^63, for many parsers read it as a signed number.
        Media { address, session: session >> 2, version: 0, direction: Direction::SendRecv }
    }

    /// Whether the call is on hold by us.
    pub(crate) fn set_direction(&mut self, direction: Direction) {
        self.direction = direction;
    }

    /// An offer of every codec.
    pub(crate) fn offer(&mut self) -> Vec<u8> {
        let stream = format!(
            "m=audio {} RTP/AVP 98 97 0 8 99\r\nb=AS:64\r\na=rtpmap:98 AMR-WB/16000\r\na=fmtp:98 max-red=0\r\n\
             a=rtpmap:97 AMR/8000\r\na=fmtp:97 mode-set=0,2,4,7; max-red=0\r\na=rtpmap:0 PCMU/8000\r\n\
             a=rtpmap:8 PCMA/8000\r\na=rtpmap:99 telephone-event/8000\r\na=ptime:20\r\na={}\r\n",
            self.address.port(),
            self.direction.token()
        );
        self.description(&stream)
    }

    /// The answer to an offer: its first audio stream with a codec of ours, every other stream refused
    /// (RFC 3264 §6). `None` when nothing is left.
    pub(crate) fn answer(&mut self, offer: &[u8]) -> Option<Vec<u8>> {
        let offer = String::from_utf8_lossy(offer);
        let mut lines = offer.lines().map(str::trim_end).peekable();
        let mut session_direction = Direction::SendRecv;
        while let Some(line) = lines.next_if(|line| !line.starts_with("m=")) {
            session_direction =
                line.strip_prefix("a=").and_then(Direction::from_token).unwrap_or(session_direction);
        }
        let mut streams = String::new();
        let mut is_taken = false;
        while let Some(line) = lines.next() {
            let mut attributes = Vec::new();
            while let Some(attribute) = lines.next_if(|line| !line.starts_with("m=")) {
                attributes.push(attribute);
            }
            let stream = Stream::read(line.strip_prefix("m=")?, &attributes)?;
            let codecs = if is_taken { Vec::new() } else { stream.codecs_of_ours() };
            if codecs.is_empty() {
                let _ = write!(
                    streams,
                    "m={} 0 {} {}\r\n",
                    stream.media,
                    stream.profile,
                    stream.formats.join(" ")
                );
                continue;
            }
            is_taken = true;
            self.direction = stream.direction.unwrap_or(session_direction).mirrored();
            stream.write_answer(self.address.port(), &codecs, self.direction, &mut streams);
        }
        is_taken.then(|| self.description(&streams))
    }

    fn description(&mut self, streams: &str) -> Vec<u8> {
        self.version += 1;
        let family = if self.address.is_ipv4() { "IP4" } else { "IP6" };
        let ip = self.address.ip();
        format!(
            "v=0\r\no=- {} {} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n{streams}",
            self.session, self.version
        )
        .into_bytes()
    }
}

/// One stream of an offer.
struct Stream<'a> {
    media: &'a str,
    port: &'a str,
    profile: &'a str,
    formats: Vec<&'a str>,
    /// Payload type and encoding.
    maps: Vec<(&'a str, &'a str)>,
    direction: Option<Direction>,
}

impl<'a> Stream<'a> {
    fn read(media_line: &'a str, attributes: &[&'a str]) -> Option<Stream<'a>> {
        let mut words = media_line.split(' ').filter(|word| !word.is_empty());
        let (media, port, profile) = (words.next()?, words.next()?, words.next()?);
        let maps =
            attributes.iter().filter_map(|line| line.strip_prefix("a=rtpmap:")?.split_once(' ')).collect();
        let direction = attributes.iter().find_map(|line| Direction::from_token(line.strip_prefix("a=")?));
        Some(Stream { media, port, profile, formats: words.collect(), maps, direction })
    }

    /// The payload types of the offer that we speak, in its order; empty when one of them is not speech.
    fn codecs_of_ours(&self) -> Vec<(&'a str, &'static str)> {
        if self.media != "audio" || self.port == "0" || !matches!(self.profile, "RTP/AVP" | "RTP/AVPF") {
            return Vec::new();
        }
        let codecs: Vec<_> =
            self.formats.iter().filter_map(|format| Some((*format, self.encoding_of(format)?))).collect();
        let has_speech = codecs.iter().any(|(_, encoding)| !encoding.starts_with("telephone-event"));
        if has_speech { codecs } else { Vec::new() }
    }

    fn encoding_of(&self, format: &str) -> Option<&'static str> {
        let mapped = self.maps.iter().find(|(number, _)| *number == format).map(|(_, encoding)| *encoding);
        CODECS
            .iter()
            .find(|(number, ours)| match mapped {
                // Further parameters (channels) follow a slash; one channel is what we have.
                Some(encoding) => encoding.trim_end_matches("/1").eq_ignore_ascii_case(ours),
                None => number.is_some_and(|number| format.parse() == Ok(number)),
            })
            .map(|(_, ours)| *ours)
    }

    fn write_answer(&self, port: u16, codecs: &[(&str, &str)], direction: Direction, out: &mut String) {
        let _ = write!(out, "m=audio {port} {}", self.profile);
        for (format, _) in codecs {
            let _ = write!(out, " {format}");
        }
        out.push_str("\r\n");
        for (format, encoding) in codecs {
            let _ = write!(out, "a=rtpmap:{format} {encoding}\r\n");
        }
        let _ = write!(out, "a={}\r\n", direction.token());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media() -> Media {
        Media::new("10.0.0.2:4000".parse().unwrap(), 44)
    }

    fn text(description: Option<Vec<u8>>) -> String {
        String::from_utf8(description.unwrap()).unwrap().replace("\r\n", "\n")
    }

    #[test]
    fn our_own_offer_is_answered_with_all_its_codecs() {
        let offer = media().offer();
        let answer = text(media().answer(&offer));
        assert!(answer.contains("\nm=audio 4000 RTP/AVP 98 97 0 8 99\n"), "{answer}");
        assert!(answer.ends_with("a=sendrecv\n"));
    }

    #[test]
    fn a_foreign_offer_keeps_what_we_speak_in_its_order_and_refuses_the_rest() {
        let offer = b"v=0\no=- 1 1 IN IP4 10.0.0.1\ns=-\nc=IN IP4 10.0.0.1\nt=0 0\n\
            m=video 5000 RTP/AVP 31\nm=audio 5002 RTP/AVP 18 0 101\na=rtpmap:101 AMR/8000/1\na=sendonly\n\
            m=audio 5004 RTP/AVP 0\n";
        assert_eq!(
            text(media().answer(offer)),
            "v=0\no=- 11 1 IN IP4 10.0.0.2\ns=-\nc=IN IP4 10.0.0.2\nt=0 0\n\
             m=video 0 RTP/AVP 31\n\
             m=audio 4000 RTP/AVP 0 101\na=rtpmap:0 PCMU/8000\na=rtpmap:101 AMR/8000\na=recvonly\n\
             m=audio 0 RTP/AVP 0\n"
        );
    }

    #[test]
    fn an_offer_without_a_codec_of_ours_has_no_answer() {
        let streams = [
            "m=audio 5002 RTP/AVP 18\n",
            "m=audio 0 RTP/AVP 0\n",
            "m=audio 5002 RTP/SAVP 0\n",
            "m=audio 5002 RTP/AVP 99\na=rtpmap:99 telephone-event/8000\n",
            "m=video 5002 RTP/AVP 31\n",
            "m=audio\n",
            "",
        ];
        for stream in streams {
            let offer = format!("v=0\nc=IN IP4 10.0.0.1\nt=0 0\n{stream}");
            assert_eq!(media().answer(offer.as_bytes()), None, "{stream}");
        }
        assert_eq!(media().answer(b"\xff\xfe no sdp"), None);
    }

    #[test]
    fn each_description_of_a_call_has_a_higher_version() {
        let mut media = media();
        media.set_direction(Direction::SendOnly);
        assert!(text(Some(media.offer())).contains("o=- 11 1 "));
        let held = text(Some(media.offer()));
        assert!(held.contains("o=- 11 2 ") && held.contains("a=sendonly"));
    }
}
