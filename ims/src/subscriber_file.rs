//! A CSV file of subscribers that a person and `ims sub` both edit: comments, order and unknown columns stay.

use crate::exit::Failure;
use crate::roster::identities;
use cscf::identity::HomeNetwork;
use hss_mock::{Credentials, Subscriber, criteria, csv};
use std::fmt;
use std::path::{Path, PathBuf};

/// A file, read whole.
#[derive(Debug)]
pub struct SubscriberFile {
    path: PathBuf,
    lines: Vec<String>,
}

/// What `ims sub` writes of one subscriber, by column name.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Column `imsi`.
    pub imsi: &'a str,
    /// Column `k`.
    pub k: &'a str,
    /// Column `opc`.
    pub opc: &'a str,
    /// Column `msisdn`.
    pub msisdn: &'a str,
    /// Column `name`.
    pub name: &'a str,
    /// Column `ifc`.
    pub ifc: &'a str,
}

impl fmt::Display for Row<'_> {
    /// The row under [`HEADER`]; with filter criteria, under [`HEADER_WITH_CRITERIA`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { imsi, k, opc, msisdn, name, ifc } = self;
        write!(f, "{imsi},{k},{opc},{msisdn},{name}")?;
        if ifc.is_empty() { Ok(()) } else { write!(f, ",{ifc}") }
    }
}

/// The header of a file that is begun here.
pub const HEADER: &str = "imsi,k,opc,msisdn,name";
/// The same for subscribers with services.
pub const HEADER_WITH_CRITERIA: &str = "imsi,k,opc,msisdn,name,ifc";

impl SubscriberFile {
    /// Reads the file; one that does not exist yet is empty.
    pub fn read(path: &Path) -> Result<SubscriberFile, Failure> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Failure::Usage(format!("{}: {error}", path.display()))),
        };
        let mut file =
            SubscriberFile { path: path.to_owned(), lines: text.lines().map(str::to_owned).collect() };
        if file.rows().next().is_none() {
            file.lines.push(HEADER.to_owned());
        }
        Ok(file)
    }

    /// Adds a line. The columns are those of the file's own header; a value that has no column is a mistake.
    pub fn add(&mut self, row: &Row<'_>) -> Result<(), Failure> {
        let (_, header) = self.rows().next().expect("a file has a header once it is read");
        let separator = if header.contains(',') || !header.contains(';') { "," } else { ";" };
        let mut values = vec![
            (&["imsi"][..], row.imsi),
            (&["k", "ki", "key"], row.k),
            (&["opc"], row.opc),
            (&["msisdn", "number", "phone"], row.msisdn),
            (&["name", "alias", "user"], row.name),
            (&["ifc"], row.ifc),
        ];
        let mut cells = Vec::new();
        for column in header.split(separator) {
            let column = column.trim().trim_matches('"').to_ascii_lowercase();
            let at = values.iter().position(|(names, _)| names.contains(&column.as_str()));
            cells.push(at.map_or("", |at| values.swap_remove(at).1));
        }
        if let Some((names, _)) = values.iter().find(|(_, value)| !value.is_empty()) {
            let why = format!("{} has no column {}; add it to the header", self.path.display(), names[0]);
            return Err(Failure::Usage(why));
        }
        self.lines.push(cells.join(separator));
        Ok(())
    }

    /// Adds a subscriber that was read from another file.
    pub fn add_subscriber(&mut self, subscriber: &Subscriber) -> Result<(), Failure> {
        let own = subscriber.private_identities.first().map(|own| &own.credentials);
        let Some(Credentials::Milenage { k, opc }) = own else {
            let why = format!("{} is not authenticated by MILENAGE: copy its line by hand", subscriber.name);
            return Err(Failure::Failed(why));
        };
        let imsi = subscriber.imsi.as_deref().unwrap_or("");
        let msisdn = identities(subscriber).find_map(|identity| identity.strip_prefix("tel:")).unwrap_or("");
        let profiles = subscriber.implicit_sets.iter().flat_map(|set| &set.service_profiles);
        let criteria: Vec<_> = profiles.flat_map(|profile| profile.filter_criteria.iter().cloned()).collect();
        let Some(ifc) = criteria::write(&criteria) else {
            let why = format!("{} has filter criteria that no column holds", subscriber.name);
            return Err(Failure::Failed(why));
        };
        // Without a name of its own, a subscription is called by its IMSI.
        let name = if subscriber.name == imsi { "" } else { &subscriber.name };
        self.add(&Row { imsi, k: &k.expose_hex(), opc: &opc.0.expose_hex(), msisdn, name, ifc: &ifc })
    }

    /// Removes the subscriber called `name`.
    pub fn remove(&mut self, name: &str, home: &HomeNetwork) -> Result<(), Failure> {
        let import = csv::import(&self.lines.join("\n"), home).map_err(|error| self.fault(&error))?;
        // Behind the header, each row is one subscriber.
        let at = import.subscribers.iter().position(|subscriber| subscriber.name == name);
        let line = at.and_then(|at| self.rows().nth(at + 1)).map(|(line, _)| line);
        let line = line.ok_or_else(|| Failure::Failed(format!("{name} is not in {}", self.shown())))?;
        self.lines.remove(line);
        Ok(())
    }

    /// The name of the file.
    pub fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// Checks the file as the HSS would, then writes it in one step: a reader sees the old file or the new one.
    pub fn write(&self, home: &HomeNetwork) -> Result<(), Failure> {
        let text = format!("{}\n", self.lines.join("\n"));
        let import = csv::import(&text, home).map_err(|error| self.fault(&error))?;
        let mut directory = hss_mock::Directory::default();
        for subscriber in import.subscribers {
            directory.add(subscriber).map_err(|conflict| Failure::Failed(conflict.to_string()))?;
        }
        let unfinished = self.path.with_extension("csv.new");
        std::fs::write(&unfinished, text)
            .and_then(|()| std::fs::rename(&unfinished, &self.path))
            .map_err(|error| Failure::Failed(format!("{}: {error}", self.path.display())))
    }

    fn fault(&self, error: &csv::CsvError) -> Failure {
        Failure::Usage(format!("{}:{}: {}", self.path.display(), error.line, error.reason))
    }

    /// Lines that are neither empty nor a comment, with their position; the first is the header.
    fn rows(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_row =
            |line: &str| !line.trim().is_empty() && !line.trim_start_matches('\u{feff}').starts_with('#');
        self.lines.iter().map(String::as_str).enumerate().filter(move |(_, line)| is_row(line))
    }
}
