//! `ims sa`: the security associations of a running P-CSCF.

use crate::arguments::{Sa, SaCommand, SaOutput};
use crate::control::{self, PCSCF};
use crate::exit::Failure;
use crate::{screen, settings};

/// Carries out `ims sa`.
pub fn run(sa: &Sa) -> Result<(), Failure> {
    let config = settings::read(sa.core.config.as_deref())?;
    let SaCommand::List { output, with_keys } = sa.command;
    let line = match (output, with_keys) {
        (SaOutput::Text, false) => "sa list",
        (SaOutput::Wireshark, false) => "sa wireshark",
        (SaOutput::Wireshark, true) => "sa wireshark with-keys",
        (SaOutput::Text, true) => {
            return Err(Failure::Usage("--with-keys is for `-o wireshark`".to_owned()));
        }
    };
    let lines = control::ask(&config, PCSCF, line, sa.core.timeout)?;
    lines.iter().for_each(screen::line);
    Ok(())
}
