//! Random runs on a bad network: delay, loss, duplication, reordering, partition, and crashes of each role.
//!
//! `CARILLON_SEEDS=500 cargo test --release -p carillon-tests --test seeds` runs more of them, `CARILLON_SEED=17` one. A
//! seed that fails prints its ladder; the same seed gives the same run.

use ambient::Entropy;
use sim::{Ims, Link, Phone, Plan, checker};
use std::time::Duration;
use ue::{Command, Notice, Persistence};

const PARTS: [&str; 4] = ["pcscf", "icscf", "scscf", "hss"];

/// What a phone was told last of its registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Registered,
    NotRegistered,
}

struct Run {
    seed: u64,
    ims: Ims,
    phones: Vec<Phone>,
    told: Vec<Told>,
    entropy: Entropy,
    story: Vec<String>,
}

impl Run {
    fn seeded(seed: u64) -> Run {
        let mut ims = Plan::seeded(seed).with_subscribers(3).with_shards(shards_of(seed)).start();
        let phones: Vec<Phone> =
            (0..3).map(|_| ims.phone_with(|ue| ue.policy.persistence = Persistence::KeepTrying)).collect();
        let told = vec![Told::Nothing; phones.len()];
        Run { seed, ims, phones, told, entropy: Entropy::seeded(seed ^ 0x5eed), story: Vec::new() }
    }

    fn number(&mut self, below: u64) -> u64 {
        self.entropy.below(below)
    }

    fn bad_link(&mut self) -> Link {
        Link {
            delay_min: Duration::from_micros(200 + self.number(5_000)),
            delay_max: Duration::from_millis(6 + self.number(150)),
            loss_permille: self.number(60) as u16,
            duplicate_permille: self.number(40) as u16,
            is_cut: false,
        }
    }

    /// Lets time pass, and hears what the phones are told.
    fn pass(&mut self, by: Duration) {
        self.ims.advance(by);
        for (phone, told) in self.phones.iter().zip(&mut self.told) {
            for (_, notice) in self.ims.world.take_notices::<Notice>(phone.host) {
                match notice {
                    Notice::Registered { .. } => *told = Told::Registered,
                    Notice::RegistrationFailed(_) | Notice::Deregistered(_) => *told = Told::NotRegistered,
                    _ => {}
                }
            }
        }
    }

    fn act(&mut self) {
        let (a, b) = (self.number(3) as usize, self.number(3) as usize);
        let (from, to) = (self.phones[a].host, self.phones[b].sip.clone());
        match self.number(10) {
            0..=2 => {
                self.story.push(format!("{} registers", self.phones[a].name));
                self.ims.world.command(from, Command::Register);
            }
            3 | 4 => {
                self.story.push(format!("{} calls {to}", self.phones[a].name));
                self.ims.world.command(from, Command::Call { to, offer: None });
            }
            5 => {
                self.story.push(format!("{} hangs up", self.phones[a].name));
                self.ims.world.command(from, Command::Hangup { call: None });
            }
            6 => {
                self.story.push(format!("{} writes to {to}", self.phones[a].name));
                self.ims.world.command(from, Command::Message { to, text: "hello".to_owned() });
            }
            7 => {
                let part = PARTS[self.number(4) as usize];
                let down = Duration::from_millis(10 + self.number(20_000));
                self.story.push(format!("{part} crashes for {down:?}"));
                if shards_of(self.seed) > 1 {
                    let shards = 1 + self.number(3) as u16;
                    self.story.push(format!("{part} comes back with {shards} shards"));
                    self.ims.set_shards(shards);
                }
                self.ims.restart(part, down);
            }
            8 => {
                let (one, other) = (PARTS[self.number(4) as usize], PARTS[self.number(4) as usize]);
                let cut = Duration::from_millis(10 + self.number(40_000));
                self.story.push(format!("{one} and {other} do not see each other for {cut:?}"));
                self.ims.world.network.cut(one, other);
                self.pass(cut);
                self.ims.world.network.heal(one, other);
            }
            _ => {
                self.story.push(format!("{} de-registers", self.phones[a].name));
                self.ims.world.command(from, Command::Deregister);
            }
        }
    }

    /// One run; what it broke.
    fn run(&mut self) -> Vec<String> {
        let link = self.bad_link();
        self.ims.set_links(link);
        for phone in 0..self.phones.len() {
            self.ims.world.command(self.phones[phone].host, Command::Register);
        }
        self.pass(Duration::from_secs(20));
        for _ in 0..8 {
            self.act();
            let pause = Duration::from_millis(self.number(15_000));
            self.pass(pause);
        }
        // The network heals; whatever was under way comes to its end, and phones that were refused have tried again.
        self.ims.world.network.heal_all();
        self.pass(Duration::from_secs(900));
        for phone in self.phones.clone() {
            for _ in 0..4 {
                self.ims.world.command(phone.host, Command::Hangup { call: None });
            }
        }
        self.pass(Duration::from_secs(400));
        self.reach_everybody()
    }

    /// Whoever was told that it is registered is reached: HSS, S-CSCF, P-CSCF and UE agree.
    fn reach_everybody(&mut self) -> Vec<String> {
        let registered: Vec<Phone> = self
            .phones
            .iter()
            .zip(&self.told)
            .filter(|(_, told)| **told == Told::Registered)
            .map(|(phone, _)| phone.clone())
            .collect();
        let refs: Vec<&Phone> = registered.iter().collect();
        let mut broken = checker::settle(&mut self.ims, &refs);
        for to in &registered {
            for from in &registered {
                let notice = self.ims.message(from, &to.sip, "are you there?");
                if !matches!(notice, Notice::MessageSent { .. }) {
                    broken.push(format!("{} cannot reach {}: {notice:?}", from.name, to.name));
                }
            }
        }
        broken.extend(checker::settle(&mut self.ims, &refs));
        broken
    }
}

/// Half of the seeds run CSCFs of one shard, the others of two and three.
fn shards_of(seed: u64) -> u16 {
    match seed % 4 {
        2 => 2,
        3 => 3,
        _ => 1,
    }
}

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("CARILLON_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("CARILLON_SEEDS").unwrap_or(50)).collect(),
    }
}

#[test]
fn every_checker_holds_on_every_seed() {
    let mut failed = Vec::new();
    let seeds = seeds();
    for seed in &seeds {
        let mut run = Run::seeded(*seed);
        let broken = run.run();
        if !broken.is_empty() {
            failed.push(*seed);
            if failed.len() <= 3 {
                let shown = if seeds.len() == 1 { usize::MAX } else { 60 };
                let drawn = run.ims.ladder();
                let lines: Vec<&str> = drawn.lines().collect();
                let tail = &lines[lines.len().saturating_sub(shown)..];
                println!("seed {seed} broke {broken:#?}\nstory: {:#?}\n{}", run.story, tail.join("\n"));
            }
        }
    }
    assert!(failed.is_empty(), "{} of {} seeds failed: {failed:?}", failed.len(), seeds.len());
}
