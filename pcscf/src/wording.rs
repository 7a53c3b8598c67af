//! The words of an operator at a P-CSCF, and what it shows.

use crate::agreements::{Agreement, Agreements, State};
use ambient::Wall;
use cscf::wording::{Reply, Wording};
use ipsec::wireshark::{self, Secrecy};

/// What a P-CSCF can be asked.
pub const WORDING: Wording<Command, Notice> =
    Wording { help: &["sa list", "sa wireshark [with-keys]"], read, tell };

/// What an operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The security associations, in this form.
    SecurityAssociations(Form),
}

/// How security associations are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people: a line for each set.
    Table,
    /// Rows of Wireshark's table, one for each association.
    Wireshark(Secrecy),
}

/// What an operator is told.
#[derive(Clone, PartialEq, Eq)]
pub enum Notice {
    /// The security associations, in the form that was asked for.
    SecurityAssociations {
        /// The form.
        form: Form,
        /// The lines.
        lines: Vec<String>,
    },
}

impl std::fmt::Debug for Notice {
    /// Without the lines: they may have keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Notice::SecurityAssociations { form, lines } = self;
        f.debug_struct("SecurityAssociations").field("form", form).field("lines", &lines.len()).finish()
    }
}

/// The security associations of a P-CSCF.
pub fn shown(agreements: &Agreements, form: Form, now: Wall) -> Notice {
    let lines = match form {
        Form::Table => agreements.iter().map(|agreement| line(agreement, now)).collect(),
        Form::Wireshark(secrecy) => {
            let rows = |agreement: &Agreement| {
                let set = &agreement.set;
                set.associations().map(|association| wireshark::row(set, &association, secrecy))
            };
            agreements.iter().flat_map(rows).collect()
        }
    };
    Notice::SecurityAssociations { form, lines }
}

/// One set: its UE, the ports and SPIs in the order of TS 33.203 §7.1, the algorithms, how far it has come, its age.
fn line(agreement: &Agreement, now: Wall) -> String {
    let set = &agreement.set;
    let state = match agreement.state {
        State::Awaiting => "awaiting the answer to the challenge",
        State::Current => "current",
        State::Replaced => "older, until the UE uses the newer",
        State::Ending => "ending",
    };
    let nat = match agreement.nat {
        Some(claimed) => {
            let mode = set.encapsulation.mode().token();
            format!(" behind a NAT (calls itself {claimed}, {mode})")
        }
        None => String::new(),
    };
    format!(
        "{} {:?}->{:?} spi-uc {} spi-us {} spi-pc {} spi-ps {} {} {state} {} s{nat}",
        set.peer_ip,
        (set.own_client_port, set.own_server_port),
        (set.peer_client_port, set.peer_server_port),
        set.peer_spi_c,
        set.peer_spi_s,
        set.own_spi_c,
        set.own_spi_s,
        set.algorithms,
        now.since(agreement.since).as_secs(),
    )
}

fn read(line: &str) -> Result<Command, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let form = match words[..] {
        ["sa", "list"] => Form::Table,
        ["sa", "wireshark"] => Form::Wireshark(Secrecy::Hidden),
        ["sa", "wireshark", "with-keys"] => Form::Wireshark(Secrecy::Revealed),
        _ => return Err(format!("a P-CSCF knows: {}", WORDING.help.join(", "))),
    };
    Ok(Command::SecurityAssociations(form))
}

fn tell(command: &Command, _: u64, notice: &Notice) -> Option<Reply> {
    let (Command::SecurityAssociations(asked), Notice::SecurityAssociations { form, lines }) =
        (command, notice);
    (asked == form).then(|| Reply::done(lines.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agreements::tests::agreement;

    #[test]
    fn keys_are_shown_to_those_alone_who_ask_for_them() {
        let mut agreements = Agreements::default();
        agreements.insert(agreement(300, 5100, State::Current));
        let lines = |text: &str| {
            let Command::SecurityAssociations(form) = read(text).expect("a command");
            let notice = shown(&agreements, form, Wall::from_millis(9000));
            let reply = tell(&Command::SecurityAssociations(form), 1, &notice).expect("its own");
            assert!(!format!("{notice:?}").contains("0101"), "{notice:?}");
            reply.lines
        };
        // CK is sixteen times 01.
        let key = "01010101010101010101010101010101";
        for (text, count, has_keys) in
            [("sa list", 1, false), ("sa wireshark", 4, false), ("sa wireshark with-keys", 4, true)]
        {
            let shown = lines(text);
            assert_eq!(shown.len(), count, "{shown:?}");
            assert_eq!(shown.iter().any(|line| line.contains(key)), has_keys, "{shown:?}");
        }
        let table = &lines("sa list")[0];
        assert!(table.starts_with("10.0.0.1 (5100, 6100)->(31300, 31001) spi-uc 0x"), "{table}");
        assert!(table.ends_with("null/aes-gcm current 9 s"), "{table}");
        let mut behind_nat = agreement(400, 5101, State::Current);
        behind_nat.nat = Some(std::net::IpAddr::from([192, 168, 1, 2]));
        agreements.insert(behind_nat);
        let Notice::SecurityAssociations { lines, .. } =
            shown(&agreements, Form::Table, Wall::from_millis(9000));
        assert!(lines[1].ends_with("9 s behind a NAT (calls itself 192.168.1.2, trans)"), "{lines:?}");
    }

    #[test]
    fn another_line_is_refused_with_what_there_is() {
        for line in ["", "sa", "sa flush", "sa wireshark keys", "sa list all"] {
            assert_eq!(read(line), Err("a P-CSCF knows: sa list, sa wireshark [with-keys]".to_owned()));
        }
    }
}
