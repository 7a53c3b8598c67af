//! `ims sub`: the subscribers of a deployment, in its database or in its CSV file.

use crate::arguments::{Sub, SubAdd, SubCommand, SubGen};
use crate::exit::Failure;
use crate::roster::{Roster, database_url, identities};
use crate::subscriber_file::{HEADER, HEADER_WITH_CRITERIA, Row, SubscriberFile};
use crate::{hss, io, screen, settings};
use ambient::Entropy;
use cscf::config::Config;
use hss_mock::{Credentials, Directory, HssRecord, Subscriber, criteria, csv};
use ims_aka::{Key, Milenage, Op};
use std::path::Path;
use std::time::Duration;

/// Carries out `ims sub`.
pub fn run(sub: &Sub) -> Result<(), Failure> {
    let config = settings::read(sub.config.as_deref())?;
    let reach = if sub.running { Reach::Running } else { Reach::Kept };
    match &sub.command {
        SubCommand::Add(add) => self::add(add, &config, reach),
        SubCommand::List => list(&config),
        SubCommand::Show { subscriber } => show(subscriber, &config),
        SubCommand::Remove { subscriber } => remove(subscriber, &config, reach),
        SubCommand::Import { file } => import(file, &config, reach),
        SubCommand::Gen(wanted) => {
            let entropy = shell::system_entropy().map_err(|error| Failure::Failed(error.to_string()))?;
            screen::show(generate(wanted, &config, entropy)?);
            Ok(())
        }
    }
}

/// How far a change goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// To the file or the database, which the HSS reads at its next start.
    Kept,
    /// Then to the HSS that runs, too.
    Running,
}

impl Reach {
    /// Gives the running HSS what was added; a word on when it counts.
    fn put(self, added: &[Subscriber], config: &Config) -> Result<&'static str, Failure> {
        if self == Reach::Running {
            hss::put(added, config, RUNNING_MAX)?;
        }
        Ok(self.word())
    }

    /// Takes from the running HSS who was removed; a word on when it counts.
    fn remove(self, name: &str, config: &Config) -> Result<&'static str, Failure> {
        if self == Reach::Running {
            hss::remove(name, config, RUNNING_MAX)?;
        }
        Ok(self.word())
    }

    fn word(self) -> &'static str {
        match self {
            Reach::Kept => "The HSS reads it at its next start, or with `ims hss reload`.",
            Reach::Running => "The running HSS has the change too.",
        }
    }
}

fn add(add: &SubAdd, config: &Config, reach: Reach) -> Result<(), Failure> {
    let k: Key<16> = key("--k", &add.k)?;
    let opc = match (&add.opc, &add.op) {
        (Some(opc), _) => key("--opc", opc)?.expose_hex(),
        (None, Some(op)) => {
            screen::line("OPc is computed from OP and K; OP itself is not kept.");
            Milenage::opc(&k, &Op(key("--op", op)?)).0.expose_hex()
        }
        (None, None) => return Err(Failure::Usage("give --opc or --op".to_owned())),
    };
    let msisdn = add.msisdn.as_deref().unwrap_or("");
    let row = Row { imsi: &add.imsi, k: &k.expose_hex(), opc: &opc, msisdn, name: &add.name, ifc: "" };
    let added = subscribers_of(&[row], config)?;
    let place = keep(&[row], config)?;
    screen::line(format_args!("Added {} to {place}.", add.name));
    screen::line(reach.put(&added, config)?);
    Ok(())
}

fn list(config: &Config) -> Result<(), Failure> {
    let roster = Roster::of(config)?;
    screen::line(format_args!("{:<16} {:<16} identities", "name", "imsi"));
    for subscriber in roster.subscribers() {
        let imsi = subscriber.imsi.as_deref().unwrap_or("-");
        let identities: Vec<_> = identities(subscriber).skip(1).collect();
        screen::line(format_args!("{:<16} {imsi:<16} {}", subscriber.name, identities.join(" ")));
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
            Credentials::Giba { .. } => "the address of its bearer",
        };
        let sqn = private.sqn.value();
        screen::line(format_args!("private   {} ({scheme}, after SQN {sqn:012x})", private.impi));
    }
    for identity in implicit_sets.iter().flat_map(|set| set.identities()) {
        let barred = if identity.is_barred { " (barred: only to register with)" } else { "" };
        screen::line(format_args!("public    {}{barred}", identity.identity));
    }
    Ok(())
}

