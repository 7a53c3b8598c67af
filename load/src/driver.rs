//! Runs a [`Run`] against the world: the clock, the sockets, and who watches. One thread does it all.

use crate::protected::Protected;
use crate::run::{Phase, Run};
use crate::sockets::{Counts, Sockets};
use ambient::Instant;
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Time since a beginning.
#[derive(Clone, Copy, Debug)]
pub struct Clock(std::time::Instant);

impl Clock {
    /// A clock that begins to count.
    pub fn start() -> Clock {
        Clock(std::time::Instant::now())
    }

    /// What it shows.
    pub fn now(self) -> Instant {
        Instant::START + self.0.elapsed()
    }
}

/// What the generator itself took while it measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OwnCost {
    /// CPU time of its thread.
    pub cpu: Duration,
    /// The time that this was measured over.
    pub over: Duration,
    /// What its sockets counted; of connections, how many were open at the end.
    pub sockets: Counts,
}

impl OwnCost {
    /// The share of a core.
    pub fn share(&self) -> f64 {
        self.cpu.as_secs_f64() / self.over.as_secs_f64().max(1e-9)
    }
}

/// Whether a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watching {
    /// It does.
    GoOn,
    /// Somebody wants it to end.
    Stop,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ended {
    /// It was run to its end, or to where it was stopped.
    Over(OwnCost),
    /// No datagram ever came back.
    Unreachable,
}

/// Runs to the end. `watch` sees the run a few times a second.
pub fn drive(
    run: &mut Run,
    sockets: &mut Sockets,
    mut protected: Option<&mut Protected>,
    clock: Clock,
    mut watch: impl FnMut(&Run, Instant) -> Watching,
) -> Ended {
    let began = clock.now();
    let mut watched = began;
    let mut meter = Meter::default();
    let before = counts(sockets, &protected);
    loop {
        let now = clock.now();
        run.advance(now);
        sockets.tick(now);
        send(run, sockets, &mut protected);
        meter.look(run.phase(), now);
        let mut came = sockets.receive(|remote, bytes| run.generator.receive(now, remote, bytes));
        if let Some(protected) = &mut protected {
            came += protected.receive(now, &mut run.generator);
        }
        send(run, sockets, &mut protected);
        if now.since(watched) >= WATCH_EVERY || run.phase() == Phase::Over {
            watched = now;
            if watch(run, now) == Watching::Stop {
                run.stop(now);
            }
            if run.generator.received == 0 && now.since(began) > SILENCE_MAX {
                return Ended::Unreachable;
            }
        }
        let Some(next) = run.next() else { break };
        let now = clock.now();
        if came == 0 && next > now {
            let until = next.min(watched + WATCH_EVERY);
            let is_open_waiting = protected.as_ref().is_some_and(|protected| !protected.open.is_empty());
            let has_waiting = is_open_waiting || !run.generator.outbox.is_empty();
            sockets.wait(
                until.since(now),
                has_waiting,
                protected.as_ref().map(|protected| protected.as_fd()),
            );
        }
    }
    if run.generator.received == 0 {
        return Ended::Unreachable;
    }
    Ended::Over(OwnCost { sockets: counts(sockets, &protected).since(before), ..meter.cost() })
}

/// Sends what waits: through associations, where UEs have them.
fn send(run: &mut Run, sockets: &mut Sockets, protected: &mut Option<&mut Protected>) {
    match protected {
        Some(protected) => {
            protected.send(&mut run.generator);
            sockets.send(&mut protected.open);
        }
        None => sockets.send(&mut run.generator.outbox),
    }
}

/// What all sockets have counted.
fn counts(sockets: &Sockets, protected: &Option<&mut Protected>) -> Counts {
    let counts = sockets.counts();
    let refused = protected.as_ref().map_or(0, |protected| protected.refused);
    Counts { refused: counts.refused + refused, ..counts }
}

/// Reads the CPU time when measuring begins and when it ends.
#[derive(Debug, Default)]
struct Meter {
    began: Option<(Instant, Duration)>,
    ended: Option<(Instant, Duration)>,
}

impl Meter {
    fn look(&mut self, phase: Phase, now: Instant) {
        match phase {
            Phase::Measuring if self.began.is_none() => self.began = Some((now, thread_time())),
            Phase::Draining | Phase::Over if self.ended.is_none() => self.ended = Some((now, thread_time())),
            _ => {}
        }
    }

    fn cost(&self) -> OwnCost {
        let (Some((began, from)), Some((ended, to))) = (self.began, self.ended) else {
            return OwnCost::default();
        };
        OwnCost { cpu: to.saturating_sub(from), over: ended.since(began), ..OwnCost::default() }
    }
}

/// CPU time of the calling thread since it began; of a run, that is the one that drives it and that `watch` is called on.
pub fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

/// How often somebody looks.
const WATCH_EVERY: Duration = Duration::from_millis(250);
/// When nothing has ever come back for so long, nobody is there.
const SILENCE_MAX: Duration = Duration::from_secs(10);
