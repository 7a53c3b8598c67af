//! Subscribers as a lab has them: everything derived from IMSI, K, OPc, number and name (TS 23.003 §13).

use crate::credentials::Credentials;
use crate::subscriber::{ImplicitSet, Permission, PrivateIdentity, Roaming, Subscriber};
use ambient::Entropy;
use cscf::identity::HomeNetwork;
use cscf::user_data::{InitialFilterCriteria, PublicIdentity, ServiceProfile};
use ims_aka::{Hash, Key, Opc, Sqn};
use std::net::IpAddr;

/// What is known of one subscriber of a lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabSubscriber {
    /// 14 or 15 digits.
    pub imsi: String,
    /// The number, with or without `+`; no number, no tel identity.
    pub msisdn: Option<String>,
    /// The name for people, which also makes a SIP identity: `alice`.
    pub name: Option<String>,
    /// AKA or digest.
    pub credentials: LabCredentials,
    /// The authentication management field.
    pub amf: [u8; 2],
    /// The sequence number to start after.
    pub sqn: Sqn,
    /// The services.
    pub filter_criteria: Vec<InitialFilterCriteria>,
    /// Shared sets of filter criteria, by number.
    pub shared_ifc_set_ids: Vec<u32>,
}

/// The secrets of one subscriber of a lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabCredentials {
    /// MILENAGE or TUAK.
    Aka(Credentials),
    /// SIP digest; the realm is the home domain.
    Password {
        /// Of H(A1).
        hash: Hash,
        /// Not kept: H(A1) is.
        password: String,
    },
    /// GIBA: the address of the bearer.
    Bearer(IpAddr),
}

impl From<Credentials> for LabCredentials {
    fn from(credentials: Credentials) -> LabCredentials {
        LabCredentials::Aka(credentials)
    }
}

/// The authentication management field where none is given: the one that test cards and networks agree on.
pub const AMF: [u8; 2] = [0x80, 0x00];

/// Why a subscriber cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabError {
    /// The IMSI is not 14 or 15 digits.
    Imsi,
    /// The number is no number of 1 to 15 digits.
    Msisdn,
    /// The name cannot be the user part of a SIP URI.
    Name,
}

impl std::fmt::Display for LabError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            LabError::Imsi => "the IMSI must have 14 or 15 digits",
            LabError::Msisdn => "the MSISDN must have 1 to 15 digits, with or without a + in front",
            LabError::Name => "the name must be letters, digits, or one of - _ .",
        })
    }
}

impl std::error::Error for LabError {}

impl LabSubscriber {
    /// A subscriber without number, name and services.
    pub fn new(imsi: impl Into<String>, credentials: impl Into<LabCredentials>) -> LabSubscriber {
        LabSubscriber {
            imsi: imsi.into(),
            msisdn: None,
            name: None,
            credentials: credentials.into(),
            amf: AMF,
            sqn: Sqn::default(),
            filter_criteria: Vec::new(),
            shared_ifc_set_ids: Vec::new(),
        }
    }

    /// The subscription.
    ///
    /// One private identity, and one implicit set: the temporary public identity, barred, to register with; the SIP
    /// identity of the name; SIP and tel identity of the number. All but the first are aliases of each other. Without a
    /// name and a number the temporary identity is all there is, and so is not barred.
    pub fn build(self, home: &HomeNetwork) -> Result<Subscriber, LabError> {
        if !(14..=15).contains(&self.imsi.len()) || !self.imsi.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(LabError::Imsi);
        }
        let impi = home.impi(&self.imsi).as_str().to_owned();
        let mut usable = Vec::new();
        if let Some(name) = &self.name {
            let is_user = !name.is_empty()
                && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'));
            let impu = home.sip_impu(name).filter(|_| is_user).ok_or(LabError::Name)?;
            usable.push(impu);
        }
        if let Some(msisdn) = &self.msisdn {
            let digits = msisdn.strip_prefix('+').unwrap_or(msisdn);
            let is_number = (1..=15).contains(&digits.len()) && digits.bytes().all(|d| d.is_ascii_digit());
            let both = home.sip_impu(&format!("+{digits}")).zip(home.tel_impu(digits));
            let (sip, tel) = both.filter(|_| is_number).ok_or(LabError::Msisdn)?;
            usable.extend([sip, tel]);
        }
        let temporary = PublicIdentity {
            identity: home.temporary_impu(&self.imsi).as_str().to_owned(),
            is_barred: !usable.is_empty(),
            ..PublicIdentity::default()
        };
        let aliases = usable.iter().map(|impu| PublicIdentity {
            identity: impu.as_str().to_owned(),
            display_name: self.name.clone(),
            alias_group: Some("1".to_owned()),
            ..PublicIdentity::default()
        });
        let profile = ServiceProfile {
            public_identities: std::iter::once(temporary).chain(aliases).collect(),
            filter_criteria: self.filter_criteria,
            shared_ifc_set_ids: self.shared_ifc_set_ids,
            ..ServiceProfile::default()
        };
        let credentials = match self.credentials {
            LabCredentials::Aka(credentials) => credentials,
            LabCredentials::Password { hash, password } => {
                Credentials::digest_password(hash, &impi, home.domain(), &password)
            }
            LabCredentials::Bearer(address) => Credentials::Giba { address },
        };
        Ok(Subscriber {
            name: self.name.unwrap_or_else(|| self.imsi.clone()),
            imsi: Some(self.imsi),
            private_identities: vec![PrivateIdentity { impi, credentials, amf: self.amf, sqn: self.sqn }],
            implicit_sets: vec![ImplicitSet { service_profiles: vec![profile], ..ImplicitSet::default() }],
            server: None,
            roaming: Roaming::Anywhere,
            registration: Permission::Allowed,
            unregistered_services: Permission::Allowed,
            charging: None,
        })
    }
}

