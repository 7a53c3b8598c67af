//! The words of an operator at an S-CSCF.

use crate::waiting::{Cause, Command, Notice};
use cscf::identity::Impu;
use cscf::wording::{Outcome, Reply, Wording};
use std::time::Duration;

/// Nothing lasts longer than a week here.
const WITHIN_MAX_S: u64 = 7 * 24 * 3600;

/// What an S-CSCF can be asked.
pub const WORDING: Wording<Command, Notice> =
    Wording { help: &["deregister IDENTITY", "reauthenticate IDENTITY SECONDS", "list"], read, tell };

fn read(line: &str) -> Result<Command, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["deregister", identity] => Impu::parse(identity.as_bytes())
            .map(|impu| Command::Deregister { impu })
            .ok_or_else(|| format!("{identity} is no SIP or tel identity")),
        ["reauthenticate", identity, seconds] => {
            let impu = Impu::parse(identity.as_bytes());
            let impu = impu.ok_or_else(|| format!("{identity} is no SIP or tel identity"))?;
            let seconds: u64 = seconds.parse().map_err(|_| format!("{seconds} is no number of seconds"))?;
            Ok(Command::Reauthenticate { impu, within: Duration::from_secs(seconds.min(WITHIN_MAX_S)) })
        }
        ["reauthenticate", ..] => Err("reauthenticate wants one identity and a number of seconds".to_owned()),
        ["deregister", ..] => Err("deregister wants one identity".to_owned()),
        ["list"] => Ok(Command::List),
        _ => Err(format!("an S-CSCF knows: {}", WORDING.help.join(", "))),
    }
}

/// The de-registration is decided at once: the notices that follow a command are its own.
fn tell(command: &Command, _: u64, notice: &Notice) -> Option<Reply> {
    let asked = match command {
        Command::Deregister { impu } | Command::Reauthenticate { impu, .. } => impu,
        Command::List => {
            let Notice::Listed { lines } = notice else { return None };
            return Some(Reply::done(lines.clone()));
        }
    };
    match notice {
        Notice::Shortened { impu } if impu == asked => {
            Some(Reply::done([format!("{} is to prove anew who it is", impu.as_str())]))
        }
        Notice::Deregistered { impu, cause: Cause::Operator }
            if matches!(command, Command::Deregister { .. }) =>
        {
            Some(Reply::done([format!("de-registered {}", impu.as_str())]))
        }
        Notice::NotRegistered { impu } if impu == asked => {
            Some(Reply::of(Outcome::Failed(format!("{} is not registered here", impu.as_str()))))
        }
        Notice::Shortened { .. }
        | Notice::NotRegistered { .. }
        | Notice::Deregistered { .. }
        | Notice::Listed { .. }
        | Notice::Registered { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn impu(text: &str) -> Impu {
        Impu::parse(text.as_bytes()).expect("an identity")
    }

    #[test]
    fn a_line_names_one_identity() {
        let alice = Command::Deregister { impu: impu("sip:alice@home1.net") };
        assert_eq!(read("deregister  sip:alice@home1.net"), Ok(alice));
        let within = Duration::from_secs(60);
        let again = Command::Reauthenticate { impu: impu("tel:+491"), within };
        assert_eq!(read("reauthenticate tel:+491 60"), Ok(again));
        assert_eq!(read("list"), Ok(Command::List));
        for line in [
            "",
            "reauthenticate tel:+491",
            "reauthenticate tel:+491 soon",
            "deregister",
            "deregister sip:a@b sip:c@d",
            "deregister alice",
            "list all",
            "register sip:a@b",
        ] {
            assert!(read(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn only_what_the_operator_asked_for_is_the_reply() {
        let asked = Command::Deregister { impu: impu("tel:+49301") };
        let alice = impu("sip:alice@home1.net");
        let ended = |cause| tell(&asked, 1, &Notice::Deregistered { impu: alice.clone(), cause });
        assert_eq!(
            ended(Cause::Operator),
            Some(Reply::done(["de-registered sip:alice@home1.net".to_owned()]))
        );
        assert_eq!(ended(Cause::Expiry), None);
        assert_eq!(tell(&asked, 1, &Notice::Registered { impu: alice.clone(), contacts: 1 }), None);
        let unknown = |impu| tell(&asked, 1, &Notice::NotRegistered { impu });
        let failed = Outcome::Failed("tel:+49301 is not registered here".to_owned());
        assert_eq!(unknown(impu("tel:+49301")), Some(Reply::of(failed)));
        assert_eq!(unknown(alice), None);
        let listed = Notice::Listed { lines: vec!["a line".to_owned()] };
        assert_eq!(tell(&Command::List, 2, &listed), Some(Reply::done(["a line".to_owned()])));
        assert_eq!(tell(&asked, 2, &listed), None);
        assert_eq!(tell(&Command::List, 2, &ended_by_hand()), None);
    }

    fn ended_by_hand() -> Notice {
        Notice::Deregistered { impu: impu("sip:alice@home1.net"), cause: Cause::Operator }
    }
}
