//! A capabilities exchange with each HSS (RFC 6733 §5.3), as our S-CSCF would have it: connect, CER, CEA, and leave.

use super::facts::{PeerAnswer, PeerSaid};
use ambient::{Entropy, Instant, Now, Wall};
use cscf::assembly;
use cscf::config::{Config, DiameterPeer};
use diameter_client::endpoint::{
    Endpoint, EndpointConfig, EndpointInput, EndpointOutput, PeerConfig, PeerRole, StreamTransport,
};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Asks each HSS of the configuration, one after the other.
pub fn ask(config: &Config, running: &BTreeSet<&'static str>, within: Duration) -> Vec<PeerAnswer> {
    // While our S-CSCF runs its name is taken: a second connection of the same name would end the first.
    let host = match running.contains("scscf") {
        true => format!("doctor.{}", config.home.realm()),
        false => config.scscf.diameter_host.clone(),
    };
    let one = |peer: &DiameterPeer| PeerAnswer {
        host: peer.host.clone(),
        address: peer.address,
        said: match peer.transport {
            StreamTransport::Tcp => exchange(config, &host, peer, within),
            StreamTransport::Sctp | StreamTransport::Tls => PeerSaid::NotAsked("only TCP is tried"),
        },
    };
    config.diameter.hss.iter().map(one).collect()
}

fn exchange(config: &Config, host: &str, peer: &DiameterPeer, within: Duration) -> PeerSaid {
    let mut stream = match TcpStream::connect_timeout(&peer.address, within) {
        Ok(stream) => stream,
        Err(error) => return PeerSaid::Silent(error.to_string()),
    };
    let own = stream.local_addr().map(|address| address.ip());
    let timeout = stream.set_read_timeout(Some(within)).and(stream.set_write_timeout(Some(within)));
    let own = match (own, timeout) {
        (Ok(own), Ok(())) => own,
        (Err(error), _) | (_, Err(error)) => return PeerSaid::Silent(error.to_string()),
    };
    let peers = vec![PeerConfig {
        host: Some(peer.host.clone()),
        realm: peer.realm.clone(),
        addr: peer.address,
        transport: peer.transport,
        role: PeerRole::Connect,
        priority: 0,
    }];
    let endpoint = EndpointConfig { peers, ..assembly::endpoint_config(config, host, vec![own]) };
    converse(&mut stream, Endpoint::new(endpoint, Entropy::seeded(u64::from(std::process::id()))))
}

/// Lets the endpoint speak over the one connection until it knows what the peer is.
fn converse(stream: &mut TcpStream, mut endpoint: Endpoint) -> PeerSaid {
    let began = std::time::Instant::now();
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall = Wall::from_millis(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX));
    let now = || Now { instant: Instant::START + began.elapsed(), wall };
    let mut own = None;
    let mut is_closed = false;
    let mut is_up = false;
    endpoint.handle(now(), EndpointInput::Start);
    let mut octets = [0; 4096];
    // A handshake has few messages; who says more says nothing of it.
    for _ in 0..ROUNDS_MAX {
        while let Some(output) = endpoint.poll_output() {
            match output {
                EndpointOutput::Connect { conn, .. } if own.is_none() => {
                    own = Some(conn);
                    endpoint.handle(now(), EndpointInput::Connected { conn });
                }
                EndpointOutput::Send { bytes, .. } => {
                    if let Err(error) = stream.write_all(&bytes) {
                        return PeerSaid::Silent(error.to_string());
                    }
                }
                EndpointOutput::PeerUp { .. } => {
                    is_up = true;
                    endpoint.handle(now(), EndpointInput::Stop);
                }
                EndpointOutput::PeerDown { reason, .. } if !is_up => return PeerSaid::Refused(reason),
                EndpointOutput::Close { .. } => is_closed = true,
                EndpointOutput::Connect { .. }
                | EndpointOutput::PeerDown { .. }
                | EndpointOutput::Answer { .. }
                | EndpointOutput::Request { .. } => {}
            }
        }
        if is_up {
            return PeerSaid::Up;
        }
        let Some(conn) = own.filter(|_| !is_closed) else {
            return PeerSaid::Refused("it does not take us: its CEA is no success".to_owned());
        };
        match stream.read(&mut octets) {
            Ok(0) => return PeerSaid::Refused("it closed the connection at our CER".to_owned()),
            Ok(read) => endpoint.handle(now(), EndpointInput::Bytes { conn, bytes: &octets[..read] }),
            Err(error) => return PeerSaid::Silent(format!("no CEA: {error}")),
        }
    }
    PeerSaid::Silent("no CEA among many messages".to_owned())
}

/// How often more is read.
const ROUNDS_MAX: usize = 32;
