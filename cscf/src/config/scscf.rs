//! `[scscf]`: the S-CSCF (TS 24.229 §5.4).

use super::address::Points;
use super::criteria::{self, SharedIfcSet, WrittenCriteria};
use super::media_profile::{self, MediaProfile};
use super::reader::{Fallback, Reader};
use super::value::{Fault, Reauthenticate};
use super::{ONE_WEEK, check};
use crate::bucket::SHARDS_MAX;
use crate::flow::{Local, Side};
use crate::identity::{HomeNetwork, NumberPolicy};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// The S-CSCF's section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScscfSection {
    /// Where it listens.
    pub listen: Vec<Local>,
    /// Its host name.
    pub host: String,
    /// How many shards it runs, each with a thread of its own.
    pub shards: u16,
    /// Its SIP URI: Server-Name towards the HSS (TS 29.229 §6.3.3).
    pub uri: String,
    /// Its Diameter identity.
    pub diameter_host: String,
    /// The inter operator identifier that it writes into P-Charging-Vector.
    pub ioi: String,
    /// The shortest registration: below, 423.
    pub expires_min: Duration,
    /// The registration of a UE that asks for no time.
    pub expires_default: Duration,
    /// The longest registration: above, shortened.
    pub expires_max: Duration,
    /// How long a registration for emergencies lasts at most (TS 24.229 §5.4.8.2).
    pub emergency_expires: Duration,
    /// When a registered UE is challenged again.
    pub reauthenticate: Reauthenticate,
    /// Whether the answer to a challenge must come integrity protected. Off: Gm has no security associations yet.
    pub require_integrity: bool,
    /// How long a challenge waits for its answer (TS 24.229 table 7.8.1).
    pub reg_await_auth: Duration,
    /// Contacts of one public identity at most.
    pub contacts_max: usize,
    /// Registered public identities at most; beyond, 503.
    pub registrations_max: usize,
    /// The shortest subscription to a registration: below, 423.
    pub subscription_min: Duration,
    /// The longest: above, shortened.
    pub subscription_max: Duration,
    /// Subscriptions to registrations at most; beyond, 503.
    pub subscriptions_max: usize,
    /// Whether the HSS keeps what another S-CSCF, or this one without its store, needs to serve on (TS 23.380 §4).
    pub restoration: bool,
    /// Whether the HSS is told when a P-CSCF does not answer, to have its UEs sent to another one (TS 23.380 §5.4).
    pub pcscf_restoration: bool,
    /// How a dialled number becomes a global one.
    pub numbers: NumberPolicy,
    /// The domain in the DNS under which global numbers are looked up (ENUM, RFC 6116); without one they are not.
    pub enum_domain: Option<String>,
    /// Session timers (RFC 4028).
    pub session: SessionTimers,
    /// How long an application server may be silent before default handling takes its place.
    pub application_server_timeout: Duration,
    /// How long one that has not answered is left out, unless it answers before; zero: it is asked each time.
    pub application_server_left_out: Duration,
    /// Filter criteria that profiles name by number; no two have the same.
    pub shared_ifc_sets: Vec<SharedIfcSet>,
    /// The media of users whose profiles name a number; no two have the same.
    pub media_profiles: Vec<MediaProfile>,
    /// Filter criteria of users who have none.
    pub fallback_criteria: Option<WrittenCriteria>,
}

/// What a proxy asks of a session's refresh (RFC 4028).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimers {
    /// Session-Expires that is inserted when the UE asks for none.
    pub expires: Duration,
    /// The shortest that is let through: below, 422.
    pub min_se: Duration,
}

