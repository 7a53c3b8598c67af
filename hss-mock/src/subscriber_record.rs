//! The durable form of a subscription that was added or replaced while the HSS ran.
//!
//! Text as in [`record`](crate::record); profiles are the User-Data of TS 29.228. Keys stand in the clear, as in the
//! database: a journal is as secret as its subscribers.

use crate::credentials::Credentials;
use crate::record::{hex, line, unhex};
use crate::subscriber::{ImplicitSet, Permission, PrivateIdentity, Roaming, Subscriber};
use cscf::user_data;
use diameter_client::cx::{ChargingInformation, ServerCapabilities};
use ims_aka::{Ha1, Hash, Key, Opc, Sqn, Topc, TuakKey};

/// The first line.
const VERSION: &str = "1";

/// The record of a subscription.
pub fn write_subscriber(subscriber: &Subscriber) -> Vec<u8> {
    let Subscriber { name, imsi, private_identities, implicit_sets, server, roaming, charging, .. } =
        subscriber;
    let mut text = format!("{VERSION}\n");
    line(&mut text, "name", &[name]);
    if let Some(imsi) = imsi {
        line(&mut text, "imsi", &[imsi]);
    }
    for identity in private_identities {
        write_private_identity(&mut text, identity);
    }
    for set in implicit_sets {
        let impi = subscriber.impis_of(set).next().unwrap_or_default();
        let profile = user_data::write(&subscriber.user_data(set, impi));
        line(&mut text, "set", &[&hex(profile.as_bytes())]);
        set.impis.iter().for_each(|impi| line(&mut text, "set-impi", &[impi]));
        if let Some(server) = &set.application_server {
            line(&mut text, "set-application-server", &[server]);
        }
    }
    if let Some(server) = server {
        line(&mut text, "server", &[&numbers(&server.mandatory), &numbers(&server.optional)]);
        server.server_names.iter().for_each(|name| line(&mut text, "server-name", &[name]));
    }
    if let Roaming::Networks(networks) = roaming {
        line(&mut text, "roaming-listed", &[]);
        networks.iter().for_each(|network| line(&mut text, "roaming", &[network]));
    }
    if subscriber.registration == Permission::Denied {
        line(&mut text, "registration-denied", &[]);
    }
    if subscriber.unregistered_services == Permission::Denied {
        line(&mut text, "unregistered-services-denied", &[]);
    }
    if let Some(charging) = charging {
        let functions =
            [&charging.primary_ecf, &charging.secondary_ecf, &charging.primary_ccf, &charging.secondary_ccf];
        line(&mut text, "charging", &functions.map(|name| name.as_deref().unwrap_or_default()));
    }
    text.into_bytes()
}

fn write_private_identity(
    text: &mut String,
    PrivateIdentity { impi, credentials, amf, sqn }: &PrivateIdentity,
) {
    let (amf, sqn) = (hex(amf), sqn.to_string());
    match credentials {
        Credentials::Milenage { k, opc } => {
            line(text, "milenage", &[impi, &amf, &sqn, &k.expose_hex(), &opc.0.expose_hex()]);
        }
        Credentials::Tuak { k, topc, iterations } => {
            let k = match k {
                TuakKey::K128(k) => k.expose_hex(),
                TuakKey::K256(k) => k.expose_hex(),
            };
            let topc = topc.0.expose_hex();
            line(text, "tuak", &[impi, &amf, &sqn, &k, &topc, &iterations.to_string()]);
        }
        Credentials::Digest { realm, ha1 } => {
            line(text, "digest", &[impi, &amf, &sqn, realm, ha1.hash().token(), ha1.expose()]);
        }
        Credentials::Giba { address } => {
            line(text, "giba", &[impi, &amf, &sqn, &address.to_string()]);
        }
    }
}

