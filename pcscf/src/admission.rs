//! Which REGISTER goes on, by what it says of its security (TS 33.203 §7.2, RFC 3329 §2.3). Pure.

use crate::agreements::{Agreement, State};
use crate::gm::SEC_AGREE;
use cscf::Reject;
use cscf::config::{IpsecSection, ListedMechanisms, SecurityPolicy, SecurityProfile};
use ipsec::{Algorithms, Ends, Fingerprint, Mode, Offer, Profile, Spi, agreement};
use sip_core::{Message, Name, Status};
use std::net::IpAddr;

/// What a REGISTER asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Where the UE takes ESP.
    pub ends: Ends,
    /// The pair that was chosen.
    pub algorithms: Algorithms,
    /// How its ESP is to travel.
    pub mode: Mode,
    /// The address that the UE takes for its own, if it is behind a NAT.
    pub nat: Option<IpAddr>,
    /// What the Security-Client said.
    pub client: Fingerprint,
    /// The private identity.
    pub impi: Box<str>,
    /// The set that the REGISTER came through.
    pub previous: Option<Spi>,
}

/// Decides on a REGISTER; `through` is the agreement that protected it, `nat` what [`claimed`](crate::nat::claimed) says of
/// one in clear. What comes back is to be set up with the challenge, if one comes.
pub fn admit(
    config: &IpsecSection,
    through: Option<&Agreement>,
    message: &Message,
    nat: Option<IpAddr>,
) -> Result<Option<Proposal>, Reject> {
    let offers = has(message, Name::SecurityClient);
    // TS 33.203 Annex M: a tunnel where there is a NAT. What comes through a tunnel has one.
    let nat = through.map_or(nat, |through| through.nat);
    let modes = modes(config, nat.is_some());
    match (through, config.policy) {
        (None, SecurityPolicy::Off) => Ok(None),
        (None, SecurityPolicy::Optional) if !offers => Ok(None),
        // RFC 3329 §2.3.1: the UE does not know of the extension that it needs.
        (None, SecurityPolicy::Required) if !offers => {
            Err(Reject::new(Status::EXTENSION_REQUIRED, "REGISTER without Security-Client")
                .header(Name::Require, SEC_AGREE)
                .with_mechanisms(config, modes))
        }
        (None, SecurityPolicy::Optional | SecurityPolicy::Required) => {
            propose(config, None, message, nat).map(Some)
        }
        (Some(through), _) => {
            if impi(message).as_ref() != Some(&through.impi) {
                // TS 33.203 §7.1: the user of the association is the user of the message.
                return Err(Reject::new(
                    Status::FORBIDDEN,
                    "private identity of another security association",
                ));
            }
            verify(through, message, Absence::Refused)
                .map_err(|reject| reject.with_mechanisms(config, modes))?;
            let is_same = print(message, Name::SecurityClient) == Some(through.client);
            match through.state {
                // TS 33.203 §7.2: the first protected message repeats the offer, which nobody could alter before.
                State::Awaiting if !is_same => Err(Reject::new(
                    Status::SECURITY_AGREEMENT_REQUIRED,
                    "Security-Client differs from the one that was challenged",
                )
                .with_mechanisms(config, modes)),
                State::Awaiting => Ok(None),
                // A refresh that repeats the offer wants no other associations.
                State::Current | State::Replaced | State::Ending if is_same || !offers => Ok(None),
                State::Current | State::Replaced | State::Ending => {
                    propose(config, Some(through.name()), message, nat).map(Some)
                }
            }
        }
    }
}

/// What becomes of a message without Security-Verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// It is refused: a REGISTER, which proves that nobody altered our list.
    Refused,
    /// It goes on: the agreement was proven before.
    Borne,
}

/// Compares Security-Verify with the Security-Server that we sent (RFC 3329 §2.3.1): a difference is an attempt to bid the
/// UE down.
pub fn verify(through: &Agreement, message: &Message, absence: Absence) -> Result<(), Reject> {
    let refusal = |cause| Err(Reject::new(Status::SECURITY_AGREEMENT_REQUIRED, cause));
    match has(message, Name::SecurityVerify) {
        false if absence == Absence::Borne => Ok(()),
        false => refusal("no Security-Verify"),
        true if print(message, Name::SecurityVerify) == Some(through.server) => Ok(()),
        true => refusal("Security-Verify differs from our Security-Server"),
    }
}

