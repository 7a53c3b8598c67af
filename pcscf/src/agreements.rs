//! The security agreements of one P-CSCF with its UEs (TS 33.203 §7.1, §7.4): which sets of associations stand, and which
//! of them a message to a UE takes.
//!
//! ```text
//!   401 -> Awaiting --200--> Current --200 of a newer one--> Replaced
//!             |                 |                               | the UE uses the newer one
//!             | refused         | the last registration ends    v
//!             +-----------------+--------------------------> Ending --64 T1--> (nothing)
//! ```
//!
//! A UE is found by its address, which the network gave it, and a set by the SPI of our server port. The port that a
//! packet came from says nothing by itself.

use ambient::{TimerId, Wall};
use cscf::Source;
use ipsec::{Fingerprint, SaSet, Spi};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// One agreement.
#[derive(Debug)]
pub struct Agreement {
    /// Its four associations.
    pub set: Box<SaSet>,
    /// The private identity that was challenged.
    pub impi: Box<str>,
    /// What the UE's Security-Client said.
    pub client: Fingerprint,
    /// What our Security-Server said, and Security-Verify must say.
    pub server: Fingerprint,
    /// The set that the REGISTER came through which asked for this one.
    pub previous: Option<Spi>,
    /// The address that the UE takes for its own, if it is behind a NAT.
    pub nat: Option<IpAddr>,
    /// When it was set up.
    pub since: Wall,
    /// How far it has come.
    pub state: State,
    /// Ends it, in every state but [`State::Current`].
    pub timer: Option<TimerId>,
}

/// How far an agreement has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The UE was challenged; its answer is to come through the set.
    Awaiting,
    /// The UE is registered by it.
    Current,
    /// The UE has agreed on a newer one, and has not used that yet.
    Replaced,
    /// What is under way finishes; nothing else begins.
    Ending,
}

impl Agreement {
    /// Its name: the SPI of our server port.
    pub fn name(&self) -> Spi {
        self.set.own_spi_s
    }

    /// Where the UE takes requests: its protected server port, which stays from one registration to the next.
    pub fn ue(&self) -> SocketAddr {
        SocketAddr::new(self.set.peer_ip, self.set.peer_server_port)
    }
}

/// The agreements of one P-CSCF.
#[derive(Debug, Default)]
pub struct Agreements {
    by_name: BTreeMap<Spi, Agreement>,
    by_address: BTreeSet<(IpAddr, Spi)>,
}

impl Agreements {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Agreement> {
        self.by_name.values()
    }

    /// The agreement of this name.
    pub fn get(&self, name: Spi) -> Option<&Agreement> {
        self.by_name.get(&name)
    }

    /// The agreement of this name, to change how far it has come.
    pub fn get_mut(&mut self, name: Spi) -> Option<&mut Agreement> {
        self.by_name.get_mut(&name)
    }

    /// Adds one.
    pub fn insert(&mut self, agreement: Agreement) {
        self.by_address.insert((agreement.set.peer_ip, agreement.name()));
        self.by_name.insert(agreement.name(), agreement);
    }

    /// Takes one out.
    pub fn remove(&mut self, name: Spi) -> Option<Agreement> {
        let agreement = self.by_name.remove(&name)?;
        self.by_address.remove(&(agreement.set.peer_ip, name));
        Some(agreement)
    }

    /// Those with UEs at an address.
    pub fn at(&self, ip: IpAddr) -> impl Iterator<Item = &Agreement> {
        let range = self.by_address.range((ip, Spi::MIN)..);
        let here = range.take_while(move |(found, _)| *found == ip);
        here.filter_map(|(_, name)| self.by_name.get(name))
    }

    /// Those with one UE, by its protected server port.
    pub fn of(&self, ue: SocketAddr) -> impl Iterator<Item = &Agreement> {
        self.at(ue.ip()).filter(move |agreement| agreement.ue() == ue)
    }

