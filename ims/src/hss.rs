//! `ims hss`: a running HSS, told to do what an operator wants to see happen.

use crate::arguments::{Hss, HssCommand};
use crate::control::{self, Conversation, HSS, word};
use crate::exit::Failure;
use crate::roster::{Roster, database_url};
use crate::{screen, settings};
use cscf::config::Config;
use hss_mock::record::hex;
use hss_mock::subscriber_record::write_subscriber;
use hss_mock::wording::UNCHANGED;
use hss_mock::{Subscriber, wording};
use std::collections::BTreeSet;
use std::time::Duration;

/// Carries out `ims hss`.
pub fn run(hss: &Hss) -> Result<(), Failure> {
    let config = settings::read(hss.core.config.as_deref())?;
    if matches!(hss.command, HssCommand::Reload) {
        return reload(&config, hss.core.timeout);
    }
    let line = line(&hss.command, &config)?;
    let lines = control::ask(&config, HSS, &line, hss.core.timeout)?;
    lines.iter().for_each(screen::line);
    Ok(())
}

/// A command as the HSS reads it.
fn line(command: &HssCommand, config: &Config) -> Result<String, Failure> {
    Ok(match command {
        HssCommand::Deregister { who, reason, info } => {
            let info = info.as_ref().map_or(String::new(), |info| format!(" info={info}"));
            if info.contains(char::is_control) {
                return Err(Failure::Usage("--info is one line".to_owned()));
            }
            format!("deregister {} reason={}{info}", target(who, config)?, word(reason)?)
        }
        HssCommand::Push { who } => format!("push {}", target(who, config)?),
        HssCommand::Refuse { command, result, who, count } => {
            let who = match who {
                Some(who) => format!(" who={}", target(who, config)?),
                None => String::new(),
            };
            let count = count.map_or(String::new(), |count| format!(" count={count}"));
            format!("refuse {} {}{who}{count}", word(command)?, word(result)?)
        }
        HssCommand::ServeAll => "serve-all".to_owned(),
        HssCommand::SetSqn { impi, sqn } => format!("set-sqn {} {}", word(impi)?, word(sqn)?),
        HssCommand::Show { who } => format!("show {}", target(who, config)?),
        HssCommand::List | HssCommand::Reload => "list".to_owned(),
    })
}

/// Whom the HSS is told: an identity as it is written, for any other name the subscription behind it.
fn target(who: &str, config: &Config) -> Result<String, Failure> {
    let known = || {
        let roster = Roster::of(config).ok()?;
        Some(roster.find(who, config).ok()?.name.clone())
    };
    let is_identity = who.contains([':', '@']);
    let target = if is_identity { None } else { known() };
    // A running HSS may know somebody whom the files do not.
    Ok(word(&target.unwrap_or_else(|| who.to_owned()))?.to_owned())
}

/// Gives the running HSS these subscribers; how many it did not have like that.
pub fn put(subscribers: &[Subscriber], config: &Config, within: Duration) -> Result<usize, Failure> {
    let mut conversation = Conversation::begin(config, HSS, within)?;
    put_each(&mut conversation, subscribers)
}

fn put_each(conversation: &mut Conversation, subscribers: &[Subscriber]) -> Result<usize, Failure> {
    let mut changed = 0;
    for subscriber in subscribers {
        let line = format!("put {}", hex(&write_subscriber(subscriber)));
        let told =
            conversation.ask(HSS, &line).map_err(|failure| of_subscriber(&subscriber.name, failure))?;
        changed += usize::from(told != [UNCHANGED]);
    }
    Ok(changed)
}

/// Takes a subscriber out of the running HSS, which tells the S-CSCF.
pub fn remove(name: &str, config: &Config, within: Duration) -> Result<(), Failure> {
    control::ask(config, HSS, &format!("remove {}", word(name)?), within).map(drop)
}

