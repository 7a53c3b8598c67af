//! Replays the corpus through the fuzz entry points, then mutations of it for about a second, the same every time.

use sip_core::fuzz::{fuzz_message, fuzz_sdp, fuzz_stream};
use std::path::Path;
use std::time::{Duration, Instant};

/// The torture messages, and whatever fuzzing found before (`fuzz/corpus/sip`).
fn corpus() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.join("tests/torture"), root.join("../fuzz/corpus/sip")];
    let mut paths: Vec<_> = folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("readable")).collect()
}

fn run(data: &[u8]) {
    fuzz_message(data);
    fuzz_sdp(data);
    fuzz_stream(data);
}

/// A small generator (xorshift), so that a failure repeats.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\r\n ",
    b"\n",
    b"\r",
    b"\0",
    b"\"",
    b"\\",
    b"<",
    b">",
    b",",
    b";",
    b":",
    b"=",
    b"@",
    b"%",
    b"[",
    b"]",
    b" ",
    b"SIP/2.0",
    b"Via: ",
    b"v:",
    b"Route: <sip:a;lr>, <sip:b>\r\n",
    b"Content-Length: 5\r\n",
    b"l:99999999999\r\n",
    b"P-Asserted-Identity: <sip:a@b>, <tel:+1>\r\n",
    b"Contact: *\r\n",
    b"\r\n\r\n",
    b"\xff\xfe",
    b"m=audio 1 RTP/AVP 0\r\n",
];

fn mutate(random: &mut Random, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(data.len() + 1);
        match random.below(6) {
            0 => data.truncate(at),
            1 if at < data.len() => data[at] = random.next() as u8,
            2 => {
                let end = (at + random.below(40)).min(data.len());
                data.drain(at..end);
            }
            3 => {
                let from = random.below(other.len());
                let end = (from + random.below(80)).min(other.len());
                data.splice(at..at, other[from..end].iter().copied());
            }
            _ => {
                let token = TOKENS[random.below(TOKENS.len())];
                data.splice(at..at, token.iter().copied());
            }
        }
    }
    data
}

#[test]
fn the_corpus_holds_every_invariant() {
    let corpus = corpus();
    assert!(corpus.len() >= 61, "the torture messages are part of it");
    corpus.iter().for_each(|data| run(data));
}

#[test]
fn mutations_of_the_corpus_hold_every_invariant() {
    let corpus = corpus();
    let mut random = Random(0x5eed_5eed_5eed_5eed);
    let start = Instant::now();
    let mut rounds = 0_u64;
    while start.elapsed() < Duration::from_millis(1000) {
        for _ in 0..64 {
            let (seed, other) = (random.below(corpus.len()), random.below(corpus.len()));
            let data = mutate(&mut random, &corpus[seed], &corpus[other]);
            if let Err(panic) = std::panic::catch_unwind(|| run(&data)) {
                println!("mutation of round {rounds}: {:?}", String::from_utf8_lossy(&data));
                std::panic::resume_unwind(panic);
            }
            rounds += 1;
        }
    }
    assert!(rounds > 100, "only {rounds} mutations in a second");
}