    /// The sender of a message as a UE is known: one whose message an association protected by its server port, which its
    /// other messages and its registration have in common. `None` when that association has ended.
    pub fn sender(&self, source: &Source) -> Option<Source> {
        let Some(name) = source.secured else { return Some(*source) };
        let agreement = self.get(name)?;
        let local = SocketAddr::new(agreement.set.own_ip, agreement.set.own_server_port);
        Some(Source { local, remote: agreement.ue(), ..*source })
    }

    /// The set for a message to a UE: the older one until the UE uses the newer (TS 33.203 §7.4). One that is ending
    /// serves only what came through it.
    pub fn towards(&self, ue: SocketAddr) -> Option<Spi> {
        let in_state = |state| self.of(ue).find(|agreement| agreement.state == state);
        in_state(State::Replaced).or_else(|| in_state(State::Current)).map(Agreement::name)
    }

    /// The older agreements that a message of the UE through this one makes superfluous.
    pub fn outdated_by(&self, name: Spi) -> SmallVec<[Spi; 2]> {
        let Some(used) = self.get(name).filter(|used| used.state == State::Current) else {
            return SmallVec::new();
        };
        let replaced = self.of(used.ue()).filter(|agreement| agreement.state == State::Replaced);
        replaced.map(Agreement::name).collect()
    }

