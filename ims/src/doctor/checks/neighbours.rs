//! Who is there: the HSSs, and our own processes.

use crate::doctor::facts::{Facts, PeerSaid};
use crate::doctor::finding::Verdict;
use cscf::config::Config;

/// Whether each HSS takes us. Our own, which would start with the rest, is excused while it does not run.
pub fn diameter(config: &Config, facts: &Facts) -> Verdict {
    let is_our_own = |address| config.hss.listen.iter().any(|point| point.address == address);
    let mut good = Vec::new();
    let mut wrong = None;
    for peer in &facts.peers {
        let name = format!("{} at {}", peer.host, peer.address);
        match &peer.said {
            PeerSaid::Up => good.push(format!("{name} takes us")),
            PeerSaid::NotAsked(why) => good.push(format!("{name} is not asked: {why}")),
            PeerSaid::Silent(_) if is_our_own(peer.address) && facts.running.is_empty() => {
                good.push(format!("{name} is ours, and starts with the core"));
            }
            PeerSaid::Refused(why) if facts.running.contains("scscf") => {
                good.push(format!("{name} answers; it does not take a name that is not our S-CSCF's: {why}"));
            }
            PeerSaid::Silent(why) => {
                let fix =
                    format!("start the HSS, correct [diameter] hss, or open port {}", peer.address.port());
                wrong.get_or_insert(Verdict::bad(format!("{name} does not answer: {why}"), fix));
            }
            PeerSaid::Refused(why) => {
                let fix = format!(
                    "tell the HSS of our peers {} and {}, of realm {}",
                    config.scscf.diameter_host,
                    config.icscf.diameter_host,
                    config.home.realm()
                );
                wrong.get_or_insert(Verdict::bad(format!("{name} refuses us: {why}"), fix));
            }
        }
    }
    wrong.unwrap_or_else(|| Verdict::good(good.join("; ")))
}

pub fn processes(facts: &Facts) -> Verdict {
    let names: Vec<_> = facts.running.iter().copied().collect();
    match names.is_empty() {
        true => Verdict::skipped("none of ours takes commands"),
        false => Verdict::good(format!("running: {}", names.join(", "))),
    }
}
