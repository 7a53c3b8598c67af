//! The configuration that a command works with.

use crate::exit::Failure;
use cscf::config::Config;
use cscf::identity::Plmn;
use std::path::Path;

/// The configuration in `file`; the lab on its usual addresses without one.
pub fn read(file: Option<&Path>) -> Result<Config, Failure> {
    let Some(file) = file else {
        return Ok(Config::lab_with_emergencies(&Plmn::test()));
    };
    let shown = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| Failure::Usage(format!("{shown}: {error}")))?;
    let mut config = Config::parse(&text, &shown).map_err(|errors| {
        Failure::Usage(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })?;
    config.read_criteria(|file| std::fs::read(file)).map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(config)
}
