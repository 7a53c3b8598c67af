//! The four transaction machines, as a table of every state and event.
//!
//! `CARILLON_BLESS=1 cargo test -p sip-core --test transaction` writes the table anew: read its difference against the
//! figures of RFC 3261 §17 and RFC 6026.

use sip_core::transaction::{Class, Step, Timer};
use sip_core::transaction::{invite_client, invite_server, non_invite_client, non_invite_server};
use std::fmt::Debug;
use std::path::Path;

const CLASSES: [Class; 3] = [Class::Provisional, Class::Success, Class::Failure];

fn table<S: Copy + Debug + PartialEq, E: Copy + Debug>(
    name: &str,
    states: &[S],
    events: &[E],
    on: impl Fn(S, E) -> Step<S>,
    out: &mut String,
) {
    *out += &format!("{name}\n");
    for state in states {
        for event in events {
            let Step { state: next, actions } = on(*state, *event);
            let quiet = next == *state && actions.is_empty();
            let outcome = if quiet { "-".to_owned() } else { format!("{next:?} {actions:?}") };
            *out += &format!("  {:<12}{:<24}{outcome}\n", format!("{state:?}"), format!("{event:?}"));
        }
    }
    out.push('\n');
}

fn machines() -> String {
    let mut out = String::new();
    {
        use invite_client::{Event, State::*, on};
        let mut events: Vec<Event> = CLASSES.map(Event::Response).to_vec();
        events.extend([Timer::A, Timer::B, Timer::D, Timer::M].map(Event::Timer));
        events.push(Event::TransportError);
        table(
            "INVITE client",
            &[Calling, Proceeding, Completed, Accepted, Terminated],
            &events,
            on,
            &mut out,
        );
    }
    {
        use non_invite_client::{Event, State::*, on};
        let mut events: Vec<Event> = CLASSES.map(Event::Response).to_vec();
        events.extend([Timer::E, Timer::F, Timer::K].map(Event::Timer));
        events.push(Event::TransportError);
        table("non-INVITE client", &[Trying, Proceeding, Completed, Terminated], &events, on, &mut out);
    }
    {
        use invite_server::{Event, State::*, on};
        let mut events = vec![Event::Request, Event::Ack];
        events.extend(CLASSES.map(Event::Respond));
        events.extend([Timer::G, Timer::H, Timer::I, Timer::L].map(Event::Timer));
        events.push(Event::TransportError);
        let states = [Proceeding, Completed, Confirmed, Accepted, Terminated];
        table("INVITE server", &states, &events, on, &mut out);
    }
    {
        use non_invite_server::{Event, State::*, on};
        let mut events = vec![Event::Request];
        events.extend(CLASSES.map(Event::Respond));
        events.push(Event::Timer(Timer::J));
        events.push(Event::TransportError);
        table("non-INVITE server", &[Trying, Proceeding, Completed, Terminated], &events, on, &mut out);
    }
    out
}

#[test]
fn every_pair_of_state_and_event_does_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transaction/machines.txt");
    let drawn = machines();
    if std::env::var_os("CARILLON_BLESS").is_some() {
        std::fs::write(&path, &drawn).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), drawn);
}

/// RFC 3261 §17.1.1.3: each retransmission of the final response is acknowledged again, and passed up once only.
#[test]
fn a_repeated_failure_is_acknowledged_and_not_passed_again() {
    use invite_client::{Event, State, on};
    use sip_core::transaction::Action;
    let first = on(State::Proceeding, Event::Response(Class::Failure));
    assert!(first.actions.contains(&Action::SendAck) && first.actions.contains(&Action::Pass));
    let again = on(first.state, Event::Response(Class::Failure));
    assert_eq!(again.actions, [Action::SendAck]);
}
