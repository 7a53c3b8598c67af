//! `ims explain`: why a registration, a call or a text failed.

use crate::arguments::{Explain, ExplainOutput};
use crate::exit::Failure;
use crate::roster::Roster;
use crate::{recording, screen, settings};
use ::explain::{Explanation, Finding, Known, KnownIdentity, Scene, Subject, Verdict, capture};
use cscf::config::Config;
use hss_mock::{Credentials, Subscriber};
use recorder::Entry;
use serde_json::{Value, json};
use std::path::Path;

/// Carries out `ims explain`.
pub fn run(arguments: &Explain) -> Result<(), Failure> {
    let subject = subject(&arguments.subject)?;
    let Seen { entries, known, capture } = match &arguments.pcap {
        Some(file) => captured(file, arguments.core.config.as_deref())?,
        None => recorded(arguments)?,
    };
    let scene = Scene::with(&entries, known);
    let told = scene.about(&subject).map_err(|none| Failure::Usage(none.to_string()))?;
    match arguments.output {
        ExplainOutput::Text => {
            told.iter().for_each(|told| print(&told.text()));
            if let Some(Captured { protected: protected @ 1.., .. }) = capture {
                screen::line(format_args!("{protected} packets of ESP are protected, not readable"));
            }
            if capture.is_some_and(|capture| capture.is_cut) {
                screen::line(format_args!("the capture is cut: there was more"));
            }
        }
        ExplainOutput::Json => {
            let stories: Vec<Value> = told.iter().map(story).collect();
            let mut whole = json!({ "stories": stories });
            if let Some(Captured { frames, protected, is_cut }) = capture {
                whole["frames"] = json!(frames);
                whole["protected"] = json!(protected);
                whole["cut"] = json!(is_cut);
            }
            screen::line(format_args!("{whole:#}"));
        }
    }
    match told.iter().filter(|told| told.is_fault()).count() {
        0 => Ok(()),
        1 => Err(Failure::Failed("something is wrong".to_owned())),
        count => Err(Failure::Failed(format!("{count} things are wrong"))),
    }
}

/// What was seen of a core, by whomever.
struct Seen {
    entries: Vec<Entry>,
    known: Known,
    /// Where it was captured.
    capture: Option<Captured>,
}

/// What a capture is besides its messages.
#[derive(Clone, Copy)]
struct Captured {
    frames: usize,
    protected: usize,
    is_cut: bool,
}

/// What a capture has.
fn captured(file: &Path, config: Option<&Path>) -> Result<Seen, Failure> {
    let shown = file.display();
    let failed = |why: String| Failure::Usage(format!("{shown}: {why}"));
    let length = std::fs::metadata(file).map_err(|error| failed(error.to_string()))?.len();
    if length > CAPTURE_MAX {
        return Err(failed(format!("{length} octets are more than {CAPTURE_MAX}; cut it with editcap -c")));
    }
    let bytes = std::fs::read(file).map_err(|error| failed(error.to_string()))?;
    let capture = capture::read(&bytes).map_err(|error| failed(error.to_string()))?;
    let known = match config {
        Some(path) => {
            let config = settings::read(Some(path))?;
            known(&config, Roster::of(&config)?.subscribers())
        }
        None => Known::default(),
    };
    let told = Captured { frames: capture.frames, protected: capture.protected, is_cut: capture.is_cut };
    Ok(Seen { entries: capture.entries, known, capture: Some(told) })
}

/// What the flight recorders of a core have, or a file that was written of them.
fn recorded(arguments: &Explain) -> Result<Seen, Failure> {
    let config = settings::read(arguments.core.config.as_deref())?;
    let entries = recording::read(&config, arguments.recording.as_deref(), arguments.core.timeout)?;
    // The database of the HSS may be out of reach of whoever asks: what was recorded tells the most of it.
    let roster = Roster::of(&config);
    let mut known = known(&config, roster.as_ref().map_or(&[], Roster::subscribers));
    if config.recorder.privacy {
        // The identities are shortened in what was recorded, and are not told by the way.
        known.identities.clear();
    }
    Ok(Seen { entries, known, capture: None })
}

fn print(text: &str) {
    text.lines().for_each(|line| screen::line(format_args!("{line}")));
    screen::line(format_args!(""));
}

