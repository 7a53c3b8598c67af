//! Prints what each case costs: `cargo run --release -p carillon-bench [-- --only KEY] [--no-instructions]`.
//!
//! Time is the best of several samples on one thread, with the copy of each message into a buffer in it. Instructions
//! come from two runs of this program under `valgrind --tool=cachegrind` that differ in their rounds alone.
#![allow(clippy::print_stdout, reason = "a command whose output is the table")]

use carillon_bench::cases::{self, Case};
use carillon_bench::instructions;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const SAMPLES: u32 = 15;
const SAMPLE: Duration = Duration::from_millis(40);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--rounds", key, rounds] => match (cases::by_key(key), rounds.parse()) {
            (Some(case), Ok(rounds)) => run_rounds(case, rounds),
            _ => return usage(),
        },
        [] => table(cases::ALL.iter().collect(), instructions::tool()),
        ["--no-instructions"] => table(cases::ALL.iter().collect(), Err("not asked for".into())),
        ["--only", key] => match cases::by_key(key) {
            Some(case) => table(vec![case], instructions::tool()),
            None => return usage(),
        },
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    println!("carillon-bench [--no-instructions | --only KEY]; the keys:");
    cases::ALL.iter().for_each(|case| println!("  {:15} {}", case.key, case.name));
    ExitCode::from(2)
}

fn table(cases: Vec<&Case>, tool: Result<(), String>) {
    println!("{:55} {:>9} {:>13} {:>12}", "", "ns", "instructions", "allocations");
    for case in cases {
        let (ns, allocations) = measure(case);
        let instructions = match &tool {
            Ok(()) => instructions(case).map_or("-".to_owned(), |count| count.to_string()),
            Err(_) => "-".to_owned(),
        };
        println!("{:55} {ns:>9.0} {instructions:>13} {allocations:>12.1}", case.name);
    }
    if let Err(reason) = tool {
        println!("no instructions: {reason}");
    }
}

/// Nanoseconds of the best sample, and allocations of a round on average.
fn measure(case: &Case) -> (f64, f64) {
    let mut round = (case.make)();
    for _ in 0..case.warm_up {
        round();
    }
    let rounds = rounds_per_sample(&mut round);
    let best = (0..SAMPLES)
        .map(|_| {
            let start = Clock::now();
            for _ in 0..rounds {
                round();
            }
            start.elapsed_ns() / f64::from(rounds)
        })
        .fold(f64::INFINITY, f64::min);
    let counted = 500;
    let spent = allocation_counter::measure(|| {
        for _ in 0..counted {
            round();
        }
    });
    (best, spent.count_total as f64 / f64::from(counted))
}

/// Time on the processor where the system tells it (Linux: `schedstat`), so that a busy neighbour counts less; else what
/// the wall clock says.
enum Clock {
    Processor(u64),
    Wall(Instant),
}

impl Clock {
    fn now() -> Clock {
        on_processor_ns().map_or_else(|| Clock::Wall(Instant::now()), Clock::Processor)
    }

    fn elapsed_ns(&self) -> f64 {
        match self {
            Clock::Processor(start) => on_processor_ns().unwrap_or(*start).saturating_sub(*start) as f64,
            Clock::Wall(start) => start.elapsed().as_nanos() as f64,
        }
    }
}

fn on_processor_ns() -> Option<u64> {
    // What has not been accounted for when the thread runs on without a switch is added when it gives way.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn rounds_per_sample(round: &mut cases::Round) -> u32 {
    let start = Instant::now();
    let tried = 50;
    for _ in 0..tried {
        round();
    }
    let one = start.elapsed() / tried;
    u32::try_from(SAMPLE.as_nanos() / one.as_nanos().max(20)).unwrap_or(u32::MAX).clamp(50, 500_000)
}

fn run_rounds(case: &Case, rounds: u32) {
    let mut round = (case.make)();
    for _ in 0..rounds {
        round();
    }
}

fn instructions(case: &Case) -> Option<u64> {
    instructions::per_round(&std::env::current_exe().ok()?, case.key, 1000)
}
