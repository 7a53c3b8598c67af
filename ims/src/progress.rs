//! How a load goes while it runs: one line that is redrawn on a terminal, and a line now and then elsewhere.

use ambient::Instant;
use carillon_load::run::{Phase, Run};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Who watches, on standard error.
#[derive(Debug)]
pub struct Progress {
    is_terminal: bool,
    shown: Option<Instant>,
}

impl Progress {
    /// Nothing is shown yet.
    pub fn new() -> Progress {
        Progress { is_terminal: io::stderr().is_terminal(), shown: None }
    }

    /// Shows how it stands, if it is time to.
    pub fn show(&mut self, run: &Run, now: Instant) {
        let is_over = run.phase() == Phase::Over;
        let is_early = self.shown.is_some_and(|shown| now.since(shown) < LINE_EVERY);
        if !self.is_terminal && (is_early || is_over) {
            return;
        }
        self.shown = Some(now);
        let mut out = io::stderr().lock();
        // Nobody who reads no more needs to be told.
        let _ = match (self.is_terminal, is_over) {
            (true, true) => write!(out, "\r\x1b[K"),
            (true, false) => write!(out, "\r\x1b[K{}", line(run, now)).and_then(|()| out.flush()),
            (false, _) => writeln!(out, "{}", line(run, now)),
        };
    }
}

/// The state of a run in one line.
fn line(run: &Run, now: Instant) -> String {
    let (measures, population) = (&run.generator.measures, &run.generator.population);
    let total = measures.total();
    let ms = |share| measures.latency.quantile_us(share) as f64 / 1000.0;
    format!(
        "{:<11} {:>7.0}/s  registered {}/{}  in flight {}  ok {}  failed {}  late {}  again {}  p50 {:.1} ms  p99 {:.1} ms",
        run.phase().name(),
        run.rate_at(now),
        population.registered(),
        population.len(),
        run.generator.in_flight(),
        total.succeeded,
        total.failed,
        total.late,
        measures.retransmissions_sent + measures.retransmissions_received,
        ms(0.5),
        ms(0.99)
    )
}

/// How often there is a line where nothing can be redrawn.
const LINE_EVERY: Duration = Duration::from_secs(5);
