//! Several machines as the shards of one function.

use super::*;
use cscf::station::{Parcel, ShardId};
use socket2::{Domain, Socket, Type};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;

/// One shard: says its number to whoever sends it something, and hands parcels to the next shard.
struct Numbered {
    number: u16,
    shards: u16,
    outputs: VecDeque<WireOutput>,
    notices: VecDeque<String>,
    /// What it was given by the shard before it, and got back.
    parcels: (usize, usize),
    is_draining: bool,
    /// Datagrams that must have come before it has no work left.
    work: usize,
    /// Connections that it was told of.
    links: Vec<LinkId>,
}

impl Numbered {
    fn next(&self) -> ShardId {
        ShardId((self.number + 1) % self.shards)
    }

    /// Whether this peer speaks first: it comes from an address of its own.
    fn greets(&self, remote: SocketAddr) -> bool {
        remote.ip() == GREETER
    }
}

const GREETER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

impl Machine for Numbered {
    fn handle(&mut self, _: Now, input: WireInput) {
        let number = self.number;
        match input {
            WireInput::Start { restored } => {
                self.notices
                    .extend((!restored.is_empty()).then(|| format!("{number} restored {}", restored.len())));
            }
            WireInput::Datagram { local, remote, .. } => {
                self.work = self.work.saturating_sub(1);
                let bytes = number.to_string().into_bytes();
                self.outputs.push_back(WireOutput::Datagram { local, remote, bytes });
            }
            WireInput::Received { link, .. } => {
                let known = if self.links.contains(&link) { "a connection" } else { "a stranger" };
                self.notices.push_back(format!("{known} speaks"));
            }
            WireInput::Accepted { link, remote, .. } if self.greets(remote) => self.links.push(link),
            WireInput::Accepted { link, .. } => {
                self.outputs.push_back(WireOutput::Write { link, bytes: number.to_string().into_bytes() });
                self.outputs.push_back(WireOutput::Close { link });
            }
            WireInput::Parcel { from, .. } => {
                assert_eq!(self.number, (from.0 + 1) % self.shards);
                self.parcels.0 += 1;
            }
            WireInput::ParcelReturned { shard, .. } => {
                assert_eq!(shard, self.next());
                self.parcels.1 += 1;
            }
            WireInput::Answered { answer, .. } => self.notices.push_back(format!("{number} {answer:?}")),
            WireInput::Drain => self.is_draining = true,
            _ => {}
        }
    }

    fn poll_output(&mut self) -> Option<WireOutput> {
        self.outputs.pop_front()
    }

    fn next_timeout(&self) -> Option<(Instant, &'static str)> {
        None
    }

    fn is_drained(&self) -> bool {
        self.is_draining && self.work == 0
    }

    fn home_of_connection(&self, _: Protocol, _: SocketAddr, remote: SocketAddr) -> ShardId {
        ShardId(remote.port() % self.shards)
    }
}

#[derive(Clone, Debug)]
enum Order {
    /// Hand so many parcels to the next shard.
    Pass(usize),
    /// Tell how many came, and how many came back.
    Count,
    Store,
    /// The shard of this number panics.
    Panic(u16),
}

impl Operated for Numbered {
    type Command = Order;
    type Notice = String;

    fn command(&mut self, _: Now, order: Order) {
        match order {
            Order::Pass(count) => {
                let shard = self.next();
                let parcels = (0..count).map(|_| WireOutput::Parcel { shard, parcel: Parcel::drained() });
                self.outputs.extend(parcels);
            }
            Order::Count => {
                let (came, returned) = self.parcels;
                self.notices.push_back(format!("{} {came} {returned}", self.number));
            }
            Order::Store => {
                let key = self.number.to_be_bytes().to_vec();
                let records = vec![Record { key, value: Some(b"x".to_vec()) }];
                self.outputs.push_back(WireOutput::Query { id: QueryId(1), query: Query::Store(records) });
            }
            Order::Panic(number) => assert_ne!(number, self.number, "asked to"),
        }
    }

    fn poll_notice(&mut self) -> Option<String> {
        self.notices.pop_front()
    }

    fn set_trace(&mut self, _: bool) {}

    fn poll_trace(&mut self) -> Option<trace::Event> {
        None
    }
}

fn sockets(count: u16) -> Sockets {
    let free = Sockets::bind_free(SocketAddr::from(([127, 0, 0, 1], 0)).ip()).unwrap().addresses();
    Sockets::bind_for(NonZeroU16::new(count).unwrap(), free).unwrap()
}

fn shards(count: u16, work: usize, store: (Store, Vec<Record>)) -> Handle<Order, String> {
    shards_at(sockets(count), count, work, store)
}

