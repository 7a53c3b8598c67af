//! The subscribers of a deployment, as a person names them: by name, number, IMSI or identity.

use crate::exit::Failure;
use crate::io;
use cscf::config::{Config, StoreUrl, suggestion};
use cscf::identity::{HomeNetwork, Impu, Number};
use hss_mock::{Subscriber, csv};
use ims_aka::Usim;
use sip_core::Uri;
use std::path::Path;

/// Subscribers, in the order of their file.
#[derive(Debug)]
pub struct Roster {
    subscribers: Vec<Subscriber>,
}

/// What `ims dev` and `ims demo` have when no file names anybody: test keys, for nothing but a lab.
const BUILT_IN: &str = "imsi,k,opc,msisdn,name
001010000000001,465b5ce8b199b49faa5f0a2ee238a6bc,cd63cb71954a9f4e48a5994e37a02baf,+49301000001,alice
001010000000002,0396eb317b6d1c36f19c1c84cd6ffd16,53c15671c60a4b731c55b4a441c0bde2,+49301000002,bob
";

impl Roster {
    /// Alice and bob, at home in `home`.
    pub fn built_in(home: &HomeNetwork) -> Roster {
        let import =
            csv::import(BUILT_IN, home).expect("the built-in subscribers are valid in every network");
        Roster { subscribers: import.subscribers }
    }

    /// Those of the configuration: of its database, then of its CSV file; alice and bob when it names neither.
    pub fn of(config: &Config) -> Result<Roster, Failure> {
        let kept = database_url(config).map(|url| io::load(&url)).transpose()?;
        let listed =
            config.hss.subscribers.as_deref().map(|path| Roster::read(path, &config.home)).transpose()?;
        if kept.is_none() && listed.is_none() {
            return Ok(Roster::built_in(&config.home));
        }
        let mut subscribers = kept.unwrap_or_default();
        for subscriber in listed.map(|listed| listed.subscribers).unwrap_or_default() {
            // As the HSS does: what the database has goes before what the file has.
            if subscribers.iter().all(|kept| kept.name != subscriber.name) {
                subscribers.push(subscriber);
            }
        }
        Ok(Roster { subscribers })
    }

    /// Those of a CSV file.
    pub fn read(path: &Path, home: &HomeNetwork) -> Result<Roster, Failure> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::Usage(format!("{shown}: {error}; `hss.subscribers` names this file"))
        })?;
        let import = csv::import(&text, home)
            .map_err(|error| Failure::Usage(format!("{shown}:{}: {}", error.line, error.reason)))?;
        Ok(Roster { subscribers: import.subscribers })
    }

    /// All of them.
    pub fn subscribers(&self) -> &[Subscriber] {
        &self.subscribers
    }

    /// The one that `who` names.
    pub fn find(&self, who: &str, config: &Config) -> Result<&Subscriber, Failure> {
        let wanted = wanted(who, config);
        let found = self.subscribers.iter().find(|subscriber| {
            subscriber.name == who
                || subscriber.imsi.as_deref() == Some(who)
                || subscriber.private_identity(who).is_some()
                || wanted.iter().any(|impu| identities(subscriber).any(|own| own == impu.as_str()))
        });
        found.ok_or_else(|| {
            let hint =
                match suggestion(who, self.subscribers.iter().map(|subscriber| subscriber.name.as_str())) {
                    Some(meant) => format!("did you mean {meant}?"),
                    None => "`ims sub list` shows who there is".to_owned(),
                };
            Failure::Usage(format!("no subscriber is called {who}; {hint}"))
        })
    }
}

/// The database that the configuration names.
pub fn database_url(config: &Config) -> Option<String> {
    match &config.hss.store {
        StoreUrl::Memory => None,
        StoreUrl::Sqlite(path) => Some(format!("sqlite:{}", path.display())),
        StoreUrl::Postgres(url) => Some(url.clone()),
    }
}

/// What a phone dials for `who`: a URI and a number as they are written, a name as the identity behind it.
pub fn dialled(who: &str, subscriber: &Subscriber, config: &Config) -> Result<String, Failure> {
    let digits = who.strip_prefix('+').unwrap_or(who);
    let is_number =
        subscriber.imsi.as_deref() != Some(who) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if who.contains(':') {
        return Ok(who.to_owned());
    }
    if !is_number || digits.is_empty() {
        return reachable_at(subscriber).map(str::to_owned);
    }
    // People write a global number without its plus; any other is one that the home network translates.
    let global =
        config.home.tel_impu(digits).filter(|tel| identities(subscriber).any(|own| own == tel.as_str()));
    Ok(match global {
        Some(tel) => tel.as_str().to_owned(),
        None => format!("tel:{digits};phone-context={}", config.home.domain()),
    })
}

/// The public identities that `who` may mean: a URI, a number as it is dialled, or a user of the home network.
fn wanted(who: &str, config: &Config) -> Vec<Impu> {
    let mut wanted: Vec<Impu> = Impu::parse(who.as_bytes()).into_iter().collect();
    let uri = if who.contains(':') { who.to_owned() } else { format!("tel:{who}") };
    if let Ok(parsed) = Uri::parse(uri.as_bytes())
        && let Number::Global(number) = config.scscf.numbers.number(&parsed)
    {
        wanted.extend(Impu::parse(number.tel_uri().as_bytes()));
    }
    // People write a global number without its plus.
    if who.bytes().all(|byte| byte.is_ascii_digit()) {
        wanted.extend(config.home.tel_impu(who));
    }
    wanted.extend(config.home.sip_impu(who));
    wanted
}

