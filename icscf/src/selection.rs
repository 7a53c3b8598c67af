//! Selection of an S-CSCF (TS 29.228 §6.7).
//!
//! Pure: from what the HSS asks for and what the configuration lists to the candidates, the best first.

use cscf::config::ScscfEntry;
use diameter_client::cx::ServerCapabilities;
use smallvec::{SmallVec, smallvec};

/// What the HSS said about where a user is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// By this S-CSCF, or by the AS that hosts a public service identity.
    Named(String),
    /// By none so far: one is to be selected by these capabilities.
    Select(ServerCapabilities),
}

/// The S-CSCFs that may serve a user, in the order in which to try them.
///
/// Names given by the HSS make the numbers moot. Otherwise a server with every mandatory capability qualifies, the more
/// optional ones the better; between equals the order of the configuration decides. Without capabilities any will do.
pub fn candidates(wanted: &ServerCapabilities, configured: &[ScscfEntry]) -> SmallVec<[String; 1]> {
    if !wanted.server_names.is_empty() {
        return wanted.server_names.iter().cloned().collect();
    }
    let has = |entry: &ScscfEntry, capability: &u32| entry.capabilities.contains(capability);
    let mut fit: Vec<(usize, &ScscfEntry)> = configured
        .iter()
        .filter(|entry| wanted.mandatory.iter().all(|capability| has(entry, capability)))
        .map(|entry| (wanted.optional.iter().filter(|capability| has(entry, capability)).count(), entry))
        .collect();
    // Stable, so that equals keep their order.
    fit.sort_by_key(|(optional, _)| std::cmp::Reverse(*optional));
    fit.into_iter().map(|(_, entry)| entry.uri.clone()).collect()
}

/// What is known of the search for the S-CSCF of one request.
#[derive(Debug, Default)]
pub struct Search {
    /// Those that were tried, in order.
    tried: SmallVec<[String; 1]>,
    /// Those that may still be tried, the next one first.
    left: SmallVec<[String; 1]>,
    /// Nobody else will be looked for: the HSS was asked for capabilities because the assigned S-CSCF does not answer, or
    /// has said that there is none.
    pub is_last: bool,
}

impl Search {
    /// Takes over what the HSS said.
    pub fn assign(&mut self, assignment: Assignment, configured: &[ScscfEntry]) {
        self.left = match assignment {
            Assignment::Named(name) => smallvec![name],
            Assignment::Select(wanted) => candidates(&wanted, configured),
        };
    }

    /// The next S-CSCF to try; none twice, and no more than `tries_max` in all.
    pub fn next(&mut self, tries_max: u32) -> Option<String> {
        if self.tried.len() >= tries_max as usize {
            return None;
        }
        while !self.left.is_empty() {
            let candidate = self.left.remove(0);
            if !self.tried.iter().any(|tried| tried.eq_ignore_ascii_case(&candidate)) {
                self.tried.push(candidate.clone());
                return Some(candidate);
            }
        }
        None
    }

    /// Whether an S-CSCF was chosen at all.
    pub fn is_begun(&self) -> bool {
        !self.tried.is_empty()
    }

    /// The S-CSCF that was tried last, for an operator.
    pub fn last(&self) -> &str {
        self.tried.last().map_or("none", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured() -> Vec<ScscfEntry> {
        let entry = |uri: &str, capabilities: &[u32]| ScscfEntry {
            uri: uri.to_owned(),
            capabilities: capabilities.to_vec(),
        };
        vec![entry("sip:one", &[1]), entry("sip:two", &[1, 2, 3]), entry("sip:three", &[1, 3])]
    }

    fn wanted(mandatory: &[u32], optional: &[u32], names: &[&str]) -> ServerCapabilities {
        ServerCapabilities {
            mandatory: mandatory.to_vec(),
            optional: optional.to_vec(),
            server_names: names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn capabilities_order_the_candidates() {
        for (wanted, expected) in [
            (wanted(&[], &[], &[]), "sip:one sip:two sip:three"),
            (wanted(&[3], &[], &[]), "sip:two sip:three"),
            (wanted(&[1], &[2, 3], &[]), "sip:two sip:three sip:one"),
            (wanted(&[], &[9], &[]), "sip:one sip:two sip:three"),
            (wanted(&[9], &[1], &[]), ""),
            (wanted(&[9], &[], &["sip:named", "sip:two"]), "sip:named sip:two"),
        ] {
            assert_eq!(candidates(&wanted, &configured()).join(" "), expected, "{wanted:?}");
        }
    }

    #[test]
    fn no_server_is_tried_twice_and_the_bound_holds() {
        let mut search = Search::default();
        search.assign(Assignment::Named("sip:ONE".to_owned()), &configured());
        assert_eq!(search.next(3).as_deref(), Some("sip:ONE"));
        assert_eq!(search.next(3), None, "a named one stands alone");
        search.assign(Assignment::Select(ServerCapabilities::default()), &configured());
        assert_eq!(search.next(3).as_deref(), Some("sip:two"), "sip:one was tried under its name");
        assert_eq!(search.last(), "sip:two");
        assert_eq!(search.next(2), None, "two were tried");
        assert_eq!(search.next(3).as_deref(), Some("sip:three"));
    }
}
