//! What a UE and its P-CSCF offer each other in the header fields of RFC 3329 (TS 33.203 §7.2, Annex H).
//!
//! Security-Client and Security-Server are lists of mechanisms; each side has one pair of SPIs and one pair of ports,
//! which every mechanism of its list repeats. The P-CSCF takes the first pair of algorithms of its own list that the UE
//! offered, and lists all of its own, so that a UE whose offer was altered on the way shows it in Security-Verify.

use crate::algorithm::{Algorithms, Encryption, Integrity};
use crate::association::Spi;
use sha2::{Digest, Sha256};
use sip_core::Name;
use sip_core::fields::security::Mechanism;
use std::fmt;

/// The one mechanism of 3GPP (TS 33.203 Annex H).
const MECHANISM: &[u8] = b"ipsec-3gpp";
/// Mechanisms of one field that are looked at: a longer list is no phone's.
pub const MECHANISMS_MAX: usize = 64;

/// Which pairs of algorithms a P-CSCF allows, the best one first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// What TS 33.203 Annex H has, and HMAC-MD5 and triple DES, which it has no longer and phones offer still.
    #[default]
    Permissive,
    /// What TS 33.203 Annex H has.
    Strict,
}

impl Profile {
    /// The pairs, the best one first.
    pub fn pairs(self) -> impl Iterator<Item = Algorithms> {
        Algorithms::ALL.into_iter().filter(move |pair| match self {
            Profile::Permissive => true,
            Profile::Strict => {
                pair.integrity != Integrity::HmacMd5 && pair.encryption != Encryption::DesEde3Cbc
            }
        })
    }

    /// The first pair that is offered in a mode.
    pub fn choose(self, offer: &Offer, mode: Mode) -> Option<Algorithms> {
        self.pairs().find(|pair| offer.mechanisms.contains(&(mode, *pair)))
    }
}

/// How ESP is to travel, as `mod` names it (TS 33.203 Annex H).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Directly on IP: `trans`, which a mechanism without `mod` means as well.
    Transport,
    /// In a tunnel in UDP, through a NAT: `UDP-enc-tun` (TS 33.203 Annex M).
    UdpTunnel,
}

impl Mode {
    /// The value of `mod`.
    pub const fn token(self) -> &'static str {
        match self {
            Mode::Transport => "trans",
            Mode::UdpTunnel => "UDP-enc-tun",
        }
    }

    fn of(mechanism: &Mechanism<'_>) -> Option<Mode> {
        let Some(token) = mechanism.param(b"mod") else { return Some(Mode::Transport) };
        let is = |mode: &Mode| token.eq_ignore_ascii_case(mode.token().as_bytes());
        [Mode::Transport, Mode::UdpTunnel].into_iter().find(is)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_pairs(self.pairs(), f)
    }
}

/// Where ESP comes in at one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// What comes in at the client port: `spi-c`.
    pub spi_c: Spi,
    /// What comes in at the server port: `spi-s`.
    pub spi_s: Spi,
    /// The protected client port: `port-c`.
    pub port_c: u16,
    /// The protected server port: `port-s`.
    pub port_s: u16,
}

/// What one side offers: the mechanisms of a field that this end could use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Where its ESP comes in.
    pub ends: Ends,
    /// The pairs of algorithms with their modes, by preference `q`, in their own order where that is equal.
    pub mechanisms: Vec<(Mode, Algorithms)>,
}

/// Why a field offers nothing that could be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It cannot be read.
    Syntax,
    /// No mechanism of it is `ipsec-3gpp` with ESP in a mode of 3GPP; the text names what there is.
    OtherMechanism(String),
    /// A mechanism has no SPI that may be used, or no port.
    Ends,
    /// Its mechanisms differ in SPIs or ports (TS 33.203 §7.2).
    EndsDiffer,
    /// It names algorithms that nobody here knows; the text names them.
    Algorithms(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::Syntax => f.write_str("it cannot be read"),
            Unusable::OtherMechanism(found) => {
                write!(f, "it has no ipsec-3gpp with ESP in a mode of 3GPP, but {found}")
            }
            Unusable::Ends => f.write_str("it lacks an SPI above 255 or a port"),
            Unusable::EndsDiffer => f.write_str("its mechanisms differ in SPIs or ports"),
            Unusable::Algorithms(found) => write!(f, "it offers {found}"),
        }
    }
}