/// The private identity that a REGISTER is for: of its credentials, else what its public identity implies
/// (TS 24.229 §5.4.1.2.1).
pub(crate) fn impi(message: &Message) -> Option<Box<str>> {
    let username = message.credentials(Name::Authorization).find_map(|(_, credentials)| {
        let username = credentials.ok()?.param(b"username")?;
        String::from_utf8(username.into_owned()).ok().filter(|name| !name.is_empty())
    });
    let implied = || {
        let to = message.to().ok()?;
        let uri = std::str::from_utf8(to.uri()).ok()?;
        let user = uri.strip_prefix("sip:")?;
        Some(user.split([';', '?']).next().unwrap_or(user).to_owned())
    };
    username.or_else(implied).map(String::into_boxed_str)
}

/// The modes that may be, the better one first.
fn modes(config: &IpsecSection, is_behind_nat: bool) -> &'static [Mode] {
    match (config.tunnel_port(), is_behind_nat) {
        (None, _) => &[Mode::Transport],
        (Some(_), false) => &[Mode::Transport, Mode::UdpTunnel],
        (Some(_), true) => &[Mode::UdpTunnel, Mode::Transport],
    }
}

fn propose(
    config: &IpsecSection,
    previous: Option<Spi>,
    message: &Message,
    nat: Option<IpAddr>,
) -> Result<Proposal, Reject> {
    let modes = modes(config, nat.is_some());
    let refusal = |cause, detail: String| {
        Reject::new(Status::SECURITY_AGREEMENT_REQUIRED, cause).detail(detail).with_mechanisms(config, modes)
    };
    let profile = profile(config);
    let values = message.all(Name::SecurityClient).map(|(_, value)| value);
    let offer = Offer::read(values)
        .map_err(|why| refusal("Security-Client cannot be used", format!("{why}; we allow {profile}")))?;
    let chosen = modes.iter().find_map(|mode| Some((*mode, profile.choose(&offer, *mode)?)));
    let (mode, algorithms) = chosen.ok_or_else(|| {
        refusal("no common algorithms in Security-Client", format!("UE offered {offer}; we allow {profile}"))
    })?;
    let client = print(message, Name::SecurityClient);
    let (Some(client), Some(impi)) = (client, impi(message)) else {
        return Err(Reject::new(Status::BAD_REQUEST, "REGISTER names no user"));
    };
    Ok(Proposal { ends: offer.ends, algorithms, mode, nat, client, impi, previous })
}

/// The Security-Server of an agreement, a value for each mechanism: all of them in the mode that the UE is to use.
pub fn security_server(config: &IpsecSection, chosen: (Mode, Algorithms), ends: Ends) -> Vec<String> {
    let (mode, pair) = chosen;
    match config.listed {
        ListedMechanisms::All => {
            agreement::written(profile(config).pairs().map(|pair| (mode, pair)), Some(ends))
        }
        ListedMechanisms::Chosen => agreement::written(std::iter::once((mode, pair)), Some(ends)),
    }
}

fn profile(config: &IpsecSection) -> Profile {
    match config.profile {
        SecurityProfile::Permissive => Profile::Permissive,
        SecurityProfile::Strict => Profile::Strict,
    }
}

fn has(message: &Message, name: Name) -> bool {
    message.all(name).next().is_some()
}

fn print(message: &Message, name: Name) -> Option<Fingerprint> {
    Fingerprint::of(message.all(name).map(|(_, value)| value))
}

trait WithMechanisms {
    /// Adds what we support, so that the UE may begin anew (RFC 3329 §2.3.1).
    fn with_mechanisms(self, config: &IpsecSection, modes: &[Mode]) -> Self;
}

