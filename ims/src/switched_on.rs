//! `ims ue`: a phone that registers and stays, answers calls, and tells what happens.

use crate::arguments::{Entry, Ue};
use crate::core::Tracing;
use crate::exit::Failure;
use crate::phone::Phone;
use crate::roster::Roster;
use crate::{screen, settings};
use cscf::ladder::{Kind, Ladder};
use cscf::reginfo::{Contact, Reginfo, Registration};
use shell::Clock;
use std::time::{Duration, Instant};
use ue::{Deregistration, Ending, Notice, Watching};

/// Carries out `ims ue`: de-registers and returns once `is_asked_to_stop` says so.
pub fn run(ue: &Ue, is_asked_to_stop: impl Fn() -> bool) -> Result<(), Failure> {
    let config = settings::read(ue.running.config.as_deref())?;
    let roster = Roster::of(&config)?;
    let subscriber = roster.find(&ue.subscriber, &config)?;
    let tracing = if ue.running.ladder { Tracing::On } else { Tracing::Off };
    let watching = if ue.watch { Watching::OwnRegistration } else { Watching::Nothing };
    let entry = Entry { watching, ..ue.running.entry.clone() };
    let mut phone = Phone::start(subscriber, &config, (&entry, ue.running.profile), Clock::start(), tracing)?;
    let told = stay(&mut phone, ue.running.timeout, is_asked_to_stop).and_then(|()| {
        match ue.running.entry.emergency {
            // It ends by its time alone.
            true => Ok(()),
            false => leave(&mut phone, ue.running.timeout),
        }
    });
    let mut ladder = Ladder::new();
    let column = phone.column(&mut ladder);
    ladder.column("P-CSCF", Kind::Cscf, config.pcscf.listen.iter().map(|local| local.address));
    ladder.report(column, phone.stop()?);
    if ue.running.ladder {
        screen::show(format_args!("{}", ladder.draw()));
    }
    told
}

fn stay(phone: &mut Phone, timeout: Duration, is_asked_to_stop: impl Fn() -> bool) -> Result<(), Failure> {
    let (identities, expires_s) = phone.register(Instant::now() + timeout)?;
    screen::line(told(
        phone.name(),
        &Notice::Registered { identities, service_route: Vec::new(), expires_s, refresh: false },
    ));
    while !is_asked_to_stop() {
        if let Some(notice) = phone.next(LOOK) {
            screen::line(told(phone.name(), &notice));
        }
        if phone.has_ended() {
            return Err(Failure::Failed("the phone has ended; its log says why".to_owned()));
        }
    }
    Ok(())
}

fn leave(phone: &mut Phone, timeout: Duration) -> Result<(), Failure> {
    phone.deregister(Instant::now() + timeout)?;
    screen::line(told(phone.name(), &Notice::Deregistered(Deregistration::Confirmed)));
    Ok(())
}

/// What a phone says, as a line.
pub fn told(name: &str, notice: &Notice) -> String {
    let said = match notice {
        Notice::Registered { identities, expires_s, refresh, .. } => {
            let again = if *refresh { "registered anew" } else { "registered" };
            format!("is {again} for {expires_s} s as {}", identities.join(", "))
        }
        Notice::RegistrationFailed(failure) => format!("could not register: {failure}"),
        Notice::Deregistered(Deregistration::Confirmed) => "is de-registered".to_owned(),
        Notice::Deregistered(Deregistration::Unconfirmed) => {
            "is de-registered, and the network has not said so".to_owned()
        }
        Notice::Deregistered(Deregistration::Expired) => "has lost its registration: it ran out".to_owned(),
        Notice::Deregistered(Deregistration::ByNetwork) => {
            "has lost its registration: the network ended it".to_owned()
        }
        Notice::RegistrationTold(reginfo) => heard(reginfo),
        Notice::NotWatched(Some(status)) => format!("cannot watch its registration: {status}"),
        Notice::NotWatched(None) => "cannot watch its registration: no answer".to_owned(),
        Notice::IncomingCall { call, from, .. } => format!("is called by {from} (call {})", call.0),
        Notice::Established { call, .. } => format!("talks (call {})", call.0),
        Notice::Ended { call, ending: Ending::Remote } => format!("was hung up on (call {})", call.0),
        Notice::Ended { call, ending } => format!("no longer talks (call {}): {ending:?}", call.0),
        Notice::MessageReceived { from, text } => format!("received from {from}: {text}"),
        other => format!("says {other:?}"),
    };
    format!("{name} {said}")
}

