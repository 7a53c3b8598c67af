//! What a message means, in one line, for somebody who does not know the procedure by heart.

use crate::traffic::Traffic;
use recorder::{Function, Protocol};

/// One line about a message from one function to another.
pub fn of(traffic: &Traffic, protocol: Protocol, from: Function, to: Function) -> &'static str {
    match protocol {
        Protocol::Diameter => diameter(traffic, from),
        Protocol::Sip if traffic.is_request() => request(traffic, from, to),
        Protocol::Sip => response(traffic, to),
    }
}

fn diameter(traffic: &Traffic, from: Function) -> &'static str {
    let failed = traffic.cause.is_some();
    match (traffic.method.as_str(), traffic.is_request(), failed) {
        ("CE", true, _) => "Two Diameter peers tell each other what they can do",
        ("CE", false, false) => "The peer is accepted",
        ("CE", false, true) => "The peer is not accepted",
        ("DW", _, _) => "Are you there? The watchdog of a Diameter connection",
        ("DP", _, _) => "A Diameter peer says goodbye",
        ("U", true, _) => "I-CSCF asks whether the user may register, and which S-CSCF has the user",
        ("U", false, false) => {
            "The user may register; the answer names an S-CSCF or what one must be able to do"
        }
        ("U", false, true) => "The HSS does not let the user register",
        ("M", true, _) => "S-CSCF asks for a vector to challenge the user with",
        ("M", false, false) => "RAND and AUTN for the challenge; what they prove stays in the S-CSCF",
        ("M", false, true) => "The HSS has no vector for the user",
        ("S", true, _) => "S-CSCF tells that it serves the user, and asks for the profile",
        ("S", false, false) => "The profile: identities and filter criteria",
        ("S", false, true) => "The HSS does not assign the user to this S-CSCF",
        ("LI", true, _) => "I-CSCF asks which S-CSCF serves the called user",
        ("LI", false, false) => "The S-CSCF of the called user",
        ("LI", false, true) => "Nobody serves the called user",
        ("RT", true, _) => "HSS ends a registration",
        ("PP", true, _) => "HSS pushes a changed profile",
        (_, true, _) if from == Function::Hss => "HSS asks the S-CSCF",
        (_, true, _) => "A CSCF asks the HSS",
        (_, false, true) => "The other end refuses",
        (_, false, false) => "Done",
    }
}

fn request(traffic: &Traffic, from: Function, to: Function) -> &'static str {
    use Function::{ApplicationServer, Ecscf, Hss, Icscf, Other, Pcscf, Scscf, Ue};
    match (traffic.method.as_str(), from, to) {
        ("REGISTER", Ue | Other, _) if traffic.is_deregistration => "The phone leaves the network",
        ("REGISTER", Ue | Other, _) => "The phone asks to be registered",
        ("REGISTER", Pcscf, _) => {
            "P-CSCF adds its Path and the visited network, and looks for the home network"
        }
        ("REGISTER", Icscf, _) => "I-CSCF has chosen the S-CSCF",
        ("REGISTER", Scscf, _) => "S-CSCF tells an application server that the user is registered",
        ("INVITE", Ue | Other, Pcscf) => "The phone calls",
        ("INVITE", Pcscf, Scscf) => {
            "P-CSCF asserts who calls, and follows the Service-Route to the S-CSCF of the caller"
        }
        ("INVITE", Scscf, ApplicationServer) => {
            "A filter criterion matches: the call visits an application server"
        }
        ("INVITE", ApplicationServer, _) => "The application server sends the call back into the network",
        ("INVITE", Scscf, Icscf) => {
            "The caller's services are done: on to the home network of the called user"
        }
        ("INVITE", Icscf, _) => "I-CSCF sends the call to the S-CSCF of the called user",
        ("INVITE", Scscf, Pcscf) => "S-CSCF puts the contact into the Request-URI, and follows the Path",
        ("INVITE", Pcscf, Ecscf) => "An emergency: P-CSCF sends it to the E-CSCF",
        ("INVITE", Pcscf, _) => "P-CSCF rings the called phone",
        ("INVITE", Ecscf | Hss | Scscf | Ue | Other, _) => "A call, or a change of one",
        ("ACK", ..) => "The caller has got the final response",
        ("PRACK", ..) => "The caller has got the provisional response (RFC 3262)",
        ("UPDATE", ..) => "The session is changed before or in the call: media, preconditions or its timer",
        ("BYE", ..) => "Somebody hangs up",
        ("CANCEL", ..) => "The caller hangs up before the answer",
        ("MESSAGE", ..) => "A text",
        ("SUBSCRIBE", ..) => "Asks to be told about changes",
        ("NOTIFY", ..) => "Tells what has changed",
        ("PUBLISH", ..) => "Publishes a state",
        ("OPTIONS", ..) => "Asks what the other end can do",
        ("REFER", ..) => "Asks the other end to call somebody",
        ("INFO", ..) => "Something about the call",
        _ => "A request",
    }
}

