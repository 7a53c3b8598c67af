//! The 504 that makes a UE register again (TS 24.229 §5.2.6.3, §7.6): its S-CSCF does not answer.

use crate::Pcscf;
use crate::binding::BindingId;
use crate::gm;
use cscf::{Reject, Turn};
use sip_core::{Name, Status};

const BODY: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
    <ims-3gpp version=\"1\"><alternative-service><type>restoration</type>\
    <reason>S-CSCF does not answer</reason><action>initial-registration</action></alternative-service></ims-3gpp>\r\n";

/// The refusal of a request that the UE of this binding made outside a dialog.
pub fn refusal(pcscf: &Pcscf, turn: &Turn<'_, Pcscf>, id: BindingId) -> Reject {
    let reject = Reject::new(Status::SERVER_TIMEOUT, gm::SILENT_CORE);
    match pcscf.bindings.get(id) {
        // TS 24.229 §5.1.2A.1.6: the UE believes it only from a URI of its Path or Service-Route.
        Some(binding) => {
            let token = gm::path_token(turn, id, binding.hop().remote.ip());
            let path = gm::path_uri(pcscf, turn, &token);
            reject.header(Name::PAssertedIdentity, format!("<{path}>")).body("application/3gpp-ims+xml", BODY)
        }
        None => reject,
    }
}
