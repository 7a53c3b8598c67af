//! What is recorded: everything, nothing, or a sample.

use crate::entry::Protocol;
use crate::sip;

/// How much a process records, and in how much memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What.
    pub mode: Mode,
    /// Bytes of the ring of each shard of each function.
    pub memory: usize,
    /// Of a sample: calls and registrations of each thousand, by Call-ID.
    pub per_mille: u32,
    /// Of a sample: whatever names one of these.
    pub identities: Vec<String>,
    /// Whether what users write to each other is recorded, too.
    pub texts: bool,
}

/// What is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Off,
    /// Everything.
    #[default]
    On,
    /// A share of the calls, and whatever names one of some identities.
    Sampled,
}

impl Default for Rule {
    fn default() -> Rule {
        Rule { mode: Mode::On, memory: 8 << 20, per_mille: 10, identities: Vec::new(), texts: false }
    }
}

impl Rule {
    /// A rule by which nothing is recorded.
    pub fn off() -> Rule {
        Rule { mode: Mode::Off, ..Rule::default() }
    }

    /// Whether a message is recorded.
    ///
    /// Requests and responses of a dialog share a Call-ID, and a Diameter answer repeats the Session-Id: so all nodes
    /// sample the same calls, and none of their messages alone.
    pub fn takes(&self, protocol: Protocol, bytes: &[u8]) -> bool {
        match self.mode {
            Mode::Off => false,
            Mode::On => true,
            Mode::Sampled => {
                let key = match protocol {
                    Protocol::Sip => sip::header(bytes, "Call-ID", "i").map(str::as_bytes),
                    Protocol::Diameter => crate::diameter::session_id(bytes),
                };
                key.is_some_and(|key| hash(key) % 1000 < u64::from(self.per_mille))
                    || self.identities.iter().any(|identity| contains(bytes, identity.as_bytes()))
            }
        }
    }
}

/// FNV-1a: the same in every process, and nothing depends on it but the choice of a sample.
fn hash(key: &[u8]) -> u64 {
    key.iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && memchr::memmem::find(bytes, part).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite(call_id: u32, user: &str) -> Vec<u8> {
        format!("INVITE sip:{user}@h SIP/2.0\r\nCall-ID: {call_id}\r\n\r\n").into_bytes()
    }

    #[test]
    fn a_sample_is_about_its_share_and_whole_calls() {
        let rule = Rule { mode: Mode::Sampled, per_mille: 100, ..Rule::default() };
        let taken = (0..2000).filter(|call| rule.takes(Protocol::Sip, &invite(*call, "bob"))).count();
        assert!((120..280).contains(&taken), "{taken}");
        for call in 0..200 {
            let response = format!("SIP/2.0 200 OK\r\ni : {call} \r\n\r\n");
            let of_request = rule.takes(Protocol::Sip, &invite(call, "bob"));
            assert_eq!(rule.takes(Protocol::Sip, response.as_bytes()), of_request, "{call}");
        }
    }

    #[test]
    fn who_is_named_is_recorded_whatever_the_share() {
        let identities = vec!["carol@h".to_owned()];
        let rule = Rule { mode: Mode::Sampled, per_mille: 0, identities, ..Rule::default() };
        assert!(rule.takes(Protocol::Sip, &invite(1, "carol")));
        assert!(!rule.takes(Protocol::Sip, &invite(1, "bob")));
        assert!(!Rule::off().takes(Protocol::Sip, &invite(1, "carol")));
        assert!(Rule::default().takes(Protocol::Sip, b""));
    }
}