/// Every public identity of a subscriber.
pub fn identities(subscriber: &Subscriber) -> impl Iterator<Item = &str> {
    subscriber
        .implicit_sets
        .iter()
        .flat_map(|set| set.identities())
        .map(|identity| identity.identity.as_str())
}

/// The identity that others reach a subscriber by: the first that is not barred.
pub fn reachable_at(subscriber: &Subscriber) -> Result<&str, Failure> {
    subscriber
        .implicit_sets
        .iter()
        .flat_map(|set| set.identities())
        .find(|identity| !identity.is_barred)
        .map(|identity| identity.identity.as_str())
        .ok_or_else(|| Failure::Usage(format!("{} has no identity that is not barred", subscriber.name)))
}

/// The identities and the card that a subscriber's phone has.
pub fn card(subscriber: &Subscriber) -> Result<(&str, &str, Usim), Failure> {
    let (impi, impu) = identities_of_phone(subscriber)?;
    let private = subscriber.private_identities.first();
    let algorithm = private.and_then(|private| private.credentials.algorithm()).ok_or_else(|| {
        Failure::Usage(format!("{} has no USIM; a password is told by --password", subscriber.name))
    })?;
    Ok((impi, impu, Usim::new(algorithm)))
}

/// The identities that a subscriber's phone registers with.
pub fn identities_of_phone(subscriber: &Subscriber) -> Result<(&str, &str), Failure> {
    let private = subscriber.private_identities.first();
    let (Some(private), Some(public)) = (private, identities(subscriber).next()) else {
        return Err(Failure::Usage(format!("{} has no identities to register", subscriber.name)));
    };
    Ok((&private.impi, public))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cscf::identity::Plmn;

    fn lab() -> (Config, Roster) {
        let text = "[plmn]\nmcc = \"001\"\nmnc = \"01\"\n[scscf]\ncountry_code = \"49\"\n";
        let config = Config::parse(text, "lab.toml").expect("a configuration");
        let roster = Roster::built_in(&config.home);
        (config, roster)
    }

    #[test]
    fn a_subscriber_is_found_by_each_of_its_names() {
        let (config, roster) = lab();
        for who in [
            "alice",
            "001010000000001",
            "001010000000001@ims.mnc001.mcc001.3gppnetwork.org",
            "+49301000001",
            "49301000001",
            "0301000001",
            "tel:+49-30-1000001",
            "sip:alice@IMS.mnc001.mcc001.3gppnetwork.org;transport=tcp",
            "sip:+49301000001@ims.mnc001.mcc001.3gppnetwork.org;user=phone",
        ] {
            let found = roster.find(who, &config).map(|subscriber| subscriber.name.as_str());
            assert_eq!(found, Ok("alice"), "{who}");
        }
    }

    #[test]
    fn who_is_not_there_is_a_mistake_of_usage_with_a_suggestion() {
        let (config, roster) = lab();
        let failure = |who: &str| roster.find(who, &config).map(|found| found.name.clone()).expect_err(who);
        assert_eq!(
            failure("alcie"),
            Failure::Usage("no subscriber is called alcie; did you mean alice?".to_owned())
        );
        assert!(matches!(failure("+49309999999"), Failure::Usage(_)));
        assert!(matches!(failure("sip:alice@elsewhere.net"), Failure::Usage(_)));
    }

    #[test]
    fn a_phone_dials_what_was_written_and_an_identity_for_a_name() {
        let (config, roster) = lab();
        for (who, expected) in [
            ("bob", "sip:bob@ims.mnc001.mcc001.3gppnetwork.org"),
            ("001010000000002", "sip:bob@ims.mnc001.mcc001.3gppnetwork.org"),
            ("+49301000002", "tel:+49301000002"),
            ("49301000002", "tel:+49301000002"),
            ("0301000002", "tel:0301000002;phone-context=ims.mnc001.mcc001.3gppnetwork.org"),
            ("tel:+49-30-1000002", "tel:+49-30-1000002"),
        ] {
            let bob = roster.find(who, &config).expect(who);
            assert_eq!(dialled(who, bob, &config).as_deref(), Ok(expected), "{who}");
        }
    }

    #[test]
    fn a_phone_registers_the_identity_of_its_imsi_and_is_called_by_another() {
        let (config, roster) = lab();
        let alice = roster.find("alice", &config).expect("alice");
        let (impi, impu, _) = card(alice).expect("a card");
        assert_eq!(impu, format!("sip:{impi}"));
        assert_eq!(reachable_at(alice), Ok("sip:alice@ims.mnc001.mcc001.3gppnetwork.org"));
    }

    #[test]
    fn the_lab_file_holds_alice_bob_and_a_hundred_more() {
        let home = HomeNetwork::of(&Plmn::test());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config/lab-subscribers.csv");
        let file = Roster::read(&path, &home).expect("the lab's subscribers");
        assert_eq!(file.subscribers().len(), 102);
        let built_in = Roster::built_in(&home);
        assert_eq!(file.subscribers()[..2], *built_in.subscribers(), "alice and bob are the same everywhere");
    }
}
