//! An S-CSCF of one and of two shards at the same work: registrations and calls, messages in memory, no socket.
//!
//! Each shard has a thread of its own, and with it the users who are at home there: a closed loop of requests, their
//! answers and the next hop's. What a user sends is heard by each shard in turn, as on a socket that does not know whose it
//! is, so that with two shards every other message changes threads before it is handled.

use crate::rig::{HOME, ICSCF, PCSCF, Rig, SCSCF, source};
use crate::samples;
use crate::template::{SERIAL, Template, header};
use ambient::{Entropy, Instant, Now, Wall};
use cscf::assembly::{self, Part};
use cscf::bucket::TokenKey;
use cscf::config::Config;
use cscf::query::{Query, Record};
use cscf::station::{Machine, Parcel, ShardId, Station, WireInput, WireOutput};
use cscf::{Answer, Trust};
use diameter_client::cx::{AuthDataItem, CxAnswer, CxResult, Maa, Saa};
use ims_aka::{Ha1, Hash, Qop};
use scscf::Scscf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many users there are; each has one request, or one call, under way.
const USERS: usize = 128;
/// Virtual time between two rounds of one thread: short enough that what all users have under way is not sent again.
const STEP: Duration = Duration::from_millis(3);
/// Reads its passwords.
const RES: [u8; 8] = [3; 8];

/// A user who is registered, as the store has her.
struct User {
    records: Vec<Record>,
    home: u16,
    register: Template,
    invite: Template,
}

/// Users and the key that their tokens were minted with.
pub struct Town {
    users: Vec<User>,
    key: TokenKey,
}

impl Town {
    /// Registers everybody at an S-CSCF of one shard, whose store is what the others begin with.
    pub fn found() -> Town {
        let key = TokenKey::from_key((5, 6));
        let section = "[scscf]\nreauthenticate = \"unprotected\"\n";
        let mut rig =
            Rig::new(section, |config| config.scscf.listen.clone(), |config| Scscf::new(Arc::new(config)));
        rig.node.set_token_key(key);
        Town { users: (0..USERS).map(|number| User::register(&mut rig, &key, number)).collect(), key }
    }
}

impl User {
    fn register(rig: &mut Rig<Scscf>, key: &TokenKey, number: usize) -> User {
        let name = format!("user{number:04}");
        let template = |text: String| Template::new(&text.replace("alice", &name));
        let from = source(SCSCF, PCSCF, Trust::Domain);
        let head = format!("{}Path: <sip:path@{PCSCF};lr>\nRequire: path\n", samples::core_vias(PCSCF));
        let register = |more: &str| samples::register(&format!("sip:scscf.{HOME}:6060"), &head, more);
        let serial = rig.next_round();
        rig.receive(from, &template(register(",integrity-protected=\"no\"")), serial);
        let (query, _) = rig.question();
        let item = AuthDataItem {
            authenticate: Some([[1; 16], [2; 16]].concat()),
            authorization: Some(RES.to_vec()),
            ck: Some(vec![4; 16]),
            ik: Some(vec![5; 16]),
            ..AuthDataItem::default()
        };
        let maa = Maa { result: CxResult::SUCCESS, auth_data_items: vec![item], ..Maa::default() };
        rig.answer(query, Answer::Cx(Ok(Box::new(CxAnswer::Maa(maa)))));
        let challenge = String::from_utf8_lossy(rig.expect("SIP/2.0 401 ")).into_owned();
        let nonce =
            challenge.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a nonce");
        let ha1 = Ha1::from_password(Hash::Md5, format!("{name}@{HOME}").as_bytes(), HOME.as_bytes(), &RES);
        let qop = Qop::Auth { nc: b"00000001", cnonce: b"abc" };
        let response = ha1.response(b"REGISTER", format!("sip:{HOME}").as_bytes(), nonce.as_bytes(), qop);
        let answer = register(",integrity-protected=\"no\",qop=auth,nc=00000001,cnonce=\"abc\"")
            .replace("nonce=\"\"", &format!("nonce=\"{nonce}\""))
            .replace("response=\"\"", &format!("response=\"{response}\""))
            .replace("CSeq: 1 ", "CSeq: 2 ")
            .replace("branch=z9hG4bKcore", "branch=z9hG4bKcor2");
        rig.receive(from, &template(answer), serial);
        let (query, _) = rig.question();
        let profile = String::from_utf8_lossy(&crate::scscf::profile())
            .replace("alice", &name)
            .replace("+4930100001", &format!("+49301{number:05}"));
        let user_data = Some(profile.into_bytes());
        let saa = Saa { result: CxResult::SUCCESS, user_data, ..Saa::default() };
        rig.answer(query, Answer::Cx(Ok(Box::new(CxAnswer::Saa(saa)))));
        let (query, question) = rig.question();
        let Query::Store(records) = question else { panic!("a registration is stored: {question:?}") };
        rig.answer(query, Answer::Stored(Ok(())));
        let service_route = header(rig.expect("SIP/2.0 200 "), "Service-Route");
        let token = service_route.trim_start_matches("<sip:").split('@').next().unwrap_or_default();
        let (home, _) = key.open(token.as_bytes()).expect("a token of ours");
        let head = format!(
            "{}Route: {service_route}\nRecord-Route: <sip:aaatoken0123456789@{PCSCF};lr>\n\
             P-Asserted-Identity: <sip:alice@{HOME}>\n\
             P-Charging-Vector: icid-value=abcdefghijklmnopqrstuvwxy;orig-ioi={HOME}\n",
            samples::core_vias(PCSCF)
        );
        User {
            records,
            home: home.number(),
            register: template(register(",integrity-protected=\"yes\"")),
            invite: template(samples::invite(&format!("sip:bob@{HOME}"), &head)),
        }
    }
}

