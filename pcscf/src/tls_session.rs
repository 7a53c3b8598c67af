//! TLS connections that a UE has registered by (TS 33.203 §O.2.2): each is bound to one private identity.

use cscf::{Flow, Reject, Source, Transport};
use sip_core::Status;
use std::collections::BTreeMap;

/// The connections with the private identities that were authenticated over them. There are no more than connections.
#[derive(Debug, Default)]
pub struct TlsSessions(BTreeMap<Flow, Box<str>>);

/// How far a REGISTER over TLS is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsSession {
    /// Nobody has registered by this connection.
    Pending,
    /// Its own user has.
    Complete,
}

impl TlsSessions {
    /// Whether a REGISTER for `impi` came over TLS, and how far its connection is bound; another user's is refused.
    pub fn of(&self, source: &Source, impi: Option<&str>) -> Result<Option<TlsSession>, Reject> {
        if source.transport != Transport::Tls {
            return Ok(None);
        }
        match self.0.get(&source.flow) {
            None => Ok(Some(TlsSession::Pending)),
            Some(bound) if impi == Some(bound) => Ok(Some(TlsSession::Complete)),
            Some(_) => Err(Reject::new(Status::FORBIDDEN, "private identity of another TLS connection")),
        }
    }

    /// A user has registered.
    pub fn registered(&mut self, source: &Source, impi: Box<str>) {
        if source.transport == Transport::Tls {
            self.0.insert(source.flow, impi);
        }
    }

    /// A connection is gone.
    pub fn flow_lost(&mut self, flow: Flow) {
        self.0.remove(&flow);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binding::tests::source;

    #[test]
    fn a_connection_is_bound_to_the_user_who_registered_by_it_until_it_is_gone() {
        let mut sessions = TlsSessions::default();
        let tls = source(Transport::Tls, "10.0.0.1:40001");
        assert_eq!(sessions.of(&tls, Some("alice")).ok(), Some(Some(TlsSession::Pending)));
        sessions.registered(&tls, "alice".into());
        assert_eq!(sessions.of(&tls, Some("alice")).ok(), Some(Some(TlsSession::Complete)));
        for other in [Some("bob"), None] {
            let refused = sessions.of(&tls, other).map_err(|reject| reject.status);
            assert_eq!(refused, Err(Status::FORBIDDEN), "{other:?}");
        }
        sessions.flow_lost(tls.flow);
        assert_eq!(sessions.of(&tls, Some("bob")).ok(), Some(Some(TlsSession::Pending)));
    }

    #[test]
    fn what_comes_without_tls_has_no_session() {
        let mut sessions = TlsSessions::default();
        let clear = source(Transport::Tcp, "10.0.0.1:40001");
        sessions.registered(&clear, "alice".into());
        assert_eq!(sessions.of(&clear, Some("bob")).ok(), Some(None));
    }
}
