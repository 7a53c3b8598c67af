//! Who is registered, as the S-CSCF and the P-CSCF tell it by their control channels.

use crate::control::{self, PCSCF, SCSCF};
use ::console::Refusal;
use ::console::api::{Association, Contact, Registrations};
use cscf::config::Config;
use std::time::Duration;

/// What both tell.
pub fn of(config: &Config, within: Duration) -> Result<Registrations, Refusal> {
    let ask = |process, line| {
        control::ask(config, process, line, within).map_err(|failure| Refusal::Failed(failure.to_string()))
    };
    let contacts = ask(SCSCF, "list")?.iter().filter_map(|line| contact(line)).collect();
    let associations = ask(PCSCF, "sa list")?.iter().filter_map(|line| association(line)).collect();
    Ok(Registrations { contacts, associations })
}

/// A line of `list`: identity, private identity, contact, seconds, Path.
fn contact(line: &str) -> Option<Contact> {
    let mut words = line.split_whitespace().map(str::to_owned);
    let (identity, private_identity, uri) = (words.next()?, words.next()?, words.next()?);
    let expires_s = words.next()?.parse().ok()?;
    let path = words.next().filter(|path| path != "-").unwrap_or_default();
    let path = path.split(',').filter(|entry| !entry.is_empty()).map(str::to_owned).collect();
    Some(Contact { identity, private_identity, uri, expires_s, path })
}

/// A line of `sa list`: the address of the UE, what the set is made of, how far it has come, its age in seconds.
fn association(line: &str) -> Option<Association> {
    const STATES: [&str; 4] =
        ["awaiting the answer to the challenge", "current", "older, until the UE uses the newer", "ending"];
    let (ue, rest) = line.split_once(' ')?;
    let (state, at) = STATES.iter().find_map(|state| Some((*state, rest.find(&format!(" {state} "))?)))?;
    let age = rest[at + state.len() + 2..].split(' ').next()?.parse().ok()?;
    Some(Association {
        ue: ue.to_owned(),
        detail: rest[..at].to_owned(),
        state: state.to_owned(),
        age_s: age,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_both_are_read() {
        let told = contact("sip:a@h 001@h sip:1.2.3.4:5 600 <sip:p;lr>,<sip:q;lr>").expect("a contact");
        assert_eq!((told.expires_s, told.path.len()), (600, 2));
        assert!(contact("sip:a@h 001@h sip:1.2.3.4:5 600 -").expect("a contact").path.is_empty());
        assert!(contact("nonsense").is_none());
        let line = "10.0.0.1 (5100, 6100)->(31300, 31001) spi-uc 0x1 null/aes-gcm current 9 s behind a NAT";
        let told = association(line).expect("a set");
        assert_eq!((told.ue.as_str(), told.state.as_str(), told.age_s), ("10.0.0.1", "current", 9));
        assert!(told.detail.ends_with("null/aes-gcm"), "{told:?}");
        assert!(association("10.0.0.1 odd").is_none());
    }
}