/// Reads [`write_subscriber`]; `None` when it is damaged, unusable, or of an unknown version.
pub fn read_subscriber(record: &[u8]) -> Option<Subscriber> {
    let text = std::str::from_utf8(record).ok()?;
    let mut lines = text.lines();
    if lines.next()? != VERSION {
        return None;
    }
    let mut subscriber = Subscriber {
        name: lines.next()?.strip_prefix("name\t")?.to_owned(),
        imsi: None,
        private_identities: Vec::new(),
        implicit_sets: Vec::new(),
        server: None,
        roaming: Roaming::Anywhere,
        registration: Permission::Allowed,
        unregistered_services: Permission::Allowed,
        charging: None,
    };
    for line in lines {
        let fields: Vec<&str> = line.split('\t').collect();
        read_line(&mut subscriber, &fields)?;
    }
    subscriber.check().is_ok().then_some(subscriber)
}

fn read_line(subscriber: &mut Subscriber, fields: &[&str]) -> Option<()> {
    match *fields {
        ["imsi", imsi] => subscriber.imsi = Some(imsi.to_owned()),
        ["milenage" | "tuak" | "digest" | "giba", impi, amf, sqn, ref secrets @ ..] => {
            subscriber.private_identities.push(PrivateIdentity {
                impi: impi.to_owned(),
                credentials: read_credentials(fields[0], secrets)?,
                amf: *Key::<2>::from_hex(amf).ok()?.expose(),
                sqn: Sqn::new(u64::from_str_radix(sqn, 16).ok()?)?,
            });
        }
        ["set", profile] => {
            let profile = user_data::parse(&unhex(profile)?).ok()?;
            let set = ImplicitSet { service_profiles: profile.service_profiles, ..ImplicitSet::default() };
            subscriber.implicit_sets.push(set);
        }
        ["set-impi", impi] => subscriber.implicit_sets.last_mut()?.impis.push(impi.to_owned()),
        ["set-application-server", server] => {
            subscriber.implicit_sets.last_mut()?.application_server = Some(server.to_owned());
        }
        ["server", mandatory, optional] => {
            let (mandatory, optional) = (read_numbers(mandatory)?, read_numbers(optional)?);
            subscriber.server = Some(ServerCapabilities { mandatory, optional, server_names: Vec::new() });
        }
        ["server-name", name] => subscriber.server.as_mut()?.server_names.push(name.to_owned()),
        ["roaming-listed"] => subscriber.roaming = Roaming::Networks(Vec::new()),
        ["roaming", network] => match &mut subscriber.roaming {
            Roaming::Networks(networks) => networks.push(network.to_owned()),
            Roaming::Anywhere => return None,
        },
        ["registration-denied"] => subscriber.registration = Permission::Denied,
        ["unregistered-services-denied"] => subscriber.unregistered_services = Permission::Denied,
        ["charging", primary_ecf, secondary_ecf, primary_ccf, secondary_ccf] => {
            let name = |name: &str| (!name.is_empty()).then(|| name.to_owned());
            subscriber.charging = Some(ChargingInformation {
                primary_ecf: name(primary_ecf),
                secondary_ecf: name(secondary_ecf),
                primary_ccf: name(primary_ccf),
                secondary_ccf: name(secondary_ccf),
            });
        }
        _ => return None,
    }
    Some(())
}

fn read_credentials(scheme: &str, secrets: &[&str]) -> Option<Credentials> {
    match (scheme, secrets) {
        ("milenage", [k, opc]) => {
            Some(Credentials::Milenage { k: Key::from_hex(k).ok()?, opc: Opc(Key::from_hex(opc).ok()?) })
        }
        ("tuak", [k, topc, iterations]) => Some(Credentials::Tuak {
            k: match k.len() {
                64 => TuakKey::K256(Key::from_hex(k).ok()?),
                _ => TuakKey::K128(Key::from_hex(k).ok()?),
            },
            topc: Topc(Key::from_hex(topc).ok()?),
            iterations: iterations.parse().ok()?,
        }),
        ("digest", [realm, hash, ha1]) => {
            let hash = Hash::from_token(hash.as_bytes())?;
            Some(Credentials::Digest {
                realm: (*realm).to_owned(),
                ha1: Ha1::from_digits(hash, ha1.as_bytes())?,
            })
        }
        ("giba", [address]) => Some(Credentials::Giba { address: address.parse().ok()? }),
        _ => None,
    }
}