/// What other threads leave for one.
enum Item {
    /// A datagram that this thread's shard hears.
    Heard { remote: &'static str, bytes: Vec<u8> },
    /// What another shard says.
    Said { from: ShardId, parcel: Parcel },
}

/// What all threads share.
struct Square {
    inboxes: Vec<Mutex<Vec<Item>>>,
    /// Threads whose rounds are done; they go on hearing for the others.
    done: AtomicUsize,
}

/// Work of some rounds by so many shards: a registration and a call each. The time that it took.
pub fn work(town: &Town, shards: u16, rounds: usize) -> Duration {
    let text = format!(
        "[plmn]\nmcc = \"001\"\nmnc = \"01\"\n[network]\npath_mtu = 9000\n\
         [scscf]\nshards = {shards}\nreauthenticate = \"unprotected\"\n"
    );
    let config = Arc::new(Config::parse(&text, "bench").unwrap_or_else(|faults| panic!("{faults:?}")));
    let stations = assembly::shards(Part::Scscf, || Scscf::new(config.clone()), &config, Entropy::seeded(7));
    let square =
        Square { inboxes: stations.iter().map(|_| Mutex::default()).collect(), done: AtomicUsize::new(0) };
    let count = usize::from(shards);
    let mut threads: Vec<Thread<'_>> = stations
        .into_iter()
        .enumerate()
        .map(|(number, station)| Thread::new(town, &square, number, station, rounds / count))
        .collect();
    let start = std::time::Instant::now();
    std::thread::scope(|scope| {
        for thread in &mut threads {
            scope.spawn(move || thread.run());
        }
    });
    let taken = start.elapsed();
    let (registrations, sessions): (Vec<usize>, Vec<usize>) =
        threads.iter().map(|thread| thread.left()).unzip();
    assert_eq!(registrations.iter().sum::<usize>(), USERS, "everybody is registered still");
    assert_eq!(sessions.iter().sum::<usize>(), 0, "every call has ended");
    taken
}

/// One shard on its thread, with the users who are at home there.
struct Thread<'t> {
    town: &'t Town,
    square: &'t Square,
    number: usize,
    station: Station<Scscf>,
    now: Now,
    /// Rounds that are still to begin.
    rounds: usize,
    /// Users with a round under way.
    busy: usize,
    serial: u64,
    heard: usize,
    answers: Vec<Option<Template>>,
    /// Our Record-Route in the call of each user.
    recorded: Vec<String>,
    /// What is to be left for each other thread.
    leaving: Vec<Vec<Item>>,
}