impl Offer {
    /// Reads the values of a Security-Client or Security-Server field, each one mechanism.
    pub fn read<'v>(values: impl Iterator<Item = &'v [u8]>) -> Result<Offer, Unusable> {
        let mut ends: Option<Ends> = None;
        let mut found: Vec<(u16, (Mode, Algorithms))> = Vec::new();
        let (mut others, mut unknown) = (Vec::new(), Vec::new());
        for value in values.take(MECHANISMS_MAX) {
            let mechanism = Mechanism::parse(Name::SecurityClient, value).map_err(|_| Unusable::Syntax)?;
            let Some(mode) = Mode::of(&mechanism).filter(|_| is_usable(&mechanism)) else {
                others.push(named(&mechanism));
                continue;
            };
            let Some(pair) = pair(&mechanism) else {
                unknown.push(named(&mechanism));
                continue;
            };
            let own = read_ends(&mechanism).ok_or(Unusable::Ends)?;
            if *ends.get_or_insert(own) != own {
                return Err(Unusable::EndsDiffer);
            }
            found.push((mechanism.preference_milli(), (mode, pair)));
        }
        found.sort_by_key(|(preference, _)| std::cmp::Reverse(*preference));
        match ends {
            Some(ends) => {
                Ok(Offer { ends, mechanisms: found.into_iter().map(|(_, mechanism)| mechanism).collect() })
            }
            None if unknown.is_empty() => Err(Unusable::OtherMechanism(listed(&others))),
            None => Err(Unusable::Algorithms(listed(&unknown))),
        }
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (mode, pair)) in self.mechanisms.iter().enumerate() {
            write!(f, "{}{pair}", if at == 0 { "" } else { ", " })?;
            if *mode != Mode::Transport {
                write!(f, " by {}", mode.token())?;
            }
        }
        Ok(())
    }
}

/// The values of a Security-Client or Security-Server field that offers these mechanisms, the best one first; without ends
/// it says what is supported, and agrees on nothing.
pub fn written(mechanisms: impl Iterator<Item = (Mode, Algorithms)>, ends: Option<Ends>) -> Vec<String> {
    let ends = ends.map(|Ends { spi_c, spi_s, port_c, port_s }| {
        format!(";spi-c={};spi-s={};port-c={port_c};port-s={port_s}", spi_c.get(), spi_s.get())
    });
    let ends = ends.unwrap_or_default();
    let mechanisms: Vec<_> = mechanisms.take(MECHANISMS_MAX).collect();
    let preferences = preferences(mechanisms.len());
    let value = |(preference, (mode, Algorithms { integrity, encryption })): (usize, (Mode, Algorithms))| {
        let mode = mode.token();
        format!("ipsec-3gpp;q=0.{preference:03};alg={integrity};prot=esp;mod={mode};ealg={encryption}{ends}")
    };
    preferences.zip(mechanisms).map(value).collect()
}

/// The preferences `q` of so many mechanisms in thousandths, the best one first (RFC 3329 §2.2: no two have the same).
pub fn preferences(count: usize) -> impl Iterator<Item = usize> {
    let step = if count <= 9 { 100 } else { 900 / count };
    (0..count).map(move |at| 900_usize.saturating_sub(at * step).max(1))
}

/// What a list of mechanisms says, however it is written: the sender of a Security-Verify may order parameters, quote and
/// case them as it likes, but not change, add or leave out any.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// Of the values of a field, in their order; `None` when one cannot be read.
    pub fn of<'v>(values: impl Iterator<Item = &'v [u8]>) -> Option<Fingerprint> {
        let mut hash = Sha256::new();
        for value in values.take(MECHANISMS_MAX) {
            let mechanism = Mechanism::parse(Name::SecurityVerify, value).ok()?;
            let mut params: Vec<Vec<u8>> = mechanism
                .params()
                .into_iter()
                .map(|(name, _)| {
                    let value = mechanism.param(name).unwrap_or_default();
                    [name, b"=", &*value].concat().to_ascii_lowercase()
                })
                .collect();
            params.sort_unstable();
            hash.update(mechanism.name.to_ascii_lowercase());
            for param in params {
                hash.update(b";");
                hash.update(param);
            }
            hash.update(b"\n");
        }
        hash.finalize().first_chunk().copied().map(Fingerprint)
    }

    /// The octets, for a store.
    pub const fn octets(self) -> [u8; 16] {
        self.0
    }

    /// The fingerprint of octets that a store kept.
    pub const fn from_octets(octets: [u8; 16]) -> Fingerprint {
        Fingerprint(octets)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({:032x})", u128::from_be_bytes(self.0))
    }
}

/// Whether a mechanism is ESP of 3GPP; that is the default of `prot`.
fn is_usable(mechanism: &Mechanism<'_>) -> bool {
    mechanism.name.eq_ignore_ascii_case(MECHANISM)
        && mechanism.param(b"prot").is_none_or(|value| value.eq_ignore_ascii_case(b"esp"))
}

