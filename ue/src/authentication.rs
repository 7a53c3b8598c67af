//! Challenges of the home network and the UE's answers (TS 24.229 §5.1.1.5, RFC 3310, RFC 7616).

use crate::config::{Credentials, Fault, UeConfig};
use crate::handset::Handset;
use ims_aka::aka_digest::encode_auts;
use ims_aka::{AkaAlgorithm, AkaNonce, Ha1, Hash, Key, Qop, Res, UsimAnswer};
use sip_core::grammar;

/// A challenge as WWW-Authenticate carries it (RFC 3261 §22.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    realm: Vec<u8>,
    nonce: Vec<u8>,
    opaque: Option<Vec<u8>>,
    /// The token; empty when absent.
    algorithm: Vec<u8>,
    has_qop_auth: bool,
}

impl Challenge {
    /// Reads one value of WWW-Authenticate; `None` for another scheme than Digest, or without realm or nonce.
    pub fn read(value: &[u8]) -> Option<Challenge> {
        let (scheme, rest) = grammar::take_token(grammar::trim(value));
        if !scheme.eq_ignore_ascii_case(b"Digest") {
            return None;
        }
        let mut challenge = Challenge::default();
        for param in grammar::values(rest) {
            let (name, rest) = grammar::take_token(param);
            let Some(value) = grammar::trim(rest).strip_prefix(b"=") else { continue };
            let value = grammar::unquote(grammar::trim(value)).into_owned();
            match name.to_ascii_lowercase().as_slice() {
                b"realm" => challenge.realm = value,
                b"nonce" => challenge.nonce = value,
                b"opaque" => challenge.opaque = Some(value),
                b"algorithm" => challenge.algorithm = value,
                b"qop" => {
                    challenge.has_qop_auth = value
                        .split(|byte| *byte == b',')
                        .any(|qop| qop.trim_ascii().eq_ignore_ascii_case(b"auth"));
                }
                _ => {}
            }
        }
        (!challenge.realm.is_empty() && !challenge.nonce.is_empty()).then_some(challenge)
    }
}

/// What the UE makes of a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The Authorization value that answers it.
    Good(String),
    /// It is not genuine, or not fresh: the Authorization value that says so (TS 24.229 §5.1.1.5.3).
    Bad(String),
    /// It cannot be answered at all.
    Unusable(&'static str),
}

/// The UE's side of authentication: its identity and its credentials.
#[derive(Debug)]
pub struct Authenticator {
    impi: String,
    home_domain: String,
    credentials: Credentials,
    /// CK and IK of the challenge that was answered last.
    keys: Option<(Key<16>, Key<16>)>,
    handset: &'static Handset,
}

impl Authenticator {
    /// The authenticator of a UE.
    pub fn new(config: &UeConfig) -> Authenticator {
        Authenticator {
            impi: config.impi.clone(),
            home_domain: config.home_domain.clone(),
            credentials: config.credentials.clone(),
            keys: None,
            handset: config.handset,
        }
    }

    /// Authorization before any challenge (TS 24.229 §5.1.1.2.2): who asks, with an empty nonce and response.
    pub fn unchallenged(&self) -> String {
        let mut parameters = vec![
            ("username", quoted(self.impi.as_bytes())),
            ("realm", quoted(self.home_domain.as_bytes())),
            ("uri", format!("\"sip:{}\"", self.home_domain)),
            ("nonce", "\"\"".to_owned()),
            ("response", "\"\"".to_owned()),
        ];
        if self.handset.names_algorithm && matches!(self.credentials, Credentials::Aka(_)) {
            parameters.push(("algorithm", AkaAlgorithm::V1Md5.token().to_owned()));
        }
        self.handset.authorization(parameters)
    }

    /// CK and IK of the genuine challenge that was answered last, once.
    pub fn take_keys(&mut self) -> Option<(Key<16>, Key<16>)> {
        self.keys.take()
    }

