//! Names looked up over a real socket, from a name server of a few lines.

use super::*;
use cscf::Transport;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, Record};
use std::time::Duration;
use tokio::net::UdpSocket;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// Answers questions on example.org, knows no other name, and counts nothing.
async fn serve(socket: UdpSocket) {
    let mut buffer = [0; 1500];
    while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
        let question = Message::from_vec(&buffer[..length]).unwrap();
        let query = question.queries[0].clone();
        let record = |data| Record::from_rdata(query.name().clone(), 60, data);
        let text = query.name().to_ascii().to_ascii_lowercase();
        let answer = match (text.as_str(), query.query_type()) {
            ("example.org.", RecordType::NAPTR) => {
                let service = |text: &str| text.as_bytes().to_vec().into_boxed_slice();
                let replacement = name("_sip._tcp.example.org.");
                Some(RData::NAPTR(NAPTR::new(
                    1,
                    1,
                    service("s"),
                    service("SIP+D2T"),
                    service(""),
                    replacement,
                )))
            }
            ("_sip._tcp.example.org.", RecordType::SRV) => {
                Some(RData::SRV(SRV::new(0, 0, 5070, name("host.example.org."))))
            }
            ("host.example.org.", RecordType::A) => Some(RData::A(A::new(192, 0, 2, 7))),
            _ => None,
        };
        let code =
            if text.ends_with("example.org.") { ResponseCode::NoError } else { ResponseCode::NXDomain };
        let mut response = Message::error_msg(question.metadata.id, question.metadata.op_code, code);
        response.metadata.recursion_available = true;
        response.add_query(query.clone());
        response.add_answers(answer.map(record));
        socket.send_to(&response.to_vec().unwrap(), client).await.unwrap();
    }
}

async fn dns() -> Dns {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    tokio::spawn(serve(socket));
    Dns::new(&DnsSection { servers: vec![server], timeout: Duration::from_millis(500) })
}

fn lookup(name: &str) -> Lookup {
    let have = [Transport::Udp, Transport::Tcp];
    Lookup { name: name.to_owned(), port: None, transport: None, have: have.into_iter().collect() }
}

#[tokio::test]
async fn a_domain_is_followed_from_naptr_to_the_address() {
    let hops = dns().await.resolve(lookup("example.org"), Entropy::seeded(1)).await.unwrap();
    assert_eq!(hops.iter().map(Hop::to_string).collect::<Vec<_>>(), ["tcp:192.0.2.7:5070"]);
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_told_from_a_server_that_does_not_answer() {
    let missing = dns().await.resolve(lookup("missing.example"), Entropy::seeded(1)).await;
    assert_eq!(missing, Err(Unresolved::NoRecord("missing.example".to_owned())));
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let setup =
        DnsSection { servers: vec![silent.local_addr().unwrap()], timeout: Duration::from_millis(50) };
    let unanswered = Dns::new(&setup).resolve(lookup("example.org"), Entropy::seeded(1)).await;
    assert_eq!(unanswered, Err(Unresolved::Unreachable("example.org".to_owned())));
}

#[tokio::test]
async fn what_cannot_be_a_name_has_no_record() {
    let long = "x".repeat(300);
    let result = dns().await.resolve(lookup(&long), Entropy::seeded(1)).await;
    assert_eq!(result, Err(Unresolved::NoRecord(long)));
}
