//! A request within a dialog and its 200, through one node: what must not allocate.

use crate::cases::Round;
use crate::rig::Rig;
use crate::template::Template;
use cscf::Role;
use cscf::flow::Source;

/// One request within a dialog, again and again.
pub struct Within {
    /// The request.
    pub request: Template,
    /// Its method; an ACK is not answered.
    pub method: &'static str,
    /// Who sends it.
    pub from: Source,
    /// Who gets it, and answers.
    pub to: Source,
}

impl Within {
    /// The case, at a node that knows the dialog.
    pub fn on<R: Role + 'static>(self, mut rig: Rig<R>) -> Round {
        let mut ok = None;
        Box::new(move || {
            let serial = rig.next_round();
            rig.receive(self.from, &self.request, serial);
            let forwarded = rig.expect(self.method);
            if self.method == "ACK" {
                return;
            }
            let ok = ok.get_or_insert_with(|| Template::answer(forwarded, serial, "200 OK", ""));
            rig.receive_answer(self.to, ok, serial);
            rig.expect("SIP/2.0 200 ");
        })
    }
}
