//! Texts, from who writes them (RFC 3428). The UE that gets one answers in [`crate::call`], as one that is called.

use crate::generator::Generator;
use crate::measure::Cause;
use crate::operation::Step;
use ambient::Instant;

impl Generator {
    /// Sends a MESSAGE.
    pub(crate) fn start_message(&mut self, now: Instant, slot: u32) {
        let peer = self.operations[slot as usize].peer;
        self.operations[slot as usize].step = Step::Sending;
        let to = self.population.ue(peer).identity.clone();
        let (sender, operation) = self.next_sender(slot);
        sender.message(&to, &mut operation.request.bytes);
        self.send_request(now, slot);
    }

    /// A response to a MESSAGE.
    pub(crate) fn message_answered(&mut self, now: Instant, slot: u32, status: u16) {
        match status {
            ..200 => {}
            200..300 => self.succeed(now, slot),
            _ => self.fail(now, slot, Cause::Refused("MESSAGE", status)),
        }
    }
}
