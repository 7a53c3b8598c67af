//! What is told of a story: the cause, what shows it, and what to do.

use crate::cause::{Cause, Verdict, concerns};
use crate::event::Event;
use crate::scene::{Scene, host_part};
use crate::sip::warning_text;
use crate::story::{Kind, Outcome, Story};
use std::fmt::Write;

/// A cause that shows in a story.
#[derive(Debug)]
pub struct Finding {
    /// The cause.
    pub cause: &'static Cause,
    /// Positions in the events of the scene that show it.
    pub evidence: Vec<usize>,
    values: Vec<(&'static str, String)>,
}

impl Finding {
    /// Fills the places of the sentence from the story and its evidence.
    pub fn new(cause: &'static Cause, story: &Story, scene: &Scene, mut evidence: Vec<usize>) -> Finding {
        let events = scene.events();
        evidence.truncate(EVIDENCE_MAX);
        let first = evidence.first().map(|at| &events[*at]);
        let sip = first.and_then(Event::sip);
        let diameter = first.and_then(Event::diameter);
        let answer_of = |at: &usize| events[*at].diameter();
        let asked = diameter.and_then(|answer| {
            let same = |known: &&crate::Diameter| known.is_request && known.session == answer.session;
            story.events.iter().filter_map(answer_of).find(same)
        });
        let identity = match (asked, story.kind) {
            (Some(asked), _) if !asked.public_identity.is_empty() => asked.public_identity.clone(),
            (_, Kind::Call | Kind::Text) => story.called.clone(),
            _ => story.who.clone(),
        };
        let known = scene.known();
        let near = known.nearest(&identity).or_else(|| known.nearest(&story.impi));
        let near = near.map(|near| format!("; the nearest that exists is {near}")).unwrap_or_default();
        let words = sip.map(|sip| {
            let warning = sip.warnings.first().map(|warning| warning_text(warning).to_owned());
            warning.unwrap_or_else(|| sip.reason.clone())
        });
        let detail = match first.map(|event| &event.seen) {
            Some(crate::Seen::Fact(fact)) => {
                let remote = fact.remote.map(|remote| format!(" {remote}")).unwrap_or_default();
                format!(
                    "{}{}{remote}",
                    fact.cause,
                    if fact.detail.is_empty() { String::new() } else { format!(" {}", fact.detail) }
                )
            }
            _ => diameter.map(crate::Diameter::summary).unwrap_or_default(),
        };
        let domain = story.events.iter().filter_map(|at| events[*at].sip()).find(|sip| sip.is_request());
        let values = vec![
            ("who", story.who.clone()),
            ("impi", if story.impi.is_empty() { story.who.clone() } else { story.impi.clone() }),
            ("called", story.called.clone()),
            ("story", story.kind.word().to_owned()),
            ("node", first.map(|event| event.from.clone()).unwrap_or_default()),
            ("peer", first.map(|event| event.to.clone()).unwrap_or_default()),
            ("status", sip.map(|sip| sip.status.to_string()).unwrap_or_default()),
            ("words", words.unwrap_or_default()),
            ("detail", detail),
            ("identity", identity),
            ("near", near),
            ("domain", domain.map(|sip| host_part(&sip.uri).to_owned()).unwrap_or_default()),
            ("count", evidence.len().to_string()),
        ];
        Finding { cause, evidence, values }
    }

    /// The cause in one sentence.
    pub fn sentence(&self) -> String {
        self.filled(self.cause.sentence)
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        self.filled(self.cause.fix)
    }

    fn filled(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, (place, value)| {
            if !text.contains('{') { text } else { text.replace(&format!("{{{place}}}"), &printable(value)) }
        })
    }
}

/// What is told of one story.
#[derive(Debug)]
pub struct Explanation<'s> {
    /// The story.
    pub story: &'s Story,
    /// What shows, the root first.
    pub findings: Vec<Finding>,
    pub(crate) scene: &'s Scene,
}

impl Explanation<'_> {
    /// Whether something is wrong.
    pub fn is_fault(&self) -> bool {
        self.findings.first().is_some_and(|finding| finding.cause.verdict != Verdict::Happened)
    }

    /// The name of the first cause; `None` when nothing is to be told.
    pub fn cause(&self) -> Option<&'static str> {
        self.findings.first().map(|finding| finding.cause.name)
    }

    /// What the story is, in one line.
    pub fn headline(&self) -> String {
        let Story { kind, who, called, outcome, .. } = self.story;
        let what = match called.is_empty() {
            true => format!("{} of {who}", kind.word()),
            false => format!("{} from {who} to {called}", kind.word()),
        };
        let became = match outcome {
            Outcome::Success => "went well".to_owned(),
            Outcome::Refused(status) => format!("was refused with {status}"),
            Outcome::Unanswered => "was never answered".to_owned(),
        };
        printable(&format!("{what}: {became}"))
    }

    /// The evidence of a finding as lines of a small ladder.
    pub fn ladder(&self, finding: &Finding) -> Vec<String> {
        let events = self.scene.events();
        let lines = finding.evidence.iter().map(|at| {
            let event = &events[*at];
            let seconds = event.at_ms.saturating_sub(self.story.span_ms.0);
            let lock = if event.is_protected { " (protected)" } else { "" };
            let lost = if event.arrived == Some(false) { ", never arrived" } else { "" };
            let ends = match event.is_message() {
                true => format!("{} -> {}", event.from, event.to),
                false => event.from.clone(),
            };
            let line = format!(
                "{:>4}.{:03} s  {ends}: {}{lock}{lost}",
                seconds / 1000,
                seconds % 1000,
                event.summary()
            );
            printable(&line)
        });
        lines.collect()
    }

    /// The whole of it, as a person reads it.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.headline());
        let Some(first) = self.findings.first() else {
            return text + "Nothing is wrong.\n";
        };
        let _ = writeln!(text, "{}", first.sentence());
        for line in self.ladder(first) {
            let _ = writeln!(text, "  {line}");
        }
        let _ = writeln!(text, "Clause: {}", first.cause.clause);
        if first.cause.verdict != Verdict::Happened {
            let _ = writeln!(text, "Fix: {}", first.fix());
        }
        for finding in self.findings.iter().skip(1).take(OTHERS_MAX) {
            let _ = writeln!(text, "Also: {}", finding.sentence());
        }
        text
    }

    /// Whether what a node found at a position concerns the story.
    pub fn concerns(&self, at: usize) -> bool {
        self.scene.events().get(at).is_some_and(|event| concerns(event, self.story, self.scene.events()))
    }
}

/// What came from the network as a terminal may have it.
fn printable(text: &str) -> String {
    text.chars().map(|sign| if sign.is_control() { '.' } else { sign }).collect()
}

/// Events that are shown of one finding.
const EVIDENCE_MAX: usize = 12;
/// Further causes that are named.
const OTHERS_MAX: usize = 4;
