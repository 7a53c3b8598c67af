//! `ims doctor`: what of this host, this network and this configuration keeps a core from working, before it starts and
//! while it runs (docs/doctor.md).
//!
//! [`facts`] looks and judges nothing; [`checks`] judges and looks at nothing, so that each check is a table.

mod checks;
mod facts;
mod finding;
mod peers;
mod system;

pub use facts::Pool;

use crate::arguments::Doctor;
use crate::exit::Failure;
use crate::{io, screen};
use cscf::config::Config;
use facts::Facts;
use finding::{Finding, Verdict};
use serde_json::{Value, json};
use std::io::IsTerminal;

/// Carries out `ims doctor`: fails when a check is red.
pub fn run(doctor: &Doctor) -> Result<(), Failure> {
    let findings = findings(doctor)?;
    match doctor.json {
        true => screen::line(Value::Array(findings.iter().map(as_json).collect())),
        false => {
            let colours = match std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
                true => COLOURS,
                false => PLAIN,
            };
            findings.iter().for_each(|finding| screen::show(text(finding, colours)));
        }
    }
    match findings.iter().filter(|finding| finding.verdict.is_bad()).count() {
        0 => Ok(()),
        1 => Err(Failure::Failed("1 check is red".to_owned())),
        count => Err(Failure::Failed(format!("{count} checks are red"))),
    }
}

fn findings(doctor: &Doctor) -> Result<Vec<Finding>, Failure> {
    let config = match crate::settings::read(doctor.config.as_deref()) {
        Ok(config) => config,
        // Without a configuration nothing else can be told.
        Err(Failure::Usage(why)) => return Ok(vec![checks::broken_configuration(&why)]),
        Err(failure) => return Err(failure),
    };
    let facts = look(doctor, &config);
    Ok(checks::all(&config, &facts))
}

fn look(doctor: &Doctor, config: &Config) -> Facts {
    let mut facts = facts::look(config, doctor.ue_pool, doctor.timeout);
    facts.names = io::records(&config.dns, facts::questions(config));
    facts
}

fn text(finding: &Finding, [good, warn, bad, plain]: [&str; 4]) -> String {
    let (colour, mark, what, fix) = match &finding.verdict {
        Verdict::Good(what) => (good, "ok  ", what, None),
        Verdict::Skipped(what) => ("", "-   ", what, None),
        Verdict::Warn { what, fix } => (warn, "warn", what, Some(fix)),
        Verdict::Bad { what, fix } => (bad, "BAD ", what, Some(fix)),
    };
    let mut text = format!("{colour}{mark}{plain} {:<17} {what}\n", finding.check);
    if let Some(fix) = fix {
        text.push_str(&format!("     {:<17} -> {fix}\n", ""));
    }
    text
}

fn as_json(finding: &Finding) -> Value {
    let (verdict, what, fix) = match &finding.verdict {
        Verdict::Good(what) => ("good", what, None),
        Verdict::Skipped(what) => ("skipped", what, None),
        Verdict::Warn { what, fix } => ("warn", what, Some(fix)),
        Verdict::Bad { what, fix } => ("bad", what, Some(fix)),
    };
    json!({ "check": finding.check, "verdict": verdict, "what": what, "fix": fix })
}

const COLOURS: [&str; 4] = ["\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"];
const PLAIN: [&str; 4] = [""; 4];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_and_its_fix_another_one() {
        let bad = Finding::new("ports", Verdict::bad("5060 is taken", "stop the other one"));
        assert_eq!(
            text(&bad, PLAIN),
            "BAD  ports             5060 is taken\n                       -> stop the other one\n"
        );
        assert_eq!(text(&Finding::new("mtu", Verdict::good("1500")), PLAIN), "ok   mtu               1500\n");
        assert_eq!(as_json(&bad)["fix"], "stop the other one");
        assert_eq!(as_json(&bad)["verdict"], "bad");
    }
}
