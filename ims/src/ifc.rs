//! `ims ifc`: what filter criteria do with a request, and what is wrong with them.

mod profile;
mod report;
mod request;

use crate::arguments::{Ifc, IfcCommand, IfcLint, IfcTest};
use crate::exit::Failure;
use crate::{screen, settings};
use cscf::config::Config;
use cscf::user_data::RegistrationType;
use profile::Profile;
use scscf::criteria::lint::{Finding, Severity, Where, lint};
use scscf::criteria::{Criteria, Explanation, Facts, SharedSets, explain, in_order};

/// Carries out `ims ifc`.
pub fn run(ifc: &Ifc) -> Result<(), Failure> {
    match &ifc.command {
        IfcCommand::Test(test) => self::test(test),
        IfcCommand::Lint(lint) => self::find(lint),
    }
}

/// What came of a request that was tried.
pub struct Tried {
    /// For a person.
    pub text: String,
    /// For a program.
    pub json: String,
    /// Each criterion in the order of evaluation.
    pub explained: Vec<Explanation>,
    /// Shared sets that the profile names and the configuration does not have.
    pub unknown: Vec<u32>,
}

fn test(test: &IfcTest) -> Result<(), Failure> {
    let config = settings::read(test.source.config.as_deref())?;
    let tried = tried(test, None, &config)?;
    screen::show(if test.source.json { tried.json } else { tried.text });
    for id in tried.unknown {
        screen::complain(format_args!(
            "shared set {id} is not in the configuration: scscf.shared_ifc_sets names those that are"
        ));
    }
    Ok(())
}

/// Tries a request: `written`, or what `test` describes.
pub fn tried(test: &IfcTest, written: Option<&str>, config: &Config) -> Result<Tried, Failure> {
    let sets = SharedSets::configured(config).map_err(|error| Failure::Usage(error.to_string()))?;
    let Profile { name, profile } = Profile::read(&test.source, config)?;
    let message = match written {
        Some(text) => request::of_text("the request", text)?,
        None => request::read(test, config)?,
    };
    let criteria = Criteria::compile(&profile.filter_criteria, &profile.shared_ifc_set_ids, &sets).map_err(
        |refusal| Failure::Failed(format!("{name} is refused: {refusal}; `ims ifc lint` tells more")),
    )?;
    let mut named: Vec<u32> = Vec::new();
    for id in &profile.shared_ifc_set_ids {
        if !named.contains(id) {
            named.push(*id);
        }
    }
    let shared: Vec<_> = named
        .iter()
        .filter_map(|id| config.scscf.shared_ifc_sets.iter().find(|set| set.id == *id))
        .map(|set| &set.criteria.criteria[..])
        .collect();
    let fallback = config.scscf.fallback_criteria.as_ref().map_or(&[][..], |written| &written.criteria);
    let written = in_order(&profile.filter_criteria, &shared, fallback);
    let case = test.case.into();
    let facts = Facts {
        message: &message,
        case,
        is_registered: test.case.is_registered(),
        registration: (message.method() == sip_core::Method::Register)
            .then(|| test.registration.map_or(RegistrationType::Initial, RegistrationType::from)),
    };
    let report =
        report::Report { profile: &name, facts: &facts, explained: explain(&criteria, &written, &facts) };
    let (text, json) = (report.text(), report.json());
    let unknown = sets.unknown(&profile.shared_ifc_set_ids).collect();
    Ok(Tried { text, json, explained: report.explained, unknown })
}

fn find(wanted: &IfcLint) -> Result<(), Failure> {
    let config = settings::read(wanted.source.config.as_deref())?;
    let Profile { name, profile } = Profile::read(&wanted.source, &config)?;
    let mut findings = lint(&profile);
    if wanted.source.config.is_some() {
        let sets = SharedSets::configured(&config).map_err(|error| Failure::Usage(error.to_string()))?;
        findings.extend(sets.unknown(&profile.shared_ifc_set_ids).map(|id| Finding {
            severity: Severity::Error,
            place: Where::default(),
            what: format!("names the shared set {id}, which the configuration does not have"),
            remedy: "add it to scscf.shared_ifc_sets".to_owned(),
        }));
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let warnings = findings.len() - errors;
    screen::show(match wanted.source.json {
        true => report::findings_json(&findings),
        false => report::findings_text(&name, profile.filter_criteria.len(), &findings),
    });
    match errors {
        0 => Ok(()),
        _ => Err(Failure::Failed(format!("{name} has {errors} errors and {warnings} warnings"))),
    }
}