fn remove(who: &str, config: &Config, reach: Reach) -> Result<(), Failure> {
    let name = Roster::of(config)?.find(who, config)?.name.clone();
    let place = match database_url(config) {
        Some(url) => {
            if io::load(&url)?.iter().all(|kept| kept.name != name) {
                return Err(Failure::Failed(format!(
                    "{name} is in the file of `hss.subscribers`, not in the database"
                )));
            }
            io::apply(&url, &[HssRecord::RemoveSubscriber(name.clone())])?;
            DATABASE.to_owned()
        }
        None => {
            let mut file = SubscriberFile::read(file_of(config)?)?;
            file.remove(&name, &config.home)?;
            file.write(&config.home)?;
            file.shown()
        }
    };
    screen::line(format_args!("Removed {name} from {place}."));
    screen::line(reach.remove(&name, config)?);
    Ok(())
}

fn import(from: &Path, config: &Config, reach: Reach) -> Result<(), Failure> {
    let text = std::fs::read_to_string(from)
        .map_err(|error| Failure::Usage(format!("{}: {error}", from.display())))?;
    let import = csv::import(&text, &config.home)
        .map_err(|error| Failure::Usage(format!("{}:{}: {}", from.display(), error.line, error.reason)))?;
    let count = import.subscribers.len();
    let place = match database_url(config) {
        Some(url) => {
            keep_in_database(&url, import.subscribers.clone())?;
            DATABASE.to_owned()
        }
        None => {
            let mut file = SubscriberFile::read(file_of(config)?)?;
            for subscriber in &import.subscribers {
                file.add_subscriber(subscriber)?;
            }
            file.write(&config.home)?;
            file.shown()
        }
    };
    if !import.opc_computed.is_empty() {
        let lines = import.opc_computed.len();
        screen::line(format_args!("OPc was computed from OP in {lines} lines; OP itself is not kept."));
    }
    if !import.columns_ignored.is_empty() {
        screen::line(format_args!("Columns passed over: {}.", import.columns_ignored.join(", ")));
    }
    screen::line(format_args!("Added {count} subscribers to {place}."));
    screen::line(reach.put(&import.subscribers, config)?);
    Ok(())
}

