//! The live view of a load: a few lines that are redrawn, with what a person asks first. How far is it, does the core
//! hold the rate, how long does it take, and is it the generator that limits.

use ambient::Instant;
use carillon_load::measure::Second;
use carillon_load::run::{Phase, Run};
use std::fmt;
use std::time::Duration;

/// What is shown at one moment.
#[derive(Debug)]
pub struct View<'a> {
    /// The run.
    pub run: &'a Run,
    /// The time.
    pub now: Instant,
    /// The generator's share of a core.
    pub own_cpu: f64,
}

impl fmt::Display for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let View { run, now, own_cpu } = *self;
        let (measures, population) = (&run.generator.measures, &run.generator.population);
        let setup = run.generator.setup();
        let (total, seconds) = (measures.total(), &measures.seconds);
        let plan = run.plan();
        writeln!(
            f,
            "{BOLD}{}{PLAIN} at {}/s against {} over {}, {} UEs",
            plan.mix,
            plan.rate,
            setup.pcscf,
            setup.transport.to_string().to_uppercase(),
            population.len()
        )?;
        writeln!(f)?;
        let (share, of) = progress(run, now);
        writeln!(
            f,
            "  {:<12} {BLUE}{}{PLAIN} {:>3.0} %  {of}",
            run.phase().name(),
            Bar(share),
            100.0 * share
        )?;
        writeln!(
            f,
            "  {:<12} {} of {}    in flight {}",
            "registered",
            population.registered(),
            population.len(),
            run.generator.in_flight()
        )?;
        writeln!(f)?;
        let last = complete(seconds, run, now);
        let rates = last.iter().map(|second| second.counts.succeeded as f64);
        let recent = last.last().map_or(0, |second| second.counts.succeeded);
        writeln!(
            f,
            "  {:<12} {GREEN}{}{PLAIN}  {recent}/s succeed, {:.0}/s wanted",
            "rate",
            Sparks(rates.collect()),
            run.rate_at(now)
        )?;
        let slow = last.iter().map(|second| second.p99_us as f64);
        let ms = |share| measures.latency.quantile_us(share) as f64 / 1000.0;
        writeln!(
            f,
            "  {:<12} {CYAN}{}{PLAIN}  p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
            "latency p99",
            Sparks(slow.collect()),
            ms(0.5),
            ms(0.99),
            ms(1.0)
        )?;
        writeln!(f)?;
        let again = measures.retransmissions_sent + measures.retransmissions_received;
        writeln!(
            f,
            "  {:<12} {GREEN}{}{PLAIN}    failed {}    late {}    sent again {}",
            "succeeded",
            total.succeeded,
            Count(total.failed, RED),
            Count(total.late, YELLOW),
            Count(again, YELLOW)
        )?;
        let mut causes: Vec<_> = measures.causes.iter().collect();
        causes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (cause, count) in causes.iter().take(CAUSES_SHOWN) {
            writeln!(f, "    {RED}{:<22}{PLAIN} {count}", cause.to_string())?;
        }
        let colour = if own_cpu > LIMIT_NEAR { RED } else { PLAIN };
        writeln!(f, "  {:<12} {colour}{:.0} % of a core{PLAIN}", "generator", 100.0 * own_cpu)
    }
}

/// How far the present phase is, and in words.
fn progress(run: &Run, now: Instant) -> (f64, String) {
    let population = &run.generator.population;
    let (begins, ends) = run.measured();
    let share = |done: f64, all: f64| (done / all.max(1e-9)).clamp(0.0, 1.0);
    match run.phase() {
        Phase::Preparing => {
            let (done, all) = (population.registered(), population.len());
            (share(done as f64, all as f64), format!("{done} of {all} UEs"))
        }
        Phase::Measuring => {
            let (done, all) = (now.since(begins), ends.since(begins));
            (share(done.as_secs_f64(), all.as_secs_f64()), format!("{} of {}", Span(done), Span(all)))
        }
        Phase::WarmingUp | Phase::Pausing => (0.0, format!("{} before it counts", Span(begins.since(now)))),
        Phase::Draining => (1.0, format!("{} still under way", run.generator.in_flight())),
        Phase::Over => (1.0, String::new()),
    }
}

/// The last seconds that are over: one that is under way would look like a collapse.
fn complete<'s>(seconds: &'s [Second], run: &Run, now: Instant) -> &'s [Second] {
    let (begins, _) = run.measured();
    let over = usize::try_from(now.since(begins).as_secs()).unwrap_or(usize::MAX);
    let seconds = &seconds[..seconds.len().min(over)];
    &seconds[seconds.len().saturating_sub(SPARKS)..]
}

/// A bar that is so full.
struct Bar(f64);

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let full = (self.0 * SPARKS as f64).round() as usize;
        (0..SPARKS).try_for_each(|at| f.write_str(if at < full { "█" } else { "░" }))
    }
}

/// A line of little columns, the highest of them full.
struct Sparks(Vec<f64>);

