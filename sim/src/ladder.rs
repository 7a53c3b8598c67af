//! The ladder of a world: its hosts as columns, phones first, the HSS last.

use crate::world::World;
use cscf::ladder::{Kind, Ladder};
use cscf::trace::Event;
use std::net::SocketAddr;

/// Draws every traced message but those of the Diameter connections' own upkeep.
pub fn draw(world: &World) -> String {
    ladder(world).draw()
}

/// The ladder of a world as a value.
pub fn ladder(world: &World) -> Ladder {
    let mut hosts: Vec<_> = world.hosts().iter().collect();
    hosts.sort_by_key(|host| (kind(&host.name) as u8, rank(&host.name), host.name.clone()));
    let mut ladder = Ladder::new();
    for host in hosts {
        // Of a host without a trace, the addresses are those that others have spoken with.
        let mut addresses: Vec<SocketAddr> =
            world.traced().iter().map(|traced| traced.event.remote).collect();
        addresses.retain(|address| address.ip() == host.address);
        addresses.sort();
        addresses.dedup();
        let party = ladder.column(&title(&host.name), kind(&host.name), addresses);
        let seen = world.traced().iter().filter(|traced| world.hosts()[traced.host].name == host.name);
        let mut events =
            seen.map(|traced| &traced.event).filter(|event| !is_upkeep(event)).cloned().peekable();
        // What a host without a trace says is told by those who hear it.
        if events.peek().is_some() {
            ladder.report(party, events);
        }
    }
    ladder
}

/// Whether it is one of the Diameter connections' own messages.
fn is_upkeep(event: &Event) -> bool {
    let summary = event.summary();
    ["CER", "CEA", "DWR", "DWA", "DPR", "DPA"].iter().any(|upkeep| summary.starts_with(upkeep))
}

fn kind(name: &str) -> Kind {
    match name {
        "hss" => Kind::Hss,
        _ if name.starts_with("as") => Kind::ApplicationServer,
        _ if rank(name) > 0 => Kind::Cscf,
        _ => Kind::Ue,
    }
}

fn rank(name: &str) -> u8 {
    match name {
        "pcscf" => 1,
        "icscf" => 2,
        _ if name.starts_with("scscf") => 3,
        _ if name.starts_with("as") => 4,
        "ecscf" => 5,
        _ if name.starts_with("psap") => 6,
        _ => 0,
    }
}

fn title(name: &str) -> String {
    match name.split_once("cscf") {
        Some((letter, number)) => format!("{}-CSCF{number}", letter.to_uppercase()),
        None if name == "hss" || name.starts_with("psap") => name.to_uppercase(),
        None => name.to_owned(),
    }
}