impl WithMechanisms for Reject {
    fn with_mechanisms(self, config: &IpsecSection, modes: &[Mode]) -> Reject {
        // The one that would be used: both would be a long message.
        let mode = modes.first().copied().unwrap_or(Mode::Transport);
        let listed = agreement::written(profile(config).pairs().map(|pair| (mode, pair)), None);
        listed.into_iter().fold(self, |reject, value| reject.header(Name::SecurityServer, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agreements::tests::agreement;
    use cscf::config::Config;
    use sip_core::Limits;

    const OFFER: &str =
        "ipsec-3gpp;alg=hmac-md5-96;ealg=aes-cbc;spi-c=25656;spi-s=25657;port-c=6301;port-s=6300";
    const OTHER: &str =
        "ipsec-3gpp;alg=hmac-md5-96;ealg=aes-cbc;spi-c=25666;spi-s=25667;port-c=6302;port-s=6300";
    const SERVER: &str =
        "ipsec-3gpp;q=0.9;alg=hmac-md5-96;ealg=aes-cbc;spi-c=301;spi-s=300;port-c=5100;port-s=6100";
    const ALICE: &str = "Authorization: Digest username=\"alice@home.net\",realm=\"home.net\"\r\n";

    fn config(lines: &str) -> IpsecSection {
        let text = format!("[plmn]\nmcc = \"001\"\nmnc = \"01\"\n[ipsec]\n{lines}\n");
        Config::parse(&text, "test").expect("a configuration").ipsec
    }

    fn register(headers: &str) -> Message {
        let text = format!(
            "REGISTER sip:home.net SIP/2.0\r\nTo: <sip:alice@home.net>\r\nCSeq: 1 REGISTER\r\n{headers}\r\n"
        );
        Message::parse(text.into_bytes(), &Limits::default()).expect("a message")
    }

    fn decided(config: &IpsecSection, through: Option<&Agreement>, headers: &str) -> String {
        match admit(config, through, &register(headers), None) {
            Ok(None) => "goes on".to_owned(),
            Ok(Some(proposal)) => format!("{} for {}", proposal.algorithms, proposal.impi),
            Err(reject) => format!("{} {}", reject.status.code(), reject.cause),
        }
    }

    #[test]
    fn a_register_in_clear_is_served_by_policy_and_never_by_accident() {
        let offer = format!("Security-Client: {OFFER}\r\n{ALICE}");
        for (lines, headers, expected) in [
            ("policy = \"off\"", offer.as_str(), "goes on"),
            ("policy = \"optional\"", offer.as_str(), "hmac-md5-96/aes-cbc for alice@home.net"),
            ("policy = \"optional\"", "", "goes on"),
            ("policy = \"required\"", "", "421 REGISTER without Security-Client"),
            ("policy = \"required\"", offer.as_str(), "hmac-md5-96/aes-cbc for alice@home.net"),
            (
                "policy = \"optional\"\nprofile = \"strict\"",
                offer.as_str(),
                "494 no common algorithms in Security-Client",
            ),
            ("policy = \"optional\"", "Security-Client: tls;q=0.1\r\n", "494 Security-Client cannot be used"),
        ] {
            assert_eq!(decided(&config(lines), None, headers), expected, "{lines} {headers}");
        }
        let implied = format!("Security-Client: {OFFER}\r\n");
        assert_eq!(
            decided(&config("policy = \"required\""), None, &implied),
            "hmac-md5-96/aes-cbc for alice@home.net"
        );
    }

    /// TS 33.203 Annex M: a tunnel where there is a NAT and the UE offers one, and for the new set of what comes through one.
    #[test]
    fn a_nat_makes_it_a_tunnel() {
        let (trans, tunnel) = ("mod=trans;alg=hmac-md5-96", "mod=UDP-enc-tun;alg=hmac-md5-96;ealg=aes-cbc");
        let own = "back_end = \"userspace\"";
        for (lines, offered, is_behind_nat, expected) in [
            (own, &[trans, tunnel][..], true, Some((Mode::UdpTunnel, "hmac-md5-96/aes-cbc"))),
            (own, &[trans, tunnel], false, Some((Mode::Transport, "hmac-md5-96/null"))),
            (own, &[trans], true, Some((Mode::Transport, "hmac-md5-96/null"))),
            (own, &[tunnel], false, Some((Mode::UdpTunnel, "hmac-md5-96/aes-cbc"))),
            ("back_end = \"xfrm\"", &[trans, tunnel], true, Some((Mode::Transport, "hmac-md5-96/null"))),
            ("back_end = \"xfrm\"", &[tunnel], true, None),
            ("back_end = \"userspace\"\nnat_port = 0", &[tunnel], true, None),
        ] {
            let config = config(&format!("policy = \"required\"\n{lines}"));
            let mechanism = |offered: &&str| {
                format!(
                    "Security-Client: ipsec-3gpp;{offered};spi-c=2000;spi-s=2001;port-c=6301;port-s=6300\r\n"
                )
            };
            let headers: String = offered.iter().map(mechanism).chain([ALICE.to_owned()]).collect();
            let nat = is_behind_nat.then(|| IpAddr::from([192, 168, 1, 2]));
            let proposal = admit(&config, None, &register(&headers), nat).ok().flatten();
            let chosen = proposal.as_ref().map(|proposal| (proposal.mode, proposal.algorithms.name()));
            assert_eq!(chosen, expected, "{lines} {offered:?} {is_behind_nat}");
            assert!(proposal.is_none_or(|proposal| proposal.nat == nat));
        }
        let config = config(&format!("policy = \"required\"\n{own}"));
        let server = |proposal: &Proposal| {
            let ends = Ends { spi_c: Spi::MIN, spi_s: Spi::MIN, port_c: 1, port_s: 2 };
            security_server(&config, (proposal.mode, proposal.algorithms), ends)
        };
        let mut through = agreement(300, 5100, State::Current);
        through.nat = Some(IpAddr::from([192, 168, 1, 2]));
        let mechanisms = [trans, tunnel].map(|offered| {
            format!("Security-Client: ipsec-3gpp;{offered};spi-c=2000;spi-s=2001;port-c=6301;port-s=6300\r\n")
        });
        // What the agreement was made with is empty, and so is this.
        let headers = format!("{ALICE}{}", mechanisms.concat());
        let verify = Message::parse(
            format!("REGISTER sip:h SIP/2.0\r\n{headers}Security-Verify: x\r\n\r\n").into_bytes(),
            &Limits::default(),
        );
        through.server = print(&verify.expect("a message"), Name::SecurityVerify).expect("readable");
        let message = register(&format!("{headers}Security-Verify: x\r\n"));
        let proposal = admit(&config, Some(&through), &message, None).expect("goes on").expect("a new set");
        assert_eq!((proposal.mode, proposal.previous), (Mode::UdpTunnel, Some(through.name())));
        let listed = server(&proposal);
        assert!(
            listed.iter().all(|value| value.contains("mod=UDP-enc-tun")) && listed.len() == 8,
            "{listed:?}"
        );
    }

    /// A line that tells the maintainer of a lab what to change (features of phones differ).
    #[test]
    fn what_was_offered_and_what_is_allowed_is_told_when_nothing_matches() {
        let config = config("policy = \"optional\"\nprofile = \"strict\"");
        let headers = format!("Security-Client: {OFFER}\r\n{ALICE}");
        let reject = admit(&config, None, &register(&headers), None).expect_err("nothing in common");
        assert_eq!(
            reject.detail.as_deref(),
            Some(
                "UE offered hmac-md5-96/aes-cbc; we allow null/aes-gcm, aes-gmac/null, hmac-sha-1-96/aes-cbc, hmac-sha-1-96/null"
            )
        );
        assert_eq!(reject.headers.iter().filter(|(name, _)| *name == Name::SecurityServer).count(), 4);
    }

    #[test]
    fn the_first_protected_register_proves_what_was_said_in_clear() {
        let config = config("policy = \"required\"");
        let print = |value: &str| Fingerprint::of(std::iter::once(value.as_bytes())).expect("readable");
        let mut through = agreement(300, 5100, State::Awaiting);
        (through.client, through.server) = (print(OFFER), print(SERVER));
        let bidden_down = SERVER.replace("aes-cbc", "null");
        for (impi, client, verify, expected) in [
            ("alice", OFFER, Some(SERVER), "goes on"),
            ("bob", OFFER, Some(SERVER), "403 private identity of another security association"),
            ("alice", OFFER, None, "494 no Security-Verify"),
            (
                "alice",
                OFFER,
                Some(bidden_down.as_str()),
                "494 Security-Verify differs from our Security-Server",
            ),
            ("alice", OTHER, Some(SERVER), "494 Security-Client differs from the one that was challenged"),
        ] {
            let verify = verify.map(|verify| format!("Security-Verify: {verify}\r\n")).unwrap_or_default();
            let headers = format!(
                "Authorization: Digest username=\"{impi}@home.net\"\r\nSecurity-Client: {client}\r\n{verify}"
            );
            assert_eq!(decided(&config, Some(&through), &headers), expected, "{headers}");
        }
        through.state = State::Current;
        for (client, expected) in [(OTHER, "hmac-md5-96/aes-cbc for alice@home.net"), (OFFER, "goes on")] {
            let headers = format!("{ALICE}Security-Client: {client}\r\nSecurity-Verify: {SERVER}\r\n");
            assert_eq!(decided(&config, Some(&through), &headers), expected, "a refresh: {client}");
        }
    }
}