impl<'t> Thread<'t> {
    fn new(
        town: &'t Town,
        square: &'t Square,
        number: usize,
        station: Station<Scscf>,
        rounds: usize,
    ) -> Self {
        let mut thread = Thread {
            town,
            square,
            number,
            station,
            now: Now { instant: Instant::START, wall: Wall::from_millis(1_700_000_000_000) },
            rounds,
            busy: 0,
            serial: 0,
            heard: 0,
            answers: town.users.iter().map(|_| None).collect(),
            recorded: vec![String::new(); USERS],
            leaving: square.inboxes.iter().map(|_| Vec::new()).collect(),
        };
        thread.station.node_mut().set_token_key(town.key);
        let (high, low) = town.key.key();
        let value = (u128::from(high) << 64 | u128::from(low)).to_be_bytes().to_vec();
        let mut restored: Vec<Record> = town.users.iter().flat_map(|user| user.records.clone()).collect();
        restored.push(Record { key: b"\0token-key".to_vec(), value: Some(value) });
        thread.handle(WireInput::Start { restored });
        thread
    }

    fn left(&self) -> (usize, usize) {
        let role = self.station.node().role();
        (role.registrations().len(), role.sessions().len())
    }

    fn run(&mut self) {
        let shards = self.square.inboxes.len();
        let own: Vec<usize> = (0..USERS)
            .filter(|user| usize::from(self.town.users[*user].home) % shards == self.number)
            .collect();
        own.iter().for_each(|user| self.begin(*user));
        let mut is_done = false;
        loop {
            let items = std::mem::take(
                &mut *self.square.inboxes[self.number].lock().unwrap_or_else(PoisonError::into_inner),
            );
            let is_quiet = items.is_empty();
            for item in items {
                match item {
                    Item::Heard { remote, bytes } => self.hear(remote, bytes),
                    Item::Said { from, parcel } => self.handle(WireInput::Parcel { from, parcel }),
                }
            }
            for (number, leaving) in self.leaving.iter_mut().enumerate().filter(|(_, left)| !left.is_empty())
            {
                let mut inbox = self.square.inboxes[number].lock().unwrap_or_else(PoisonError::into_inner);
                inbox.append(leaving);
            }
            if self.busy == 0 && !is_done {
                is_done = true;
                self.square.done.fetch_add(1, Ordering::SeqCst);
            }
            if is_done && is_quiet && self.square.done.load(Ordering::SeqCst) == shards {
                return;
            }
            if is_quiet {
                std::thread::yield_now();
            }
        }
    }

    /// A user begins the next round, while there are any.
    fn begin(&mut self, user: usize) {
        if self.rounds == 0 {
            return;
        }
        self.rounds -= 1;
        self.busy += 1;
        self.serial += 1;
        if self.serial > USERS as u64 {
            self.now = self.now.after(STEP);
        }
        let serial = self.serial * USERS as u64 + user as u64;
        let mut bytes = Vec::with_capacity(4096);
        self.town.users[user].register.fill(serial, &mut bytes);
        self.send(PCSCF, bytes);
    }

    /// Somebody sends a datagram: the shards hear in turn.
    fn send(&mut self, remote: &'static str, bytes: Vec<u8>) {
        self.heard += 1;
        match (self.number + self.heard) % self.square.inboxes.len() {
            listener if listener == self.number => {
                // Not at once: what was sent before it is heard before it.
                self.leaving[listener].push(Item::Heard { remote, bytes });
            }
            listener => self.leaving[listener].push(Item::Heard { remote, bytes }),
        }
    }