/// Makes `count` subscribers: IMSI from `msin_first` on, numbers from `msisdn_first` on, K and OPc drawn from `entropy`,
/// names `prefix` and a number.
pub fn generate(
    home: &HomeNetwork,
    count: u32,
    msin_first: u64,
    msisdn_first: u64,
    prefix: &str,
    entropy: &mut Entropy,
) -> Result<Vec<Subscriber>, LabError> {
    (0..u64::from(count))
        .map(|n| {
            let [mut k, mut opc] = [[0; 16]; 2];
            entropy.fill(&mut k);
            entropy.fill(&mut opc);
            let imsi = home.plmn().imsi(msin_first + n);
            let (msisdn, name) = ((msisdn_first + n).to_string(), format!("{prefix}{n}"));
            Subscriber::lab(home, &imsi, Key::new(k), Opc(Key::new(opc)), &msisdn, &name)
        })
        .collect()
}

impl Subscriber {
    /// A subscriber of a lab with MILENAGE, OPc, a number and a name; everything else derived.
    pub fn lab(
        home: &HomeNetwork,
        imsi: &str,
        k: Key<16>,
        opc: Opc,
        msisdn: &str,
        name: &str,
    ) -> Result<Subscriber, LabError> {
        let lab = LabSubscriber {
            msisdn: Some(msisdn.to_owned()),
            name: Some(name.to_owned()),
            ..LabSubscriber::new(imsi, Credentials::Milenage { k, opc })
        };
        lab.build(home)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cscf::identity::Plmn;

    fn home() -> HomeNetwork {
        HomeNetwork::of(&Plmn::test())
    }

    fn lab(imsi: &str) -> LabSubscriber {
        LabSubscriber::new(imsi, Credentials::Milenage { k: Key::new([1; 16]), opc: Opc(Key::new([2; 16])) })
    }

    #[test]
    fn identities_are_derived_from_imsi_number_and_name() {
        let (k, opc) = (Key::new([1; 16]), Opc(Key::new([2; 16])));
        let alice = Subscriber::lab(&home(), "001010000000001", k, opc, "49301000001", "alice").unwrap();
        assert_eq!(alice.private_identities[0].impi, "001010000000001@ims.mnc001.mcc001.3gppnetwork.org");
        let identities: Vec<(&str, bool)> =
            alice.implicit_sets[0].identities().map(|i| (i.identity.as_str(), i.is_barred)).collect();
        let expected = [
            ("sip:001010000000001@ims.mnc001.mcc001.3gppnetwork.org", true),
            ("sip:alice@ims.mnc001.mcc001.3gppnetwork.org", false),
            ("sip:+49301000001@ims.mnc001.mcc001.3gppnetwork.org", false),
            ("tel:+49301000001", false),
        ];
        assert_eq!(identities, expected);
        assert!(alice.implicit_sets[0].identities().skip(1).all(|i| i.alias_group.as_deref() == Some("1")));
    }

    #[test]
    fn without_name_and_number_the_temporary_identity_can_be_used() {
        let bare = lab("001010000000002").build(&home()).unwrap();
        assert_eq!(bare.name, "001010000000002");
        assert!(bare.implicit_sets[0].has_unbarred());
    }

    #[test]
    fn what_is_no_imsi_number_or_name_is_refused() {
        assert_eq!(lab("0010100000").build(&home()), Err(LabError::Imsi));
        assert_eq!(lab("00101000000000x").build(&home()), Err(LabError::Imsi));
        let of = |msisdn: &str, name: &str| {
            LabSubscriber {
                msisdn: Some(msisdn.to_owned()),
                name: Some(name.to_owned()),
                ..lab("001010000000001")
            }
            .build(&home())
        };
        assert_eq!(of("+49x", "alice"), Err(LabError::Msisdn));
        assert_eq!(of("+49", "alice@x"), Err(LabError::Name));
        assert!(of("+49", "al.ice").is_ok());
    }

    #[test]
    fn generated_subscribers_differ_in_everything_and_repeat_with_their_seed() {
        let of = |seed| generate(&home(), 20, 1000, 49301000000, "ue", &mut Entropy::seeded(seed)).unwrap();
        assert_eq!(of(7), of(7));
        let mut directory = crate::Directory::default();
        of(7).into_iter().for_each(|subscriber| directory.add(subscriber).unwrap());
        assert_eq!(directory.find("tel:+49301000019").unwrap().name, "ue19");
        assert_eq!(
            generate(&home(), 1, 10_u64.pow(12), 1, "ue", &mut Entropy::seeded(1)),
            Err(LabError::Imsi)
        );
    }

    #[test]
    fn a_password_is_kept_as_ha1_for_the_home_domain() {
        let password = LabCredentials::Password { hash: Hash::Md5, password: "secret".to_owned() };
        let bob = LabSubscriber { credentials: password, ..lab("001010000000003") }.build(&home()).unwrap();
        let identity = &bob.private_identities[0];
        let expected = Credentials::digest_password(Hash::Md5, &identity.impi, home().domain(), "secret");
        assert_eq!(identity.credentials, expected);
    }
}
