//! One cause: what it is called, what a person is told, and the signs by which it is known.

use crate::event::Event;
use crate::explanation::Finding;
use crate::scene::Scene;
use crate::sip::warning_text;
use crate::story::{Kind, Outcome, Story};
use diameter_client::cx::CxResult;

/// A cause of the catalogue.
#[derive(Debug)]
pub struct Cause {
    /// Its name: words with hyphens, the same for ever.
    pub name: &'static str,
    /// Whether something is wrong.
    pub verdict: Verdict,
    /// The stories that can have it; all of them when empty.
    pub kinds: &'static [Kind],
    /// One sentence, with places to fill in: `{who}`, `{impi}`, `{called}`, `{node}`, `{peer}`, `{status}`, `{words}`,
    /// `{detail}`, `{identity}`, `{near}`, `{domain}`, `{count}`.
    pub sentence: &'static str,
    /// The clause that this follows from.
    pub clause: &'static str,
    /// What to do about it, with the same places.
    pub fix: &'static str,
    /// How it shows: any of them is enough.
    pub signs: &'static [Sign],
}

/// Whether what happened is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Somebody should do something about it.
    Fault,
    /// It is what the users did, or what the network is made for.
    Happened,
    /// It failed, and no narrower cause shows.
    Unexplained,
}

/// How a cause shows in a story.
///
/// All but [`Sign::Shows`] are of stories that failed: what a UE got over is not why something failed.
#[derive(Clone, Copy, Debug)]
pub enum Sign {
    /// A refusal whose Warning has one of these words.
    Warned(&'static [&'static str]),
    /// An answer of the HSS to one of these commands, with one of these results.
    Cx(&'static [u32], &'static [CxResult]),
    /// The final response.
    Refused(&'static [u16]),
    /// A node found it, in the story or beside it: the name of the fact and its cause.
    Found(&'static str, &'static str),
    /// Positions of the events that show it; none when it does not.
    Shows(fn(&Story, &Scene) -> Vec<usize>),
}

impl Cause {
    /// What shows this cause in a story.
    pub fn find(&'static self, story: &Story, scene: &Scene) -> Option<Finding> {
        if !self.kinds.is_empty() && !self.kinds.contains(&story.kind) {
            return None;
        }
        let evidence =
            self.signs.iter().map(|sign| sign.evidence(story, scene)).find(|found| !found.is_empty());
        evidence.map(|evidence| Finding::new(self, story, scene, evidence))
    }
}

impl Sign {
    fn evidence(&self, story: &Story, scene: &Scene) -> Vec<usize> {
        let events = scene.events();
        let has_failed = story.outcome != Outcome::Success;
        let first = |is: &dyn Fn(&Event) -> bool| -> Vec<usize> {
            let found = story.events.iter().copied().find(|at| is(&events[*at]));
            found.into_iter().filter(|_| has_failed).collect()
        };
        match self {
            Sign::Warned(words) => first(&|event| warned(event, words)),
            Sign::Cx(commands, results) => first(&|event| {
                let answer = event.diameter().filter(|diameter| !diameter.is_request);
                answer.is_some_and(|answer| {
                    commands.contains(&answer.command)
                        && answer.result.is_some_and(|result| results.contains(&result))
                })
            }),
            Sign::Refused(statuses) => match story.refusal(events) {
                Some((at, refusal)) if statuses.contains(&refusal.status) => vec![at],
                _ => Vec::new(),
            },
            Sign::Found(name, cause) => first(&|event| {
                event.fact().is_some_and(|fact| fact.name == *name && fact.cause == *cause)
                    && concerns(event, story, events)
            }),
            Sign::Shows(shows) => shows(story, scene),
        }
    }
}

/// Whether an event is a refusal whose Warning has one of these words.
pub fn warned(event: &Event, words: &[&str]) -> bool {
    let refusal = event.sip().filter(|sip| sip.is_final() && sip.status >= 300);
    refusal.is_some_and(|sip| {
        sip.warnings.iter().any(|warning| words.iter().any(|words| warning_text(warning) == *words))
    })
}

/// Whether what a node found can be of a story: it names the story's Call-ID, an address of the story, or nobody.
pub fn concerns(event: &Event, story: &Story, events: &[Event]) -> bool {
    let Some(fact) = event.fact() else { return false };
    let addresses = || story.events.iter().filter_map(|at| events[*at].addresses);
    match (fact.call_id.as_str(), fact.remote) {
        ("", None) => true,
        ("", Some(remote)) => {
            addresses().any(|(from, to)| from.ip() == remote.ip() || to.ip() == remote.ip())
        }
        (call_id, _) => call_id == story.call_id,
    }
}