fn numbers(list: &[u32]) -> String {
    list.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

fn read_numbers(field: &str) -> Option<Vec<u32>> {
    field.split(',').filter(|number| !number.is_empty()).map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provisioning::{LabCredentials, LabSubscriber};
    use cscf::identity::{HomeNetwork, Plmn};

    fn lab(credentials: impl Into<LabCredentials>) -> Subscriber {
        let lab = LabSubscriber {
            name: Some("alice".to_owned()),
            msisdn: Some("+49301000001".to_owned()),
            sqn: Sqn::from_parts(77, 3),
            ..LabSubscriber::new("001010000000001", credentials)
        };
        lab.build(&HomeNetwork::of(&Plmn::test())).expect("a subscriber")
    }

    fn milenage() -> Credentials {
        Credentials::Milenage { k: Key::new([1; 16]), opc: Opc(Key::new([2; 16])) }
    }

    /// Every field holds something.
    fn rich() -> Subscriber {
        let mut rich = lab(milenage());
        let impi = rich.private_identities[0].impi.clone();
        rich.private_identities.push(PrivateIdentity {
            impi: "second@home1.net".to_owned(),
            credentials: Credentials::digest_password(Hash::Sha256, "second", "home1.net", "secret"),
            amf: [0, 1],
            sqn: Sqn::default(),
        });
        rich.private_identities.push(PrivateIdentity {
            impi: "third@home1.net".to_owned(),
            credentials: Credentials::Giba { address: "2001:db8::7".parse().expect("an address") },
            amf: [0, 1],
            sqn: Sqn::default(),
        });
        let mut psi = rich.implicit_sets[0].clone();
        for profile in &mut psi.service_profiles {
            profile.public_identities.iter_mut().for_each(|identity| identity.identity.insert_str(4, "psi-"));
        }
        psi.impis = vec![impi];
        psi.application_server = Some("sip:as.home1.net".to_owned());
        rich.implicit_sets.push(psi);
        rich.server = Some(ServerCapabilities {
            mandatory: vec![1, 2],
            optional: Vec::new(),
            server_names: vec!["sip:s1".to_owned(), "sip:s2".to_owned()],
        });
        rich.roaming = Roaming::Networks(vec!["home1.net".to_owned(), "visited.net".to_owned()]);
        rich.registration = Permission::Denied;
        rich.unregistered_services = Permission::Denied;
        rich.charging = Some(ChargingInformation {
            primary_ccf: Some("aaa://ccf".to_owned()),
            ..ChargingInformation::default()
        });
        rich
    }

    #[test]
    fn a_subscription_is_read_as_it_was_written() {
        let tuak = |k| Credentials::Tuak { k, topc: Topc(Key::new([5; 32])), iterations: 2 };
        let nowhere = Subscriber { roaming: Roaming::Networks(Vec::new()), ..lab(milenage()) };
        for subscriber in [
            lab(milenage()),
            lab(tuak(TuakKey::K128(Key::new([3; 16])))),
            lab(tuak(TuakKey::K256(Key::new([4; 32])))),
            lab(LabCredentials::Password { hash: Hash::Md5, password: "secret".to_owned() }),
            nowhere,
            rich(),
        ] {
            assert_eq!(read_subscriber(&write_subscriber(&subscriber)), Some(subscriber));
        }
    }

    #[test]
    fn a_damaged_record_is_refused_and_none_panics() {
        let written = write_subscriber(&rich());
        for at in 0..written.len() {
            let mut damaged = written.clone();
            damaged[at] = b'\t';
            let _ = read_subscriber(&damaged);
            let _ = read_subscriber(&written[..at]);
        }
        let text = String::from_utf8(written).expect("text");
        assert_eq!(read_subscriber(text.replacen('1', "2", 1).as_bytes()), None, "another version");
        assert_eq!(read_subscriber((text + "something\telse\n").as_bytes()), None);
        assert_eq!(read_subscriber(b"1\nname\talice\n"), None, "nobody could register");
    }
}
