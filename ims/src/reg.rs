//! `ims reg`: the registrations of a running S-CSCF.

use crate::arguments::{Reg, RegCommand};
use crate::control::{self, SCSCF, word};
use crate::exit::Failure;
use crate::roster::{Roster, reachable_at};
use crate::{screen, settings};

/// Carries out `ims reg`.
pub fn run(reg: &Reg) -> Result<(), Failure> {
    let config = settings::read(reg.core.config.as_deref())?;
    let RegCommand::Deregister { who } = &reg.command;
    let line = match who.contains(':') {
        true => format!("deregister {}", word(who)?),
        false => format!("deregister {}", word(reachable_at(Roster::of(&config)?.find(who, &config)?)?)?),
    };
    let lines = control::ask(&config, SCSCF, &line, reg.core.timeout)?;
    lines.iter().for_each(screen::line);
    Ok(())
}
