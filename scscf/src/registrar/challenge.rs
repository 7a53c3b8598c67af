//! Challenges: vectors of the HSS, the 401 that one becomes, and the check of its answer (TS 33.203 §6.1, Annex N).

use super::authorization::Authorization;
use ambient::Entropy;
use cscf::identity::Impi;
use diameter_client::cx::AuthDataItem;
use ims_aka::{AkaAlgorithm, AkaNonce, Ha1, Hash, Key, Qop, Res, aka_digest};
use smallvec::SmallVec;

/// One authentication vector, good for one challenge.
#[derive(Clone, Debug)]
pub enum Vector {
    /// IMS-AKA.
    Aka(Box<AkaVector>),
    /// SIP digest; the nonce is the S-CSCF's own.
    Digest(Box<DigestVector>),
}

/// RAND, AUTN, XRES, CK and IK.
#[derive(Clone, Debug)]
pub struct AkaVector {
    nonce: AkaNonce,
    xres: Res,
    ck: Key<16>,
    ik: Key<16>,
}

/// H(A1) and what it is good for.
#[derive(Clone, Debug)]
pub struct DigestVector {
    realm: String,
    ha1: Ha1,
}

impl Vector {
    /// The vector of a SIP-Auth-Data-Item (TS 29.228 tables 6.3.4 and 6.3.7); `None` when the item lacks a part.
    pub fn from_item(item: &AuthDataItem, home_domain: &str) -> Option<Vector> {
        if let Some(digest) = &item.digest {
            let hash = digest
                .algorithm
                .as_deref()
                .map_or(Some(Hash::Md5), |token| Hash::from_token(token.as_bytes()))?;
            let realm = if digest.realm.is_empty() { home_domain } else { &digest.realm };
            let ha1 = Ha1::from_digits(hash, digest.ha1.as_bytes())?;
            return Some(Vector::Digest(Box::new(DigestVector { realm: realm.to_owned(), ha1 })));
        }
        // TS 29.229 §6.3.10: RAND and AUTN, 32 octets.
        let (rand, autn) = item.authenticate.as_deref()?.split_first_chunk::<16>()?;
        Some(Vector::Aka(Box::new(AkaVector {
            nonce: AkaNonce::new(*rand, *autn.first_chunk()?),
            xres: Res::new(item.authorization.as_deref()?)?,
            ck: Key::from_slice(item.ck.as_deref()?).ok()?,
            ik: Key::from_slice(item.ik.as_deref()?).ok()?,
        })))
    }
}

/// Whether CK and IK go to the P-CSCF with the challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyHandOver {
    /// For the security associations of Gm (TS 24.229 §7.2A.1).
    ToPcscf,
    /// AKA over TLS has none (TS 33.203 §X.2.3.3).
    None,
}

/// Whether the client did know the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staleness {
    /// The first challenge, or the answer to the last one was wrong.
    Fresh,
    /// The answer was right but for the age of its nonce (RFC 7616 §3.3).
    Stale,
}

/// One challenge that was issued.
#[derive(Clone, Debug)]
pub struct Challenge {
    /// Of the REGISTER that it answered; the next one must have the same (TS 24.229 §5.4.1.2.2).
    pub call_id: SmallVec<[u8; 64]>,
    nonce: String,
    vector: Vector,
    algorithm: AkaAlgorithm,
    /// The nonce count of the last answer that was right; SIP digest only.
    nonce_count: u32,
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Another response than expected: another secret.
    Response,
    /// A nonce count that was seen before.
    NonceCount,
}

impl Challenge {
    /// Makes a challenge of a vector.
    pub fn issue(
        vector: Vector,
        algorithm: AkaAlgorithm,
        call_id: &[u8],
        entropy: &mut Entropy,
    ) -> Challenge {
        let nonce = match &vector {
            Vector::Aka(aka) => aka.nonce.encode(),
            Vector::Digest(_) => format!("{:016x}{:016x}", entropy.next_u64(), entropy.next_u64()),
        };
        Challenge { call_id: call_id.into(), nonce, vector, algorithm, nonce_count: 0 }
    }

    /// The realm: of SIP digest what the HSS says, else the home domain.
    fn realm<'a>(&'a self, home_domain: &'a str) -> &'a str {
        match &self.vector {
            Vector::Aka(_) => home_domain,
            Vector::Digest(digest) => &digest.realm,
        }
    }

    /// Whether this is the nonce of the challenge.
    pub fn has_nonce(&self, nonce: &[u8]) -> bool {
        self.nonce.as_bytes() == nonce
    }

    /// Whether the challenge is one of SIP digest, whose nonce may serve again.
    pub fn is_digest(&self) -> bool {
        matches!(self.vector, Vector::Digest(_))
    }