/// What the network tells of a registration: each identity, and what has become of its contacts.
fn heard(reginfo: &Reginfo) -> String {
    let contact = |contact: &Contact| {
        let left = contact.expires_s.filter(|_| !contact.event.is_end());
        let left = left.map(|seconds| format!(" for {seconds} s")).unwrap_or_default();
        format!("{} {}{left}", contact.event.word(), contact.uri)
    };
    let registration = |registration: &Registration| {
        let contacts: Vec<String> = registration.contacts.iter().map(contact).collect();
        format!("{} {} ({})", registration.aor, registration.state.word(), contacts.join(", "))
    };
    let all: Vec<String> = reginfo.registrations.iter().map(registration).collect();
    format!("hears of its registration: {}", all.join("; "))
}

/// How often somebody looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Core, CoreSockets};
    use crate::privilege::has_raw_sockets;
    use cscf::config::{Config, SecurityBackEnd, SecurityPolicy};
    use cscf::identity::Plmn;
    use std::sync::Arc;
    use ue::Handset;

    #[test]
    fn a_phone_of_each_make_stays_until_it_is_told_to_go() {
        phones_stay(SecurityPolicy::Off);
    }

    /// The same through security associations, by our own ESP at both ends.
    #[test]
    fn a_protected_phone_of_each_make_stays_until_it_is_told_to_go() {
        if has_raw_sockets() {
            phones_stay(SecurityPolicy::Required);
        }
    }

    /// Over real sockets, as each make: it stays, takes a call and a text, and leaves when it is told to.
    fn phones_stay(policy: SecurityPolicy) {
        let (sockets, lab) = CoreSockets::free().expect("free ports");
        let mut config = Config::lab_at(&Plmn::test(), &lab);
        config.ipsec.policy = policy;
        config.ipsec.back_end = SecurityBackEnd::Userspace;
        let config = Arc::new(config);
        let roster = Roster::built_in(&config.home);
        let clock = Clock::start();
        let mut core = Core::start(config.clone(), &roster, sockets, clock, Tracing::On).expect("a core");
        core.wait_for_hss(Duration::from_secs(20)).expect("an HSS");
        let until = || Instant::now() + Duration::from_secs(20);
        let entry = Entry::default();
        let phone = |who, handset| {
            let subscriber = roster.find(who, &config).expect("a subscriber");
            Phone::start(subscriber, &config, (&entry, handset), clock, Tracing::Off).expect("a phone")
        };
        for handset in ue::handset::ALL {
            let (mut alice, mut bob) = (phone("alice", handset), phone("bob", Handset::plain()));
            bob.register(until()).expect(handset.name);
            std::thread::scope(|scope| {
                let (done, is_done) = std::sync::mpsc::channel::<()>();
                let staying = scope.spawn(move || {
                    let timeout = Duration::from_secs(20);
                    stay(&mut alice, timeout, || is_done.try_recv().is_ok())
                        .and_then(|()| leave(&mut alice, timeout))
                        .map(|()| alice)
                });
                let mut tries = 0;
                // Alice is registered when the network takes a text for her.
                while bob.message("tel:+49301000001", "are you there?", until()).is_err() {
                    tries += 1;
                    assert!(tries < 200, "{} never registers", handset.name);
                    std::thread::sleep(Duration::from_millis(20));
                }
                let call = bob.call("tel:+49301000001", until()).expect(handset.name);
                bob.hang_up(call).expect(handset.name);
                bob.ended(until()).expect(handset.name);
                done.send(()).expect("it stays");
                let alice = staying.join().expect("no panic").expect(handset.name);
                alice.stop().expect(handset.name);
            });
            bob.deregister(until()).expect(handset.name);
            bob.stop().expect(handset.name);
        }
        core.stop().expect("a core that stops in good order");
    }

    #[test]
    fn what_a_phone_says_is_a_line() {
        let notice =
            Notice::MessageReceived { from: "tel:+49301000002".to_owned(), text: "hello".to_owned() };
        assert_eq!(told("alice", &notice), "alice received from tel:+49301000002: hello");
        assert_eq!(told("alice", &Notice::Deregistered(Deregistration::Confirmed)), "alice is de-registered");
        let text = "<reginfo version=\"1\" state=\"partial\"><registration aor=\"sip:alice@h\" id=\"1\" state=\"active\">\
            <contact id=\"2\" state=\"active\" event=\"shortened\" expires=\"60\"><uri>sip:a@10.0.0.1</uri></contact>\
            <contact id=\"3\" state=\"terminated\" event=\"expired\"><uri>sip:b@10.0.0.2</uri></contact></registration></reginfo>";
        let reginfo = cscf::reginfo::read(text.as_bytes()).expect("reginfo");
        assert_eq!(
            told("alice", &Notice::RegistrationTold(reginfo)),
            "alice hears of its registration: sip:alice@h active (shortened sip:a@10.0.0.1 for 60 s, expired sip:b@10.0.0.2)"
        );
        let refused = Notice::NotWatched(Some(sip_core::Status::FORBIDDEN));
        assert!(told("alice", &refused).starts_with("alice cannot watch its registration: 403"));
    }
}
