//! Subscribers from a CSV file: a header row names the columns, in any order; columns that are not known are passed over.
//!
//! Column names are those that card programmers write (`imsi`, `ki`, `opc`, `msisdn`, ...), in either case; `ifc` holds
//! filter criteria ([`criteria`]).

use crate::credentials::Credentials;
use crate::criteria;
use crate::provisioning::{LabCredentials, LabError, LabSubscriber};
use crate::subscriber::Subscriber;
use cscf::identity::HomeNetwork;
use ims_aka::{Hash, Key, KeyError, Op, Opc, Sqn, Top, TuakKey};
use std::fmt;

/// What a file held.
#[derive(Debug, PartialEq, Eq)]
pub struct Import {
    /// In the order of the file.
    pub subscribers: Vec<Subscriber>,
    /// The lines whose OPc was computed from OP.
    pub opc_computed: Vec<usize>,
    /// Column names that were passed over.
    pub columns_ignored: Vec<String>,
}

/// Why a file is refused; none of it is then taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvError {
    /// From 1; the header is line 1 unless comments stand before it.
    pub line: usize,
    /// What is wrong, naming the column. Never carries a secret.
    pub reason: String,
}

impl fmt::Display for CsvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for CsvError {}

/// The columns that are known, with the names under which they are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Imsi,
    K,
    Opc,
    Op,
    Topc,
    Top,
    Msisdn,
    Name,
    Password,
    Address,
    Amf,
    Sqn,
    Ifc,
}

const COLUMNS: [(Column, &[&str]); 13] = [
    (Column::Imsi, &["imsi"]),
    (Column::K, &["k", "ki", "key"]),
    (Column::Opc, &["opc"]),
    (Column::Op, &["op"]),
    (Column::Topc, &["topc"]),
    (Column::Top, &["top"]),
    (Column::Msisdn, &["msisdn", "number", "phone"]),
    (Column::Name, &["name", "alias", "user"]),
    (Column::Password, &["password", "secret"]),
    (Column::Address, &["ip", "address"]),
    (Column::Amf, &["amf"]),
    (Column::Sqn, &["sqn"]),
    (Column::Ifc, &["ifc"]),
];

/// The most lines that are read.
pub const LINES_MAX: usize = 2_000_000;

/// Reads a file. The first error ends it, with its line.
pub fn import(text: &str, home: &HomeNetwork) -> Result<Import, CsvError> {
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(n, line)| (n + 1, line.trim_start_matches('\u{feff}')))
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let (line, header) =
        lines.next().ok_or_else(|| CsvError { line: 1, reason: "no header row".to_owned() })?;
    // Spreadsheets of half the world separate by semicolons.
    let separator = if header.contains(',') || !header.contains(';') { ',' } else { ';' };
    let header = Header::read(&fields(header, separator), line)?;
    let mut import =
        Import { subscribers: Vec::new(), opc_computed: Vec::new(), columns_ignored: header.ignored.clone() };
    for (line, text) in lines {
        if import.subscribers.len() >= LINES_MAX {
            return Err(CsvError { line, reason: format!("more than {LINES_MAX} subscribers") });
        }
        let row = Row { values: fields(text, separator), header: &header, line };
        let (lab, is_computed) = row.subscriber()?;
        if is_computed {
            import.opc_computed.push(line);
        }
        import.subscribers.push(lab.build(home).map_err(|error: LabError| row.fault(error))?);
    }
    Ok(import)
}

struct Header {
    columns: Vec<Option<Column>>,
    ignored: Vec<String>,
}

impl Header {
    fn read(names: &[String], line: usize) -> Result<Header, CsvError> {
        let mut header = Header { columns: Vec::new(), ignored: Vec::new() };
        for name in names {
            let known = COLUMNS
                .iter()
                .find(|(_, aliases)| aliases.iter().any(|alias| name.trim().eq_ignore_ascii_case(alias)));
            let column = known.map(|(column, _)| *column);
            if let Some(column) = column
                && header.columns.contains(&Some(column))
            {
                return Err(CsvError { line, reason: format!("{column:?} has two columns") });
            }
            if column.is_none() {
                header.ignored.push(name.clone());
            }
            header.columns.push(column);
        }
        if !header.columns.contains(&Some(Column::Imsi)) {
            return Err(CsvError { line, reason: "the header names no column imsi".to_owned() });
        }
        Ok(header)
    }
}