impl fmt::Display for Sparks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let highest = self.0.iter().copied().fold(0.0, f64::max);
        (self.0.len()..SPARKS).try_for_each(|_| f.write_str(" "))?;
        for value in &self.0 {
            let step = if highest > 0.0 { (value / highest * 7.0).round() as usize } else { 0 };
            write!(f, "{}", ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][step.min(7)])?;
        }
        Ok(())
    }
}

/// A number that is coloured when it is not nought.
struct Count(u64, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0"),
            count => write!(f, "{}{count}{PLAIN}", self.1),
        }
    }
}

/// A time as people write it.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds @ 0..120 => write!(f, "{seconds} s"),
            seconds @ 120..7200 => write!(f, "{} min {:02} s", seconds / 60, seconds % 60),
            seconds => write!(f, "{} h {:02} min", seconds / 3600, seconds / 60 % 60),
        }
    }
}

const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const BLUE: &str = "\x1b[34m";
const CYAN: &str = "\x1b[36m";
/// Columns of bars and sparks.
const SPARKS: usize = 40;
/// Reasons for failures that are shown: the commonest.
const CAUSES_SHOWN: usize = 4;
/// A generator that takes more of its core may soon be the limit.
const LIMIT_NEAR: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::*;
    use ambient::Entropy;
    use carillon_load::arrivals::{Rate, Spacing};
    use carillon_load::generator::{Generator, Setup};
    use carillon_load::measure::Cause;
    use carillon_load::population::{Card, Population, Subscriber};
    use carillon_load::run::Plan;
    use carillon_load::scenario::{Mix, Scenario};
    use carillon_load::sources::{Network, Sources};
    use ims_aka::{Key, Opc};

    fn at(millis: u64) -> Instant {
        Instant::START + Duration::from_millis(millis)
    }

    fn run() -> Run {
        let pcscf = ([127, 0, 0, 10], 5060).into();
        let card = Card { k: Key::new([7; 16]), opc: Opc(Key::new([9; 16])) };
        let ue = |n: u32| Subscriber { impi: format!("{n}"), impu: format!("sip:{n}"), card: card.clone() };
        let sources = Sources::new(Network::parse("127.64.0.0/10").expect("a network"), vec![5060]);
        let population = Population::new((0..50).map(ue));
        let generator =
            Generator::new(Setup::new(pcscf, "home.net"), sources, population, Entropy::seeded(1));
        let plan = Plan {
            mix: Mix::only(Scenario::Register),
            rate: Rate::steady(10.0),
            spacing: Spacing::Even,
            pause: Duration::ZERO,
            warmup: Duration::ZERO,
            duration: Duration::from_secs(300),
            register_rate: 10.0,
        };
        Run::new(at(0), generator, plan, Entropy::seeded(1))
    }

    /// What is shown, without colours.
    fn shown(run: &Run, now: Instant) -> String {
        let text = View { run, now, own_cpu: 0.123 }.to_string();
        [BOLD, PLAIN, RED, GREEN, YELLOW, BLUE, CYAN].iter().fold(text, |text, code| text.replace(code, ""))
    }

    #[test]
    fn a_person_sees_how_far_it_is_and_what_fails() {
        let mut run = run();
        let measures = &mut run.generator.measures;
        for second in 0..3 {
            for _ in 0..8 {
                let now = at(second * 1000 + 500);
                measures.attempted(Scenario::Register, now, now);
                measures.succeeded(Scenario::Register, Duration::from_millis(2), now);
            }
        }
        measures.failed(Scenario::Register, Cause::Refused("REGISTER", 503), at(2900));
        let text = shown(&run, at(150_000));
        assert!(text.starts_with("register at 10/s against 127.0.0.10:5060 over UDP, 50 UEs\n"), "{text}");
        let bar =
            format!("measuring    {}{}  50 %  2 min 30 s of 5 min 00 s", "█".repeat(20), "░".repeat(20));
        for wanted in [
            &bar,
            "███  8/s succeed, 10/s wanted",
            "p50 2.0 ms",
            "REGISTER 503           1",
            "12 % of a core",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
    }

    /// A second that has just begun has few successes yet.
    #[test]
    fn a_second_that_is_under_way_is_not_drawn() {
        let mut run = run();
        let measures = &mut run.generator.measures;
        for millis in [100, 200, 1100] {
            measures.succeeded(Scenario::Register, Duration::from_millis(2), at(millis));
        }
        assert_eq!(complete(&run.generator.measures.seconds, &run, at(1200)).len(), 1);
        assert!(shown(&run, at(1200)).contains(" 2/s succeed"));
    }

    #[test]
    fn the_number_of_lines_changes_with_what_is_to_be_told_and_no_line_is_empty_by_chance() {
        let mut run = run();
        let before = shown(&run, at(0)).lines().count();
        run.generator.measures.failed(Scenario::Register, Cause::NoAck, at(10));
        assert_eq!(shown(&run, at(20)).lines().count(), before + 1);
    }
}
