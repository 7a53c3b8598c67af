//! The fault corpus of `explain`, over real sockets: a core in this process with one thing wrong, phones that do something,
//! and what is told of it by the flight recorders of the CSCFs, the HSS and the phones, and by what the HSS has of the
//! subscribers. Beside it, runs in which nothing is wrong.
//!
//! One more fault is one more row in `faults.rs`; one more healthy run, one more row in `healthy.rs`.

mod bench;
mod beside;
mod blind;
mod catalogue;
mod faults;
mod healthy;
mod processes;
mod recording;
mod running;
mod setup;
mod standin;

use bench::Bench;
use explain::{Known, KnownIdentity, Scene};
use setup::Setup;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// One thing that is wrong, and what is done then.
pub struct Fault {
    /// What is wrong, for a person.
    pub name: &'static str,
    /// Changes subscriber data, configuration, network or peers before the core starts.
    pub changed: fn(&mut Setup),
    /// What the phones do.
    pub done: fn(&mut Bench),
    /// The cause that is to be told first.
    pub expected: &'static str,
    /// What it takes besides sockets.
    pub takes: Takes,
}

/// One run in which nothing is wrong.
pub struct Healthy {
    /// What happens, for a person.
    pub name: &'static str,
    /// How the core is set up.
    pub changed: fn(&mut Setup),
    /// What the phones do.
    pub done: fn(&mut Bench),
    /// What it takes besides sockets.
    pub takes: Takes,
}

/// What a run takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Sockets that anybody may open.
    Sockets,
    /// Raw sockets, for ESP.
    RawSockets,
}

/// Faults that need not be told right, of forty.
const MISSED_MAX: usize = 2;
/// Runs at a time: they wait most of the time.
const AT_A_TIME: usize = 6;

/// `ims explain` names the seeded cause first.
#[test]
fn the_seeded_cause_is_named_first() {
    let rows = ours(faults::FAULTS);
    let missed = missed(&rows);
    println!("{} of {} faults were told right", rows.len() - missed.len(), rows.len());
    assert!(missed.len() <= MISSED_MAX * rows.len() / 40, "{}", missed.join("\n\n"));
}

/// So it does where whoever wrote the fault had not seen the catalogue.
#[test]
fn the_cause_is_named_first_of_faults_written_by_a_stranger() {
    let rows = ours(blind::FAULTS);
    let missed = missed(&rows);
    println!("{} of {} faults of a stranger were told right", rows.len() - missed.len(), rows.len());
    assert!(missed.is_empty(), "{}", missed.join("\n\n"));
}

/// So it does where Kamailio is one of the CSCFs, and what it does is seen from outside alone.
#[test]
fn the_seeded_cause_is_named_first_beside_kamailio() {
    if !carillon_tests::kamailio::is_installed() {
        return;
    }
    let all = beside::faults();
    let wanted = std::env::var("CARILLON_FAULT").ok();
    let is_wanted = |name: &str| wanted.as_ref().is_none_or(|wanted| name.contains(wanted.as_str()));
    let rows: Vec<Row> = all
        .iter()
        .filter(|beside| is_wanted(beside.fault.name))
        .map(|beside| Row { fault: beside.fault, kamailio: Some(beside.stranger) })
        .collect();
    let missed = missed(&rows);
    println!("{} of {} faults beside Kamailio were told right", rows.len() - missed.len(), rows.len());
    assert!(missed.is_empty(), "{}", missed.join("\n\n"));
}

/// The faults that can run here, in a core of ours alone.
fn ours(faults: &'static [Fault]) -> Vec<Row> {
    let chosen = chosen(faults, |fault| (fault.name, fault.takes));
    chosen.into_iter().map(|fault| Row { fault, kamailio: None }).collect()
}

/// A fault, and whose place Kamailio takes if any.
struct Row {
    fault: &'static Fault,
    kamailio: Option<setup::Who>,
}

