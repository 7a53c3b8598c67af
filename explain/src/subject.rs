//! Which story is asked about.

use crate::explanation::Explanation;
use crate::scene::{Scene, user_part};
use crate::story::{Kind, Story};
use sip_core::Name;
use std::collections::BTreeSet;
use std::fmt;

/// Which story is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The newest that something is wrong with; else the newest.
    Last,
    /// Everything.
    All,
    /// The call or text of a Call-ID, or of its first characters.
    Call(String),
    /// The newest registration of a private or a public identity.
    Registration(String),
    /// The newest story of a subscriber that something is wrong with; else the newest of theirs.
    Subscriber(String),
}

/// Nothing was recorded of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuchSubject(pub Subject);

impl fmt::Display for NoSuchSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Subject::Last | Subject::All => f.write_str("no registration, call or text was recorded"),
            Subject::Call(id) => write!(f, "no call was recorded with Call-ID {id}"),
            Subject::Registration(who) => write!(f, "no registration of {who} was recorded"),
            Subject::Subscriber(who) => write!(f, "nothing of {who} was recorded"),
        }
    }
}

impl Scene {
    /// What is told of a subject: one story, or all of them.
    pub fn about(&self, subject: &Subject) -> Result<Vec<Explanation<'_>>, NoSuchSubject> {
        let newest = |is: &dyn Fn(&Story) -> bool| -> Vec<Explanation<'_>> {
            let found = self.stories().iter().rev().find(|story| is(story));
            found.map(|story| self.explain(story)).into_iter().collect()
        };
        let told = match subject {
            Subject::Last => self.last().into_iter().collect(),
            Subject::All => self.stories().iter().map(|story| self.explain(story)).collect(),
            Subject::Call(id) => newest(&|story| {
                matches!(story.kind, Kind::Call | Kind::Text | Kind::Request) && story.call_id.starts_with(id)
            }),
            Subject::Registration(who) => newest(&|story| {
                matches!(story.kind, Kind::Registration | Kind::Deregistration) && is_of(story, who)
            }),
            Subject::Subscriber(who) => {
                let also = self.identities_with(who);
                let is_own = |story: &Story| is_of(story, who) || also.iter().any(|who| is_of(story, who));
                let own = || self.stories().iter().rev().filter(|story| is_own(story));
                let faulty = own().map(|story| self.explain(story)).find(Explanation::is_fault);
                faulty.or_else(|| own().next().map(|story| self.explain(story))).into_iter().collect()
            }
        };
        if told.is_empty() { Err(NoSuchSubject(subject.clone())) } else { Ok(told) }
    }

    /// What a call of a subscriber may be known by, as the registrations of this identity tell.
    fn identities_with(&self, who: &str) -> BTreeSet<String> {
        let registrations = self
            .stories()
            .iter()
            .filter(|story| story.kind == Kind::Registration && is_of(story, who))
            .take(REGISTRATIONS_MAX);
        let mut identities = BTreeSet::new();
        for story in registrations {
            identities.insert(story.who.clone());
            let granted = story.sips(self.events()).filter(|(_, sip)| sip.status == 200);
            let associated = granted.flat_map(|(_, sip)| sip.header_all(Name::PAssociatedUri));
            identities.extend(associated.map(|uri| uri.trim_matches(['<', '>']).to_owned()));
        }
        identities.retain(|identity| !user_part(identity).is_empty());
        identities
    }
}

/// Registrations of one subscriber that are looked at for other identities.
const REGISTRATIONS_MAX: usize = 64;

/// Whether a story is of somebody: an identity, or its user alone.
fn is_of(story: &Story, who: &str) -> bool {
    let wanted = user_part(who);
    let is = |own: &str| !own.is_empty() && (own == who || user_part(own) == wanted);
    is(&story.impi) || is(&story.who) || is(&story.called)
}