/// Carries out `ims hss reload`: the running HSS gets the subscribers of the database and of the file, and loses those
/// that neither has. Where both have one, the file's is taken, which a person edits.
fn reload(config: &Config, within: Duration) -> Result<(), Failure> {
    let listed = match &config.hss.subscribers {
        Some(path) => Roster::read(path, &config.home)?.subscribers().to_vec(),
        None if database_url(config).is_none() => {
            return Err(Failure::Usage(
                "the configuration names no `hss.subscribers` to read again".to_owned(),
            ));
        }
        None => Vec::new(),
    };
    let names: BTreeSet<_> = listed.iter().map(|subscriber| subscriber.name.clone()).collect();
    let mut wanted = listed;
    let kept = Roster::of(config)?;
    wanted.extend(kept.subscribers().iter().filter(|kept| !names.contains(&kept.name)).cloned());

    let mut conversation = Conversation::begin(config, HSS, within)?;
    let running = conversation.ask(HSS, "list")?;
    let gone: Vec<_> =
        running.iter().filter(|name| wanted.iter().all(|wanted| wanted.name != **name)).collect();
    for name in &gone {
        // Those who go make room for the identities of those who come.
        let told = conversation.ask(HSS, &format!("remove {}", word(name)?));
        told.map_err(|failure| of_subscriber(name, failure))?;
    }
    let changed = put_each(&mut conversation, &wanted)?;
    let (gone, same) = (gone.len(), wanted.len() - changed);
    screen::line(format_args!(
        "The HSS has {changed} new or changed subscribers, {same} as before, and lost {gone}."
    ));
    Ok(())
}

fn of_subscriber(name: &str, failure: Failure) -> Failure {
    match failure {
        Failure::Failed(why) => Failure::Failed(format!("{name}: {why}")),
        Failure::Usage(why) => Failure::Usage(format!("{name}: {why}")),
        Failure::Unreachable(why) => Failure::Unreachable(format!("{name}: {why}")),
        Failure::Timeout(why) => Failure::Timeout(format!("{name}: {why}")),
    }
}

/// A result of Cx as it may be written; for the command line to refuse others early.
pub fn cx_result(text: &str) -> Result<String, String> {
    let known = wording::result_of(text).map(|_| text.to_owned());
    known.ok_or_else(|| "write USER_UNKNOWN, 5012 for a Result-Code, 3gpp:5001 for one of Cx".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cscf::identity::Plmn;

    #[test]
    fn every_command_is_a_line_that_an_hss_reads() {
        let config = Config::lab(&Plmn::test());
        let alice = || "alice".to_owned();
        let deregister = |reason: &str, info: Option<&str>| HssCommand::Deregister {
            who: alice(),
            reason: reason.to_owned(),
            info: info.map(str::to_owned),
        };
        let refuse = |who: Option<&str>, count| HssCommand::Refuse {
            command: "mar".to_owned(),
            result: "user_unknown".to_owned(),
            who: who.map(str::to_owned),
            count,
        };
        for (command, expected) in [
            (deregister("permanent", None), "deregister alice reason=permanent"),
            (deregister("server-change", Some("a b")), "deregister alice reason=server-change info=a b"),
            (HssCommand::Push { who: "+49301000002".to_owned() }, "push bob"),
            (refuse(None, None), "refuse mar user_unknown"),
            (
                refuse(Some("tel:+49301000002"), Some(2)),
                "refuse mar user_unknown who=tel:+49301000002 count=2",
            ),
            (HssCommand::ServeAll, "serve-all"),
            (HssCommand::SetSqn { impi: "a@b".to_owned(), sqn: "ff".to_owned() }, "set-sqn a@b ff"),
            (HssCommand::Show { who: "stranger".to_owned() }, "show stranger"),
            (HssCommand::List, "list"),
        ] {
            let line = line(&command, &config).expect(expected);
            assert_eq!(line, expected);
            assert!((hss_mock::WORDING.read)(&line).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_would_be_two_lines_or_two_words_is_a_mistake_of_usage() {
        let config = Config::lab(&Plmn::test());
        for command in [
            HssCommand::Show { who: "alice\nserve-all".to_owned() },
            HssCommand::Show { who: String::new() },
            HssCommand::SetSqn { impi: "a b".to_owned(), sqn: "0".to_owned() },
            HssCommand::Deregister {
                who: "alice".to_owned(),
                reason: "permanent".to_owned(),
                info: Some("a\nserve-all".to_owned()),
            },
        ] {
            assert!(matches!(line(&command, &config), Err(Failure::Usage(_))), "{command:?}");
        }
    }
}