struct Row<'a> {
    values: Vec<String>,
    header: &'a Header,
    line: usize,
}

impl Row<'_> {
    /// The subscriber, and whether its OPc was computed.
    fn subscriber(&self) -> Result<(LabSubscriber, bool), CsvError> {
        if self.values.len() > self.header.columns.len() {
            return Err(self.fault("more values than the header has columns"));
        }
        let imsi = self.value(Column::Imsi).ok_or_else(|| self.fault("no IMSI"))?;
        let (credentials, is_computed) = self.credentials()?;
        let mut lab = LabSubscriber {
            msisdn: self.value(Column::Msisdn).map(str::to_owned),
            name: self.value(Column::Name).map(str::to_owned),
            ..LabSubscriber::new(imsi, credentials)
        };
        if let Some(amf) = self.value(Column::Amf) {
            lab.amf = *Key::<2>::from_hex(amf).map_err(|error| self.key_fault(Column::Amf, error))?.expose();
        }
        if let Some(sqn) = self.value(Column::Sqn) {
            let value = u64::from_str_radix(sqn, 16).ok().and_then(Sqn::new);
            lab.sqn = value.ok_or_else(|| self.fault("Sqn: not a hexadecimal number of 48 bits"))?;
        }
        if let Some(text) = self.value(Column::Ifc) {
            lab.filter_criteria =
                criteria::read(text).map_err(|why| self.fault(format_args!("Ifc: {why}")))?;
        }
        Ok((lab, is_computed))
    }

    fn credentials(&self) -> Result<(LabCredentials, bool), CsvError> {
        use Column::{K, Op as OpColumn, Opc as OpcColumn, Password, Top as TopColumn, Topc};
        if let Some(password) = self.value(Password) {
            let password = password.to_owned();
            return Ok((LabCredentials::Password { hash: Hash::Md5, password }, false));
        }
        if let Some(address) = self.value(Column::Address) {
            let address = address.parse().map_err(|_| self.fault("Address: not an IP address"))?;
            return Ok((LabCredentials::Bearer(address), false));
        }
        if let Some(top) = self.value(Topc).or(self.value(TopColumn)) {
            let field = |column| move |error| self.key_fault(column, error);
            let k = self.value(K).ok_or_else(|| self.fault("no K"))?;
            let k = match k.len() {
                64 => TuakKey::K256(Key::from_hex(k).map_err(field(K))?),
                _ => TuakKey::K128(Key::from_hex(k).map_err(field(K))?),
            };
            let key = Key::from_hex(top).map_err(field(Topc))?;
            let is_computed = self.value(Topc).is_none();
            let credentials = match is_computed {
                true => Credentials::tuak_top(k, &Top(key), 1),
                false => Credentials::Tuak { k, topc: ims_aka::Topc(key), iterations: 1 },
            };
            return Ok((LabCredentials::Aka(credentials), is_computed));
        }
        let k = self.key(K)?.ok_or_else(|| self.fault("no K"))?;
        let (credentials, is_computed) = match (self.key(OpcColumn)?, self.key(OpColumn)?) {
            (Some(opc), _) => (Credentials::Milenage { k, opc: Opc(opc) }, false),
            (None, Some(op)) => (Credentials::milenage_op(k, &Op(op)), true),
            (None, None) => return Err(self.fault("neither OPc nor OP")),
        };
        Ok((LabCredentials::Aka(credentials), is_computed))
    }

    fn key(&self, column: Column) -> Result<Option<Key<16>>, CsvError> {
        self.value(column)
            .map(|digits| Key::from_hex(digits).map_err(|error| self.key_fault(column, error)))
            .transpose()
    }

    /// The value of a column; an empty one counts as absent.
    fn value(&self, column: Column) -> Option<&str> {
        let at = self.header.columns.iter().position(|known| *known == Some(column))?;
        self.values.get(at).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn fault(&self, reason: impl fmt::Display) -> CsvError {
        CsvError { line: self.line, reason: reason.to_string() }
    }

    fn key_fault(&self, column: Column, error: KeyError) -> CsvError {
        self.fault(format_args!("{column:?}: {error}"))
    }
}