    /// The vector of a SIP digest challenge, which is good for another nonce.
    pub fn digest_vector(&self) -> Option<Vector> {
        self.is_digest().then(|| self.vector.clone())
    }

    /// The value of WWW-Authenticate.
    pub fn www_authenticate(&self, home_domain: &str, keys: KeyHandOver, staleness: Staleness) -> String {
        let (realm, nonce) = (self.realm(home_domain), &self.nonce);
        let algorithm = match &self.vector {
            Vector::Aka(_) => self.algorithm.token(),
            Vector::Digest(digest) => digest.ha1.hash().token(),
        };
        let mut value = String::with_capacity(256 + realm.len());
        for part in
            ["Digest realm=\"", realm, "\", nonce=\"", nonce, "\", algorithm=", algorithm, ", qop=\"auth\""]
        {
            value.push_str(part);
        }
        if staleness == Staleness::Stale {
            value.push_str(", stale=TRUE");
        }
        if let (Vector::Aka(aka), KeyHandOver::ToPcscf) = (&self.vector, keys) {
            for (name, key) in [(", ik=\"", &aka.ik), (", ck=\"", &aka.ck)] {
                value.push_str(name);
                key.expose_hex_into(&mut value);
                value.push('"');
            }
        }
        value
    }

    /// Compares an answer; right gives the H(A1) that Authentication-Info is made with.
    pub fn verify(
        &mut self,
        impi: &Impi,
        home_domain: &str,
        answer: &Authorization,
        method: &[u8],
        body: &[u8],
    ) -> Result<Ha1, Wrong> {
        let ha1 = match &self.vector {
            Vector::Aka(aka) => self.algorithm.ha1(
                impi.as_str().as_bytes(),
                home_domain.as_bytes(),
                &aka.xres,
                &aka.ck,
                &aka.ik,
            ),
            Vector::Digest(digest) => digest.ha1.clone(),
        };
        let Some(qop) = qop(answer, body) else { return Err(Wrong::Response) };
        if !ha1
            .response(method, &answer.uri, &answer.nonce, qop)
            .matches(&answer.response.to_ascii_lowercase())
        {
            return Err(Wrong::Response);
        }
        if self.is_digest() {
            // RFC 7616 §3.4: the count rises with each use of a nonce; without one a nonce serves once.
            let count = answer.nonce_count().unwrap_or(1);
            if count <= self.nonce_count {
                return Err(Wrong::NonceCount);
            }
            self.nonce_count = count;
        }
        Ok(ha1)
    }

    /// RAND as it was sent and AUTS, for a second MAR (TS 29.229 §6.3.11); `None` when the answer has none.
    pub fn resynchronisation(&self, answer: &Authorization) -> Option<Vec<u8>> {
        let Vector::Aka(aka) = &self.vector else { return None };
        let auts = aka_digest::decode_auts(answer.auts.as_deref()?)?;
        Some([&aka.nonce.rand[..], &auts].concat())
    }
}

/// The value of Authentication-Info for an answer that was right (RFC 7616 §3.5).
pub fn authentication_info(ha1: &Ha1, answer: &Authorization) -> Option<String> {
    // The response has no body.
    let qop = qop(answer, b"")?;
    let rspauth = ha1.rspauth(&answer.uri, &answer.nonce, qop);
    let word = answer.qop.as_deref().map(String::from_utf8_lossy)?;
    let (cnonce, nc) = (String::from_utf8_lossy(&answer.cnonce), String::from_utf8_lossy(&answer.nc));
    let is_plain =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
    (is_plain(&cnonce) && is_plain(&nc))
        .then(|| format!("qop={word}, rspauth=\"{rspauth}\", cnonce=\"{cnonce}\", nc={nc}"))
}

