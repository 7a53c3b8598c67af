//! Registrations: REGISTER, the challenge, its answer, and what the 200 brings (TS 24.229 §5.1.1).

use crate::challenge;
use crate::generator::Generator;
use crate::measure::{Cause, Part};
use crate::operation::{End, Operation, Step};
use crate::received::{Field, Received, challenge_field, uri};
use crate::request::{Binding, Sender};
use crate::scenario::Scenario;
use crate::token::Token;
use ambient::Instant;

impl Generator {
    /// The first REGISTER of a registration, a refresh or a de-registration.
    pub(crate) fn start_register(&mut self, now: Instant, slot: u32) {
        let operation = &mut self.operations[slot as usize];
        operation.step = Step::Registering;
        let is_initial = operation.scenario == Scenario::Register;
        let ue = self.population.ue_mut(operation.ue);
        if is_initial {
            ue.registrations = ue.registrations.wrapping_add(1);
            ue.cseq = 0;
            ue.routes = Box::default();
        }
        ue.cseq += 1;
        let number = operation.ue;
        if let Some(security) = &mut self.security {
            if is_initial {
                security.forget(number);
            }
            security.offer(number, self.sources.of(number).address);
        }
        let (sender, operation) = self.next_sender(slot);
        match is_initial || sender.ue.authorization.is_empty() {
            true => sender.unchallenged(&mut operation.authorization),
            false => operation.authorization.extend_from_slice(&sender.ue.authorization),
        }
        write_register(&sender, operation);
        self.send_request(now, slot);
    }

    /// A response to a REGISTER.
    pub(crate) fn registered(&mut self, now: Instant, slot: u32, status: u16, received: &Received<'_>) {
        let operation = &mut self.operations[slot as usize];
        match (status, operation.step) {
            (..200, _) => {}
            (200..300, _) => {
                if operation.step == Step::Answering {
                    self.note_part(now, slot, Part::Answer);
                }
                self.accepted(now, slot, received);
            }
            (401, Step::Registering) => {
                operation.request.stop();
                self.note_part(now, slot, Part::Challenge);
                self.challenged(now, slot, received);
            }
            _ => self.fail(now, slot, Cause::Refused("REGISTER", status)),
        }
    }

    fn challenged(&mut self, now: Instant, slot: u32, received: &Received<'_>) {
        let operation = &self.operations[slot as usize];
        let ue = self.population.ue(operation.ue);
        let cnonce = Token { run: self.run, slot, generation: operation.generation, sequence: 0 }.digits();
        let challenge = challenge_field(received).unwrap_or_default();
        match challenge::answer(&ue.card, &ue.impi, &self.setup.registrar, challenge, &cnonce) {
            Ok(answered) => {
                let number = operation.ue;
                let ends = (self.sources.of(number).address.ip(), self.setup.pcscf.ip());
                if let Some(security) = &mut self.security
                    && let Err(why) = security.agree(number, ends, received, (&answered.ck, &answered.ik))
                {
                    return self.fail(now, slot, Cause::Challenge(why));
                }
                self.operations[slot as usize].authorization = answered.authorization;
            }
            Err(why) => return self.fail(now, slot, Cause::Challenge(why)),
        }
        if self.setup.answer_after.is_zero() {
            return self.send_answer(now, slot);
        }
        self.operations[slot as usize].step = Step::Pausing;
        self.wake(slot, End::Caller, now + self.setup.answer_after);
    }

    /// The REGISTER with the answer to the challenge.
    pub(crate) fn send_answer(&mut self, now: Instant, slot: u32) {
        let operation = &mut self.operations[slot as usize];
        operation.step = Step::Answering;
        self.population.ue_mut(operation.ue).cseq += 1;
        let (sender, operation) = self.next_sender(slot);
        write_register(&sender, operation);
        self.send_request(now, slot);
    }

    fn accepted(&mut self, now: Instant, slot: u32, received: &Received<'_>) {
        let operation = &self.operations[slot as usize];
        let is_gone = operation.scenario == Scenario::Deregister;
        let (pcscf, parameter) = (self.setup.pcscf, self.setup.transport.uri_parameter());
        let ue = self.population.ue_mut(operation.ue);
        if let Some(security) = &mut self.security {
            match is_gone {
                true => security.forget(operation.ue),
                false => security.accepted(operation.ue),
            }
        }
        if is_gone {
            ue.routes = Box::default();
            ue.authorization = Box::default();
            return self.succeed(now, slot);
        }
        let mut routes = format!("Route: <sip:{pcscf}{parameter};lr>\r\n").into_bytes();
        for route in received.all(Field::ServiceRoute) {
            routes.extend_from_slice(b"Route: ");
            routes.extend_from_slice(route);
            routes.extend_from_slice(b"\r\n");
        }
        // Boxes are as long as their content; what stays the same over refreshes is not allocated anew.
        if *ue.routes != *routes {
            ue.routes = routes.into();
        }
        ue.authorization = operation.authorization.as_slice().into();
        // A SIP identity is what a caller dials and calls itself by; without one, the registered identity is it.
        let identity = received.all(Field::PAssociatedUri).map(uri).find(|uri| uri.starts_with(b"sip:"));
        if let Some(identity) = identity.filter(|identity| **identity != *ue.identity) {
            ue.identity = identity.into();
        }
        self.succeed(now, slot);
    }
}

fn write_register(sender: &Sender<'_>, operation: &mut Operation) {
    let binding = match operation.scenario {
        Scenario::Deregister => Binding::Removed,
        _ => Binding::Kept,
    };
    sender.register(&operation.authorization, binding, &mut operation.request.bytes);
}