fn pair(mechanism: &Mechanism<'_>) -> Option<Algorithms> {
    let integrity = Integrity::parse(&mechanism.param(b"alg")?)?;
    let encryption = match mechanism.param(b"ealg") {
        Some(token) => Encryption::parse(&token)?,
        None => Encryption::Null,
    };
    Algorithms::new(integrity, encryption)
}

fn read_ends(mechanism: &Mechanism<'_>) -> Option<Ends> {
    let port =
        |name| mechanism.number(name).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    let spi = |name| mechanism.number(name).and_then(Spi::new);
    let ends = Ends {
        spi_c: spi(b"spi-c")?,
        spi_s: spi(b"spi-s")?,
        port_c: port(b"port-c")?,
        port_s: port(b"port-s")?,
    };
    (ends.spi_c != ends.spi_s && ends.port_c != ends.port_s).then_some(ends)
}

/// A mechanism for a log: its name and what it says of algorithms and mode, cut where a phone would not go.
fn named(mechanism: &Mechanism<'_>) -> String {
    let mut name = String::from_utf8_lossy(mechanism.name).into_owned();
    for param in [&b"alg"[..], b"ealg", b"prot", b"mod"] {
        if let Some(value) = mechanism.param(param) {
            name.push('/');
            name.push_str(&String::from_utf8_lossy(&value));
        }
    }
    name.chars().filter(|letter| letter.is_ascii_graphic()).take(64).collect()
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn write_pairs(pairs: impl Iterator<Item = Algorithms>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, pair) in pairs.enumerate() {
        write!(f, "{}{pair}", if at == 0 { "" } else { ", " })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: &str = "spi-c=25656;spi-s=25657;port-c=6301;port-s=6300";

    fn read(values: &[String]) -> Result<Offer, Unusable> {
        Offer::read(values.iter().map(|value| value.as_bytes()))
    }

    fn offers(algorithms: &[&str]) -> Vec<String> {
        algorithms.iter().map(|algorithm| format!("ipsec-3gpp;{algorithm};{ENDS}")).collect()
    }

    /// A phone that has HMAC-MD5 alone is served where the profile allows it, and told from one that is not.
    #[test]
    fn the_first_pair_of_the_profile_that_the_ue_offers_is_chosen() {
        for (offered, permissive, strict) in [
            (
                &["alg=hmac-md5-96;ealg=des-ede3-cbc", "alg=hmac-md5-96;ealg=aes-cbc", "alg=hmac-md5-96"][..],
                Some("hmac-md5-96/aes-cbc"),
                None,
            ),
            // The parts of one pair are not those of two: SHA-1 and AES-CBC are both there, but not together.
            (
                &["alg=hmac-sha-1-96;ealg=null", "alg=hmac-md5-96;ealg=aes-cbc"],
                Some("hmac-sha-1-96/null"),
                Some("hmac-sha-1-96/null"),
            ),
            (
                &["alg=hmac-sha-1-96;ealg=aes-cbc", "alg=null;ealg=aes-gcm"],
                Some("null/aes-gcm"),
                Some("null/aes-gcm"),
            ),
            (
                &["alg=hmac-sha-1-96;ealg=aes-cbc;q=0.9", "alg=aes-gmac;ealg=null;q=0.1"],
                Some("aes-gmac/null"),
                Some("aes-gmac/null"),
            ),
            (
                &["alg=HMAC-SHA-1-96;ealg=DES-EDE3-CBC;prot=ESP;mod=TRANS"],
                Some("hmac-sha-1-96/des-ede3-cbc"),
                None,
            ),
        ] {
            let offer = read(&offers(offered)).expect("usable");
            let chosen =
                |profile: Profile| profile.choose(&offer, Mode::Transport).map(|pair| pair.to_string());
            assert_eq!(chosen(Profile::Permissive).as_deref(), permissive, "{offered:?}");
            assert_eq!(chosen(Profile::Strict).as_deref(), strict, "{offered:?}");
        }
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        for (values, expected) in [
            (vec![], "it has no ipsec-3gpp with ESP in a mode of 3GPP, but nothing"),
            (
                vec!["tls;q=0.5".to_owned(), format!("ipsec-3gpp;alg=null;mod=tun;{ENDS}")],
                "it has no ipsec-3gpp with ESP in a mode of 3GPP, but tls, ipsec-3gpp/null/tun",
            ),
            (
                offers(&["alg=hmac-sha-256-128;ealg=aes-cbc", "ealg=aes-cbc", "alg=null"]),
                "it offers ipsec-3gpp/hmac-sha-256-128/aes-cbc, ipsec-3gpp/aes-cbc, ipsec-3gpp/null",
            ),
            (
                vec!["ipsec-3gpp;alg=hmac-md5-96;spi-c=12;spi-s=4000;port-c=1;port-s=2".to_owned()],
                "it lacks an SPI above 255 or a port",
            ),
            (
                vec!["ipsec-3gpp;alg=hmac-md5-96;spi-c=4294967296;spi-s=4000;port-c=1;port-s=2".to_owned()],
                "it lacks an SPI above 255 or a port",
            ),
            (
                vec!["ipsec-3gpp;alg=hmac-md5-96;spi-c=4000;spi-s=4001;port-c=0;port-s=70000".to_owned()],
                "it lacks an SPI above 255 or a port",
            ),
            (
                vec![
                    offers(&["alg=hmac-md5-96"]).remove(0),
                    "ipsec-3gpp;alg=aes-gmac;spi-c=25656;spi-s=25657;port-c=6302;port-s=6300".to_owned(),
                ],
                "its mechanisms differ in SPIs or ports",
            ),
            (vec![";x".to_owned()], "it cannot be read"),
        ] {
            assert_eq!(read(&values).expect_err("unusable").to_string(), expected, "{values:?}");
        }
    }

    #[test]
    fn what_is_offered_is_read_back_in_order() {
        let offer = read(&offers(&["alg=hmac-md5-96"])).expect("usable");
        for profile in [Profile::Permissive, Profile::Strict] {
            let mechanisms = || profile.pairs().map(|pair| (Mode::Transport, pair));
            let read = read(&written(mechanisms(), Some(offer.ends))).expect("our own");
            assert_eq!(read, Offer { ends: offer.ends, mechanisms: mechanisms().collect() });
        }
        assert_eq!(Profile::Permissive.pairs().count(), Algorithms::ALL.len());
        assert_eq!(
            Profile::Strict.to_string(),
            "null/aes-gcm, aes-gmac/null, hmac-sha-1-96/aes-cbc, hmac-sha-1-96/null"
        );
    }

    /// TS 33.203 Annex M: a UE that may be behind a NAT offers tunnels in UDP as well.
    #[test]
    fn both_modes_are_offered_with_preferences_of_their_own() {
        let ends = read(&offers(&["alg=hmac-md5-96"])).expect("usable").ends;
        let mechanisms: Vec<_> = [Mode::Transport, Mode::UdpTunnel]
            .into_iter()
            .flat_map(|mode| Algorithms::ALL.map(|pair| (mode, pair)))
            .collect();
        let values = written(mechanisms.iter().copied(), Some(ends));
        let offer = read(&values).expect("our own");
        assert_eq!(offer, Offer { ends, mechanisms });
        let mut preferences: Vec<_> = values.iter().map(|value| &value[11..18]).collect();
        preferences.dedup();
        assert_eq!(preferences.len(), 16, "{values:?}");
        let one =
            read(&offers(&["alg=null;ealg=aes-gcm", "alg=hmac-sha-1-96;mod=udp-ENC-tun"])).expect("usable");
        assert_eq!(one.to_string(), "null/aes-gcm, hmac-sha-1-96/null by UDP-enc-tun");
        let chosen = |mode| Profile::Permissive.choose(&one, mode).map(|pair| pair.to_string());
        assert_eq!(chosen(Mode::Transport).as_deref(), Some("null/aes-gcm"));
        assert_eq!(chosen(Mode::UdpTunnel).as_deref(), Some("hmac-sha-1-96/null"));
    }

    /// TS 33.203 §7.2: an entry that was taken out on the way to the UE is missing in its Security-Verify.
    #[test]
    fn a_list_is_the_same_however_it_is_written_and_another_when_anything_is_changed() {
        let print = |values: &[&str]| Fingerprint::of(values.iter().map(|value| value.as_bytes()));
        let sent = [
            "ipsec-3gpp;q=0.9;alg=null;ealg=aes-gcm;spi-c=300",
            "ipsec-3gpp;q=0.8;alg=hmac-md5-96;spi-c=300",
        ];
        let same = ["IPSEC-3GPP; spi-c=300; EALG=\"aes-gcm\"; alg=NULL; q=0.9", sent[1]];
        assert!(print(&sent).is_some());
        assert_eq!(print(&same), print(&sent));
        for other in [
            &sent[1..],
            &sent[..1],
            &[sent[1], sent[0]],
            &[sent[0], sent[1], sent[1]],
            &[sent[0], "ipsec-3gpp;q=0.8;alg=hmac-md5-96;spi-c=301"],
            &[sent[0], "ipsec-3gpp;q=0.8;alg=hmac-md5-96"],
        ] {
            assert_ne!(print(other), print(&sent), "{other:?}");
        }
        assert_eq!(print(&[";"]), None);
        let kept = print(&sent).expect("readable");
        assert_eq!(Fingerprint::from_octets(kept.octets()), kept);
    }
}
