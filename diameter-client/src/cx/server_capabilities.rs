//! Server-Capabilities: what an S-CSCF must have to serve a user (TS 29.229 §6.3.4).

use super::Fault;
use super::body::Body;
use crate::dictionary::avp;
use crate::wire::Writer;

/// What the I-CSCF selects an S-CSCF by. The numbers mean what the operator says they mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerCapabilities {
    /// Mandatory-Capability: a server without one of these is not chosen (TS 29.228 §6.7).
    pub mandatory: Vec<u32>,
    /// Optional-Capability: the more of these the better.
    pub optional: Vec<u32>,
    /// Server-Name: when there is one, the numbers are not looked at.
    pub server_names: Vec<String>,
}

impl ServerCapabilities {
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.group(&avp::SERVER_CAPABILITIES, |w| {
            for &capability in &self.mandatory {
                w.unsigned32(&avp::MANDATORY_CAPABILITY, capability);
            }
            for &capability in &self.optional {
                w.unsigned32(&avp::OPTIONAL_CAPABILITY, capability);
            }
            w.texts(&avp::SERVER_NAME, &self.server_names);
        });
    }

    pub(crate) fn take(body: &mut Body<'_>) -> Result<Option<ServerCapabilities>, Fault> {
        body.group_if(&avp::SERVER_CAPABILITIES, |inside| {
            Ok(ServerCapabilities {
                mandatory: inside.unsigned32s(&avp::MANDATORY_CAPABILITY)?,
                optional: inside.unsigned32s(&avp::OPTIONAL_CAPABILITY)?,
                server_names: inside.texts(&avp::SERVER_NAME)?,
            })
        })
    }
}
