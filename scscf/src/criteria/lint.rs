//! What is wrong in a profile though it can be evaluated, or why it cannot: for whoever writes one.

mod contradiction;
mod suspicion;

use super::Criteria;
use super::server_uri;
use super::shared_sets::SharedSets;
use cscf::config::suggestion;
use cscf::user_data::{
    ApplicationServer, Condition, DefaultHandling, InitialFilterCriteria, ServicePointTrigger, ServiceProfile,
};
use sip_core::{Method, Name};
use std::fmt;

/// One thing that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub place: Where,
    /// What.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The profile is refused, or something in it can have no effect.
    Error,
    /// It does something, and most likely not what was meant.
    Warning,
}

/// A place in a profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Where {
    /// Which of the criteria, from 1, by priority; `None` for the profile.
    pub criterion: Option<(usize, u32)>,
    /// Which of its triggers, from 1.
    pub trigger: Option<usize>,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.criterion {
            None => f.write_str("profile")?,
            Some((number, priority)) => write!(f, "criterion {number} (priority {priority})")?,
        }
        self.trigger.map_or(Ok(()), |trigger| write!(f, ", trigger {trigger}"))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}; {}", self.severity, self.place, self.what, self.remedy)
    }
}

/// Findings so far, and where the next ones are.
#[derive(Debug, Default)]
struct Findings {
    all: Vec<Finding>,
    place: Where,
}

impl Findings {
    fn error(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(Severity::Error, what.into(), remedy.into());
    }

    fn warning(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(Severity::Warning, what.into(), remedy.into());
    }

    fn add(&mut self, severity: Severity, what: String, remedy: String) {
        self.all.push(Finding { severity, place: self.place, what, remedy });
    }
}

/// Looks a profile over. Shared sets that it names are looked over where they are written.
pub fn lint(profile: &ServiceProfile) -> Vec<Finding> {
    let mut findings = Findings::default();
    let criteria = &profile.filter_criteria;
    for (number, criterion) in criteria.iter().enumerate() {
        findings.place = Where { criterion: Some((number + 1, criterion.priority)), trigger: None };
        let earlier = criteria[..number].iter().rposition(|earlier| earlier.priority == criterion.priority);
        if let Some(earlier) = earlier {
            findings.error(
                format!("criterion {} has the same priority", earlier + 1),
                "give each its own: which of the two is evaluated first depends on who reads them",
            );
        }
        lint_criterion(criterion, &mut findings);
    }
    // What each expression is refused for was said at its place; what is left are bounds of the whole.
    if let Err(refusal) = Criteria::compile(criteria, &profile.shared_ifc_set_ids, &SharedSets::default())
        && !findings.all.iter().any(|finding| finding.what.starts_with(REFUSED))
    {
        findings.place = Where::default();
        findings.error(format!("{REFUSED}: {refusal}"), "split the profile, or merge criteria of one server");
    }
    findings.all
}

/// How what a profile is refused for begins.
const REFUSED: &str = "the profile is refused";

fn lint_criterion(criterion: &InitialFilterCriteria, findings: &mut Findings) {
    let place = findings.place;
    match &criterion.trigger_point {
        None => findings.warning(
            "has no TriggerPoint: every initial request goes there, REGISTER and SUBSCRIBE too",
            "say which, by Method and SessionCase",
        ),
        Some(point) => {
            for (number, trigger) in point.triggers.iter().enumerate() {
                findings.place = Where { trigger: Some(number + 1), ..place };
                lint_trigger(trigger, findings);
            }
            findings.place = place;
            contradiction::find(criterion, point, findings);
        }
    }
    lint_server(&criterion.application_server, contradiction::register_may_match(criterion), findings);
}

