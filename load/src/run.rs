//! One run: register who must be, warm up, measure, let what is under way end.

use crate::arrivals::{Arrivals, Rate, Spacing, unit};
use crate::generator::Generator;
use crate::scenario::{Mix, Scenario};
use ambient::{Entropy, Instant};
use std::time::Duration;

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the UEs do.
    pub mix: Mix,
    /// How often, all scenarios together.
    pub rate: Rate,
    /// How that is spaced.
    pub spacing: Spacing,
    /// How long the UEs that were registered do nothing before the load.
    pub pause: Duration,
    /// How long the load runs before anything counts.
    pub warmup: Duration,
    /// How long it counts.
    pub duration: Duration,
    /// Registrations per second before the load, and of UEs that lost theirs by the load.
    pub register_rate: f64,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// UEs register, and nothing counts.
    Preparing,
    /// They are registered, and do nothing.
    Pausing,
    /// The load runs, and nothing counts.
    WarmingUp,
    /// The load runs and counts.
    Measuring,
    /// Nothing begins any more.
    Draining,
    /// Nothing is under way any more.
    Over,
}

impl Phase {
    /// Its name for the eye.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Preparing => "registering",
            Phase::Pausing => "idle",
            Phase::WarmingUp => "warming up",
            Phase::Measuring => "measuring",
            Phase::Draining => "draining",
            Phase::Over => "over",
        }
    }
}

/// A run under way.
#[derive(Debug)]
pub struct Run {
    /// The UEs and what they do.
    pub generator: Generator,
    plan: Plan,
    phase: Phase,
    entropy: Entropy,
    arrivals: Arrivals,
    /// When the next UE registers in the background.
    next_background: Instant,
    paused_until: Instant,
    /// When measuring begins and ends; known once the UEs are registered.
    begins: Instant,
    ends: Instant,
    drained_by: Instant,
}

impl Run {
    /// A run that begins at `now`. Where UEs must be registered first, the load begins after that.
    pub fn new(now: Instant, generator: Generator, plan: Plan, mut entropy: Entropy) -> Run {
        let arrivals = Arrivals::new(now, Duration::ZERO, plan.rate, plan.spacing, entropy.fork());
        let mut run = Run {
            generator,
            plan,
            phase: Phase::Preparing,
            entropy,
            arrivals,
            next_background: now,
            paused_until: now,
            begins: now,
            ends: now,
            drained_by: now,
        };
        if !run.needs_registration() {
            run.load(now);
        }
        run
    }

    /// Another run with the same UEs, which stay registered.
    pub fn again(self, now: Instant, plan: Plan) -> Run {
        let Run { mut generator, entropy, .. } = self;
        generator.start_over();
        Run::new(now, generator, plan, entropy)
    }

    /// Where it is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// When measuring began; and when it ended or will end.
    pub fn measured(&self) -> (Instant, Instant) {
        (self.begins, self.ends)
    }

    /// The rate that is wanted at a time.
    pub fn rate_at(&self, now: Instant) -> f64 {
        match self.phase {
            Phase::WarmingUp | Phase::Measuring => self.arrivals.rate_at(now),
            Phase::Preparing => self.plan.register_rate,
            Phase::Pausing | Phase::Draining | Phase::Over => 0.0,
        }
    }

    /// Begins what is due.
    pub fn advance(&mut self, now: Instant) {
        self.generator.tick(now);
        match self.phase {
            Phase::Preparing => {
                self.register_more(now);
                let is_done = self.generator.population.absent() == 0 && self.generator.background() == 0;
                if is_done && self.plan.pause.is_zero() {
                    self.load(now);
                } else if is_done {
                    self.paused_until = now + self.plan.pause;
                    self.begins = self.paused_until + self.plan.warmup;
                    self.phase = Phase::Pausing;
                }
            }
            Phase::Pausing => {
                if now >= self.paused_until {
                    self.load(now);
                }
            }
            Phase::WarmingUp | Phase::Measuring => {
                if self.needs_registration() {
                    self.register_more(now);
                }
                while let Some(scheduled) = self.arrivals.pop_due(now) {
                    let scenario = self.plan.mix.at(unit(&mut self.entropy));
                    self.generator.start(now, scenario, scheduled, scheduled >= self.begins);
                }
                if self.phase == Phase::WarmingUp && now >= self.begins {
                    self.phase = Phase::Measuring;
                }
                if self.arrivals.next().is_none() && now >= self.ends {
                    self.stop(now);
                }
            }
            Phase::Draining => {
                if self.generator.in_flight() == 0 || now >= self.drained_by {
                    self.generator.abandon(now);
                    self.generator.measures.finish();
                    self.phase = Phase::Over;
                }
            }
            Phase::Over => {}
        }
    }

    /// When [`Run::advance`] is to be called at the latest; `None` when the run is over.
    pub fn next(&self) -> Option<Instant> {
        let own = match self.phase {
            Phase::Preparing => self.has_room().then_some(self.next_background),
            Phase::Pausing => Some(self.paused_until),
            Phase::WarmingUp => Some(self.arrivals.next().unwrap_or(self.ends).min(self.begins)),
            Phase::Measuring => Some(self.arrivals.next().unwrap_or(self.ends)),
            Phase::Draining => Some(self.drained_by),
            Phase::Over => return None,
        };
        let wake = self.generator.next_wake();
        Some(match (own, wake) {
            (Some(own), Some(wake)) => own.min(wake),
            (own, wake) => own.or(wake).unwrap_or(self.drained_by),
        })
    }

    /// Nothing begins from here on.
    pub fn stop(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Draining | Phase::Over) {
            return;
        }
        let setup = self.generator.setup();
        // INVITE and BYE may each take 64·T1, and the call in between.
        self.drained_by = now + setup.t1 * 130 + setup.talk + setup.ring + setup.answer_after;
        if self.phase != Phase::Measuring {
            self.begins = now;
        }
        self.ends = self.ends.min(now).max(self.begins);
        self.phase = Phase::Draining;
    }

    /// Whether the mix needs UEs that are registered, and does not register them itself.
    fn needs_registration(&self) -> bool {
        !self.plan.mix.has(Scenario::Register)
    }

    fn has_room(&self) -> bool {
        self.generator.background() < BACKGROUND_MAX && self.generator.population.absent() > 0
    }

    fn register_more(&mut self, now: Instant) {
        let pause = Duration::from_secs_f64(1.0 / self.plan.register_rate);
        if now.since(self.next_background) > BEHIND_MAX {
            // Held up by the bound on what is under way: what was missed is not made up for.
            self.next_background = now;
        }
        while self.next_background <= now && self.has_room() {
            self.generator.start_background(now);
            self.next_background = self.next_background + pause;
        }
    }

    fn load(&mut self, now: Instant) {
        let Plan { rate, spacing, warmup, duration, .. } = self.plan;
        self.begins = now + warmup;
        self.ends = self.begins + duration;
        self.arrivals = Arrivals::new(now, warmup + duration, rate, spacing, self.entropy.fork());
        self.generator.measures.begin(self.begins);
        self.phase = if warmup.is_zero() { Phase::Measuring } else { Phase::WarmingUp };
    }
}

/// Registrations under way at once before the load: enough to keep a core busy, too few to flood it.
const BACKGROUND_MAX: usize = 128;
/// Registrations that are behind by more than this are not made up for.
const BEHIND_MAX: Duration = Duration::from_millis(20);
