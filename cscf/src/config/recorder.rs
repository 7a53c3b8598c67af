//! `[recorder]`: what is kept of what happened, and how much of it.

use super::reader::{Fallback, Reader};
use super::value::{Fault, Value};
use ::recorder::{Mode, Ring, Rule};
use toml::de::DeValue;

/// The flight recorder of each shard of each function.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecorderSection {
    /// What is recorded.
    pub rule: Rule,
    /// Whether views show identities of users shortened.
    pub privacy: bool,
}

/// Bytes, written with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Bytes(usize);

/// See [`Mode`].
#[derive(Clone, Copy, Debug)]
struct WrittenMode(Mode);

impl RecorderSection {
    pub(super) fn read(reader: &mut Reader<'_>) -> RecorderSection {
        let default = Rule::default();
        let mut section = reader.section("recorder");
        let read = RecorderSection {
            rule: Rule {
                mode: section.get("mode", Fallback::Default(WrittenMode(default.mode))).0,
                memory: section.within("memory", Bytes(default.memory), MEMORY_MIN..=MEMORY_MAX).0,
                per_mille: section.within("per_mille", default.per_mille, 0..=1000),
                identities: section.get("identities", Fallback::Default(Vec::<String>::new())),
                texts: section.get("texts", Fallback::Default(false)),
            },
            privacy: section.get("privacy", Fallback::Default(false)),
        };
        section.end();
        read
    }
}

impl Value for WrittenMode {
    fn read(value: &DeValue<'_>) -> Result<WrittenMode, Fault> {
        match String::read(value)?.as_str() {
            "off" => Ok(WrittenMode(Mode::Off)),
            "on" => Ok(WrittenMode(Mode::On)),
            "sampled" => Ok(WrittenMode(Mode::Sampled)),
            other => Err(Fault::new(format!("{other:?} is no mode"), "write \"on\", \"off\" or \"sampled\"")),
        }
    }

    fn show(&self) -> String {
        match self.0 {
            Mode::Off => "\"off\"".to_owned(),
            Mode::On => "\"on\"".to_owned(),
            Mode::Sampled => "\"sampled\"".to_owned(),
        }
    }
}

impl Value for Bytes {
    fn read(value: &DeValue<'_>) -> Result<Bytes, Fault> {
        let text = String::read(value)?;
        let remedy = "write a number with its unit, as in \"512 KiB\", \"8 MiB\" or \"1 GiB\"";
        let fault = || Fault::new(format!("{text:?} is no amount of memory"), remedy);
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let shift = UNITS.iter().find(|(name, _)| *name == unit.trim()).map(|(_, shift)| *shift);
        let number: usize = number.parse().map_err(|_| fault())?;
        number.checked_mul(1 << shift.ok_or_else(fault)?).map(Bytes).ok_or_else(fault)
    }

    fn show(&self) -> String {
        let fits = |(_, shift): &&(&str, u32)| self.0.is_multiple_of(1 << *shift);
        let (name, shift) = UNITS.iter().rev().find(fits).unwrap_or(&UNITS[0]);
        format!("\"{} {name}\"", self.0 >> shift)
    }
}

const UNITS: [(&str, u32); 3] = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
const MEMORY_MIN: Bytes = Bytes(Ring::MEMORY_MIN);
const MEMORY_MAX: Bytes = Bytes(4 << 30);