/// The quality of protection of an answer; `None` for one that nobody offered.
fn qop<'a>(answer: &'a Authorization, body: &'a [u8]) -> Option<Qop<'a>> {
    let (nc, cnonce) = (&answer.nc[..], &answer.cnonce[..]);
    match answer.qop.as_deref() {
        None | Some(b"") => Some(Qop::None),
        Some(word) if word.eq_ignore_ascii_case(b"auth") => Some(Qop::Auth { nc, cnonce }),
        Some(word) if word.eq_ignore_ascii_case(b"auth-int") => Some(Qop::AuthInt { nc, cnonce, body }),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use diameter_client::cx::DigestAuthenticate;

    const USER: &str = "alice@home1.net";

    pub(super) fn aka_item() -> AuthDataItem {
        AuthDataItem {
            authenticate: Some([[1; 16], [2; 16]].concat()),
            authorization: Some(vec![3; 8]),
            ck: Some(vec![4; 16]),
            ik: Some(vec![5; 16]),
            ..Default::default()
        }
    }

    fn issue(item: &AuthDataItem) -> Challenge {
        let vector = Vector::from_item(item, "home1.net").unwrap();
        Challenge::issue(vector, AkaAlgorithm::V1Md5, b"c1", &mut Entropy::seeded(1))
    }

    fn answer(challenge: &Challenge, ha1: &Ha1, nc: &str) -> Authorization {
        let qop = Qop::Auth { nc: nc.as_bytes(), cnonce: b"abc" };
        let response = ha1.response(b"REGISTER", b"sip:home1.net", challenge.nonce.as_bytes(), qop);
        Authorization {
            nonce: challenge.nonce.as_bytes().into(),
            uri: b"sip:home1.net"[..].into(),
            response: response.as_bytes().into(),
            qop: Some(b"auth"[..].into()),
            nc: nc.as_bytes().into(),
            cnonce: b"abc"[..].into(),
            ..Default::default()
        }
    }

    fn alice() -> Impi {
        Impi::new(USER)
    }

    fn res() -> Ha1 {
        Ha1::from_password(Hash::Md5, USER.as_bytes(), b"home1.net", &[3; 8])
    }

    #[test]
    fn an_aka_challenge_carries_rand_autn_and_for_the_pcscf_the_keys() {
        let challenge = issue(&aka_item());
        let sent = challenge.www_authenticate("home1.net", KeyHandOver::ToPcscf, Staleness::Fresh);
        assert!(sent.contains(&format!("ik=\"{}\", ck=\"{}\"", "05".repeat(16), "04".repeat(16))), "{sent}");
        assert!(sent.contains("algorithm=AKAv1-MD5") && sent.contains("realm=\"home1.net\""), "{sent}");
        let decoded = AkaNonce::decode(challenge.nonce.as_bytes()).unwrap();
        assert_eq!((decoded.rand, decoded.autn), ([1; 16], [2; 16]));
        assert!(
            !challenge.www_authenticate("home1.net", KeyHandOver::None, Staleness::Fresh).contains("ck=")
        );
    }

    /// RFC 3310 §3.3: the password is RES itself.
    #[test]
    fn the_right_res_is_accepted_and_another_is_not() {
        let mut challenge = issue(&aka_item());
        let right = answer(&challenge, &res(), "00000001");
        assert!(challenge.verify(&alice(), "home1.net", &right, b"REGISTER", b"").is_ok());
        let other = Ha1::from_password(Hash::Md5, USER.as_bytes(), b"home1.net", &[9; 8]);
        let wrong = answer(&challenge, &other, "00000001");
        assert_eq!(challenge.verify(&alice(), "home1.net", &wrong, b"REGISTER", b""), Err(Wrong::Response));
        assert_eq!(challenge.verify(&alice(), "home1.net", &right, b"INVITE", b""), Err(Wrong::Response));
    }

    #[test]
    fn auts_goes_to_the_hss_behind_the_rand_that_was_sent() {
        let challenge = issue(&aka_item());
        let auts = Authorization {
            auts: Some(aka_digest::encode_auts(&[7; 14]).as_bytes().into()),
            ..Default::default()
        };
        assert_eq!(challenge.resynchronisation(&auts).unwrap(), [vec![1; 16], vec![7; 14]].concat());
        let short = Authorization { auts: Some(b"BwcH"[..].into()), ..Default::default() };
        assert_eq!(challenge.resynchronisation(&short), None);
    }

    #[test]
    fn a_digest_nonce_serves_again_only_while_its_count_rises() {
        let ha1 = Ha1::from_password(Hash::Md5, USER.as_bytes(), b"home1.net", b"secret");
        let digest =
            DigestAuthenticate { realm: "home1.net".into(), ha1: ha1.expose().into(), ..Default::default() };
        let mut challenge = issue(&AuthDataItem { digest: Some(digest), ..Default::default() });
        for (nc, expected) in [("00000001", true), ("00000001", false), ("00000002", true)] {
            let answer = answer(&challenge, &ha1, nc);
            assert_eq!(
                challenge.verify(&alice(), "home1.net", &answer, b"REGISTER", b"").is_ok(),
                expected,
                "{nc}"
            );
        }
        let sent = challenge.www_authenticate("home1.net", KeyHandOver::ToPcscf, Staleness::Stale);
        assert!(sent.ends_with("stale=TRUE") && sent.contains("algorithm=MD5"), "{sent}");
    }

    #[test]
    fn an_item_that_lacks_a_part_is_no_vector() {
        let short = AuthDataItem { authenticate: Some(vec![1; 31]), ..aka_item() };
        let keyless = AuthDataItem { ck: None, ..aka_item() };
        for item in [short, keyless, AuthDataItem::default()] {
            assert!(Vector::from_item(&item, "home1.net").is_none(), "{item:?}");
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let printed = format!("{:?}", issue(&aka_item()));
        assert!(
            !printed.contains("0404") && !printed.contains("4, 4") && !printed.contains("3, 3"),
            "{printed}"
        );
    }
}
