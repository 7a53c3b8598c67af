//! MAR: authentication vectors, and the S-CSCF that will use them (TS 29.228 §6.3.1).

use crate::credentials::Credentials;
use crate::personality::Personality;
use crate::registration::{Registration, Server};
use crate::sequence::Sequence;
use crate::subscriber::PrivateIdentity;
use ambient::Entropy;
use diameter_client::cx::{AuthDataItem, AuthScheme, CxResult, DigestAuthenticate, Maa, Mar};
use ims_aka::{Algorithm, Hash};
use std::net::IpAddr;

/// What vectors are made with, beside the credentials.
#[derive(Debug)]
pub struct Vectors<'a> {
    /// Draws RAND.
    pub entropy: &'a mut Entropy,
    /// Gives SQN.
    pub sequence: &'a mut Sequence,
    /// How many sequence numbers are allocated at once.
    pub sqn_batch: u32,
    /// The most vectors in one answer.
    pub count_max: u32,
}

/// Decides for identities that exist and belong together.
pub fn answer(
    identity: &PrivateIdentity,
    set: usize,
    registration: &mut Registration,
    server: Server,
    mar: &Mar,
    personality: Personality,
    mut vectors: Vectors<'_>,
) -> Maa {
    let refused = |result| Maa { result, ..Maa::default() };
    let scheme = mar.auth_data_item.scheme.as_ref();
    let items = match &identity.credentials {
        Credentials::Digest { realm, ha1 } => match scheme {
            None | Some(AuthScheme::SipDigest | AuthScheme::Unknown) => vec![digest_item(realm, ha1)],
            Some(_) => return refused(CxResult::AUTH_SCHEME_NOT_SUPPORTED),
        },
        Credentials::Giba { address } => match scheme {
            Some(AuthScheme::EarlyIms | AuthScheme::Unknown) => vec![giba_item(*address)],
            _ => return refused(CxResult::AUTH_SCHEME_NOT_SUPPORTED),
        },
        aka => {
            let is_aka = matches!(scheme, None | Some(AuthScheme::DigestAkaV1Md5))
                || (scheme == Some(&AuthScheme::Unknown) && personality.takes_unknown_for_aka());
            let Some(algorithm) = aka.algorithm().filter(|_| is_aka) else {
                return refused(CxResult::AUTH_SCHEME_NOT_SUPPORTED);
            };
            if let Some(authorization) = &mar.auth_data_item.authorization {
                let Some((rand, auts)) = resynchronisation(authorization) else {
                    return refused(CxResult::INVALID_AVP_VALUE);
                };
                // Only the S-CSCF that issued the challenge can know of its failure.
                if !registration.is_served_by_other(&mar.server_name) {
                    resynchronise(&algorithm, vectors.sequence, &rand, &auts);
                }
            }
            aka_items(&algorithm, identity.amf, mar.number_auth_items, &mut vectors)
        }
    };
    // Whoever authenticates the user is going to serve the user: the name on record gives way.
    registration.server = Some(server);
    // TS 29.228 §6.3.1: whoever is authenticated by the bearer has nothing to answer.
    if !matches!(identity.credentials, Credentials::Giba { .. }) {
        registration.set_mut(set).pending.insert(identity.impi.clone());
    }
    Maa {
        user_name: Some(mar.user_name.clone()),
        public_identity: Some(mar.public_identity.clone()),
        number_auth_items: u32::try_from(items.len()).ok(),
        auth_data_items: items,
        ..Maa::default()
    }
}

/// GIBA: the address of the bearer, of IPv6 its prefix of 64 bits (TS 29.228 table 6.3.6, TS 29.229 §6.3.9).
fn giba_item(address: IpAddr) -> AuthDataItem {
    let (framed_ip_address, framed_ipv6_prefix) = match address {
        IpAddr::V4(address) => (Some(address.octets().to_vec()), None),
        // RFC 3162 §2.3: a reserved octet, the length in bits, the prefix.
        IpAddr::V6(address) => (None, Some([&[0, 64], &address.octets()[..8]].concat())),
    };
    AuthDataItem {
        scheme: Some(AuthScheme::EarlyIms),
        framed_ip_address,
        framed_ipv6_prefix,
        ..AuthDataItem::default()
    }
}

/// RAND and AUTS out of SIP-Authorization (TS 29.229 §6.3.11); what follows 30 octets does not count.
fn resynchronisation(authorization: &[u8]) -> Option<([u8; 16], [u8; 14])> {
    let (rand, rest) = authorization.split_first_chunk()?;
    let (auts, _) = rest.split_first_chunk()?;
    Some((*rand, *auts))
}

/// An AUTS that does not verify changes nothing, and vectors are sent all the same (TS 33.102 §6.3.5).
fn resynchronise(algorithm: &Algorithm, sequence: &mut Sequence, rand: &[u8; 16], auts: &[u8; 14]) {
    if let Ok(sqn_ms) = algorithm.resync(rand, auts) {
        sequence.resynchronise(sqn_ms);
    }
}

fn aka_items(
    algorithm: &Algorithm,
    amf: [u8; 2],
    wanted: u32,
    vectors: &mut Vectors<'_>,
) -> Vec<AuthDataItem> {
    let count = wanted.clamp(1, vectors.count_max.max(1));
    (0..count)
        .map(|n| {
            let mut rand = [0; 16];
            vectors.entropy.fill(&mut rand);
            let vector = algorithm.vector(rand, vectors.sequence.take(vectors.sqn_batch), amf);
            AuthDataItem {
                // TS 29.228 table 6.3.4: the number is there when there are several.
                item_number: (count > 1).then_some(n + 1),
                scheme: Some(AuthScheme::DigestAkaV1Md5),
                authenticate: Some([vector.rand, vector.autn].concat()),
                authorization: Some(vector.xres.expose().to_vec()),
                ck: Some(vector.ck.expose().to_vec()),
                ik: Some(vector.ik.expose().to_vec()),
                ..AuthDataItem::default()
            }
        })
        .collect()
}

/// SIP digest: H(A1), of which the S-CSCF makes its own challenge (TS 29.228 table 6.3.7).
pub fn digest_item(realm: &str, ha1: &ims_aka::Ha1) -> AuthDataItem {
    let algorithm = match ha1.hash() {
        Hash::Md5 => None,
        Hash::Sha256 => Some(Hash::Sha256.token().to_owned()),
    };
    AuthDataItem {
        scheme: Some(AuthScheme::SipDigest),
        digest: Some(DigestAuthenticate {
            realm: realm.to_owned(),
            qop: Some("auth".to_owned()),
            algorithm,
            ha1: ha1.expose().to_owned(),
        }),
        ..AuthDataItem::default()
    }
}