fn lint_trigger(trigger: &ServicePointTrigger, findings: &mut Findings) {
    let is_register = matches!(&trigger.condition, Condition::Method(method) if method == "REGISTER");
    if !trigger.registration_types.is_empty() && !is_register {
        findings.error(
            "has a RegistrationType without the method REGISTER",
            "move it to the trigger with <Method>REGISTER</Method>, or take it away",
        );
    }
    match &trigger.condition {
        Condition::Method(method) => lint_method(method, findings),
        Condition::SessionCase(_) => {}
        Condition::RequestUri(expression) => {
            suspicion::find(expression, "RequestURI", findings);
            suspicion::find_in_target(expression, findings);
        }
        Condition::SipHeader { header, content } => {
            lint_header(header, findings);
            if let Some(content) = content {
                suspicion::find(content, "Content", findings);
                suspicion::find_all(content, findings);
            }
        }
        Condition::SessionDescription { line, content } => {
            suspicion::find_in_line(line, findings);
            if let Some(content) = content {
                suspicion::find(content, "Content", findings);
                suspicion::find_all(content, findings);
            }
        }
    }
}

fn lint_method(method: &str, findings: &mut Findings) {
    let upper = method.to_ascii_uppercase();
    let is_known = |token: &str| !matches!(Method::from_token(token.as_bytes()), Method::Other(_));
    match method {
        "ACK" | "BYE" | "CANCEL" | "PRACK" | "UPDATE" | "INFO" => findings.error(
            format!("{method} is no initial request, and criteria are asked for those alone"),
            "use the method that opens the dialog",
        ),
        "" => findings.error("the method is empty", "name one, or take the trigger away"),
        _ if is_known(method) => {}
        _ if is_known(&upper) => {
            findings.error(format!("methods are spelt in capitals, and {method} is another one"), upper);
        }
        _ => match meant(&upper, METHODS.iter().copied()) {
            Some(meant) => {
                findings.warning(format!("{method} is no method of SIP"), format!("did you mean {meant}?"))
            }
            None => findings.warning(
                format!("{method} is no method of SIP"),
                "leave it if it is one of your own; criteria take no expression here",
            ),
        },
    }
}

/// What somebody who wrote `word` most likely meant, in any case.
fn meant<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let known: Vec<(String, &str)> = known.map(|one| (one.to_ascii_lowercase(), one)).collect();
    let lower = suggestion(word, known.iter().map(|(lower, _)| lower.as_str()))?;
    known.iter().find(|(one, _)| one == lower).map(|(_, one)| *one)
}

const METHODS: &[&str] =
    &["INVITE", "REGISTER", "OPTIONS", "MESSAGE", "SUBSCRIBE", "NOTIFY", "PUBLISH", "REFER"];

fn lint_header(header: &str, findings: &mut Findings) {
    let Some(name) = super::expression::literal(header) else {
        return suspicion::find(header, "Header", findings);
    };
    let known = || Name::known().map(Name::as_str);
    if name.is_empty() {
        return findings.error("the name of the header field is empty", "name one");
    }
    if Name::from_bytes(&name) != Name::Other {
        return;
    }
    if let Some(meant) = meant(header, known()) {
        return findings
            .warning(format!("{header} is no header field of SIP"), format!("did you mean {meant}?"));
    }
    let lower = header.to_ascii_lowercase();
    if let Some(longer) = known().find(|known| known.to_ascii_lowercase().contains(&lower)) {
        findings.warning(
            format!(
                "{header} is only part of a name, such as {longer}, and without an operator means itself"
            ),
            format!("write {longer}, or {header}.* for all that have it in their name"),
        );
    }
}

fn lint_server(server: &ApplicationServer, register_may_match: bool, findings: &mut Findings) {
    if server_uri::read(&server.server_name).is_err() {
        findings.error(
            "the ServerName is no SIP URI that can stand in a Route: nothing can be sent there",
            "write sip: and a host, as in sip:as.example.net:5060",
        );
    }
    if register_may_match && server.default_handling == DefaultHandling::SessionTerminated {
        findings.warning(
            "SESSION_TERMINATED for a REGISTER: users are de-registered when the server does not answer",
            "use DefaultHandling 0, or another criterion for REGISTER",
        );
    }
    let about_register = [
        (server.service_info.is_some(), "ServiceInfo"),
        (server.includes_register_request, "IncludeRegisterRequest"),
        (server.includes_register_response, "IncludeRegisterResponse"),
    ];
    for (_, element) in about_register.iter().filter(|(is_there, _)| *is_there && !register_may_match) {
        findings.warning(
            format!("{element} goes into third-party REGISTERs, and this criterion matches no REGISTER"),
            format!("add a trigger with the method REGISTER, or take {element} away"),
        );
    }
}

#[cfg(test)]
mod tests;