/// What the words of the command line are about.
fn subject(words: &[String]) -> Result<Subject, Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Ok(match words[..] {
        [] | ["last"] => Subject::Last,
        ["all"] => Subject::All,
        ["call", id] => Subject::Call(id.to_owned()),
        ["registration", who] => Subject::Registration(who.to_owned()),
        ["subscriber" | "imsi", who] | [who] => Subject::Subscriber(who.to_owned()),
        _ => {
            let why =
                "write last, all, call CALL-ID, registration IDENTITY, subscriber IDENTITY or imsi IMSI";
            return Err(Failure::Usage(why.to_owned()));
        }
    })
}

/// What the subscriber data say besides.
fn known(config: &Config, subscribers: &[Subscriber]) -> Known {
    let pairs: Vec<_> = subscribers
        .iter()
        .flat_map(|subscriber| &subscriber.private_identities)
        .filter_map(|private| match &private.credentials {
            Credentials::Milenage { k, opc } => Some((private.impi.as_str(), k, opc)),
            Credentials::Tuak { .. } | Credentials::Digest { .. } | Credentials::Giba { .. } => None,
        })
        .collect();
    let shares = |impi: &str| {
        let own = pairs.iter().find(|(known, ..)| *known == impi);
        own.is_some_and(|(_, k, opc)| pairs.iter().any(|(_, other, stored)| stored == opc && other != k))
    };
    let private = subscribers.iter().flat_map(|subscriber| &subscriber.private_identities);
    let private = private
        .map(|private| KnownIdentity { identity: private.impi.clone(), shares_opc: shares(&private.impi) });
    let public = subscribers.iter().flat_map(|subscriber| &subscriber.implicit_sets);
    let public = public
        .flat_map(|set| set.identities())
        .map(|identity| KnownIdentity { identity: identity.identity.as_str().to_owned(), shares_opc: false });
    Known { domain: config.home.domain().to_owned(), identities: private.chain(public).collect() }
}

fn story(told: &Explanation<'_>) -> Value {
    let finding = |finding: &Finding| {
        json!({
            "cause": finding.cause.name,
            "verdict": match finding.cause.verdict {
                Verdict::Fault => "fault",
                Verdict::Happened => "happened",
                Verdict::Unexplained => "unexplained",
            },
            "sentence": finding.sentence(),
            "evidence": told.ladder(finding),
            "clause": finding.cause.clause,
            "fix": finding.fix(),
        })
    };
    json!({
        "story": told.story.kind.word(),
        "call_id": told.story.call_id,
        "impi": told.story.impi,
        "who": told.story.who,
        "called": told.story.called,
        "became": told.headline(),
        "fault": told.is_fault(),
        "findings": told.findings.iter().map(finding).collect::<Vec<Value>>(),
    })
}

/// Octets of a capture that are read into memory.
const CAPTURE_MAX: u64 = 2 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_say_what_is_asked_about() {
        let words = |text: &str| subject(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        for (text, expected) in [
            ("", Subject::Last),
            ("last", Subject::Last),
            ("all", Subject::All),
            ("call abc@home", Subject::Call("abc@home".to_owned())),
            ("registration alice@home", Subject::Registration("alice@home".to_owned())),
            ("subscriber alice", Subject::Subscriber("alice".to_owned())),
            ("imsi 001010000000001", Subject::Subscriber("001010000000001".to_owned())),
            ("alice", Subject::Subscriber("alice".to_owned())),
        ] {
            assert_eq!(words(text), Ok(expected), "{text}");
        }
        assert!(matches!(words("call"), Ok(Subject::Subscriber(_))));
        assert!(matches!(words("call a b"), Err(Failure::Usage(_))));
    }

    /// TS 35.206 §8.1: an OPc is derived from the key, and no two cards have the same.
    #[test]
    fn an_opc_that_two_cards_have_is_an_op() {
        let config = Config::lab(&cscf::identity::Plmn::test());
        let roster = Roster::built_in(&config.home);
        let mut subscribers = roster.subscribers().to_vec();
        let impi = subscribers[0].private_identities[0].impi.clone();
        assert!(!known(&config, &subscribers).shares_opc(&impi));
        let opc_of = |subscriber: &Subscriber| match &subscriber.private_identities[0].credentials {
            Credentials::Milenage { opc, .. } => opc.clone(),
            other => panic!("{other:?}"),
        };
        let theirs = opc_of(&subscribers[1]);
        if let Credentials::Milenage { opc, .. } = &mut subscribers[0].private_identities[0].credentials {
            *opc = theirs;
        }
        assert!(known(&config, &subscribers).shares_opc(&impi));
    }
}
