//! `ims demo`: a core on free ports, two phones, and everything that they do to each other.

use crate::arguments::{Demo, Entry};
use crate::core::{Core, CoreSockets, Tracing};
use crate::exit::Failure;
use crate::phone::{PAUSE, Phone};
use crate::roster::Roster;
use crate::screen;
use cscf::config::Config;
use cscf::identity::Plmn;
use cscf::ladder::Ladder;
use shell::Clock;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ue::Handset;

/// Carries out `ims demo`.
pub fn run(demo: &Demo) -> Result<(), Failure> {
    let (sockets, lab) = CoreSockets::free()?;
    let config = Arc::new(Config::lab_at(&Plmn::test(), &lab));
    let roster = Roster::built_in(&config.home);
    let clock = Clock::start();
    let mut core = Core::start(config.clone(), &roster, sockets, clock, Tracing::On)?;
    core.wait_for_hss(STEP_MAX)?;
    let (entry, plain) = (Entry::default(), Handset::plain());
    let phone = |who| Phone::start(roster.find(who, &config)?, &config, (&entry, plain), clock, Tracing::On);
    let (mut alice, mut bob) = (phone("alice")?, phone("bob")?);
    let mut ladder = Ladder::new();
    let columns = (alice.column(&mut ladder), bob.column(&mut ladder), core.columns(&mut ladder));

    let story = act(demo, &mut alice, &mut bob);

    ladder.report(columns.0, alice.stop()?);
    ladder.report(columns.1, bob.stop()?);
    for (column, events) in columns.2.into_iter().zip(core.stop()?) {
        ladder.report(column, events);
    }
    screen::show(format_args!("{}", if demo.list { ladder.list() } else { ladder.draw() }));
    story?;
    if !demo.list {
        screen::line(format_args!(
            "\n{} messages on Gm, Mw and Cx: registered, sent a message, called, talked for {:?}, hung up, de-registered.",
            ladder.count(),
            demo.talk
        ));
    }
    Ok(())
}

/// What alice and bob do.
fn act(demo: &Demo, alice: &mut Phone, bob: &mut Phone) -> Result<(), Failure> {
    let soon = || Instant::now() + STEP_MAX;
    alice.register(soon())?;
    bob.register(soon())?;
    alice.message(bob.dialled(), TEXT, soon())?;
    let text = bob.receive(soon())?;
    if text != TEXT {
        return Err(Failure::Failed(format!("bob received {text:?}, and not {TEXT:?}")));
    }
    let call = alice.call(bob.dialled(), soon())?;
    bob.answered(soon())?;
    std::thread::sleep(demo.talk);
    alice.hang_up(call)?;
    alice.ended(soon())?;
    bob.ended(soon())?;
    std::thread::sleep(PAUSE);
    alice.deregister(soon())?;
    bob.deregister(soon())
}

const TEXT: &str = "Hello Bob";
/// How long one step may take: far more than it does on a busy machine.
const STEP_MAX: Duration = Duration::from_secs(20);
