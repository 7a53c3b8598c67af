//! The words of an operator at an HSS.
//!
//! `WHO` is the name of a subscription, a private identity or a public identity. A `RESULT` is a name of the
//! specifications (`USER_UNKNOWN`), the number of a Result-Code (`5012`), or `3gpp:` and the number of an experimental one
//! (`3gpp:5001`): the two number spaces overlap. A `RECORD` is a subscription in its durable form, in hexadecimal.

use crate::command::{CommandError, CommandReport, HssCommand, Shown, ShownSet};
use crate::record::unhex;
use crate::refusal::Refusal;
use crate::registration::State;
use crate::station::HssNotice;
use crate::subscriber_record::read_subscriber;
use cscf::wording::{Outcome, Reply, Wording};
use diameter_client::cx::{CxResult, ReasonCode};
use diameter_client::endpoint::CxFailure;
use ims_aka::Sqn;

/// What an HSS can be asked.
pub const WORDING: Wording<HssCommand, HssNotice> = Wording {
    help: &[
        "deregister WHO [reason=permanent|server-change|new-server|remove-scscf] [info=TEXT TO THE END]",
        "push WHO",
        "refuse UAR|MAR|SAR|LIR|any RESULT [who=WHO] [count=N]",
        "serve-all",
        "set-sqn IMPI HEX",
        "show WHO",
        "list",
        "put RECORD",
        "remove WHO",
    ],
    read,
    tell,
};

fn read(line: &str) -> Result<HssCommand, String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim();
    match word {
        "deregister" => read_deregister(rest),
        "push" => Ok(HssCommand::PushProfile { target: one("WHO", rest)? }),
        "refuse" => read_refuse(rest).map(HssCommand::Refuse),
        "serve-all" => none(rest).map(|()| HssCommand::ClearRefusals),
        "set-sqn" => {
            let (impi, digits) = rest.split_once(' ').ok_or("set-sqn wants IMPI HEX")?;
            let sqn = u64::from_str_radix(digits.trim(), 16).ok().and_then(Sqn::new);
            let sqn = sqn.ok_or_else(|| format!("{digits:?} is no hexadecimal number of 48 bits"))?;
            Ok(HssCommand::SetSqn { impi: impi.to_owned(), sqn })
        }
        "show" => Ok(HssCommand::Show { target: one("WHO", rest)? }),
        "list" => none(rest).map(|()| HssCommand::ListSubscribers),
        // What is wrong with a record is not told: it holds keys.
        "put" => {
            let subscriber = unhex(rest).and_then(|record| read_subscriber(&record));
            subscriber
                .map(|subscriber| HssCommand::PutSubscriber(Box::new(subscriber)))
                .ok_or_else(unreadable)
        }
        "remove" => Ok(HssCommand::RemoveSubscriber { target: one("WHO", rest)? }),
        _ => Err(format!("{word:?} is unknown; `help` tells what there is")),
    }
}

fn unreadable() -> String {
    "put wants a subscription in its durable form".to_owned()
}

fn read_deregister(rest: &str) -> Result<HssCommand, String> {
    let (rest, info) = match rest.split_once(" info=") {
        Some((before, info)) => (before.trim(), Some(info.to_owned())),
        None => (rest, None),
    };
    let mut words = rest.split_whitespace();
    let target = words.next().ok_or("WHO is missing")?.to_owned();
    let mut reason = ReasonCode::default();
    for word in words {
        let name = word.strip_prefix("reason=").ok_or_else(|| format!("{word:?} is not understood"))?;
        reason =
            REASONS.iter().find(|(_, known)| *known == name).map(|(code, _)| *code).ok_or_else(|| {
                format!("{name:?} is no reason; there are {}", REASONS.map(|(_, name)| name).join(", "))
            })?;
    }
    Ok(HssCommand::Deregister { target, reason, info })
}

/// Reason-Code (TS 29.229 §6.3.17), as an operator writes it.
const REASONS: [(ReasonCode, &str); 4] = [
    (ReasonCode::PermanentTermination, "permanent"),
    (ReasonCode::NewServerAssigned, "new-server"),
    (ReasonCode::ServerChange, "server-change"),
    (ReasonCode::RemoveScscf, "remove-scscf"),
];

fn read_refuse(rest: &str) -> Result<Refusal, String> {
    let mut words = rest.split_whitespace();
    let (Some(command), Some(result)) = (words.next(), words.next()) else {
        return Err("refuse wants a command and a result".to_owned());
    };
    let command = command.to_ascii_uppercase();
    let mut refusal = Refusal {
        command: match command.as_str() {
            "ANY" => None,
            "UAR" | "MAR" | "SAR" | "LIR" => Some(command),
            _ => return Err(format!("{command} is none of UAR, MAR, SAR, LIR, any")),
        },
        identity: None,
        result: result_of(result).ok_or_else(|| {
            format!(
                "{result:?} is no result; write USER_UNKNOWN, 5012 for a Result-Code, 3gpp:5001 for one of Cx"
            )
        })?,
        count: None,
    };
    for word in words {
        match word.split_once('=') {
            Some(("who", who)) if !who.is_empty() => refusal.identity = Some(who.to_owned()),
            Some(("count", count)) => {
                let count = count.parse().ok().filter(|count| *count > 0);
                refusal.count = Some(count.ok_or("count= wants a number from 1")?);
            }
            _ => return Err(format!("{word:?} is not understood")),
        }
    }
    Ok(refusal)
}