    fn hear(&mut self, remote: &'static str, bytes: Vec<u8>) {
        let address = |text: &str| text.parse().expect("an address");
        self.handle(WireInput::Datagram { local: address(SCSCF), remote: address(remote), bytes });
    }

    fn handle(&mut self, input: WireInput) {
        self.station.handle(self.now, input);
        while let Some(output) = self.station.poll_output() {
            match output {
                WireOutput::Datagram { bytes, .. } => {
                    self.arrived(&bytes);
                    self.station.recycle(bytes);
                }
                WireOutput::Query { id, query: Query::Store(_) } => {
                    let answer = Answer::Stored(Ok(()));
                    self.station.handle(self.now, WireInput::Answered { id, answer });
                }
                WireOutput::Parcel { shard, parcel } => {
                    let from = ShardId(self.number as u16);
                    self.leaving[usize::from(shard.0)].push(Item::Said { from, parcel });
                }
                // The connection to the HSS never comes about, and nobody asks it anything.
                WireOutput::Connect { .. }
                | WireOutput::Write { .. }
                | WireOutput::Close { .. }
                | WireOutput::Query { .. } => {}
            }
        }
    }

    /// A message arrives at the phone, or at the next hop.
    fn arrived(&mut self, message: &[u8]) {
        let serial = number_after(message, b"\r\nCall-ID: ");
        let user = (serial % USERS as u64) as usize;
        let mut bytes = Vec::with_capacity(4096);
        if message.starts_with(b"INVITE ") {
            self.recorded[user] = header(message, "Record-Route");
            let answer = self.answers[user].get_or_insert_with(|| {
                Template::answer(message, serial, "200 OK", "Contact: <sip:bob@10.0.0.2:5060>\n")
            });
            answer.fill_answer(serial, message, &mut bytes);
            self.send(ICSCF, bytes);
        } else if message.starts_with(b"BYE ") {
            Template::answer(message, serial, "200 OK", "").fill_answer(serial, message, &mut bytes);
            self.send(ICSCF, bytes);
        } else if message.starts_with(b"SIP/2.0 200 ") {
            match after(message, b"\r\nCSeq: ") {
                cseq if cseq.starts_with(b"1 REGISTER") => {
                    self.town.users[user].invite.fill(serial, &mut bytes);
                    self.send(PCSCF, bytes);
                }
                cseq if cseq.starts_with(b"1 INVITE") => {
                    for method in ["ACK", "BYE"] {
                        let bytes = self.within(method, user, serial);
                        self.send(PCSCF, bytes);
                    }
                }
                _ => {
                    self.busy -= 1;
                    self.begin(user);
                }
            }
        } else {
            let is_expected = message.starts_with(b"SIP/2.0 100 ") || message.starts_with(b"ACK ");
            assert!(is_expected, "{}", String::from_utf8_lossy(message));
        }
    }

    fn within(&self, method: &str, user: usize, serial: u64) -> Vec<u8> {
        let routes = format!("Route: {}, <sip:aab@{ICSCF};lr>\n", self.recorded[user]);
        let text = samples::within(method, "sip:bob@10.0.0.2:5060", &samples::core_vias(PCSCF), &routes, "")
            .replace("Call-ID: call@", &format!("Call-ID: {SERIAL}@"));
        let text = if method == "ACK" { text.replace("CSeq: 2 ", "CSeq: 1 ") } else { text };
        let mut bytes = Vec::with_capacity(2048);
        Template::new(&text).fill(serial, &mut bytes);
        bytes
    }
}

fn after<'m>(message: &'m [u8], mark: &[u8]) -> &'m [u8] {
    let at = message.windows(mark.len()).position(|part| part == mark);
    at.map_or(b"", |at| &message[at + mark.len()..])
}

fn number_after(message: &[u8], mark: &[u8]) -> u64 {
    let digits = after(message, mark).iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not for time: that every round comes to its end, whoever hears it.
    #[test]
    fn the_work_is_the_same_with_any_number_of_shards() {
        let town = Town::found();
        for shards in [1, 2, 3] {
            work(&town, shards, 1000);
        }
    }
}