/// Keeps subscribers where the deployment has them, and tells where that is.
fn keep(rows: &[Row<'_>], config: &Config) -> Result<String, Failure> {
    match database_url(config) {
        Some(url) => {
            keep_in_database(&url, subscribers_of(rows, config)?)?;
            Ok(DATABASE.to_owned())
        }
        None => {
            let mut file = SubscriberFile::read(file_of(config)?)?;
            for row in rows {
                file.add(row)?;
            }
            file.write(&config.home)?;
            Ok(file.shown())
        }
    }
}

/// The subscribers that rows describe.
fn subscribers_of(rows: &[Row<'_>], config: &Config) -> Result<Vec<Subscriber>, Failure> {
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let import = csv::import(&format!("{HEADER}\n{text}"), &config.home);
    Ok(import.map_err(|error| Failure::Usage(error.reason))?.subscribers)
}

/// Adds subscribers to the database unless they collide with those that it has.
fn keep_in_database(url: &str, added: Vec<Subscriber>) -> Result<(), Failure> {
    let mut directory = Directory::default();
    for subscriber in io::load(url)?.into_iter().chain(added.iter().cloned()) {
        directory.add(subscriber).map_err(|conflict| Failure::Failed(conflict.to_string()))?;
    }
    let records: Vec<_> = added.into_iter().map(|added| HssRecord::Subscriber(added.into())).collect();
    io::apply(url, &records)
}

/// Subscribers with random keys, as CSV.
fn generate(wanted: &SubGen, config: &Config, mut entropy: Entropy) -> Result<String, Failure> {
    let mut key = || {
        let mut octets = [0; 16];
        entropy.fill(&mut octets);
        Key::new(octets).expose_hex()
    };
    let ifc = wanted.ifc.join(" ");
    criteria::read(&ifc).map_err(|why| Failure::Usage(format!("--ifc: {why}")))?;
    let header = if ifc.is_empty() { HEADER } else { HEADER_WITH_CRITERIA };
    let mut out = format!("{header}\n");
    for at in 0..u64::from(wanted.count) {
        let number = wanted.first.saturating_add(at);
        let imsi = config.home.plmn().imsi(number);
        if imsi.len() > 15 {
            return Err(Failure::Usage(format!(
                "subscriber {} + {at} has no place in an IMSI of 15 digits",
                wanted.first
            )));
        }
        let msisdn = wanted.msisdn.map_or(String::new(), |msisdn| format!("+{}", msisdn.saturating_add(at)));
        let name = if wanted.unnamed { String::new() } else { format!("user{number:03}") };
        let row = Row { imsi: &imsi, k: &key(), opc: &key(), msisdn: &msisdn, name: &name, ifc: &ifc };
        out.push_str(&format!("{row}\n"));
    }
    Ok(out)
}

/// The CSV file that the configuration names.
fn file_of(config: &Config) -> Result<&Path, Failure> {
    config.hss.subscribers.as_deref().ok_or_else(|| {
        let why = "the built-in subscribers cannot be changed; give a configuration with `hss.subscribers` by --config";
        Failure::Usage(why.to_owned())
    })
}

fn key(option: &str, digits: &str) -> Result<Key<16>, Failure> {
    Key::from_hex(digits).map_err(|error| Failure::Usage(format!("{option}: {error}; write 32 hex digits")))
}

const DATABASE: &str = "the database of `hss.store`";
/// How long the running HSS may take for a change.
const RUNNING_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use cscf::config::StoreUrl;
    use cscf::identity::Plmn;
    use std::fs;

    const CAROL: [&str; 4] =
        ["001010000000003", "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100", "carol"];

    fn carol() -> SubAdd {
        let [imsi, k, opc, name] = CAROL.map(str::to_owned);
        SubAdd { name, imsi, msisdn: Some("+49301000003".to_owned()), k, opc: Some(opc), op: None }
    }

    /// A lab whose subscribers stand in a file of `directory`.
    fn lab(directory: &Path, csv: &str) -> Config {
        let path = directory.join("people.csv");
        fs::write(&path, csv).expect("a file");
        let mut config = Config::lab(&Plmn::test());
        config.hss.subscribers = Some(path);
        config
    }

    fn names(config: &Config) -> Vec<String> {
        let roster = Roster::of(config).expect("a roster");
        roster.subscribers().iter().map(|subscriber| subscriber.name.clone()).collect()
    }

    #[test]
    fn a_subscriber_added_to_a_file_fits_its_columns_and_leaves_the_rest_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let csv = "# ours\nName;Ki;OPC;note;IMSI;number\ndave;00112233445566778899aabbccddeeff;\
                   00112233445566778899aabbccddeeff;keep me;001010000000009;\n";
        let config = lab(directory.path(), csv);
        add(&carol(), &config, Reach::Kept).expect("added");
        let written = fs::read_to_string(directory.path().join("people.csv")).expect("a file");
        let [imsi, k, opc, name] = CAROL;
        assert_eq!(written, format!("{csv}{name};{k};{opc};;{imsi};+49301000003\n"));
        assert_eq!(names(&config), ["dave", "carol"]);
    }

    #[test]
    fn a_subscriber_whose_identity_is_taken_is_refused_and_the_file_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = lab(directory.path(), "");
        add(&carol(), &config, Reach::Kept).expect("added");
        let again = SubAdd { name: "karl".to_owned(), ..carol() };
        let Err(Failure::Failed(why)) = add(&again, &config, Reach::Kept) else {
            panic!("two subscribers with one IMSI")
        };
        assert!(why.contains("private identity"), "{why}");
        assert_eq!(names(&config), ["carol"]);
    }

    #[test]
    fn a_key_of_the_wrong_length_is_refused_by_the_name_of_its_option() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = lab(directory.path(), "");
        let short = SubAdd { k: "0011".to_owned(), ..carol() };
        let Err(Failure::Usage(why)) = add(&short, &config, Reach::Kept) else {
            panic!("a key of two octets")
        };
        assert!(why.starts_with("--k: ") && !why.contains("0011"), "{why}");
    }

    #[test]
    fn op_is_turned_into_opc_and_not_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = lab(directory.path(), "");
        // TS 35.208 §4.3, test set 1.
        let k = "465b5ce8b199b49faa5f0a2ee238a6bc".to_owned();
        let op = "cdc202d5123e20f62b6d676ac72cb318".to_owned();
        add(&SubAdd { k, op: Some(op.clone()), opc: None, ..carol() }, &config, Reach::Kept).expect("added");
        let written = fs::read_to_string(directory.path().join("people.csv")).expect("a file");
        assert!(written.contains("cd63cb71954a9f4e48a5994e37a02baf") && !written.contains(&op), "{written}");
    }

    #[test]
    fn a_removed_subscriber_is_gone_and_the_others_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = lab(directory.path(), "");
        let others =
            generate(&made_up(2, 5, Some(49301000005)), &config, Entropy::seeded(1)).expect("subscribers");
        let from = directory.path().join("more.csv");
        fs::write(&from, others).expect("a file");
        import(&from, &config, Reach::Kept).expect("imported");
        add(&carol(), &config, Reach::Kept).expect("added");
        remove("+49301000006", &config, Reach::Kept).expect("removed");
        assert_eq!(names(&config), ["user005", "carol"]);
        assert!(remove("user006", &config, Reach::Kept).is_err(), "removed twice");
    }

    #[test]
    fn a_database_keeps_what_is_added_and_shows_the_file_behind_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut config = lab(directory.path(), &format!("{HEADER}\n"));
        config.hss.store = StoreUrl::Sqlite(directory.path().join("hss.db"));
        add(&carol(), &config, Reach::Kept).expect("added");
        assert_eq!(names(&config), ["carol"]);
        assert!(add(&carol(), &config, Reach::Kept).is_err(), "added twice");
        let others = generate(&made_up(1, 5, None), &config, Entropy::seeded(1)).expect("subscribers");
        fs::write(directory.path().join("people.csv"), others).expect("a file");
        assert_eq!(names(&config), ["carol", "user005"]);
        assert!(remove("user005", &config, Reach::Kept).is_err(), "the file is a person's to edit");
        remove("carol", &config, Reach::Kept).expect("removed");
        assert_eq!(names(&config), ["user005"]);
    }

    fn made_up(count: u32, first: u64, msisdn: Option<u64>) -> SubGen {
        SubGen { count, first, msisdn, unnamed: false, ifc: Vec::new() }
    }

    #[test]
    fn made_up_subscribers_have_the_services_that_are_asked_for_and_are_imported_with_them() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = lab(directory.path(), &format!("{HEADER_WITH_CRITERIA}\n"));
        let ifc = ["PUBLISH=sip:presence.example.net".to_owned(), "INFO=sip:info.example.net;lr".to_owned()];
        let wanted = SubGen { unnamed: true, ifc: ifc.into(), ..made_up(1, 7, Some(49301000007)) };
        let made = directory.path().join("made.csv");
        fs::write(&made, generate(&wanted, &config, Entropy::seeded(1)).expect("subscribers"))
            .expect("a file");
        import(&made, &config, Reach::Kept).expect("imported");
        let roster = Roster::of(&config).expect("a roster");
        let [subscriber] = roster.subscribers() else { panic!("one subscriber") };
        let profile = &subscriber.implicit_sets[0].service_profiles[0];
        assert_eq!(criteria::write(&profile.filter_criteria), Some(wanted.ifc.join(" ")));
        assert_eq!(profile.public_identities.len(), 3, "of the IMSI, and two of the number");
        let wrong = SubGen { ifc: vec!["INFO".to_owned()], ..wanted };
        assert!(generate(&wrong, &config, Entropy::seeded(1)).is_err());
    }

    #[test]
    fn made_up_subscribers_are_all_different() {
        let config = Config::lab(&Plmn::test());
        let text =
            generate(&made_up(3, 1, Some(49301000001)), &config, Entropy::seeded(1)).expect("subscribers");
        let import = csv::import(&text, &config.home).expect("CSV");
        let mut directory = Directory::default();
        for subscriber in import.subscribers {
            assert_eq!(directory.add(subscriber), Ok(()));
        }
        assert!(
            generate(&made_up(2, 9_999_999_999, None), &config, Entropy::seeded(1)).is_err(),
            "the MSIN is too long"
        );
    }
}