fn response(traffic: &Traffic, to: Function) -> &'static str {
    let code = traffic.result.unwrap_or_default();
    match (code, traffic.method.as_str()) {
        (100, _) => "Received, and under way: the request is not sent again",
        (180, _) => "The called phone rings",
        (181, _) => "The call is diverted",
        (183, _) => "The session is being prepared: media or preconditions of the called phone",
        (101..=199, _) => "Under way",
        (401, "REGISTER") if to == Function::Ue => {
            "The challenge: prove that you have the key of the card (AKA)"
        }
        (401, "REGISTER") => "The challenge goes back to the phone; the P-CSCF keeps CK and IK",
        (401 | 407, _) => "Prove who you are",
        (494, _) => "Agree on security first (RFC 3329)",
        (200, "REGISTER") if traffic.is_deregistration => "The registration has ended",
        (200, "REGISTER") => "Registered: identities, Service-Route and time",
        (200, "INVITE") => "The call is answered",
        (200, "BYE") => "The call is over",
        (200, "PRACK" | "UPDATE") => "Agreed",
        (202, _) => "Taken for delivery",
        (200..=299, "MESSAGE") => "The text has arrived",
        (200..=299, _) => "Done",
        (300..=399, _) => "Try another place",
        (403, _) => "Refused: not allowed",
        (404, _) => "Nobody has this identity",
        (408, _) => "Nobody answered in time",
        (480, _) => "The called user cannot be reached: not registered, or no answer",
        (486 | 600, _) => "Busy",
        (487, _) => "Ended before the answer, as the caller wished",
        (488 | 606, _) => "No common media",
        (503, _) => "Cannot be served at the moment",
        (504, _) => "Somebody behind did not answer in time",
        (500..=599, _) => "A server failed",
        _ => "Refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request_of(method: &str) -> Traffic {
        Traffic { method: method.to_owned(), ..Traffic::default() }
    }

    #[test]
    fn the_same_request_means_another_thing_on_each_hop() {
        let invite = request_of("INVITE");
        let said = |from, to| of(&invite, Protocol::Sip, from, to);
        assert_eq!(said(Function::Ue, Function::Pcscf), "The phone calls");
        assert!(said(Function::Scscf, Function::ApplicationServer).contains("filter criterion"));
        assert!(said(Function::Scscf, Function::Pcscf).contains("Path"));
    }

    #[test]
    fn an_answer_means_another_thing_when_it_refuses() {
        let mut answer = Traffic { result: Some(2001), ..request_of("U") };
        let said = |answer: &Traffic| of(answer, Protocol::Diameter, Function::Hss, Function::Icscf);
        assert!(said(&answer).starts_with("The user may register"));
        answer.cause = Some("UAA 5001".to_owned());
        assert!(said(&answer).starts_with("The HSS does not let"));
    }
}