/// The result that a person means by a name or a number.
pub fn result_of(text: &str) -> Option<CxResult> {
    let lower = text.to_ascii_lowercase();
    if let Some(code) = lower.strip_prefix("3gpp:") {
        return code.parse().ok().filter(|code| CODES.contains(code)).map(of_cx);
    }
    if let Ok(code) = text.parse::<u32>() {
        return CODES.contains(&code).then_some(CxResult::Base(code));
    }
    let bare = |name: &str| {
        let name = name.to_ascii_lowercase();
        let name = name.strip_prefix("diameter_").unwrap_or(&name).to_owned();
        name.strip_prefix("error_").map(str::to_owned).unwrap_or(name)
    };
    let wanted = bare(text);
    // What Cx defines goes first: a name that both spaces have is rather the subscriber's than the protocol's.
    let mut all = CODES.map(of_cx).chain(CODES.map(CxResult::Base));
    all.find(|result| result.name().is_some_and(|name| bare(name) == wanted))
}

fn of_cx(code: u32) -> CxResult {
    CxResult::Experimental { vendor: diameter_client::dictionary::VENDOR_3GPP, code }
}

/// The numbers that results have.
const CODES: std::ops::Range<u32> = 1000..6000;

fn one(what: &str, rest: &str) -> Result<String, String> {
    match rest.split_whitespace().collect::<Vec<_>>()[..] {
        [word] => Ok(word.to_owned()),
        [] => Err(format!("{what} is missing")),
        [..] => Err(format!("there is more than {what}")),
    }
}

fn none(rest: &str) -> Result<(), String> {
    if rest.is_empty() { Ok(()) } else { Err(format!("{rest:?} is too much")) }
}

fn tell(command: &HssCommand, given: u64, notice: &HssNotice) -> Option<Reply> {
    (notice.command == given).then(|| match &notice.result {
        Ok(report) => tell_report(command, report),
        Err(error) => Reply::of(outcome_of(error)),
    })
}

/// What is said of a subscription that is put as it is.
pub const UNCHANGED: &str = "it was so before";

fn tell_report(command: &HssCommand, report: &CommandReport) -> Reply {
    match report {
        CommandReport::Answered(result) => {
            let line = format!("the S-CSCF answered {result}");
            match result.is_success() {
                true => Reply::done([line]),
                false => Reply::of(Outcome::Failed(line)),
            }
        }
        CommandReport::NotServed => Reply::done(["no S-CSCF serves them: nobody had to be told".to_owned()]),
        CommandReport::Unchanged => Reply::done([UNCHANGED.to_owned()]),
        CommandReport::Shown(shown) => Reply::done(lines_of(shown)),
        CommandReport::Listed(names) => Reply::done(names.iter().cloned()),
        CommandReport::Done => Reply::done(match command {
            HssCommand::Refuse(refusal) => vec![in_words(refusal)],
            HssCommand::ClearRefusals => vec!["every request is served".to_owned()],
            HssCommand::SetSqn { impi, sqn } => {
                vec![format!("the next vector of {impi} comes after SQN {sqn}")]
            }
            _ => vec!["it is done and durable".to_owned()],
        }),
    }
}

fn outcome_of(error: &CommandError) -> Outcome {
    let why = error.to_string();
    match error {
        CommandError::NotTold(CxFailure::NoPeer) => Outcome::Unreachable(why),
        CommandError::NotTold(CxFailure::Timeout) => Outcome::Timeout(why),
        _ => Outcome::Failed(why),
    }
}

fn in_words(refusal: &Refusal) -> String {
    let command = refusal.command.as_deref().unwrap_or("request");
    let who = refusal.identity.as_deref().unwrap_or("anybody");
    let result = refusal.result;
    match refusal.count {
        Some(1) => format!("the next {command} of {who} is refused: {result}"),
        Some(count) => format!("the next {count} {command} of {who} are refused: {result}"),
        None => format!("every {command} of {who} is refused: {result}"),
    }
}

fn lines_of(shown: &Shown) -> Vec<String> {
    let dash = || "-".to_owned();
    let mut lines = vec![
        format!("name      {}", shown.name),
        format!("imsi      {}", shown.imsi.clone().unwrap_or_else(dash)),
        format!("s-cscf    {}", shown.server_name.clone().unwrap_or_else(dash)),
    ];
    lines.extend(shown.private_identities.iter().map(|(impi, sqn)| format!("private   {impi} (SQN {sqn})")));
    for ShownSet { state, registered, identities } in &shown.sets {
        let state = match state {
            State::NotRegistered => "not registered",
            State::Registered => "registered",
            State::Unregistered => "unregistered, and served",
        };
        let by = if registered.is_empty() { String::new() } else { format!(" by {}", registered.join(" ")) };
        lines.push(format!("set       {state}{by}"));
        lines.extend(identities.iter().map(|(impu, is_barred)| {
            format!("public    {impu}{}", if *is_barred { " (barred)" } else { "" })
        }));
    }
    lines
}

#[cfg(test)]
mod tests;
