//! `ims reg`: the registrations of a running S-CSCF.

use crate::arguments::{Reg, RegCommand};
use crate::control::{self, SCSCF, word};
use crate::exit::Failure;
use crate::roster::{Roster, reachable_at};
use crate::{screen, settings};

/// Carries out `ims reg`.
pub fn run(reg: &Reg) -> Result<(), Failure> {
    let config = settings::read(reg.core.config.as_deref())?;
    let (who, command, rest) = match &reg.command {
        RegCommand::Deregister { who } => (who, "deregister", String::new()),
        RegCommand::Reauthenticate { who, within } => (who, "reauthenticate", format!(" {within}")),
    };
    let identity = match who.contains(':') {
        true => word(who)?.to_owned(),
        false => word(reachable_at(Roster::of(&config)?.find(who, &config)?)?)?.to_owned(),
    };
    let line = format!("{command} {identity}{rest}");
    let lines = control::ask(&config, SCSCF, &line, reg.core.timeout)?;
    lines.iter().for_each(screen::line);
    Ok(())
}
