//! What a phone is told when the HSS says nothing, or nothing that can be read: for each command of Cx.

use carillon_tests::story::{header, refusal, settled};
use sim::{Fate, Ims, Phone};
use std::time::Duration;
use ue::Notice;

/// What the HSS does to the answers of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// It never sends them.
    Silent,
    /// Their first AVP is longer than the message (RFC 6733 §4.1).
    Unreadable,
}

/// The commands of Cx (TS 29.229 §6.1).
const UAR: u8 = 44;
const SAR: u8 = 45;
const LIR: u8 = 46;
const MAR: u8 = 47;

/// Has the HSS do that to every answer of a command: 256 and this number is its code.
fn trouble_with(ims: &mut Ims, command: u8, trouble: Trouble) {
    ims.world.set_tamper(move |from, _, bytes| {
        let is_answer = bytes.len() > 28 && bytes[4] & 0x80 == 0 && bytes[5..8] == [0, 1, command];
        if from != "hss" || !is_answer {
            return Fate::Pass;
        }
        if trouble == Trouble::Silent {
            return Fate::Drop;
        }
        bytes[25..28].fill(0xff);
        Fate::Pass
    });
}

/// Lets the connection that lost an answer be taken for dead and opened anew, with an HSS that is well.
fn heal(ims: &mut Ims) {
    ims.world.clear_tamper();
    ims.advance(Duration::from_secs(150));
}

fn alice_is_registered(seed: u64) -> (Ims, Phone, Phone) {
    let mut ims = Ims::seeded(seed);
    let (alice, bob) = (ims.phone(), ims.phone());
    ims.register_well(&alice);
    (ims, alice, bob)
}

/// TS 24.229 §5.3.1.3 at the I-CSCF; at the S-CSCF a silent HSS is a 504 and one in error a 500, as other cores have it.
#[test]
fn a_registration_is_refused_with_the_status_of_the_step_that_failed() {
    let table = [
        (UAR, Trouble::Silent, 504),
        (UAR, Trouble::Unreadable, 504),
        (MAR, Trouble::Silent, 504),
        (MAR, Trouble::Unreadable, 500),
        (SAR, Trouble::Silent, 504),
        (SAR, Trouble::Unreadable, 500),
    ];
    for (command, trouble, status) in table {
        let (mut ims, alice, bob) = alice_is_registered(70);
        trouble_with(&mut ims, command, trouble);
        let notice = ims.register(&bob);
        assert_eq!(refusal(&notice), status, "{command} {trouble:?}: {notice:?}\n{}", ims.ladder());
        assert_eq!(ims.contacts(&bob), 0, "{command} {trouble:?}");
        let refused = ims.received("bob", &format!("{status}"));
        assert!(header(&refused[0], "Warning").is_some(), "{command} {trouble:?}: {refused:?}");
        heal(&mut ims);
        ims.register_well(&bob);
        settled(ims, &[&alice, &bob]);
    }
}

/// TS 24.229 §5.3.2.1, §5.4.3.3: whoever writes to somebody who is not registered needs the LIR and the SAR of the
/// callee's S-CSCF.
#[test]
fn a_message_is_refused_with_the_status_of_the_question_that_failed() {
    let table = [
        // The I-CSCF asks the S-CSCFs in turn, and one of them can still find out that nobody is there.
        (LIR, Trouble::Silent, 480),
        (LIR, Trouble::Unreadable, 504),
        (SAR, Trouble::Silent, 504),
        (SAR, Trouble::Unreadable, 500),
    ];
    for (command, trouble, status) in table {
        let (mut ims, alice, bob) = alice_is_registered(71);
        trouble_with(&mut ims, command, trouble);
        let notice = ims.message(&alice, &bob.tel, "hello?");
        assert_eq!(refusal(&notice), status, "{command} {trouble:?}: {notice:?}\n{}", ims.ladder());
        heal(&mut ims);
        ims.register_well(&bob);
        let notice = ims.message(&alice, &bob.tel, "hello?");
        assert!(matches!(notice, Notice::MessageSent { .. }), "{command} {trouble:?}: {notice:?}");
        settled(ims, &[&alice, &bob]);
    }
}
