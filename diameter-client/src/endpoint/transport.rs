//! What carries a connection (RFC 6733 §2.1).

use std::fmt;

/// What carries a connection: a stream of bytes in each case, as the endpoint sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamTransport {
    /// TCP.
    #[default]
    Tcp,
    /// SCTP, which TS 29.229 §5.4 names as the transport of Cx.
    Sctp,
    /// TLS over TCP. SIP has it (RFC 3261 §26.2.1); no Diameter peer is connected so.
    Tls,
}

impl fmt::Display for StreamTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StreamTransport::Tcp => "tcp",
            StreamTransport::Sctp => "sctp",
            StreamTransport::Tls => "tls",
        })
    }
}
