//! `ims sub`: the subscribers of a deployment.

use crate::arguments::{Sub, SubAdd, SubCommand};
use crate::exit::Failure;
use crate::roster::{Roster, identities};
use crate::screen;
use crate::settings;
use crate::subscriber_file::{HEADER, Row, SubscriberFile};
use ambient::Entropy;
use cscf::config::Config;
use hss_mock::{Credentials, Subscriber};
use ims_aka::{Key, Milenage, Op};
use std::path::{Path, PathBuf};

/// Carries out `ims sub`.
pub fn run(sub: &Sub) -> Result<(), Failure> {
    let config = settings::read(sub.config.as_deref())?;
    match &sub.command {
        SubCommand::Add(add) => self::add(add, &config),
        SubCommand::List => list(&config),
        SubCommand::Show { subscriber } => show(subscriber, &config),
        SubCommand::Remove { subscriber } => remove(subscriber, &config),
        SubCommand::Import { file } => import(file, &config),
        SubCommand::Gen { count, first, msisdn } => {
            let entropy = shell::system_entropy().map_err(|error| Failure::Failed(error.to_string()))?;
            generate(*count, *first, *msisdn, &config, entropy)
        }
    }
}

fn add(add: &SubAdd, config: &Config) -> Result<(), Failure> {
    let path = file_of(config)?;
    let k: Key<16> = key("--k", &add.k)?;
    let opc = match (&add.opc, &add.op) {
        (Some(opc), _) => key("--opc", opc)?.expose_hex(),
        (None, Some(op)) => {
            screen::line(format_args!("OPc is computed from OP and K; OP itself is not kept."));
            Milenage::opc(&k, &Op(key("--op", op)?)).0.expose_hex()
        }
        (None, None) => return Err(Failure::Usage("give --opc or --op".to_owned())),
    };
    let mut file = SubscriberFile::read(&path)?;
    let msisdn = add.msisdn.as_deref().unwrap_or("");
    file.add(&Row { imsi: &add.imsi, k: &k.expose_hex(), opc: &opc, msisdn, name: &add.name })?;
    file.write(&config.home)?;
    screen::line(format_args!("Added {} to {}. {NEXT_START}", add.name, path.display()));
    Ok(())
}

fn list(config: &Config) -> Result<(), Failure> {
    let roster = Roster::of(config)?;
    screen::line(format_args!("{:<16} {:<16} identities", "name", "imsi"));
    for subscriber in roster.subscribers() {
        let identities: Vec<_> = identities(subscriber).skip(1).collect();
        screen::line(format_args!(
            "{:<16} {:<16} {}",
            subscriber.name,
            subscriber.imsi.as_deref().unwrap_or("-"),
            identities.join(" ")
        ));
    }
    Ok(())
}

fn show(who: &str, config: &Config) -> Result<(), Failure> {
    let roster = Roster::of(config)?;
    let Subscriber { name, imsi, private_identities, implicit_sets, .. } = roster.find(who, config)?;
    screen::line(format_args!("name      {name}"));
    screen::line(format_args!("imsi      {}", imsi.as_deref().unwrap_or("-")));
    for private in private_identities {
        let scheme = match private.credentials {
            Credentials::Milenage { .. } => "AKA with MILENAGE",
            Credentials::Tuak { .. } => "AKA with TUAK",
            Credentials::Digest { .. } => "digest with a password",
        };
        screen::line(format_args!(
            "private   {} ({scheme}, after SQN {:012x})",
            private.impi,
            private.sqn.value()
        ));
    }
    for identity in implicit_sets.iter().flat_map(|set| set.identities()) {
        let barred = if identity.is_barred { " (barred: only to register with)" } else { "" };
        screen::line(format_args!("public    {}{barred}", identity.identity));
    }
    Ok(())
}

fn remove(who: &str, config: &Config) -> Result<(), Failure> {
    let path = file_of(config)?;
    let name = Roster::of(config)?.find(who, config)?.name.clone();
    let mut file = SubscriberFile::read(&path)?;
    let found = file.subscribers(&config.home)?.into_iter().find(|(_, subscriber)| subscriber.name == name);
    let (line, _) = found.ok_or_else(|| Failure::Failed(format!("{name} is not in {}", path.display())))?;
    file.remove(line);
    file.write(&config.home)?;
    screen::line(format_args!("Removed {name} from {}. {NEXT_START}", path.display()));
    Ok(())
}

fn import(from: &Path, config: &Config) -> Result<(), Failure> {
    let path = file_of(config)?;
    let text = std::fs::read_to_string(from)
        .map_err(|error| Failure::Usage(format!("{}: {error}", from.display())))?;
    let import = hss_mock::csv::import(&text, &config.home)
        .map_err(|error| Failure::Usage(format!("{}:{}: {}", from.display(), error.line, error.reason)))?;
    let mut file = SubscriberFile::read(&path)?;
    for subscriber in &import.subscribers {
        let Some(Credentials::Milenage { k, opc }) =
            subscriber.private_identities.first().map(|own| &own.credentials)
        else {
            let why = format!("{} is not authenticated by MILENAGE: copy its line by hand", subscriber.name);
            return Err(Failure::Failed(why));
        };
        let imsi = subscriber.imsi.as_deref().unwrap_or("");
        let msisdn = identities(subscriber).find_map(|identity| identity.strip_prefix("tel:")).unwrap_or("");
        let name = if subscriber.name == imsi { "" } else { &subscriber.name };
        file.add(&Row { imsi, k: &k.expose_hex(), opc: &opc.0.expose_hex(), msisdn, name })?;
    }
    file.write(&config.home)?;
    if !import.opc_computed.is_empty() {
        screen::line(format_args!(
            "OPc was computed from OP in {} lines; OP itself is not kept.",
            import.opc_computed.len()
        ));
    }
    if !import.columns_ignored.is_empty() {
        screen::line(format_args!("Columns passed over: {}.", import.columns_ignored.join(", ")));
    }
    screen::line(format_args!(
        "Added {} subscribers to {}. {NEXT_START}",
        import.subscribers.len(),
        path.display()
    ));
    Ok(())
}

fn generate(
    count: u32,
    first: u64,
    msisdn: Option<u64>,
    config: &Config,
    mut entropy: Entropy,
) -> Result<(), Failure> {
    let mut key = || {
        let mut octets = [0; 16];
        entropy.fill(&mut octets);
        Key::new(octets).expose_hex()
    };
    screen::line(format_args!("{HEADER}"));
    for at in 0..u64::from(count) {
        let imsi = config.home.plmn().imsi(first + at);
        if imsi.len() > 15 {
            return Err(Failure::Usage(format!("subscriber {} has no place in a 15-digit IMSI", first + at)));
        }
        let number = msisdn.map_or(String::new(), |msisdn| format!("+{}", msisdn + at));
        screen::line(format_args!("{imsi},{},{},{number},user{:03}", key(), key(), first + at));
    }
    Ok(())
}

/// The CSV file that the configuration names.
fn file_of(config: &Config) -> Result<PathBuf, Failure> {
    config.hss.subscribers.clone().ok_or_else(|| {
        let why = "the built-in subscribers cannot be changed; name a configuration with `hss.subscribers` by --config";
        Failure::Usage(why.to_owned())
    })
}

fn key(option: &str, digits: &str) -> Result<Key<16>, Failure> {
    Key::from_hex(digits).map_err(|error| Failure::Usage(format!("{option}: {error}; write 32 hex digits")))
}

const NEXT_START: &str = "The HSS reads it at its next start.";
