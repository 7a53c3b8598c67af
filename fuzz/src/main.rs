//! `cargo run --release -p carillon-fuzz -- TARGET --seconds N [--seed S]`: mutations of the corpus, as many as time allows.
//!
//! Ends with status 1 on a panic, on an input that takes longer than two seconds, and on memory that grows; the input
//! lies in `fuzz/corpus/TARGET/` then, where `cargo test` replays it from there on. Inputs that made the target behave in
//! a new way join the corpus in memory; `--keep` writes them down.
#![allow(clippy::print_stdout, reason = "a command whose output is its report")]

use ambient::Entropy;
use carillon_fuzz::target::{self, Target};
use carillon_fuzz::{mutation, seeds};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// An input that takes longer hangs.
const HANG: Duration = Duration::from_secs(2);
/// Inputs in memory at the most.
const CORPUS_MAX: usize = 4096;
/// Ways to behave that are told apart; those beyond are not counted.
const SEEN_MAX: usize = 1 << 18;
/// Inputs that one run writes down at the most: the corpus stays small.
const KEPT_MAX: usize = 12;
/// Growth of the resident memory, from a tenth of the time to the end, that is a leak.
const GROWTH_MAX: u64 = 96 << 20;

/// The input under way, and since when.
static UNDER_WAY: Mutex<Option<(Instant, Vec<u8>)>> = Mutex::new(None);

struct Options {
    target: Target,
    seconds: u64,
    seed: u64,
    keeps: bool,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        let names: Vec<_> = target::ALL.iter().map(|target| target.name).collect();
        println!("carillon-fuzz TARGET --seconds N [--seed S] [--keep]; targets: {}", names.join(" "));
        return ExitCode::from(2);
    };
    let target = options.target;
    std::thread::spawn(move || watch(target));
    // A panic is reported by its input; its message comes once, when the search is over.
    if run(&options) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn options() -> Option<Options> {
    let mut arguments = std::env::args().skip(1);
    let target = target::by_name(&arguments.next()?)?;
    let mut options = Options { target, seconds: 60, seed: 1, keeps: false };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => options.seconds = arguments.next()?.parse().ok()?,
            "--seed" => options.seed = arguments.next()?.parse().ok()?,
            "--keep" => options.keeps = true,
            _ => return None,
        }
    }
    Some(options)
}

/// Feeds the target until the time is over; false when it failed.
fn run(options: &Options) -> bool {
    let Options { target, seconds, seed, keeps } = *options;
    let mut corpus: Vec<Vec<u8>> = target.corpus().into_iter().map(|(_, data)| data).collect();
    corpus.extend(seeds::of(target.name));
    corpus.push(Vec::new());
    let mut entropy = Entropy::seeded(seed);
    let (mut seen, mut kept) = (BTreeSet::new(), 0);
    let (mut inputs, mut slowest) = (0_u64, (Duration::ZERO, Vec::new()));
    let start = Instant::now();
    let until = Duration::from_secs(seconds);
    let mut memory_early = None;
    let mut first = corpus.clone().into_iter();
    while start.elapsed() < until {
        let data = first.next().unwrap_or_else(|| {
            let pick = |entropy: &mut Entropy| entropy.below(corpus.len() as u64) as usize;
            let (one, other) = (pick(&mut entropy), pick(&mut entropy));
            mutation::mutate(&mut entropy, &corpus[one], &corpus[other])
        });
        let began = Instant::now();
        let outcome = feed(target, &data);
        let took = began.elapsed();
        inputs += 1;
        let Ok(signature) = outcome else {
            println!(
                "{}: panic after {inputs} inputs, seed {seed}: {}",
                target.name,
                save(target, "panic", &data)
            );
            return false;
        };
        if took > slowest.0 {
            slowest = (took, data.clone());
        }
        // What the fuzzer itself remembers is bounded, so that growth is the target's.
        if seen.len() < SEEN_MAX && seen.insert(signature) && corpus.len() < CORPUS_MAX {
            if keeps && kept < KEPT_MAX && data.len() < 4096 && !corpus.contains(&data) {
                save(target, "behaviour", &data);
                kept += 1;
            }
            corpus.push(data);
        }
        if memory_early.is_none() && start.elapsed() > until / 10 {
            memory_early = resident();
        }
    }
    let growth = resident().zip(memory_early).map_or(0, |(late, early)| late.saturating_sub(early));
    println!(
        "{}: {inputs} inputs in {seconds} s ({} a second), seed {seed}, {} ways to behave, memory grew by {} kB, slowest {:.1} ms ({} bytes)",
        target.name,
        inputs / seconds.max(1),
        seen.len(),
        growth >> 10,
        slowest.0.as_secs_f64() * 1e3,
        slowest.1.len()
    );
    if growth > GROWTH_MAX {
        println!("{}: memory grows", target.name);
        return false;
    }
    true
}

fn feed(target: Target, data: &[u8]) -> Result<u64, ()> {
    *UNDER_WAY.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) =
        Some((Instant::now(), data.to_vec()));
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(data)));
    *UNDER_WAY.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = None;
    outcome.map_err(|_| ())
}

/// Ends the program when an input takes too long.
fn watch(target: Target) {
    loop {
        std::thread::sleep(HANG / 4);
        let under_way = UNDER_WAY.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_, data)) = under_way.as_ref().filter(|(since, _)| since.elapsed() > HANG) {
            println!("{}: an input hangs: {}", target.name, save(target, "hang", data));
            std::process::exit(1);
        }
    }
}

/// Writes an input into the corpus, under a name of its content.
fn save(target: Target, why: &str, data: &[u8]) -> String {
    let path = target.folder().join(format!("{why}-{:016x}", target::signature(data)));
    let written = std::fs::create_dir_all(target.folder()).and_then(|()| std::fs::write(&path, data));
    match written {
        Ok(()) => path.display().to_string(),
        Err(error) => format!("{} ({error})", path.display()),
    }
}

/// Resident memory in bytes, where the system tells it.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(text.split_whitespace().nth(1)?.parse::<u64>().ok()? * 4096)
}
