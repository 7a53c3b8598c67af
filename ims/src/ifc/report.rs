//! What criteria do with a request, and what is wrong with them, for a person and for a program.

use cscf::user_data::{ConditionForm, DefaultHandling, ProfilePart};
use scscf::criteria::lint::{Finding, Severity};
use scscf::criteria::words::session_case;
use scscf::criteria::{Explanation, Facts, GroupExplanation};
use serde_json::{Value, json};
use std::fmt::Write;

/// The outcome of one request.
pub struct Report<'a> {
    /// Names the profile.
    pub profile: &'a str,
    /// The request.
    pub facts: &'a Facts<'a>,
    /// What came of each criterion, in the order of evaluation.
    pub explained: Vec<Explanation>,
}

impl Report<'_> {
    /// For a person.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let message = self.facts.message;
        let uri = String::from_utf8_lossy(message.uri()).into_owned();
        let visited: Vec<&str> = self.visited().collect();
        let _ = writeln!(
            out,
            "{} {uri}, {}, by {}",
            message.method(),
            session_case(self.facts.case),
            self.profile
        );
        let _ = match visited[..] {
            [] => writeln!(out, "visits no application server"),
            _ => writeln!(out, "visits {}, as long as each sends it back as it is", visited.join(", then ")),
        };
        for explanation in &self.explained {
            self.criterion(explanation, &mut out);
        }
        out
    }

    fn visited(&self) -> impl Iterator<Item = &str> {
        let matching = self.explained.iter().filter(|explanation| explanation.matches);
        matching.map(|explanation| explanation.application_server.server_name.as_str())
    }

    fn criterion(&self, explanation: &Explanation, out: &mut String) {
        let server = &explanation.application_server;
        let verdict = if explanation.matches { "matches" } else { "does not match" };
        let failing = match server.default_handling {
            DefaultHandling::SessionContinued => "left out when it does not answer",
            DefaultHandling::SessionTerminated => "ends the session when it does not answer",
        };
        let Explanation { priority, origin, .. } = explanation;
        let _ =
            writeln!(out, "\n{verdict}: {} (priority {priority}, {origin}, {failing})", server.server_name);
        if let Some((part, holds)) = explanation.part {
            let state = match part {
                ProfilePart::Registered => "registered",
                ProfilePart::Unregistered => "unregistered",
            };
            let _ = writeln!(out, "  {}  the user is {state}", yes(holds));
        }
        if explanation.groups.is_empty() {
            let _ = writeln!(out, "  yes  every request");
        }
        for (place, group) in explanation.groups.iter().enumerate() {
            let joined = match (explanation.form, place) {
                (_, 0) => "",
                (ConditionForm::Disjunctive, _) => "or ",
                (ConditionForm::Conjunctive, _) => "and ",
            };
            self.group(explanation.form, joined, group, out);
        }
    }

    fn group(&self, form: ConditionForm, joined: &str, group: &GroupExplanation, out: &mut String) {
        let how = match form {
            ConditionForm::Disjunctive => "all",
            ConditionForm::Conjunctive => "any",
        };
        let _ = writeln!(out, "  {}  {joined}{how} of group {}", yes(group.holds), group.number);
        for trigger in &group.triggers {
            let _ = writeln!(out, "       {}  {}", yes(trigger.holds), trigger.asks);
        }
    }

    /// For a program.
    pub fn json(&self) -> String {
        let criteria: Vec<Value> = self.explained.iter().map(criterion_json).collect();
        let message = self.facts.message;
        let report = json!({
            "method": message.method().to_string(),
            "request_uri": String::from_utf8_lossy(message.uri()),
            "session_case": self.facts.case as u8,
            "profile": self.profile,
            "visits": self.visited().collect::<Vec<_>>(),
            "criteria": criteria,
        });
        format!("{report:#}\n")
    }
}

fn criterion_json(explanation: &Explanation) -> Value {
    let group = |group: &GroupExplanation| {
        let trigger = |trigger: &scscf::criteria::TriggerExplanation| json!({ "number": trigger.number, "holds": trigger.holds, "asks": trigger.asks });
        json!({
            "number": group.number,
            "holds": group.holds,
            "triggers": group.triggers.iter().map(trigger).collect::<Vec<_>>(),
        })
    };
    json!({
        "matches": explanation.matches,
        "server": explanation.application_server.server_name,
        "priority": explanation.priority,
        "origin": explanation.origin.to_string(),
        "default_handling": u8::from(
            explanation.application_server.default_handling == DefaultHandling::SessionTerminated
        ),
        "profile_part_holds": explanation.part.map(|(_, holds)| holds),
        "cnf": explanation.form == ConditionForm::Conjunctive,
        "groups": explanation.groups.iter().map(group).collect::<Vec<_>>(),
    })
}

fn yes(holds: bool) -> &'static str {
    if holds { "yes" } else { "no " }
}

/// Findings for a person.
pub fn findings_text(name: &str, criteria: usize, findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        let Finding { severity, place, what, remedy } = finding;
        let _ = writeln!(out, "{severity}: {place}: {what}\n    {remedy}");
    }
    if findings.is_empty() {
        let _ = writeln!(out, "{name}: {criteria} criteria, nothing to say about them");
    }
    out
}

/// Findings for a program.
pub fn findings_json(findings: &[Finding]) -> String {
    let finding = |finding: &Finding| {
        json!({
            "severity": match finding.severity { Severity::Error => "error", Severity::Warning => "warning" },
            "criterion": finding.place.criterion.map(|(number, _)| number),
            "priority": finding.place.criterion.map(|(_, priority)| priority),
            "trigger": finding.place.trigger,
            "what": finding.what,
            "remedy": finding.remedy,
        })
    };
    format!("{:#}\n", Value::Array(findings.iter().map(finding).collect()))
}

#[cfg(test)]
mod tests;
