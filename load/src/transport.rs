//! What the UEs speak to the P-CSCF over (RFC 3261 §18).

use std::fmt;

/// What SIP goes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams.
    #[default]
    Udp,
    /// A connection for each UE, which both ends use (RFC 5626 §4.3).
    Tcp,
}

impl Transport {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        }
    }

    /// Whether what was sent arrives: then no request is sent again (RFC 3261 §17.1.1.2, §17.1.2.2).
    pub fn is_reliable(self) -> bool {
        self == Transport::Tcp
    }

    /// As a Via says it.
    pub(crate) fn in_via(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
        }
    }

    /// The parameter of a URI that is reached by it (RFC 3261 §19.1.1); UDP is understood.
    pub(crate) fn uri_parameter(self) -> &'static str {
        match self {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
