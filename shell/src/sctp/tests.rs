//! SCTP where there is some, and what is said where there is none. `tests/sctp.rs` runs a whole core over it.

use super::*;
use crate::sockets::{Binding, Sockets, Speaks};
#[cfg(feature = "sctp")]
use std::io::{Read, Write};
#[cfg(feature = "sctp")]
use std::net::TcpStream;

fn point(text: &str) -> Binding {
    Binding { speaks: Speaks::DiameterSctp, address: text.parse().unwrap() }
}

#[test]
fn without_sctp_nothing_is_bound_and_the_remedy_is_told() {
    if probe().is_ok() {
        return;
    }
    let tcp = Sockets::bind([Binding::diameter("127.0.0.1:0".parse().unwrap())]).unwrap().addresses()[0];
    let error = Sockets::bind([tcp, point("127.0.0.1:3868")]).unwrap_err().to_string();
    let remedy = if cfg!(feature = "sctp") { "`modprobe sctp`" } else { "`--features sctp`" };
    assert!(error.starts_with("cannot listen for Diameter on sctp at 127.0.0.1:3868: "), "{error}");
    assert!(error.contains(remedy), "{error}");
    assert!(socket(Domain::IPV4).is_err_and(|error| error.kind() == io::ErrorKind::Unsupported));
}

#[cfg(feature = "sctp")]
#[test]
fn with_sctp_a_point_is_bound_and_a_message_arrives_whole() {
    if probe().is_err() {
        return;
    }
    let sockets = Sockets::bind([point("127.0.0.1:0")]).unwrap();
    let bound = sockets.addresses()[0];
    assert_eq!(bound.speaks, Speaks::DiameterSctp);
    let listener = &sockets.streams[0].2;
    listener.set_nonblocking(false).unwrap();
    let client = socket(Domain::IPV4).unwrap();
    client.connect(&bound.address.into()).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    let mut client = TcpStream::from(client);
    let message: Vec<u8> = (0..20_000_u32).map(|n| n as u8).collect();
    client.write_all(&message).unwrap();
    drop(client);
    let mut received = Vec::new();
    accepted.read_to_end(&mut received).unwrap();
    assert_eq!(received, message);
}
