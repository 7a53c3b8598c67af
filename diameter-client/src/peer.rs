//! The peer state machine of RFC 6733 §5.6: who may talk on which of two connections.
//!
//! ```text
//!                Start                  I-Rcv-Conn-Ack              I-Rcv-CEA
//!   Closed ---------------> WaitConnAck ---------------> WaitICea ---------------> IOpen
//!     |                         | R-Conn-CER                | R-Conn-CER             | Stop, I-Rcv-DPR
//!     |                         v            I-Rcv-Conn-Ack v                        v
//!     |                   WaitConnAckElect ---------> WaitReturns                 Closing ----> Closed
//!     |                         | I-Rcv-Conn-Nack           | Win-Election           ^
//!     |    R-Conn-CER           v                           v                        | Stop, R-Rcv-DPR
//!     +------------------------------------------------> ROpen ----------------------+
//! ```
//!
//! I is the connection that we initiate, R the one that the peer initiates and we respond on. Messages other than CER,
//! CEA, DPR and DPA change no state; [`PeerState::open_side`] says on which connection they may travel.

/// One of the two connections that may stand between two peers for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The connection that we initiated.
    Initiator,
    /// The connection that the peer initiated.
    Responder,
}

/// State of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerState {
    /// No connection.
    Closed,
    /// Our connection is being opened.
    WaitConnAck,
    /// Our CER went out.
    WaitICea,
    /// Our connection is being opened, and the peer's CER is here.
    WaitConnAckElect,
    /// Our CER went out, and the peer's CER is here: the election decides.
    WaitReturns,
    /// Open on the peer's connection.
    ROpen,
    /// Open on our connection.
    IOpen,
    /// A DPR was sent or answered.
    Closing,
}

/// What happens to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerEvent {
    /// We want to be connected.
    Start,
    /// We want to be disconnected.
    Stop,
    /// The state took too long.
    Timeout,
    /// The peer connected and sent an acceptable CER.
    RConnCer,
    /// Our connection stands.
    IRcvConnAck,
    /// Our connection could not be had.
    IRcvConnNack,
    /// A successful CEA on our connection.
    IRcvCea,
    /// Anything but a successful CEA on our connection.
    IRcvNonCea,
    /// Our identity is the higher one.
    WinElection,
    /// A DPR.
    RcvDpr(Side),
    /// A DPA.
    RcvDpa(Side),
    /// The connection is gone.
    PeerDisc(Side),
}

/// What the endpoint does about it, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAction {
    /// Open our connection.
    ISndConnReq,
    /// Take the peer's connection as this peer's.
    RAccept,
    /// Close the connection that the CER came on, and keep to what stands.
    RReject,
    /// Send CER on our connection.
    ISndCer,
    /// Send CEA on the peer's connection.
    RSndCea,
    /// Compare identities (RFC 6733 §5.6.4).
    Elect,
    /// Send DPR.
    SndDpr(Side),
    /// Send DPA.
    SndDpa(Side),
    /// Close one connection.
    Disc(Side),
    /// Close whatever is open: something went wrong.
    Error,
}

impl PeerState {
    /// The connection on which messages travel, while the peer is open.
    pub fn open_side(self) -> Option<Side> {
        match self {
            PeerState::IOpen => Some(Side::Initiator),
            PeerState::ROpen => Some(Side::Responder),
            _ => None,
        }
    }

