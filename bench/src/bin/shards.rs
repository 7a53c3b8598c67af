//! Prints what two shards do beside one: `cargo run --release -p carillon-bench --bin shards [-- ROUNDS]`.
//!
//! One and two take turns, and the ratio of each pair is printed: a machine that is busy otherwise shows in their spread.
#![allow(clippy::print_stdout, reason = "a command whose output is the table")]

use carillon_bench::shards::{Town, work};

const PAIRS: usize = 7;

fn main() {
    let rounds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let town = Town::found();
    // Tables and buffers find their size.
    work(&town, 2, rounds / 10);
    println!("S-CSCF, a REGISTER and a call a round, {rounds} rounds");
    println!("{:>16} {:>16} {:>8}", "1 shard, 1/s", "2 shards, 1/s", "ratio");
    let mut ratios = Vec::new();
    for _ in 0..PAIRS {
        let rate = |shards| rounds as f64 / work(&town, shards, rounds).as_secs_f64();
        let (one, two) = (rate(1), rate(2));
        println!("{one:>16.0} {two:>16.0} {:>8.2}", two / one);
        ratios.push(two / one);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[ratios.len() / 2]);
}
