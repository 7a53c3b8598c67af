//! Refusals on demand: any command, for anybody or one identity, answered with any result.

use crate::identity::canonical;
use diameter_client::cx::{CxRequest, CxResult};

/// What to refuse, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `UAR`, `MAR`, `SAR` or `LIR`; `None` for each of them.
    pub command: Option<String>,
    /// Who the request must be about: a private or public identity that it names, or the name of the subscription;
    /// `None` for anybody.
    pub identity: Option<String>,
    /// What the answer says.
    pub result: CxResult,
    /// How many requests are refused before the rule is spent; `None` for all.
    pub count: Option<u32>,
}

/// The rules in force, in the order in which they were given.
#[derive(Debug, Default)]
pub struct Refusals(Vec<Refusal>);

impl Refusals {
    /// The most rules that are kept.
    pub const MAX: usize = 1000;

    /// Puts a rule behind those in force; false when there are too many.
    pub fn add(&mut self, refusal: Refusal) -> bool {
        let has_room = self.0.len() < Refusals::MAX;
        if has_room && refusal.count != Some(0) {
            self.0.push(refusal);
        }
        has_room
    }

    /// Drops every rule.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The rules in force.
    pub fn iter(&self) -> impl Iterator<Item = &Refusal> {
        self.0.iter()
    }

    /// Whether none is in force.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The result of the first rule that a request falls under, which is used up by one. `subscription` is whom the
    /// request is about, where one is found.
    pub fn take(&mut self, request: &CxRequest, subscription: Option<&str>) -> Option<CxResult> {
        let at = self.0.iter().position(|refusal| refusal.matches(request, subscription))?;
        let result = self.0[at].result;
        if let Some(count) = &mut self.0[at].count {
            *count -= 1;
            if *count == 0 {
                self.0.remove(at);
            }
        }
        Some(result)
    }
}

impl Refusal {
    fn matches(&self, request: &CxRequest, subscription: Option<&str>) -> bool {
        let is_command =
            self.command.as_deref().is_none_or(|command| command.eq_ignore_ascii_case(request.name()));
        is_command
            && self.identity.as_deref().is_none_or(|identity| {
                let wanted = canonical(identity);
                subscription == Some(identity)
                    || request.user_name() == Some(identity)
                    || public_identities(request).iter().any(|impu| canonical(impu) == wanted)
            })
    }
}

/// The public identities that a request names.
pub fn public_identities(request: &CxRequest) -> Vec<&str> {
    match request {
        CxRequest::Uar(uar) => vec![&uar.public_identity],
        CxRequest::Mar(mar) => vec![&mar.public_identity],
        CxRequest::Lir(lir) => vec![&lir.public_identity],
        CxRequest::Sar(sar) => sar.public_identities.iter().map(String::as_str).collect(),
        CxRequest::Rtr(rtr) => rtr.public_identities.iter().map(String::as_str).collect(),
        CxRequest::Ppr(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use diameter_client::cx::{Lir, Uar};

    fn lir(impu: &str) -> CxRequest {
        CxRequest::Lir(Lir { public_identity: impu.to_owned(), ..Lir::default() })
    }

    #[test]
    fn a_rule_refuses_its_command_for_its_identity_as_often_as_it_says() {
        let mut refusals = Refusals::default();
        let result = CxResult::UNABLE_TO_COMPLY;
        let identity = Some("sip:alice@home1.net".to_owned());
        assert!(refusals.add(Refusal { command: Some("lir".to_owned()), identity, result, count: Some(2) }));
        assert_eq!(refusals.take(&lir("sip:bob@home1.net"), None), None);
        assert_eq!(refusals.take(&CxRequest::Uar(Uar::default()), None), None);
        assert_eq!(refusals.take(&lir("sip:alice@HOME1.net;x=y"), None), Some(result));
        assert_eq!(refusals.take(&lir("sip:alice@home1.net"), None), Some(result));
        assert_eq!(refusals.take(&lir("sip:alice@home1.net"), None), None);
    }

    #[test]
    fn a_rule_for_anybody_holds_until_it_is_cleared() {
        let mut refusals = Refusals::default();
        refusals.add(Refusal { command: None, identity: None, result: CxResult::TOO_BUSY, count: None });
        assert!((0..10).all(|_| refusals.take(&lir("sip:x"), None) == Some(CxResult::TOO_BUSY)));
        refusals.clear();
        assert_eq!(refusals.take(&lir("sip:x"), None), None);
    }

    #[test]
    fn a_rule_for_a_subscription_refuses_by_whatever_identity_it_is_asked_for() {
        let mut refusals = Refusals::default();
        let (identity, result) = (Some("alice".to_owned()), CxResult::USER_UNKNOWN);
        refusals.add(Refusal { command: None, identity, result, count: None });
        assert_eq!(refusals.take(&lir("sip:x"), Some("bob")), None);
        assert_eq!(refusals.take(&lir("sip:x"), None), None);
        assert_eq!(refusals.take(&lir("sip:x"), Some("alice")), Some(result));
    }
}
