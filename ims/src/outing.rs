//! `ims register`, `ims call` and `ims message`: phones of subscribers against a core that runs elsewhere.

use crate::arguments::{Call, Message, Register, Running};
use crate::core::Tracing;
use crate::exit::Failure;
use crate::phone::{PAUSE, Phone};
use crate::roster::{Roster, dialled};
use crate::screen;
use crate::settings;
use cscf::emergency;
use cscf::ladder::{Kind, Ladder};
use shell::Clock;
use std::time::Instant;
use ue::Fault;

/// Carries out `ims register A`.
pub fn register(register: &Register) -> Result<(), Failure> {
    let Register { subscriber, fault, running } = register;
    with_faulty_phones(running, [subscriber], *fault, |[phone], until| leave(phone, running, until))
}

/// Carries out `ims call A B`.
pub fn call(call: &Call) -> Result<(), Failure> {
    if emergency::service(call.called.as_bytes()).is_some() {
        return call_for_help(call);
    }
    with_phones(&call.running, [&call.caller, &call.called], |[caller, called], until| {
        screen::line(format_args!("{} calls {}", caller.name(), called.dialled()));
        let number = caller.call(called.dialled(), until)?;
        called.answered(until)?;
        screen::line(format_args!("{} has answered; they talk for {:?}", called.name(), call.talk));
        std::thread::sleep(call.talk);
        caller.hang_up(number)?;
        caller.ended(until + call.talk)?;
        called.ended(until + call.talk)?;
        screen::line(format_args!("{} has hung up", caller.name()));
        std::thread::sleep(PAUSE);
        caller.deregister(until + call.talk)?;
        called.deregister(until + call.talk)
    })
}

/// Carries out `ims call A urn:service:sos`.
fn call_for_help(call: &Call) -> Result<(), Failure> {
    with_phones(&call.running, [&call.caller], |[caller], until| {
        screen::line(format_args!("{} calls {}", caller.name(), call.called));
        let number = caller.call(&call.called, until)?;
        screen::line(format_args!("a PSAP has answered; they talk for {:?}", call.talk));
        std::thread::sleep(call.talk);
        caller.hang_up(number)?;
        caller.ended(until + call.talk)?;
        screen::line(format_args!("{} has hung up", caller.name()));
        std::thread::sleep(PAUSE);
        leave(caller, &call.running, until + call.talk)
    })
}

/// De-registers a phone, unless it is registered for emergencies: that ends by its time alone.
fn leave(phone: &mut Phone, running: &Running, until: Instant) -> Result<(), Failure> {
    if running.entry.emergency { Ok(()) } else { phone.deregister(until) }
}

/// Carries out `ims message A B TEXT`.
pub fn message(message: &Message) -> Result<(), Failure> {
    with_phones(&message.running, [&message.sender, &message.receiver], |[sender, receiver], until| {
        sender.message(receiver.dialled(), &message.text, until)?;
        let text = receiver.receive(until)?;
        screen::line(format_args!("{} received from {}: {text}", receiver.name(), sender.name()));
        sender.deregister(until)?;
        receiver.deregister(until)
    })
}

/// Switches on and registers the phones of `names`, lets `story` happen, and switches them off.
fn with_phones<const N: usize>(
    running: &Running,
    names: [&String; N],
    story: impl FnOnce(&mut [Phone; N], Instant) -> Result<(), Failure>,
) -> Result<(), Failure> {
    with_faulty_phones(running, names, None, story)
}

/// As [`with_phones`], of phones that do something wrong.
fn with_faulty_phones<const N: usize>(
    running: &Running,
    names: [&String; N],
    fault: Option<Fault>,
    story: impl FnOnce(&mut [Phone; N], Instant) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let config = settings::read(running.config.as_deref())?;
    let roster = Roster::of(&config)?;
    let clock = Clock::start();
    let tracing = if running.ladder { Tracing::On } else { Tracing::Off };
    let mut started = Vec::new();
    for name in names {
        let subscriber = roster.find(name, &config)?;
        let phone = Phone::start(subscriber, &config, (&running.entry, running.profile), clock, tracing)?;
        if let Some(fault) = fault {
            phone.does_wrong(fault)?;
        }
        started.push(phone.dialled_as(dialled(name, subscriber, &config)?));
    }
    let Ok(mut phones) = <[Phone; N]>::try_from(started) else {
        return Err(Failure::Failed("a phone did not start".to_owned()));
    };
    let until = Instant::now() + running.timeout;
    let told = registered(&mut phones, until).and_then(|()| story(&mut phones, until));
    let mut ladder = Ladder::new();
    let columns = phones.each_ref().map(|phone| phone.column(&mut ladder));
    // The P-CSCF is drawn by what the phones receive from it.
    ladder.column("P-CSCF", Kind::Cscf, config.pcscf.listen.iter().map(|local| local.address));
    for (column, phone) in columns.into_iter().zip(phones) {
        ladder.report(column, phone.stop()?);
    }
    if running.ladder {
        screen::show(format_args!("{}", ladder.draw()));
    }
    told
}

fn registered(phones: &mut [Phone], until: Instant) -> Result<(), Failure> {
    for phone in phones {
        let (identities, expires_s) = phone.register(until)?;
        screen::line(format_args!(
            "{} is registered for {expires_s} s as {}",
            phone.name(),
            identities.join(", ")
        ));
    }
    Ok(())
}
