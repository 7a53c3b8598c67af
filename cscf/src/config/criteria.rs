//! Filter criteria that the S-CSCF has itself: the sets that a profile names by number, and those of users who have none.

use super::reader::Origin;
use super::value::{Fault, Value};
use super::{Config, ConfigError};
use crate::user_data::{self, InitialFilterCriteria};
use std::io;
use std::path::{Path, PathBuf};
use toml::de::DeValue;

/// A set that profiles name by SharedIFCSetID (TS 29.228 §B.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedIfcSet {
    /// Its number.
    pub id: u32,
    /// What is in it.
    pub criteria: WrittenCriteria,
}

/// Criteria as XML, in the configuration or in a file that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenCriteria {
    written: String,
    /// The file; read by the processes, at start.
    file: Option<PathBuf>,
    /// What is written; empty while the file has not been read.
    pub criteria: Vec<InitialFilterCriteria>,
}

impl WrittenCriteria {
    /// A relative file is taken from `directory`.
    pub(super) fn in_directory(self, directory: &Path) -> WrittenCriteria {
        WrittenCriteria { file: self.file.map(|file| directory.join(file)), ..self }
    }
}

/// The keys of `[scscf]`.
pub const SHARED_SETS: &str = "shared_ifc_sets";
/// As above.
pub const FALLBACK: &str = "fallback_criteria";

const REMEDY: &str =
    "write an XML element with InitialFilterCriteria in it (TS 29.228 Annex E); `ims ifc lint` explains";

impl Value for WrittenCriteria {
    fn read(value: &DeValue<'_>) -> Result<WrittenCriteria, Fault> {
        let DeValue::String(text) = value else {
            return Err(Fault::new(
                format!("is a {} where text is wanted", value.type_str()),
                "name a file, as in \"criteria.xml\", or write the XML itself",
            ));
        };
        let written = text.as_ref();
        if !written.trim_start().starts_with('<') {
            let file = Some(PathBuf::read(value)?);
            return Ok(WrittenCriteria { written: written.to_owned(), file, criteria: Vec::new() });
        }
        let criteria = user_data::criteria(written.as_bytes())
            .map_err(|error| Fault::new(format!("is not filter criteria: {error}"), REMEDY))?;
        Ok(WrittenCriteria { written: written.to_owned(), file: None, criteria })
    }

    fn show(&self) -> String {
        let escaped = self.written.replace('\\', "\\\\").replace('"', "\\\"");
        let escaped = escaped.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t");
        format!("\"{escaped}\"")
    }
}

impl Value for SharedIfcSet {
    fn read(value: &DeValue<'_>) -> Result<SharedIfcSet, Fault> {
        let remedy = "write { id = 1, criteria = \"criteria.xml\" }";
        let DeValue::Table(table) = value else {
            return Err(Fault::new("is not a set of filter criteria", remedy));
        };
        if let Some(key) = table.keys().find(|key| !["id", "criteria"].contains(&key.get_ref().as_ref())) {
            let fault = Fault::new(format!("a set has no {}", key.get_ref()), remedy);
            return Err(Fault { at: Some(key.span()), ..fault });
        }
        let field =
            |name: &str| table.get(name).ok_or_else(|| Fault::new(format!("a set needs its {name}"), remedy));
        let (id, criteria) = (field("id")?, field("criteria")?);
        let within =
            |at: std::ops::Range<usize>| move |fault: Fault| Fault { at: fault.at.or(Some(at)), ..fault };
        Ok(SharedIfcSet {
            id: u32::read(id.get_ref()).map_err(within(id.span()))?,
            criteria: WrittenCriteria::read(criteria.get_ref()).map_err(within(criteria.span()))?,
        })
    }

    fn show(&self) -> String {
        format!("{{ id = {}, criteria = {} }}", self.id, self.criteria.show())
    }
}

