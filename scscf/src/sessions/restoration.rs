//! The 504 that makes a UE register again (TS 24.229 §5.4.3.2, §7.6): its registration here is lost.

use super::OwnRoutes;
use crate::role::Scscf;
use cscf::{Incoming, Turn};
use sip_core::{Name, Status};

const BODY: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
    <ims-3gpp version=\"1\"><alternative-service><type>restoration</type>\
    <reason>registration lost</reason><action>initial-registration</action></alternative-service></ims-3gpp>\r\n";

impl Scscf {
    /// Answers a request that came by a Service-Route of ours for a user who is not registered here.
    pub(super) fn ask_to_register(&self, turn: &mut Turn<'_, Scscf>, request: &Incoming, own: &OwnRoutes) {
        turn.count("session", "registration lost");
        // TS 24.229 §5.1.2A.1.6: the UE believes it only from a URI of its Service-Route.
        let uri = String::from_utf8_lossy(own.top_uri(&request.message)).into_owned();
        turn.reply(request, Status::SERVER_TIMEOUT, |response| {
            response
                .header(Name::PAssertedIdentity, format_args!("<{uri}>"))
                .body("application/3gpp-ims+xml", BODY.as_bytes())
        });
    }
}