    /// The next client port of the ring for a UE (TS 33.203 §7.4: it changes), and what must end at once to free it.
    ///
    /// Nothing must while the ring has more ports than the UE has sets.
    pub fn client_port(&self, ring: &[u16], ue: SocketAddr) -> Option<(u16, SmallVec<[Spi; 2]>)> {
        let current = self.of(ue).find(|agreement| agreement.state == State::Current);
        let at =
            current.and_then(|current| ring.iter().position(|port| *port == current.set.own_client_port));
        let after = at.map_or(0, |at| at + 1);
        let ports = || (0..ring.len()).filter_map(|step| ring.get((after + step) % ring.len()).copied());
        let users = |port| self.of(ue).filter(move |agreement| agreement.set.own_client_port == port);
        if let Some(free) = ports().find(|port| users(*port).next().is_none()) {
            return Some((free, SmallVec::new()));
        }
        let is_needed = |agreement: &Agreement| agreement.state == State::Current;
        let taken = ports().find(|port| !users(*port).any(is_needed))?;
        Some((taken, users(taken).map(Agreement::name).collect()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use cscf::{Flow, ShardId, Transport, Trust};
    use ipsec::{Algorithms, Encapsulation, Keys};

    pub(crate) fn spi(number: u32) -> Spi {
        Spi::new(number).expect("not reserved")
    }

    /// The set of this name between our ports `client` and 6100 and the UE's 31000 + name and 31001.
    pub(crate) fn agreement(name: u32, client: u16, state: State) -> Agreement {
        let algorithms = Algorithms::ALL[0];
        let set = SaSet {
            own_ip: IpAddr::from([127, 0, 0, 10]),
            peer_ip: IpAddr::from([10, 0, 0, 1]),
            own_client_port: client,
            own_server_port: 6100,
            peer_client_port: 31_000 + name as u16,
            peer_server_port: 31_001,
            own_spi_c: spi(name + 1),
            own_spi_s: spi(name),
            peer_spi_c: spi(5000 + name),
            peer_spi_s: spi(6000 + name),
            algorithms,
            keys: Keys::derive(algorithms, [1; 16], [2; 16]),
            encapsulation: Encapsulation::Transport,
            lifetime: ipsec::association::LIFETIME_MAX,
        };
        let print = Fingerprint::of(std::iter::empty()).expect("empty");
        Agreement {
            set: Box::new(set),
            impi: "alice@home.net".into(),
            client: print,
            server: print,
            previous: None,
            nat: None,
            since: Wall::from_millis(0),
            state,
            timer: None,
        }
    }

    fn table(agreements: &[(u32, u16, State)]) -> Agreements {
        let mut table = Agreements::default();
        agreements.iter().for_each(|(name, port, state)| table.insert(agreement(*name, *port, *state)));
        table
    }

    fn ue() -> SocketAddr {
        "10.0.0.1:31001".parse().expect("an address")
    }

    #[test]
    fn a_ue_is_reached_by_the_older_set_until_it_uses_the_newer() {
        use State::{Awaiting, Current, Ending, Replaced};
        for (sets, expected, outdated) in [
            (&[][..], None, &[][..]),
            (&[(300, 5100, Awaiting)], None, &[]),
            (&[(300, 5100, Current)], Some(300), &[]),
            (&[(300, 5100, Current), (400, 5101, Awaiting)], Some(300), &[]),
            (&[(300, 5100, Replaced), (400, 5101, Current)], Some(300), &[300]),
            (&[(300, 5100, Ending), (400, 5101, Current)], Some(400), &[]),
            (&[(300, 5100, Ending)], None, &[]),
        ] {
            let table = table(sets);
            assert_eq!(table.towards(ue()).map(Spi::get), expected, "{sets:?}");
            let found: Vec<u32> = table.outdated_by(spi(400)).iter().map(|name| name.get()).collect();
            assert_eq!(found, outdated, "{sets:?}");
        }
        assert_eq!(table(&[(300, 5100, Current)]).towards("10.0.0.2:31001".parse().expect("")), None);
        assert_eq!(table(&[(300, 5100, Current)]).towards("10.0.0.1:5060".parse().expect("")), None);
    }

    /// TS 33.203 §7.4: two sets that stand beside each other differ in port-pc.
    #[test]
    fn the_client_port_moves_along_the_ring() {
        use State::{Current, Ending, Replaced};
        let ring = [5100, 5101, 5102];
        for (sets, expected, freed) in [
            (&[][..], 5100, &[][..]),
            (&[(300, 5100, Current)], 5101, &[]),
            (&[(300, 5102, Current)], 5100, &[]),
            (&[(300, 5100, Ending), (400, 5101, Current)], 5102, &[]),
            (&[(300, 5102, Ending), (400, 5101, Current)], 5100, &[]),
            (&[(300, 5100, Replaced), (400, 5101, Current), (500, 5102, Ending)], 5102, &[500]),
        ] {
            let (port, cut) = table(sets).client_port(&ring, ue()).expect("a port");
            let cut: Vec<u32> = cut.iter().map(|name| name.get()).collect();
            assert_eq!((port, &cut[..]), (expected, freed), "{sets:?}");
        }
        let (port, cut) = table(&[(300, 5100, Current), (400, 5101, Ending)])
            .client_port(&ring[..2], ue())
            .expect("a port");
        assert_eq!((port, cut.len()), (5101, 1), "a ring of two is enough");
    }

    #[test]
    fn what_a_protected_ue_costs_more_than_another_is_less_than_six_hundred_bytes() {
        let mut table = Agreements::default();
        let each = |from: u32, to: u32, table: &mut Agreements| {
            for number in from..to {
                let mut agreement = agreement(300, 5100, State::Current);
                agreement.set.peer_ip = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
                agreement.set.own_spi_s = spi(1000 + 2 * number);
                table.insert(agreement);
            }
        };
        each(0, 10_000, &mut table);
        let grown = allocation_counter::measure(|| each(10_000, 100_000, &mut table)).bytes_current;
        let each = grown / 90_000;
        println!("{each} bytes of heap for each set between 10,000 and 100,000");
        assert!((200..600).contains(&each), "{each} bytes");
    }

    #[test]
    fn a_sender_is_known_by_its_server_port_whatever_it_sent_from() {
        let mut table = table(&[(300, 5100, State::Current)]);
        let source = Source {
            flow: Flow { shard: ShardId(0), slot: 0, generation: 0 },
            transport: Transport::Tcp,
            local: "127.0.0.10:5100".parse().expect("an address"),
            remote: "10.0.0.1:31300".parse().expect("an address"),
            trust: Trust::Outside,
            secured: Some(spi(300)),
        };
        let sender = table.sender(&source).expect("it stands");
        assert_eq!((sender.remote, sender.local.port()), (ue(), 6100));
        let clear = Source { secured: None, ..source };
        assert_eq!(table.sender(&clear), Some(clear));
        assert!(table.remove(spi(300)).is_some());
        assert_eq!(table.sender(&source), None, "ended");
        assert!(table.is_empty() && table.by_address.is_empty());
    }
}
