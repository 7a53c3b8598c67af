//! What recording a forwarded message costs: once as it came, once as it left.

use crate::cases::Round;
use ambient::{Instant, Now, Wall};
use cscf::flow::{Transport, Trust};
use cscf::trace::{Tap, Way};
use recorder::{Function, Node, Rule};

/// A request within a dialog, of 1200 octets, into a ring that has long gone round.
pub fn message() -> Round {
    let node = Node { function: Function::Pcscf, name: String::new() };
    let mut tap = Tap::new(node, &Rule::default()).expect("by default everything is recorded");
    let mut bytes = b"INFO sip:bob@example.org SIP/2.0\r\nCall-ID: a\r\nX: ".to_vec();
    bytes.resize(1200, b'x');
    let way = Way {
        ends: (([127, 0, 0, 10], 5060).into(), ([127, 0, 0, 1], 5060).into()),
        transport: Transport::Udp,
        trust: Trust::Outside,
        secured: None,
    };
    let mut micros = 0;
    Box::new(move || {
        micros += 1;
        let now = Now { instant: Instant::from_micros(micros), wall: Wall::from_millis(1_700_000_000_000) };
        tap.message(now, false, way, &bytes);
        tap.message(now, true, way, &bytes);
    })
}