fn shards_at(
    sockets: Sockets,
    count: u16,
    work: usize,
    store: (Store, Vec<Record>),
) -> Handle<Order, String> {
    let setup = Setup::new(sockets, Clock::start(), system_entropy().unwrap());
    let machine = |number| Numbered {
        number,
        shards: count,
        outputs: VecDeque::new(),
        notices: VecDeque::new(),
        parcels: (0, 0),
        is_draining: false,
        // The last shard alone has work.
        work: if number + 1 == count { work } else { 0 },
        links: Vec::new(),
    };
    let setup = Setup { store: store.0, restored: store.1, drain_max: PATIENCE, ..setup };
    Driver::spawn_shards("numbered", (0..count).map(machine).collect(), setup).unwrap()
}

/// The next notices of all shards, in the order of their numbers.
fn notices(handle: &Handle<Order, String>, count: usize) -> Vec<String> {
    let told = |_| handle.notices.recv_timeout(PATIENCE).expect("each shard tells");
    let mut notices: Vec<_> = (0..count).map(told).collect();
    notices.sort();
    notices
}

fn ask(handle: &Handle<Order, String>) -> String {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(b"who?", handle.addresses()[0].address).unwrap();
    let mut buffer = [0; 10];
    let length = client.recv(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[test]
fn every_shard_receives_and_answers_from_the_same_address() {
    let handle = shards(2, 0, (Store::memory(), Vec::new()));
    // The system chooses by the sender: a hundred senders never all go to one.
    let answers: Vec<_> = (0..100).map(|_| ask(&handle)).collect();
    assert!(answers.contains(&"0".to_owned()) && answers.contains(&"1".to_owned()), "{answers:?}");
    assert_eq!(handle.stop().unwrap(), Ended::Drained);
}

#[cfg(target_os = "linux")]
#[test]
fn what_one_neighbour_sends_comes_in_at_all_shards_alike() {
    let handle = shards(2, 0, (Store::memory(), Vec::new()));
    let neighbour = UdpSocket::bind("127.0.0.1:0").unwrap();
    neighbour.set_read_timeout(Some(PATIENCE)).unwrap();
    let sent = 1000;
    let mut first = 0;
    for _ in 0..sent {
        neighbour.send_to(b"who?", handle.addresses()[0].address).unwrap();
        let mut buffer = [0; 10];
        let length = neighbour.recv(&mut buffer).unwrap();
        first += usize::from(&buffer[..length] == b"0");
    }
    // By chance, further off than six standard deviations once in five hundred million runs.
    assert!((405..=595).contains(&first), "{first} of {sent} came in at the first of two");
}

/// What names a bucket as we write it comes to the shard of the bucket, from whomever.
#[cfg(target_os = "linux")]
#[test]
fn a_datagram_comes_in_at_the_shard_that_its_branch_or_its_route_names() {
    use crate::datagram::{Scope, spread};
    use cscf::bucket::{Bucket, TokenKey, base32};
    use std::collections::BTreeSet;

    let handle = shards(3, 0, (Store::memory(), Vec::new()));
    let neighbour = UdpSocket::bind("127.0.0.1:0").unwrap();
    neighbour.set_read_timeout(Some(PATIENCE)).unwrap();
    let shard = |text: &str| {
        neighbour.send_to(text.as_bytes(), handle.addresses()[0].address).unwrap();
        let mut buffer = [0; 10];
        let length = neighbour.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    // The system bounds filters: where it refuses the longest, the Route goes by chance.
    let sees_routes = {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        match spread(&socket, 3).unwrap() {
            Scope::RouteAndVia => true,
            Scope::Via => false,
            Scope::Nothing => panic!("a filter of responses is short enough for every system"),
        }
    };
    let key = TokenKey::from_key((1, 2));
    let rest = "Max-Forwards: 70\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\n".repeat(8);
    for number in [0, 1, 2, 3, 31, 32, 33, 1022, 1023, 1024, 2500, 4095] {
        let mut bucket = Vec::new();
        base32(u64::from(number), 15, &mut bucket);
        let bucket = String::from_utf8(bucket).unwrap();
        let token = key.mint(Bucket::new(number), "abc");
        let via = |branch: &str| format!("Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK{branch}\r\n");
        // Each place that a field can have, modulo four.
        for padding in ["", "1", "12", "123"] {
            let ours = via(&format!("{bucket}aaaaaaaaa"));
            let theirs = via(&format!("9{padding}"));
            let texts = [
                format!("SIP/2.0 200 O{padding}K\r\n{ours}{theirs}{rest}\r\n"),
                format!(
                    "BYE sip:{padding}b@10.0.0.9 SIP/2.0\r\n{theirs}Route: <sip:{token}@10.0.0.1;lr>\r\n{rest}\r\n"
                ),
                format!(
                    "INVITE tel:+49{padding} SIP/2.0\r\n{theirs}Record-Route: <sip:bcdefghijklmnopq@10.0.0.9;lr>\r\n\
                     Route: <sip:{token}@10.0.0.1;lr>\r\n{rest}\r\n"
                ),
            ];
            for text in &texts[..if sees_routes { 3 } else { 1 }] {
                assert_eq!(shard(text), (number % 3).to_string(), "{text}");
            }
        }
    }
    // A host is no token, and no bucket is written so: by chance, as what has no Route at all.
    for sought in ["Route: <sip:scscf.example.net;lr>", "Route: <sip:a1b2c3d4e5f6g7@h>", "Subject: nothing"] {
        let text = format!(
            "MESSAGE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK7\r\n{sought}\r\n{rest}\r\n"
        );
        let shards: BTreeSet<String> = (0..100).map(|_| shard(&text)).collect();
        assert_eq!(shards.len(), 3, "{text}");
    }
}

#[test]
fn a_connection_is_served_by_its_home_whichever_shard_accepts_it() {
    let handle = shards(3, 0, (Store::memory(), Vec::new()));
    for _ in 0..20 {
        let mut client = TcpStream::connect(handle.addresses()[1].address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, (client.local_addr().unwrap().port() % 3).to_string());
    }
}

#[test]
fn what_a_peer_says_at_once_comes_after_its_connection() {
    let sockets = sockets(2);
    let address = sockets.addresses()[1].address;
    // They have connected and spoken before anybody listens: half of them are for the other shard.
    let peers: Vec<TcpStream> = (0..20)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.bind(&SocketAddr::new(GREETER, 0).into()).unwrap();
            socket.connect(&address.into()).unwrap();
            let mut peer = TcpStream::from(socket);
            peer.write_all(b"hello").unwrap();
            peer
        })
        .collect();
    let handle = shards_at(sockets, 2, 0, (Store::memory(), Vec::new()));
    assert_eq!(notices(&handle, peers.len()), vec!["a connection speaks"; peers.len()]);
}

#[test]
fn parcels_arrive_and_those_beyond_the_room_of_a_lane_come_back() {
    let handle = shards(2, 0, (Store::memory(), Vec::new()));
    let sent = 20_000;
    handle.command(Order::Pass(sent)).unwrap();
    let mut came = 0;
    let (mut arrived, mut returned) = (0, 0);
    while came < 2 * sent {
        handle.command(Order::Count).unwrap();
        let counts: Vec<Vec<usize>> = notices(&handle, 2)
            .iter()
            .map(|notice| notice.split(' ').map(|number| number.parse().unwrap()).collect())
            .collect();
        arrived = counts.iter().map(|count| count[1]).sum();
        returned = counts.iter().map(|count| count[2]).sum();
        came = arrived + returned;
    }
    assert_eq!(came, 2 * sent, "none is lost, and none comes twice");
    assert!(arrived > 0 && returned > 0, "{arrived} arrived, {returned} came back");
}

#[test]
fn shards_share_one_journal_and_each_is_given_all_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let handle = shards(3, 0, Store::file(&path).unwrap());
    handle.command(Order::Store).unwrap();
    assert_eq!(notices(&handle, 3), ["0 Stored(Ok(()))", "1 Stored(Ok(()))", "2 Stored(Ok(()))"]);
    assert_eq!(handle.stop().unwrap(), Ended::Drained);
    // Another number of shards finds the same.
    let handle = shards(2, 0, Store::file(&path).unwrap());
    assert_eq!(notices(&handle, 2), ["0 restored 3", "1 restored 3"]);
}

#[test]
fn no_shard_ends_before_all_have_finished_their_work() {
    let handle = shards(2, 1, (Store::memory(), Vec::new()));
    handle.drain();
    // The work of the last shard is one datagram; the first one still answers although it has none.
    let mut answers = Vec::new();
    while !answers.contains(&"1".to_owned()) {
        answers.push(ask(&handle));
    }
    assert_eq!(handle.join().unwrap(), Ended::Drained);
}

#[test]
fn when_one_shard_breaks_the_function_ends_with_an_error() {
    let handle = shards(3, 0, (Store::memory(), Vec::new()));
    handle.command(Order::Panic(1)).unwrap();
    assert!(handle.join().unwrap_err().to_string().contains("panicked"));
}