/// The values of a line (RFC 4180, without line breaks inside quotes).
fn fields(line: &str, separator: char) -> Vec<String> {
    let mut values = vec![String::new()];
    let mut is_quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let value = values.last_mut().expect("there is always a value in hand");
        match character {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                characters.next();
                value.push('"');
            }
            '"' => is_quoted = !is_quoted,
            other if other == separator && !is_quoted => values.push(String::new()),
            other => value.push(other),
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use cscf::identity::Plmn;

    fn home() -> HomeNetwork {
        HomeNetwork::of(&Plmn::test())
    }

    const K: &str = "465b5ce8b199b49faa5f0a2ee238a6bc";
    const OP: &str = "cdc202d5123e20f62b6d676ac72cb318";
    const OPC: &str = "cd63cb71954a9f4e48a5994e37a02baf";

    #[test]
    fn columns_stand_in_any_order_under_any_of_their_names() {
        let text = format!(
            "# written by a card programmer\nICCID,Ki,OPC,imsi,\"MSISDN\",name\n\
             8949,{K},{OPC},001010000000001,+49301000001,alice\n\n8949,{K},{OPC},001010000000002,,\n"
        );
        let import = import(&text, &home()).unwrap();
        assert_eq!(import.columns_ignored, ["ICCID"]);
        let names: Vec<&str> = import.subscribers.iter().map(|subscriber| subscriber.name.as_str()).collect();
        assert_eq!(names, ["alice", "001010000000002"]);
        assert_eq!(import.subscribers[0].implicit_sets[0].identities().count(), 4);
        assert!(import.opc_computed.is_empty());
    }

    #[test]
    fn opc_is_computed_from_op_and_said_so() {
        let opc = format!("imsi;k;opc\n001010000000001;{K};{OPC}\n");
        let op = format!("imsi;k;op\n001010000000001;{K};{OP}\n");
        let (opc, op) = (import(&opc, &home()).unwrap(), import(&op, &home()).unwrap());
        assert_eq!(opc.subscribers, op.subscribers);
        assert_eq!(op.opc_computed, [2]);
    }

    #[test]
    fn filter_criteria_are_a_column() {
        let text = format!("imsi,k,opc,ifc\n001010000000001,{K},{OPC},MESSAGE=sip:as1 PUBLISH=sip:as2;lr\n");
        let import = import(&text, &home()).unwrap();
        let criteria = &import.subscribers[0].implicit_sets[0].service_profiles[0].filter_criteria;
        assert_eq!(criteria::write(criteria).as_deref(), Some("MESSAGE=sip:as1 PUBLISH=sip:as2;lr"));
    }

    #[test]
    fn a_password_makes_a_digest_subscriber_and_a_top_one_of_tuak() {
        let text = format!("imsi,password,k,top\n001010000000001,s,,\n001010000000002,,{K},{OP}{OP}\n");
        let import = import(&text, &home()).unwrap();
        let credentials = |n: usize| &import.subscribers[n].private_identities[0].credentials;
        assert!(matches!(credentials(0), Credentials::Digest { .. }));
        assert!(matches!(credentials(1), Credentials::Tuak { .. }));
    }

    #[test]
    fn an_error_names_its_line_and_column_and_never_the_secret() {
        for (text, line, reason) in [
            ("", 1, "no header row"),
            ("ki,opc\n", 1, "the header names no column imsi"),
            ("imsi,k,ki\n", 1, "K has two columns"),
            ("imsi,k,opc\n\n001010000000001,12,\n", 3, "K: length is 2 where 32 is needed"),
            ("imsi,k,opc\n001010000000001,,\n", 2, "no K"),
            ("imsi\n1,2\n", 2, "more values than the header has columns"),
            ("imsi,password,ifc\n001010000000001,s,MESSAGE\n", 2, "Ifc: MESSAGE is not METHOD=URI"),
        ] {
            assert_eq!(import(text, &home()), Err(CsvError { line, reason: reason.to_owned() }), "{text}");
        }
        let secret = format!("imsi,k,opc\n001010000000001,{K},{}g\n", &OPC[1..]);
        let error = import(&secret, &home()).unwrap_err();
        assert_eq!(error.to_string(), "line 2: Opc: a character is not a hexadecimal digit");
        let neither = format!("imsi,k,opc\n001010000000001,{K},\n");
        assert_eq!(import(&neither, &home()).unwrap_err().reason, "neither OPc nor OP");
        let imsi = format!("imsi,k,opc\n1,{K},{OPC}\n");
        assert_eq!(import(&imsi, &home()).unwrap_err().reason, "the IMSI must have 14 or 15 digits");
    }
}