    /// The state that follows and what to do on the way.
    pub fn step(self, event: PeerEvent) -> (PeerState, &'static [PeerAction]) {
        use PeerAction::*;
        use PeerEvent::*;
        use PeerState::*;
        use Side::*;
        match (self, event) {
            (Closed, Start) => (WaitConnAck, &[ISndConnReq]),
            (Closed, RConnCer) => (ROpen, &[RAccept, RSndCea]),
            // Nothing is connected: what still arrives belongs to a connection that was closed.
            (Closed, Stop | Timeout | IRcvConnAck | IRcvConnNack | IRcvCea | IRcvNonCea | WinElection) => {
                (Closed, &[])
            }
            (Closed, RcvDpr(_) | RcvDpa(_) | PeerDisc(_)) => (Closed, &[]),

            (WaitConnAck, IRcvConnAck) => (WaitICea, &[ISndCer]),
            (WaitConnAck, IRcvConnNack | PeerDisc(Initiator)) => (Closed, &[]),
            (WaitConnAck, RConnCer) => (WaitConnAckElect, &[RAccept]),
            (WaitConnAck, Stop | Timeout) => (Closed, &[Error]),
            // Nothing can be read before the connection stands, and there is no other one.
            (WaitConnAck, Start | IRcvCea | IRcvNonCea | WinElection | RcvDpr(_) | RcvDpa(_)) => (self, &[]),
            (WaitConnAck, PeerDisc(Responder)) => (self, &[]),

            (WaitICea, IRcvCea) => (IOpen, &[]),
            (WaitICea, RConnCer) => (WaitReturns, &[RAccept, Elect]),
            (WaitICea, PeerDisc(Initiator)) => (Closed, &[Disc(Initiator)]),
            (WaitICea, IRcvNonCea | RcvDpr(Initiator) | RcvDpa(Initiator) | Stop | Timeout) => {
                (Closed, &[Error])
            }
            // Connected once already, and the peer has no connection of its own.
            (WaitICea, Start | IRcvConnAck | IRcvConnNack | WinElection) => (self, &[]),
            (WaitICea, RcvDpr(Responder) | RcvDpa(Responder) | PeerDisc(Responder)) => (self, &[]),

            (WaitConnAckElect, IRcvConnAck) => (WaitReturns, &[ISndCer, Elect]),
            (WaitConnAckElect, IRcvConnNack | PeerDisc(Initiator)) => (ROpen, &[RSndCea]),
            (WaitConnAckElect, PeerDisc(Responder)) => (WaitConnAck, &[Disc(Responder)]),
            (WaitConnAckElect, RConnCer) => (self, &[RReject]),
            (WaitConnAckElect, Stop | Timeout) => (Closed, &[Error]),
            // The peer waits for our CEA and we for our connection: nothing else may come.
            (WaitConnAckElect, Start | IRcvCea | IRcvNonCea | WinElection | RcvDpr(_) | RcvDpa(_)) => {
                (self, &[])
            }

            (WaitReturns, WinElection | PeerDisc(Initiator)) => (ROpen, &[Disc(Initiator), RSndCea]),
            // Not in the RFC's table: our connection is of no use, the peer's is.
            (WaitReturns, IRcvNonCea | RcvDpr(Initiator) | RcvDpa(Initiator)) => {
                (ROpen, &[Disc(Initiator), RSndCea])
            }
            (WaitReturns, IRcvCea) => (IOpen, &[Disc(Responder)]),
            (WaitReturns, PeerDisc(Responder)) => (WaitICea, &[Disc(Responder)]),
            (WaitReturns, RConnCer) => (self, &[RReject]),
            (WaitReturns, Stop | Timeout) => (Closed, &[Error]),
            // Connected once already, and the peer waits for our CEA.
            (WaitReturns, Start | IRcvConnAck | IRcvConnNack | RcvDpr(Responder) | RcvDpa(Responder)) => {
                (self, &[])
            }

            (ROpen, Stop) => (Closing, &[SndDpr(Responder)]),
            (ROpen, RcvDpr(Responder)) => (Closing, &[SndDpa(Responder)]),
            (ROpen, PeerDisc(Responder)) => (Closed, &[Disc(Responder)]),
            (ROpen, RConnCer) => (self, &[RReject]),
            // Open, and our own connection was closed or never opened.
            (ROpen, Start | Timeout | IRcvConnAck | IRcvConnNack | IRcvCea | IRcvNonCea | WinElection) => {
                (self, &[])
            }
            (ROpen, RcvDpr(Initiator) | RcvDpa(_) | PeerDisc(Initiator)) => (self, &[]),

            (IOpen, Stop) => (Closing, &[SndDpr(Initiator)]),
            (IOpen, RcvDpr(Initiator)) => (Closing, &[SndDpa(Initiator)]),
            (IOpen, PeerDisc(Initiator)) => (Closed, &[Disc(Initiator)]),
            (IOpen, RConnCer) => (self, &[RReject]),
            // Open, and the peer's own connection was closed or never opened.
            (IOpen, Start | Timeout | IRcvConnAck | IRcvConnNack | IRcvCea | IRcvNonCea | WinElection) => {
                (self, &[])
            }
            (IOpen, RcvDpr(Responder) | RcvDpa(_) | PeerDisc(Responder)) => (self, &[]),

            (Closing, RcvDpa(Initiator) | PeerDisc(Initiator)) => (Closed, &[Disc(Initiator)]),
            (Closing, RcvDpa(Responder) | PeerDisc(Responder)) => (Closed, &[Disc(Responder)]),
            (Closing, Timeout) => (Closed, &[Error]),
            (Closing, RConnCer) => (self, &[RReject]),
            // Not in the RFC's table: both sides say goodbye at once, and each gets its answer.
            (Closing, RcvDpr(Initiator)) => (self, &[SndDpa(Initiator)]),
            (Closing, RcvDpr(Responder)) => (self, &[SndDpa(Responder)]),
            // It ends by itself; what else is read is a late message.
            (Closing, Start | Stop | IRcvConnAck | IRcvConnNack | IRcvCea | IRcvNonCea | WinElection) => {
                (self, &[])
            }
        }
    }
}

/// Whether we keep the connection that the peer initiated: when our identity is the higher one (RFC 6733 §5.6.4).
pub fn wins_election(own_host: &str, peer_host: &str) -> bool {
    own_host.to_ascii_lowercase().as_bytes() > peer_host.to_ascii_lowercase().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::PeerEvent::*;
    use super::PeerState::*;
    use super::Side::*;
    use super::*;
    use std::fmt::Write;

    const STATES: [PeerState; 8] =
        [Closed, WaitConnAck, WaitICea, WaitConnAckElect, WaitReturns, ROpen, IOpen, Closing];
    const EVENTS: [PeerEvent; 15] = [
        Start,
        Stop,
        Timeout,
        RConnCer,
        IRcvConnAck,
        IRcvConnNack,
        IRcvCea,
        IRcvNonCea,
        WinElection,
        RcvDpr(Initiator),
        RcvDpr(Responder),
        RcvDpa(Initiator),
        RcvDpa(Responder),
        PeerDisc(Initiator),
        PeerDisc(Responder),
    ];

    /// RFC 6733 §5.6: every pair, so that a change of one is seen.
    #[test]
    fn every_pair_of_state_and_event_is_as_recorded() {
        let mut table = String::new();
        for state in STATES {
            for event in EVENTS {
                let (next, actions) = state.step(event);
                writeln!(table, "{state:?} + {event:?} -> {next:?} {actions:?}").unwrap();
            }
        }
        let recorded = include_str!("peer/table.txt");
        assert_eq!(table, recorded, "the table changed; if that is wanted, record this:\n{table}");
    }

    #[test]
    fn exactly_one_of_two_peers_wins_the_election() {
        for (a, b) in [("hss.example", "scscf.example"), ("HSS.example", "icscf.example"), ("a", "aa")] {
            assert_ne!(wins_election(a, b), wins_election(b, a));
        }
        assert!(!wins_election("hss.example", "HSS.EXAMPLE"));
    }
}