    /// Answers a challenge to a request with this method; `cnonce` is used when the challenge asks for one.
    pub fn answer(
        &mut self,
        challenge: &Challenge,
        method: &[u8],
        cnonce: &str,
        fault: Option<Fault>,
    ) -> Answer {
        self.keys = None;
        match &mut self.credentials {
            Credentials::Aka(usim) => {
                let Some(algorithm) = AkaAlgorithm::from_token(&challenge.algorithm) else {
                    return Answer::Unusable("the challenge is not for AKA");
                };
                let Some(nonce) = AkaNonce::decode(&challenge.nonce) else {
                    return Answer::Unusable("the nonce has no RAND and AUTN");
                };
                let answer = match fault {
                    Some(Fault::MacFailure) => UsimAnswer::MacFailure,
                    _ => usim.answer(&nonce.rand, &nonce.autn),
                };
                let (impi, realm) = (self.impi.as_bytes(), &challenge.realm[..]);
                match answer {
                    UsimAnswer::Ok { res, ck, ik } => {
                        let res = if fault == Some(Fault::WrongRes) { wrong(&res) } else { res };
                        let ha1 = algorithm.ha1(impi, realm, &res, &ck, &ik);
                        self.keys = Some((ck, ik));
                        Answer::Good(self.authorization(challenge, method, cnonce, Some(&ha1), None))
                    }
                    UsimAnswer::SyncFailure { auts } => {
                        let ha1 = algorithm.ha1_of_auts(impi, realm);
                        let auts = encode_auts(&auts);
                        Answer::Bad(self.authorization(challenge, method, cnonce, Some(&ha1), Some(&auts)))
                    }
                    // Neither auts nor a response value.
                    UsimAnswer::MacFailure => {
                        Answer::Bad(self.authorization(challenge, method, cnonce, None, None))
                    }
                }
            }
            Credentials::Digest(password) => {
                let hash = match &challenge.algorithm[..] {
                    b"" => Hash::Md5,
                    token => match Hash::from_token(token) {
                        Some(hash) => hash,
                        None => return Answer::Unusable("the challenge asks for an unknown algorithm"),
                    },
                };
                let secret: &[u8] = if fault == Some(Fault::WrongRes) { b"wrong" } else { password.expose() };
                let ha1 = Ha1::from_password(hash, self.impi.as_bytes(), &challenge.realm, secret);
                Answer::Good(self.authorization(challenge, method, cnonce, Some(&ha1), None))
            }
        }
    }

    fn authorization(
        &self,
        challenge: &Challenge,
        method: &[u8],
        cnonce: &str,
        ha1: Option<&Ha1>,
        auts: Option<&str>,
    ) -> String {
        let uri = format!("sip:{}", self.home_domain);
        let qop = if challenge.has_qop_auth {
            Qop::Auth { nc: NONCE_COUNT.as_bytes(), cnonce: cnonce.as_bytes() }
        } else {
            Qop::None
        };
        let response = ha1.map(|ha1| ha1.response(method, uri.as_bytes(), &challenge.nonce, qop));
        let response_text = response.as_ref().map_or("", |response| response.as_str());
        let mut parameters = vec![
            ("username", quoted(self.impi.as_bytes())),
            ("realm", quoted(&challenge.realm)),
            ("nonce", quoted(&challenge.nonce)),
            ("uri", format!("\"{uri}\"")),
            ("response", format!("\"{response_text}\"")),
        ];
        if !challenge.algorithm.is_empty() {
            parameters.push(("algorithm", String::from_utf8_lossy(&challenge.algorithm).into_owned()));
        }
        if let Some(opaque) = &challenge.opaque {
            parameters.push(("opaque", quoted(opaque)));
        }
        if challenge.has_qop_auth && response.is_some() {
            parameters.push(("qop", "auth".to_owned()));
            parameters.push(("nc", NONCE_COUNT.to_owned()));
            parameters.push(("cnonce", format!("\"{cnonce}\"")));
        }
        if let Some(auts) = auts {
            parameters.push(("auts", format!("\"{auts}\"")));
        }
        self.handset.authorization(parameters)
    }
}

/// Every challenge is answered once: its nonce counts to one (TS 24.229 §5.1.1.5.1).
const NONCE_COUNT: &str = "00000001";

