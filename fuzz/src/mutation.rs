//! Mutations of an input: bytes, pieces, pieces of another input, and the words of the protocols.

use ambient::Entropy;

/// Words that parsers turn at.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\r\n ",
    b"\n",
    b"\r",
    b"\0",
    b"\"",
    b"\\",
    b"<",
    b">",
    b",",
    b";",
    b":",
    b"=",
    b"@",
    b"%",
    b"[",
    b"]",
    b" ",
    b"?",
    b"*",
    b"/",
    b"SIP/2.0",
    b"Via: SIP/2.0/UDP a;branch=z9hG4bKx\r\n",
    b"v:",
    b"Route: <sip:a;lr>, <sip:b>\r\n",
    b"Content-Length: 5\r\n",
    b"l:99999999999\r\n",
    b"P-Asserted-Identity: <sip:a@b>, <tel:+1>\r\n",
    b"Contact: *\r\n",
    b"Expires: 0\r\n",
    b"Max-Forwards: 0\r\n",
    b"Max-Forwards: 70\r\n",
    b"\r\n\r\n",
    b"\xff\xfe",
    b"m=audio 1 RTP/AVP 0\r\n",
    b"a=sendrecv\r\n",
    b"c=IN IP6 ::1\r\n",
    b";lr",
    b";rport",
    b";received=1.2.3.4",
    b";transport=tcp",
    b";tag=x",
    b"sips:",
    b"tel:+49;phone-context=+1",
    b"urn:service:sos",
    b"4294967296",
    b"-1",
    b"65536",
    b"<![CDATA[",
    b"]]>",
    b"&amp;",
    b"&#0;",
    b"<!--",
    b"-->",
    b"<IMSSubscription>",
    b"</Identity>",
    b"<PublicIdentity>",
    b"\x1er200",
    b"\x1er487",
    b"\x1er503",
    b"\x1et\x7f",
    b"\x1ea\x01",
    b"\x1eg",
    b"\x1ex",
    b"INVITE",
    b"ACK",
    b"CANCEL",
    b"BYE",
    b"REGISTER",
    b"PRACK",
    b"UPDATE",
    b"MESSAGE",
    b"OPTIONS",
    b"Proxy-Require: x\r\n",
    b"Require: 100rel\r\n",
    b"Session-Expires: 90\r\n",
];

/// The longest input that is made: enough for every bound of a parser but the one on the whole message.
const LEN_MAX: usize = 16 * 1024;

/// A mutation of `seed`, with pieces of `other`.
pub fn mutate(entropy: &mut Entropy, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=below(entropy, 4) {
        let at = below(entropy, data.len() + 1);
        let end = (at + below(entropy, 60)).min(data.len());
        match below(entropy, 11) {
            0 => data.truncate(at),
            1 if at < data.len() => data[at] = entropy.next_u32() as u8,
            2 if at < data.len() => data[at] ^= 1 << below(entropy, 8),
            3 => {
                data.drain(at..end);
            }
            4 => {
                let from = below(entropy, other.len());
                let to = (from + below(entropy, 120)).min(other.len());
                data.splice(at..at, other[from..to].iter().copied());
            }
            5 => {
                // A line twice, or a piece many times: lists and nesting.
                let piece = data[at..end].to_vec();
                for _ in 0..=below(entropy, 40) {
                    data.splice(at..at, piece.iter().copied());
                }
            }
            6 => repair_length(&mut data),
            7 if at + 4 <= data.len() => {
                let extreme: [u8; 4] =
                    [[0, 0, 0, 0], [255; 4], [0, 0, 0, 8], [0x40, 0xff, 0xff, 0xff]][below(entropy, 4)];
                data[at..at + 4].copy_from_slice(&extreme);
            }
            _ => {
                let word = WORDS[below(entropy, WORDS.len())];
                let replaced =
                    if entropy.next_u32().is_multiple_of(2) { at..at } else { at..end.min(at + word.len()) };
                data.splice(replaced, word.iter().copied());
            }
        }
        data.truncate(LEN_MAX);
    }
    data
}

/// A Diameter message whose length fits gets past the framing.
fn repair_length(data: &mut Vec<u8>) {
    if data.first() == Some(&1) && data.len() >= 20 {
        data.resize(data.len().next_multiple_of(4), 0);
        let len = (data.len() as u32).to_be_bytes();
        data[1..4].copy_from_slice(&len[1..]);
    }
}

fn below(entropy: &mut Entropy, bound: usize) -> usize {
    entropy.below(bound.max(1) as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_makes_the_same_mutations_and_another_others() {
        let make = |seed| {
            let mut entropy = Entropy::seeded(seed);
            (0..50).map(|_| mutate(&mut entropy, b"INVITE sip:a SIP/2.0\r\n", b"other")).collect::<Vec<_>>()
        };
        assert_eq!(make(1), make(1));
        assert_ne!(make(1), make(2));
        assert!(make(1).iter().any(|data| data != b"INVITE sip:a SIP/2.0\r\n"));
    }
}