impl Config {
    /// Reads the files of filter criteria that the configuration names.
    pub fn read_criteria(
        &mut self,
        mut read: impl FnMut(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<(), ConfigError> {
        let shared = self.scscf.shared_ifc_sets.iter_mut().map(|set| (SHARED_SETS, &mut set.criteria));
        let fallback = self.scscf.fallback_criteria.iter_mut().map(|criteria| (FALLBACK, criteria));
        let mut wrong = None;
        for (key, written) in shared.chain(fallback) {
            let Some(file) = &written.file else { continue };
            let criteria = read(file)
                .map_err(|error| (error.to_string(), "name a file that can be read"))
                .and_then(|xml| user_data::criteria(&xml).map_err(|error| (error.to_string(), REMEDY)));
            match criteria {
                Ok(criteria) => written.criteria = criteria,
                Err((why, remedy)) => {
                    wrong = Some((key, format!("{}: {why}", file.display()), remedy));
                    break;
                }
            }
        }
        match wrong {
            None => Ok(()),
            Some((key, message, remedy)) => Err(self.criteria_error(key, message, remedy)),
        }
    }

    /// What is wrong with the criteria of a key of `[scscf]`.
    pub fn criteria_error(&self, key: &str, message: String, remedy: &str) -> ConfigError {
        let effective = self.effective.iter().find(|value| value.section == "scscf" && value.key == key);
        let (file, line) = match effective.map(|value| &value.origin) {
            Some(Origin::File { file, line }) => (file.clone(), *line),
            _ => (String::new(), 0),
        };
        let (key, remedy) = (format!("scscf.{key}"), remedy.to_owned());
        ConfigError { file, line, column: usize::from(line > 0), key, message, remedy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = "<x><InitialFilterCriteria><Priority>3</Priority><ApplicationServer>\
        <ServerName>sip:as.example</ServerName></ApplicationServer></InitialFilterCriteria></x>";

    fn parse(section: &str) -> Result<Config, String> {
        let text = format!("[plmn]\nmcc = \"001\"\nmnc = \"01\"\n[scscf]\n{section}");
        Config::parse(&text, "dir/lab.toml").map_err(|errors| errors[0].to_string())
    }

    fn priorities(criteria: &[InitialFilterCriteria]) -> Vec<u32> {
        criteria.iter().map(|criterion| criterion.priority).collect()
    }

    #[test]
    fn criteria_stand_in_the_configuration_or_in_a_file_beside_it() {
        let mut config = parse(&format!(
            "fallback_criteria = '{XML}'\n[[scscf.shared_ifc_sets]]\nid = 7\ncriteria = \"voice.xml\"\n"
        ))
        .unwrap();
        assert_eq!(priorities(&config.scscf.fallback_criteria.as_ref().unwrap().criteria), [3]);
        let mut asked = Vec::new();
        config
            .read_criteria(|file| {
                asked.push(file.to_owned());
                Ok(XML.replace(">3<", ">4<").into_bytes())
            })
            .unwrap();
        assert_eq!(asked, [Path::new("dir/voice.xml")]);
        let [set] = &config.scscf.shared_ifc_sets[..] else { panic!("one set") };
        assert_eq!((set.id, priorities(&set.criteria.criteria)), (7, vec![4]));
        let again = Config::parse(&config.print_config(), "dir/again.toml").expect("a configuration");
        assert_eq!(again.scscf.fallback_criteria, config.scscf.fallback_criteria);
    }

    #[test]
    fn mistakes_name_file_key_and_remedy() {
        for (section, expected) in [
            (
                "fallback_criteria = '<x>'",
                "scscf.fallback_criteria: is not filter criteria: line 1: ends before",
            ),
            (
                "fallback_criteria = 3",
                "scscf.fallback_criteria: is a integer where text is wanted; name a file",
            ),
            ("fallback_criteria = ''", "scscf.fallback_criteria: is empty; name a path"),
            ("shared_ifc_sets = [{ id = 1 }]", "scscf.shared_ifc_sets: a set needs its criteria; write {"),
            (
                "shared_ifc_sets = [{ id = 1, file = 'x' }]",
                "scscf.shared_ifc_sets: a set has no file; write {",
            ),
            ("shared_ifc_sets = [1]", "scscf.shared_ifc_sets: is not a set of filter criteria; write {"),
            (
                "shared_ifc_sets = [{ id = 1, criteria = 'a' }, { id = 1, criteria = 'b' }]",
                "scscf.shared_ifc_sets: 1 is the number of two sets; give each its own",
            ),
        ] {
            let error = parse(section).expect_err(section);
            assert!(error.contains(expected), "{section}: {error}");
        }
        let mut config = parse("fallback_criteria = 'f.xml'").unwrap();
        let error = config.read_criteria(|_| Err(io::ErrorKind::NotFound.into())).unwrap_err();
        assert_eq!(
            (error.file.as_str(), error.line, error.key.as_str()),
            ("dir/lab.toml", 5, "scscf.fallback_criteria")
        );
        assert!(error.message.starts_with("dir/f.xml: "), "{error}");
        let error = config.read_criteria(|_| Ok(b"<x/>".to_vec())).unwrap_err();
        assert!(error.to_string().contains("f.xml: line 1: x: has no InitialFilterCriteria"), "{error}");
    }
}
