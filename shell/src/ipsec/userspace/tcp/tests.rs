use super::*;

/// The stacks of a P-CSCF and a UE, with nothing between them; time moves as they ask for it.
struct Pair {
    stacks: [Stack; 2],
    now: Instant,
    /// What each has told.
    told: [Vec<String>; 2],
    /// Whether one has sent a reset.
    has_reset: bool,
    /// Whether what the second one sends is lost.
    is_cut: bool,
    /// Whether the second one's process is stopped, while its TCP goes on.
    is_stopped: bool,
}

const START: Instant = Instant::from_micros(0);

impl Pair {
    /// Two stacks with a connection between them, opened by the first one, that has carried something.
    fn connected() -> Pair {
        let at = |host, port| SocketAddr::from(([192, 0, 2, host], port));
        let [server, client] = [(6100, 31_000), (6101, 31_001)]
            .map(|(own, peer)| Selector { local: at(1, own), remote: at(2, peer) });
        let mirrored = |ends: Selector| Selector { local: ends.remote, remote: ends.local };
        let mut entropy = Entropy::seeded(1);
        let pcscf = Stack::new(server, client, &mut entropy, START);
        let ue = Stack::new(mirrored(client), mirrored(server), &mut entropy, START);
        let mut pair = Pair {
            stacks: [pcscf, ue],
            now: START,
            told: Default::default(),
            has_reset: false,
            is_cut: false,
            is_stopped: false,
        };
        pair.stacks[0].connect().expect("a port");
        pair.write(0, b"INVITE");
        assert_eq!(pair.take_told(), [vec!["opened"], vec!["opened", "INVITE"]]);
        pair
    }

    fn write(&mut self, from: usize, octets: &[u8]) {
        self.stacks[from].write(0, octets).expect("room");
        self.exchange();
    }

    fn close(&mut self, from: usize) {
        self.stacks[from].close(0);
        self.exchange();
    }

    /// Lets both talk until they have nothing more to say at this moment.
    fn exchange(&mut self) {
        for _ in 0..20 {
            for at in 0..2 {
                let mut sent = Vec::new();
                self.stacks[at].poll(self.now, |ends, segment| sent.push((*ends, segment.to_vec())));
                for (ends, segment) in sent {
                    const RST: u8 = 4;
                    self.has_reset |= segment[13] & RST != 0;
                    if !(self.is_cut && at == 1) {
                        let ends = Selector { local: ends.remote, remote: ends.local };
                        self.stacks[1 - at].take(&ends, &segment);
                    }
                }
                if self.is_stopped && at == 1 {
                    continue;
                }
                let told = &mut self.told[at];
                self.stacks[at].events(|event| {
                    told.push(match event {
                        Event::Opened(..) => "opened".to_owned(),
                        Event::Octets(_, octets) => String::from_utf8_lossy(octets).into_owned(),
                        Event::Closed(_) => "closed".to_owned(),
                    });
                });
            }
        }
    }

    /// Goes on for so long, turn by turn as the stacks ask for them.
    fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        for _ in 0..10_000 {
            let due = self.stacks.iter_mut().filter_map(|stack| stack.due(self.now)).min();
            match due.filter(|due| *due < end) {
                Some(due) => self.now = due.max(self.now + Duration::from_millis(1)),
                None => {
                    self.now = end;
                    return self.exchange();
                }
            }
            self.exchange();
        }
        panic!("the stacks do not come to rest");
    }

    fn take_told(&mut self) -> [Vec<String>; 2] {
        std::mem::take(&mut self.told)
    }
}

const HOUR: u64 = 3600;

/// RFC 9293 §3.8.6: silence on a connection that has nothing to carry is no failure.
#[test]
fn a_connection_that_nobody_uses_stands() {
    let mut pair = Pair::connected();
    pair.pass(HOUR);
    assert_eq!(pair.take_told(), [Vec::<String>::new(), Vec::new()]);
    assert!(pair.stacks.iter_mut().all(|stack| stack.due(pair.now).is_none()), "it costs nothing meanwhile");
    pair.write(0, b"BYE");
    pair.write(1, b"200");
    assert_eq!(pair.take_told(), [vec!["200"], vec!["BYE"]]);
}

#[test]
fn a_connection_whose_peer_acknowledges_nothing_is_over() {
    let mut pair = Pair::connected();
    pair.pass(HOUR);
    pair.is_cut = true;
    pair.write(0, b"INVITE");
    pair.pass(SILENCE_MAX.as_secs() - 1);
    assert_eq!(pair.take_told(), [vec![], vec!["INVITE"]]);
    pair.pass(2);
    assert_eq!(pair.take_told()[0], ["closed"]);
}

/// As long as a peer takes something now and then, it is there.
#[test]
fn a_connection_whose_peer_is_slow_stands() {
    let mut pair = Pair::connected();
    for _ in 0..10 {
        pair.is_cut = true;
        pair.write(0, b"x");
        pair.pass(SILENCE_MAX.as_secs() - 5);
        pair.is_cut = false;
        // The next retransmission may be a minute away: what the peer sends carries an acknowledgement as well.
        pair.write(1, b"y");
    }
    let [pcscf, ue] = pair.take_told();
    assert_eq!((pcscf.concat(), ue.concat()), ("y".repeat(10), "x".repeat(10)));
}

#[test]
fn a_connection_that_nobody_used_ends_in_good_order() {
    let mut pair = Pair::connected();
    pair.pass(HOUR);
    pair.close(0);
    pair.pass(1);
    assert_eq!(pair.take_told(), [vec!["closed"], vec!["closed"]]);
    assert!(!pair.has_reset && pair.stacks.iter().all(Stack::is_idle));
}

#[test]
fn a_peer_that_never_ends_its_side_is_waited_for_no_longer_than_one_that_is_silent() {
    let mut pair = Pair::connected();
    pair.is_stopped = true;
    pair.close(0);
    pair.pass(SILENCE_MAX.as_secs() - 1);
    assert_eq!(pair.take_told()[0], [""; 0]);
    pair.pass(2);
    assert_eq!(pair.take_told()[0], ["closed"]);
    assert!(pair.stacks[0].is_idle());
}