/// The faults of which another cause was named first, each with what was told and a picture of what happened.
fn missed(rows: &[Row]) -> Vec<String> {
    let missed = Mutex::new(Vec::new());
    each(rows, |Row { fault, kamailio }| {
        let (scene, picture) = run(fault.changed, fault.done, *kamailio);
        let told = scene.last();
        let cause = told.as_ref().and_then(explain::Explanation::cause);
        if cause != Some(fault.expected) {
            let text = told.map(|told| told.text()).unwrap_or_default();
            let of = kamailio.map_or(String::new(), |who| format!(" (Kamailio is {who:?})"));
            let line =
                format!("{}{of}: {cause:?} instead of {}\n{text}\n{picture}", fault.name, fault.expected);
            missed.lock().expect("no thread has died").push(line);
        }
    });
    let missed = missed.into_inner().expect("no thread has died");
    missed
        .iter()
        .filter_map(|missed: &String| missed.lines().next())
        .for_each(|line| eprintln!("missed: {line}"));
    missed
}

/// Nothing is said to be wrong where nothing is.
#[test]
fn healthy_runs_have_no_cause() {
    let rows = chosen(healthy::RUNS, |run| (run.name, run.takes));
    let wrong = Mutex::new(Vec::new());
    each(&rows, |healthy| {
        let (scene, picture) = run(healthy.changed, healthy.done, None);
        assert!(!scene.stories().is_empty(), "{}: nothing was recorded", healthy.name);
        for told in scene.stories().iter().map(|story| scene.explain(story)) {
            if told.is_fault() {
                let line = format!("{}: {}\n{picture}", healthy.name, told.text());
                wrong.lock().expect("no thread has died").push(line);
            }
        }
    });
    let wrong = wrong.into_inner().expect("no thread has died");
    println!("{} healthy runs, {} false causes", rows.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The rows that can run here; `CARILLON_FAULT` names some by a word of their names.
fn chosen<T>(rows: &'static [T], of: impl Fn(&T) -> (&'static str, Takes)) -> Vec<&'static T> {
    let wanted = std::env::var("CARILLON_FAULT").ok();
    let may_raw = bench::may_open_raw_sockets();
    let mut left_out = 0;
    let mut chosen = Vec::new();
    for row in rows {
        let (name, takes) = of(row);
        if wanted.as_ref().is_some_and(|wanted| !name.contains(wanted.as_str())) {
            continue;
        }
        if takes == Takes::RawSockets && !may_raw {
            left_out += 1;
            continue;
        }
        chosen.push(row);
    }
    if left_out > 0 {
        carillon_tests::skip(&format!("{left_out} runs with ESP take CAP_NET_RAW"));
    }
    chosen
}

/// Runs all rows, a few at a time, and those of one test after those of another.
fn each<T: Sync>(rows: &[T], run: impl Fn(&T) + Sync) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME.min(rows.len()) {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    run(row);
                }
            });
        }
    });
}

/// Sets up a core, lets the phones do what they do, and reads what was recorded; with a picture of it.
fn run(changed: fn(&mut Setup), done: fn(&mut Bench), kamailio: Option<setup::Who>) -> (Scene, String) {
    let mut setup = Setup::new();
    changed(&mut setup);
    if let Some(who) = kamailio {
        setup.kamailio(who);
    }
    let known = known(&setup);
    let mut bench = Bench::start(setup);
    done(&mut bench);
    let entries = bench.stop();
    let scene = Scene::with(&entries, known);
    let picture = recording::picture(&scene);
    (scene, picture)
}

/// What an operator's command reads of the subscriber data besides.
fn known(setup: &Setup) -> Known {
    let subscribers = setup.subscribers();
    let shares = |impi: &str| {
        let opc = |subscriber: &hss_mock::Subscriber| match &subscriber.private_identities[0].credentials {
            hss_mock::Credentials::Milenage { k, opc } => Some((k.clone(), opc.clone())),
            _ => None,
        };
        let own = subscribers.iter().find(|other| other.private_identities[0].impi == impi).and_then(opc);
        own.is_some_and(|(k, own)| {
            subscribers.iter().filter_map(opc).any(|(other, opc)| opc == own && other != k)
        })
    };
    let mut identities = Vec::new();
    for subscriber in subscribers {
        let impi = subscriber.private_identities[0].impi.clone();
        identities.push(KnownIdentity { shares_opc: shares(&impi), identity: impi });
        let public = subscriber.implicit_sets.iter().flat_map(|set| set.identities());
        identities.extend(public.map(|identity| KnownIdentity {
            identity: identity.identity.as_str().to_owned(),
            shares_opc: false,
        }));
    }
    Known { domain: carillon_tests::lab::DOMAIN.to_owned(), identities }
}
