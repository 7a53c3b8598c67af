//! A request on the criteria of a subscriber, as `ims ifc test` tries it.

use crate::arguments::{IfcCase, IfcSource, IfcTest};
use crate::exit::Failure;
use crate::ifc;
use ::console::Refusal;
use ::console::api::{Asked, CriteriaOutcome, CriteriaTry, CriterionOutcome};
use clap::ValueEnum;
use cscf::config::Config;
use scscf::criteria::Explanation;

/// Longer requests are none that a person writes.
const REQUEST_MAX: usize = 65_536;

/// What comes of it.
pub fn tried(wanted: &CriteriaTry, config: &Config) -> Result<CriteriaOutcome, Refusal> {
    let wrong = |why: &str| Refusal::Wrong(why.to_owned());
    let case = IfcCase::from_str(&wanted.case, true)
        .map_err(|_| wrong("a case is orig, term, term-unreg, orig-unreg or orig-cdiv"))?;
    if wanted.request.len() > REQUEST_MAX || wanted.headers.len() > 64 {
        return Err(wrong("the request is too long"));
    }
    let source = IfcSource {
        profile: None,
        subscriber: Some(wanted.subscriber.clone()),
        impu: None,
        config: None,
        json: false,
    };
    let given = |text: &String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let test = IfcTest {
        source,
        case,
        request: None,
        method: given(&wanted.method).unwrap_or_else(|| "INVITE".to_owned()),
        to: given(&wanted.to),
        from: None,
        header: wanted.headers.iter().filter_map(given).collect(),
        registration: None,
    };
    let tried =
        ifc::tried(&test, given(&wanted.request).as_deref(), config).map_err(|failure| match failure {
            Failure::Usage(why) | Failure::Failed(why) => Refusal::Wrong(why),
            other => Refusal::Failed(other.to_string()),
        })?;
    Ok(CriteriaOutcome {
        visits: tried.explained.iter().filter(|one| one.matches).map(server).collect(),
        criteria: tried.explained.iter().map(criterion).collect(),
        text: tried.text,
    })
}

fn server(explanation: &Explanation) -> String {
    explanation.application_server.server_name.clone()
}

fn criterion(explanation: &Explanation) -> CriterionOutcome {
    let of_group = |group: &scscf::criteria::GroupExplanation| {
        let number = i32::try_from(group.number).unwrap_or(i32::MAX);
        group
            .triggers
            .iter()
            .map(move |trigger| (number, trigger.asks.to_string(), trigger.holds))
            .collect::<Vec<_>>()
    };
    let asked = explanation.groups.iter().flat_map(of_group);
    CriterionOutcome {
        server: server(explanation),
        priority: explanation.priority,
        matches: explanation.matches,
        asked: asked.map(|(group, text, holds)| Asked { text, holds, group }).collect(),
    }
}
