//! What the transport layer asks of the node above it and of the driver below.

use crate::flow::{Flow, Source};
use crate::input::Ticket;
use crate::station::WireOutput;

/// What the transport layer asks of what is above and below it, in order.
#[derive(Debug)]
pub enum TransportOutput {
    /// A whole message came.
    Message {
        /// Where it came from.
        source: Source,
        /// The message.
        bytes: Vec<u8>,
    },
    /// A connection is gone.
    FlowLost(Flow),
    /// A message with a ticket could not be sent, or was lost with its connection.
    SendFailed {
        /// As given to [`Transports::send`]; never zero.
        ticket: Ticket,
        /// For an operator.
        why: &'static str,
    },
    /// For the driver.
    Wire(WireOutput),
}