fn quoted(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    grammar::write_quoted(text, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// A RES of the same length that is not the right one.
fn wrong(res: &Res) -> Res {
    let flipped: Vec<u8> = res.expose().iter().map(|octet| !octet).collect();
    Res::new(&flipped).unwrap_or_else(|| res.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Password;
    use cscf::flow::{Hop, Transport};
    use ims_aka::{Algorithm, Key, Opc, Sqn, Usim};

    fn algorithm() -> Algorithm {
        Algorithm::milenage(&Key::new([7; 16]), Opc(Key::new([9; 16])))
    }

    fn config() -> UeConfig {
        let hop = Hop { transport: Transport::Udp, remote: "127.0.0.1:5060".parse().unwrap() };
        UeConfig::new("alice@home", "sip:alice@home", "home", Usim::new(algorithm()), hop)
    }

    fn challenge(sqn: Sqn, more: &str) -> (Challenge, Ha1) {
        let vector = algorithm().vector([3; 16], sqn, [0x80, 0]);
        let nonce = AkaNonce::new(vector.rand, vector.autn).encode();
        let text = format!("Digest realm=\"home\", nonce=\"{nonce}\", algorithm=AKAv1-MD5{more}");
        let ha1 = AkaAlgorithm::V1Md5.ha1(b"alice@home", b"home", &vector.xres, &vector.ck, &vector.ik);
        (Challenge::read(text.as_bytes()).unwrap(), ha1)
    }

    #[test]
    fn a_genuine_challenge_is_answered_with_the_digest_that_the_network_expects() {
        let (challenge, ha1) = challenge(Sqn::from_parts(5, 0), ", opaque=\"o\", qop=\"auth,auth-int\"");
        let qop = Qop::Auth { nc: b"00000001", cnonce: b"cn" };
        let expected = ha1.response(b"REGISTER", b"sip:home", &challenge.nonce, qop);
        let Answer::Good(value) = Authenticator::new(&config()).answer(&challenge, b"REGISTER", "cn", None)
        else {
            panic!("the challenge is genuine and fresh");
        };
        assert!(value.contains(&format!("response=\"{}\"", expected.as_str())), "{value}");
        assert!(
            value.ends_with(",algorithm=AKAv1-MD5,opaque=\"o\",qop=auth,nc=00000001,cnonce=\"cn\""),
            "{value}"
        );
    }

    #[test]
    fn a_replayed_challenge_is_answered_with_auts_and_a_forged_one_with_nothing() {
        let mut ue = Authenticator::new(&config());
        let (fresh, _) = challenge(Sqn::from_parts(5, 0), "");
        assert!(matches!(ue.answer(&fresh, b"REGISTER", "", None), Answer::Good(_)));
        let Answer::Bad(replayed) = ue.answer(&fresh, b"REGISTER", "", None) else { panic!("a replay") };
        assert!(replayed.contains(",auts=\""), "{replayed}");

        let mut forged = fresh.clone();
        forged.nonce = AkaNonce::new([1; 16], [2; 16]).encode().into_bytes();
        let Answer::Bad(refused) = ue.answer(&forged, b"REGISTER", "", None) else { panic!("a forgery") };
        assert!(refused.contains("response=\"\"") && !refused.contains("auts"), "{refused}");
    }

    #[test]
    fn a_challenge_that_is_not_for_aka_is_not_answered() {
        let plain = Challenge::read(b"Digest realm=\"home\",nonce=\"n\",algorithm=MD5").unwrap();
        assert!(matches!(
            Authenticator::new(&config()).answer(&plain, b"REGISTER", "", None),
            Answer::Unusable(_)
        ));
        let mut short = challenge(Sqn::from_parts(5, 0), "").0;
        short.nonce = b"YWJj".to_vec();
        assert!(matches!(
            Authenticator::new(&config()).answer(&short, b"REGISTER", "", None),
            Answer::Unusable(_)
        ));
        assert_eq!(Challenge::read(b"Basic realm=\"home\""), None);
        assert_eq!(Challenge::read(b"Digest realm=\"home\""), None);
    }

    #[test]
    fn a_password_answers_a_plain_digest_challenge() {
        let mut config = config();
        config.credentials = Credentials::Digest(Password::new("secret"));
        let plain = Challenge::read(b"Digest realm=\"home\",nonce=\"n\"").unwrap();
        let expected = Ha1::from_password(Hash::Md5, b"alice@home", b"home", b"secret").response(
            b"REGISTER",
            b"sip:home",
            b"n",
            Qop::None,
        );
        let Answer::Good(value) = Authenticator::new(&config).answer(&plain, b"REGISTER", "", None) else {
            panic!()
        };
        assert!(value.contains(expected.as_str()), "{value}");
    }
}
