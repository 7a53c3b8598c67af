//! What must hold in every run, whatever the network did.

use crate::errors;
use crate::host::Host;
use crate::ims::{Ims, Phone};
use crate::world::{HostId, Traced, World};
use cscf::role::Role;
use cscf::station::Protocol;
use icscf::Icscf;
use pcscf::Pcscf;
use scscf::Scscf;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use ue::Ue;

/// A rule that a run broke, in words.
pub type Broken = String;

/// Headers that no UE may see (TS 24.229 §4.4, §5.2.6.4; `ck` and `ik` of TS 24.229 §5.2.2.2).
const NEVER_TO_A_UE: [&str; 6] = [
    "\r\np-charging-vector:",
    "\r\np-charging-function-addresses:",
    "\r\np-served-user:",
    "\r\np-profile-key:",
    "\r\np-visited-network-id:",
    "integrity-protected",
];

/// Checks what can be seen on the wire: nothing of the trust domain reaches a phone, and a retransmitted response is the
/// response.
pub fn wire(world: &World) -> Vec<Broken> {
    let mut broken = Vec::new();
    let is_phone = |address: SocketAddr| {
        world.hosts().iter().any(|host| host.address == address.ip() && host.is_phone())
    };
    // A host that crashed has forgotten its transactions: it may answer a retransmission anew.
    let mut finals: BTreeMap<(HostId, u32, SocketAddr, String), &[u8]> = BTreeMap::new();
    for Traced { host, life, event } in world.traced() {
        if event.protocol != Protocol::Sip || !event.sent {
            continue;
        }
        let text = String::from_utf8_lossy(&event.bytes);
        if is_phone(event.remote) && !is_phone(event.local) {
            let lower = text.to_ascii_lowercase();
            for header in NEVER_TO_A_UE {
                if lower.contains(header) {
                    broken.push(format!("a UE was sent {}: {}", header.trim(), event.summary()));
                }
            }
            if [" ck=", ",ck=", " ik=", ",ik="].iter().any(|key| lower.contains(key)) {
                broken.push("a UE was sent the keys of its challenge".to_owned());
            }
        }
        if let Some(transaction) = final_response(&text) {
            let key = (*host, *life, event.remote, transaction.clone());
            match finals.get(&key) {
                Some(first) if **first != event.bytes[..] => {
                    broken.push(format!("two different final responses to {transaction}"));
                }
                Some(_) => {}
                None => {
                    finals.insert(key, &event.bytes);
                }
            }
        }
    }
    broken
}

/// The transaction that a final response answers; `None` for anything else, and for a 2xx to INVITE, which forking may
/// multiply.
fn final_response(text: &str) -> Option<String> {
    let status = text.strip_prefix("SIP/2.0 ")?.get(..3)?;
    let via = text.lines().find_map(|line| line.strip_prefix("Via: "))?;
    // RFC 3261 §17.2.3: branch and sent-by.
    let sent_by = via.split(';').next()?;
    let branch = via.split(";branch=").nth(1)?.split([';', ',', ' ']).next()?;
    let cseq = text.lines().find_map(|line| line.strip_prefix("CSeq: "))?;
    let is_invite_success = status.starts_with('2') && cseq.ends_with("INVITE");
    (!status.starts_with('1') && !is_invite_success).then(|| format!("{sent_by} {branch} {cseq}"))
}

/// Checks that every table of transactions is empty. Call it after 64 times the longest T1 of quiet.
pub fn tables(world: &World) -> Vec<Broken> {
    let mut broken = Vec::new();
    for host in world.hosts() {
        let open: Vec<_> =
            [open::<Pcscf>(host), open::<Icscf>(host), open::<Scscf>(host), open::<Ue>(host)].concat();
        let visits: usize =
            host.shards::<Scscf>().iter().map(|station| station.node().role().chains().len()).sum();
        if visits > 0 {
            broken.push(format!("{} has visits to application servers after quiet: {visits}", host.name));
        }
        for open in open.into_iter().filter(|open| *open != (0, 0, 0)) {
            broken.push(format!("{} has contexts, clients, queries open after quiet: {open:?}", host.name));
        }
    }
    broken
}

fn open<R: Role + 'static>(host: &Host) -> Vec<(usize, usize, usize)> {
    host.shards::<R>().iter().map(|station| station.node().open()).collect()
}

/// The time after which all transactions are over: 64 times the UE's T1, twice, for a client and then a server.
pub const QUIET: Duration = Duration::from_secs(2 * 128 + 60);

/// Lets quiet come over a healed network and checks everything.
pub fn settle(ims: &mut Ims, registered: &[&Phone]) -> Vec<Broken> {
    ims.world.network.heal_all();
    ims.advance(QUIET);
    let mut broken = wire(&ims.world);
    broken.extend(tables(&ims.world));
    // Something is broken in the machine that says so.
    broken.extend(errors::take().into_iter().map(|line| format!("ERROR was logged: {line}")));
    for phone in registered {
        if ims.registered_at(phone).is_none() {
            broken.push(format!("{} was told that it is registered; the HSS says no", phone.name));
        }
    }
    broken
}

/// The last messages of a run, for a report.
pub fn tail(traced: &[Traced], count: usize) -> String {
    traced
        .iter()
        .rev()
        .take(count)
        .rev()
        .map(|Traced { event, .. }| format!("{} {} → {}\n", event.summary(), event.local, event.remote))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_in_which_an_error_was_logged_is_broken() {
        let mut ims = Ims::seeded(1);
        assert_eq!(settle(&mut ims, &[]), Vec::<Broken>::new());
        tracing::error!("out of order");
        let broken = settle(&mut ims, &[]);
        assert!(matches!(&broken[..], [line] if line.contains("out of order")), "{broken:?}");
    }
}
