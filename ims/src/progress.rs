//! How a load goes while it runs: a view that is redrawn on a terminal, and a line now and then elsewhere.

use crate::live::View;
use ambient::Instant;
use carillon_load::driver::thread_time;
use carillon_load::run::{Phase, Run};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Who watches, on standard error.
#[derive(Debug)]
pub struct Progress {
    is_terminal: bool,
    /// When it was shown last, and in which phase.
    shown: Option<(Instant, Phase)>,
    /// How many lines there are to draw over.
    lines: usize,
    gauge: Gauge,
}

impl Progress {
    /// Nothing is shown yet.
    pub fn new() -> Progress {
        Progress { is_terminal: io::stderr().is_terminal(), shown: None, lines: 0, gauge: Gauge::default() }
    }

    /// Shows how it stands, if it is time to.
    pub fn show(&mut self, run: &Run, now: Instant) {
        let own_cpu = self.gauge.read(now, thread_time());
        let mut out = io::stderr().lock();
        // Nobody who reads no more needs to be told.
        if self.is_terminal {
            let text = match run.phase() {
                Phase::Over => String::new(),
                _ => View { run, now, own_cpu }.to_string(),
            };
            let _ = redraw(&mut out, self.lines, &text);
            self.lines = text.lines().count();
        } else if run.phase() != Phase::Over && self.is_due(run.phase(), now) {
            self.shown = Some((now, run.phase()));
            let _ = writeln!(out, "{}", line(run, now, own_cpu));
        }
    }

    /// Where lines stay, there is one for each phase, and one now and then.
    fn is_due(&self, phase: Phase, now: Instant) -> bool {
        self.shown.is_none_or(|(shown, in_phase)| in_phase != phase || now.since(shown) >= LINE_EVERY)
    }
}

/// Draws text over so many lines of an earlier one.
fn redraw(out: &mut impl Write, lines: usize, text: &str) -> io::Result<()> {
    if lines > 0 {
        // Up, and clear everything below.
        write!(out, "\x1b[{lines}A\r\x1b[J")?;
    }
    // A terminal that is too narrow cuts a line off: one that it wrapped would be two to draw over.
    write!(out, "\x1b[?7l{text}\x1b[?7h")?;
    out.flush()
}

/// The state of a run in one line.
fn line(run: &Run, now: Instant, own_cpu: f64) -> String {
    let (measures, population) = (&run.generator.measures, &run.generator.population);
    let total = measures.total();
    let ms = |share| measures.latency.quantile_us(share) as f64 / 1000.0;
    format!(
        "{:<11} {:>7.0}/s  registered {}/{}  in flight {}  ok {}  failed {}  late {}  again {}  p50 {:.1} ms  p99 {:.1} ms  own CPU {:.0} %",
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
        ms(0.99),
        100.0 * own_cpu
    )
}

/// The share of a core that a thread takes, renewed every second.
#[derive(Debug, Default)]
struct Gauge {
    /// When it was last renewed, and the CPU time of the thread then.
    renewed: Option<(Instant, Duration)>,
    share: f64,
}

impl Gauge {
    /// The share, when the thread has taken `cpu` by now; 0 for the first second.
    fn read(&mut self, now: Instant, cpu: Duration) -> f64 {
        let Some((renewed, before)) = self.renewed else {
            self.renewed = Some((now, cpu));
            return self.share;
        };
        let passed = now.since(renewed);
        if passed >= RENEW_EVERY {
            self.share = cpu.saturating_sub(before).as_secs_f64() / passed.as_secs_f64();
            self.renewed = Some((now, cpu));
        }
        self.share
    }
}

/// How often there is a line where nothing can be redrawn.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// A shorter time would show the chance of a moment.
const RENEW_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_again_covers_just_what_was_there() {
        let mut out = Vec::new();
        redraw(&mut out, 0, "a\nb\n").expect("a vector");
        redraw(&mut out, 2, "").expect("a vector");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text, "\x1b[?7la\nb\n\x1b[?7h\x1b[2A\r\x1b[J\x1b[?7l\x1b[?7h");
    }

    #[test]
    fn where_lines_stay_each_phase_has_one_however_short_it_is() {
        let at = |millis| Instant::START + Duration::from_millis(millis);
        let shown = Some((at(0), Phase::Preparing));
        let progress = Progress { is_terminal: false, shown, lines: 0, gauge: Gauge::default() };
        assert!(progress.is_due(Phase::Pausing, at(250)));
        assert!(!progress.is_due(Phase::Preparing, at(250)) && progress.is_due(Phase::Preparing, at(5000)));
    }

    #[test]
    fn the_share_of_a_core_is_that_of_the_last_second_and_not_of_the_whole_run() {
        let mut gauge = Gauge::default();
        let mut read = |at: u64, cpu: u64| {
            let share = gauge.read(Instant::START + Duration::from_millis(at), Duration::from_millis(cpu));
            (100.0 * share).round()
        };
        assert_eq!(read(0, 700), 0.0, "what was before does not count");
        assert_eq!(read(500, 950), 0.0, "too soon to tell");
        assert_eq!(read(1000, 1200), 50.0);
        assert_eq!(read(1250, 1450), 50.0, "renewed every second");
        assert_eq!(read(2000, 1300), 10.0);
    }
}
