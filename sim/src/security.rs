//! ESP of a simulated host: the back end `memory`. Packets between protected ports are real ESP, sealed at one host and
//! opened at the other; what does not open is dropped and counted there.

use ambient::{Entropy, Wall};
use cscf::query::{Secure, SecureFailure};
use ipsec::{Encapsulation, NotInstalled, Protocol, Refusal, SaSet, Sad, Selector, Spi, Usage, udp};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// How far the associations of a set had come when that was last written down: what outlives a crash.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    received: [u32; 2],
    sent: [u32; 2],
    outer: Option<SocketAddr>,
}

/// The marks of a host, by the SPI of its server port: they are on its disk.
pub type Marks = BTreeMap<Spi, Mark>;

/// The associations of one host, in one of its lives.
pub struct Esp {
    sad: Sad,
    sets: BTreeMap<Spi, SaSet>,
    clear_refused: u64,
    /// Packets since the marks were written; `None` when a set is newer than they are.
    unwritten: Option<u32>,
}

/// How an ESP packet came.
#[derive(Clone, Copy, Debug)]
pub enum Origin {
    /// On IP.
    Ip(IpAddr),
    /// In UDP.
    Udp(SocketAddr),
}

/// What leaves a host.
#[derive(Debug)]
pub enum Leaving {
    /// As it is.
    Clear(Vec<u8>),
    /// As an ESP packet; in UDP between these outer ends, where there is a tunnel.
    Esp(Vec<u8>, Option<Selector>),
    /// Nothing: its association has no sequence number left.
    Nothing,
}

impl Esp {
    /// No associations.
    pub fn new(entropy: Entropy) -> Esp {
        Esp { sad: Sad::new(entropy), sets: BTreeMap::new(), clear_refused: 0, unwritten: None }
    }

    /// Does what a machine asks for.
    pub fn secure(&mut self, wish: Secure, marks: &mut Marks) -> Result<(), SecureFailure> {
        match wish {
            Secure::Install(set) => self.install(*set),
            Secure::Adopt(set) if self.sets.contains_key(&set.own_spi_s) => Ok(()),
            Secure::Adopt(set) => {
                let name = set.own_spi_s;
                self.install(*set)?;
                if let Some(Mark { received, sent, outer }) = marks.get(&name) {
                    // What was sent since the mark was written must not be sent again: to the peer it is a replay.
                    self.sad.resume(name, *received, sent.map(|sent| sent.saturating_add(MARKED_EVERY)));
                    if let Some(outer) = outer {
                        self.sad.resume_outer(name, *outer);
                    }
                }
                Ok(())
            }
            // The world has what left.
            Secure::Repeat(_) => Ok(()),
            Secure::Remove(set) => {
                self.sad.remove(set.own_spi_s);
                self.sets.remove(&set.own_spi_s);
                marks.remove(&set.own_spi_s);
                Ok(())
            }
        }
    }

    fn install(&mut self, set: SaSet) -> Result<(), SecureFailure> {
        self.sad.install(&set).map_err(|why| {
            SecureFailure(
                match why {
                    NotInstalled::SpiInUse => "the SPI is in use",
                    NotInstalled::SelectorInUse => "the ports are in use",
                    NotInstalled::Algorithms => "the algorithms do not go together",
                    NotInstalled::Encapsulation => "the encapsulation is not known",
                }
                .to_owned(),
            )
        })?;
        self.sets.insert(set.own_spi_s, set);
        self.unwritten = None;
        Ok(())
    }

    /// A datagram or a piece of a stream leaves between two ports.
    pub fn leave(&mut self, ends: Selector, protocol: Protocol, payload: Vec<u8>, now: Wall) -> Leaving {
        if !self.is_protected(ends) {
            return Leaving::Clear(payload);
        }
        let header = match protocol {
            Protocol::Udp => udp::header(ends.local, ends.remote, &payload).map(|header| header.to_vec()),
            Protocol::Tcp => {
                Some([ends.local.port().to_be_bytes(), ends.remote.port().to_be_bytes()].concat())
            }
        };
        let mut packet = Vec::new();
        let sealed = header
            .map(|header| self.sad.protect(&ends, protocol, &[&header, &payload], now, &mut packet).is_ok());
        if sealed == Some(true) { Leaving::Esp(packet, self.outer(ends)) } else { Leaving::Nothing }
    }

    /// Between what a tunnel goes that carries what is between two ports.
    pub fn outer(&self, ends: Selector) -> Option<Selector> {
        match self.sad.encapsulation(&ends)? {
            Encapsulation::UdpTunnel { local, remote } => Some(Selector { local, remote }),
            Encapsulation::Transport => None,
        }
    }

    /// What an ESP packet holds, and between which ports it goes; `None` when it is refused.
    pub fn open(
        &mut self,
        origin: Origin,
        packet: &mut [u8],
        now: Wall,
    ) -> Option<(Selector, Protocol, Vec<u8>)> {
        let accepted = match origin {
            Origin::Ip(source) => self.sad.accept(source, packet, now).ok()?,
            Origin::Udp(source) => self.sad.accept_encapsulated(source, packet, now).ok()?,
        };
        let header = match accepted.protocol {
            Protocol::Udp => 8,
            Protocol::Tcp => 4,
        };
        Some((accepted.association.selector, accepted.protocol, accepted.payload.get(header..)?.to_vec()))
    }

    /// Whether an association carries what goes between two ports.
    pub fn is_protected(&self, ends: Selector) -> bool {
        self.sad.inbound(&ends).is_some()
    }

    /// Whether what comes in clear is let in: not at a protected port, wherever it is from (TS 33.203 §7.1).
    pub fn lets_in(&mut self, local: SocketAddr) -> bool {
        let is_protected = self.sets.values().any(|set| {
            set.own_ip == local.ip() && [set.own_client_port, set.own_server_port].contains(&local.port())
        });
        self.clear_refused += u64::from(is_protected);
        !is_protected
    }

    /// Writes down how far the associations are, now and then; at once when a set is new or taken up again, for a second
    /// crash may come before the next time.
    pub fn mark(&mut self, marks: &mut Marks) {
        let has_moved = |(name, mark): (&Spi, &Mark)| mark.outer != self.sad.outer(*name).or(mark.outer);
        let is_unknown = marks.iter().any(has_moved);
        if let Some(unwritten) = &mut self.unwritten {
            *unwritten += 1;
            if *unwritten < MARKED_EVERY && !is_unknown {
                return;
            }
        }
        self.unwritten = Some(0);
        // Those of sets that are still to be adopted stay.
        marks.extend(self.sets.keys().filter_map(|name| {
            let (received, sent) = self.sad.sequences(*name)?;
            Some((*name, Mark { received, sent, outer: self.sad.outer(*name) }))
        }));
    }

    /// What each association has carried.
    pub fn usage(&self) -> Vec<Usage> {
        self.sad.usage().collect()
    }

    /// The sets that stand.
    pub fn sets(&self) -> impl Iterator<Item = &SaSet> {
        self.sets.values()
    }

    /// How many packets were refused for a reason.
    pub fn refused(&self, reason: Refusal) -> u64 {
        self.sad.refused(reason)
    }

    /// How much came in clear between protected ports, and was not let in.
    pub fn clear_refused(&self) -> u64 {
        self.clear_refused
    }
}

/// After how many packets the marks are written.
const MARKED_EVERY: u32 = 64;

#[cfg(test)]
mod tests;