impl ScscfSection {
    pub(super) fn read(reader: &mut Reader<'_>, home: &HomeNetwork, directory: &Path) -> ScscfSection {
        let mut section = reader.section("scscf");
        let listen =
            section.get("listen", Fallback::Default(Points::both(SocketAddr::from(([127, 0, 0, 12], 6060)))));
        let host = section.get("host", Fallback::Derived(home.host("scscf")));
        let port = listen.0.first().map_or(6060, |hop| hop.remote.port());
        let seconds = Duration::from_secs;
        let read = ScscfSection {
            uri: section.get("uri", Fallback::Derived(format!("sip:{host}:{port}"))),
            diameter_host: section.get("diameter_host", Fallback::Derived(host.clone())),
            ioi: section.get("ioi", Fallback::Derived(home.domain().to_owned())),
            expires_min: section.within("expires_min", seconds(60), seconds(1)..=ONE_WEEK),
            expires_default: section.within("expires_default", seconds(3600), seconds(1)..=ONE_WEEK),
            // TS 24.229 §5.1.1.2.1: a UE asks for 600 000 s.
            expires_max: section.within("expires_max", seconds(600_000), seconds(1)..=ONE_WEEK),
            emergency_expires: section.within("emergency_expires", seconds(600), seconds(60)..=ONE_WEEK),
            reauthenticate: section.get("reauthenticate", Fallback::Default(Reauthenticate::Unprotected)),
            require_integrity: section.get("require_integrity", Fallback::Default(false)),
            reg_await_auth: section.within("reg_await_auth", seconds(240), seconds(1)..=seconds(3600)),
            contacts_max: section.within("contacts_max", 10, 1..=1000) as usize,
            registrations_max: section.within("registrations_max", 1_000_000, 1..=100_000_000) as usize,
            subscription_min: section.within("subscription_min", seconds(60), seconds(1)..=ONE_WEEK),
            // TS 24.229 §5.1.1.3: a UE asks for 600 000 s, and a P-CSCF for more than it registers for.
            subscription_max: section.within("subscription_max", ONE_WEEK, seconds(1)..=ONE_WEEK),
            subscriptions_max: section.within("subscriptions_max", 2_000_000, 1..=100_000_000) as usize,
            restoration: section.get("restoration", Fallback::Default(true)),
            pcscf_restoration: section.get("pcscf_restoration", Fallback::Default(false)),
            numbers: NumberPolicy {
                country_code: section.optional("country_code"),
                national_prefix: section.get("national_prefix", Fallback::Default("0".to_owned())),
                international_prefix: section.get("international_prefix", Fallback::Default("00".to_owned())),
                home_domain: home.domain().to_owned(),
            },
            enum_domain: section.optional("enum_domain"),
            session: SessionTimers {
                expires: section.within("session_expires", seconds(1800), seconds(90)..=seconds(86_400)),
                // RFC 4028 §4: never below 90 s.
                min_se: section.within("min_se", seconds(90), seconds(90)..=seconds(86_400)),
            },
            application_server_timeout: section.within(
                "application_server_timeout",
                seconds(5),
                Duration::from_millis(500)..=seconds(60),
            ),
            application_server_left_out: section.within(
                "application_server_left_out",
                seconds(30),
                Duration::ZERO..=seconds(3600),
            ),
            shared_ifc_sets: section
                .get(criteria::SHARED_SETS, Fallback::Default(Vec::<SharedIfcSet>::new()))
                .into_iter()
                .map(|set| SharedIfcSet { criteria: set.criteria.in_directory(directory), ..set })
                .collect(),
            media_profiles: section.get(media_profile::KEY, Fallback::Default(Vec::new())),
            fallback_criteria: section
                .optional::<WrittenCriteria>(criteria::FALLBACK)
                .map(|written| written.in_directory(directory)),
            listen: listen.locals(Side::Core),
            host,
            shards: section.within("shards", 1, 1..=u32::from(SHARDS_MAX)) as u16,
        };
        section.end();
        read.check(reader);
        read
    }

    fn check(&self, reader: &mut Reader<'_>) {
        if !(self.expires_min..=self.expires_max).contains(&self.expires_default) {
            let fault = Fault::new(
                "does not lie between expires_min and expires_max",
                "move expires_default between them, or the bounds around it",
            );
            reader.reject("scscf", "expires_default", fault);
        }
        if self.session.min_se > self.session.expires {
            let fault =
                Fault::new("is longer than session_expires", "shorten min_se or lengthen session_expires");
            reader.reject("scscf", "min_se", fault);
        }
        let numbers = || self.shared_ifc_sets.iter().map(|set| set.id);
        if let Some((_, twice)) =
            numbers().enumerate().find(|(place, id)| numbers().take(*place).any(|one| one == *id))
        {
            let fault = Fault::new(format!("{twice} is the number of two sets"), "give each its own");
            reader.reject("scscf", criteria::SHARED_SETS, fault);
        }
        let numbers = || self.media_profiles.iter().map(|profile| profile.id);
        if let Some((_, twice)) =
            numbers().enumerate().find(|(place, id)| numbers().take(*place).any(|one| one == *id))
        {
            let fault = Fault::new(format!("{twice} is the number of two profiles"), "give each its own");
            reader.reject("scscf", media_profile::KEY, fault);
        }
        let NumberPolicy { country_code, national_prefix, international_prefix, .. } = &self.numbers;
        for (key, digits) in [
            ("country_code", country_code.as_deref().unwrap_or("")),
            ("national_prefix", national_prefix),
            ("international_prefix", international_prefix),
        ] {
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                let remedy = "write digits only, without + or spaces, as in country_code = \"49\"";
                reader.reject(
                    "scscf",
                    key,
                    Fault::new(format!("\"{digits}\" is not made of digits"), remedy),
                );
            }
        }
        if let Some(domain) = self.enum_domain.as_deref().filter(|domain| !is_domain(domain)) {
            let fault = Fault::new(
                format!("\"{domain}\" is no domain"),
                "write its name, as in enum_domain = \"e164.arpa\"",
            );
            reader.reject("scscf", "enum_domain", fault);
        }
        check::sip_uri(reader, "scscf", "uri", &self.uri);
    }
}

/// Whether a name can stand behind the digits of a number in the DNS, which takes 253 octets and 63 a label.
fn is_domain(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    name.len() <= 200 && name.split('.').all(is_label)
}
