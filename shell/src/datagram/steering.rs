//! A filter that gives each datagram to the shard that is its home, where its first bytes tell.
//!
//! What a shard has said itself comes back with its bucket in it: a response with the branch of our Via on top (RFC 3261
//! §18.2.2), a request within a dialog or of a registered user with our token in the first Route. The filter finds these
//! as [`cscf::bucket`] and the branches of our transactions write them, and takes the socket of the bucket; anything else
//! goes to a socket by chance. A wrong choice costs a hand-over between shards, nothing else: every shard places a
//! message by itself.
//!
//! It is a classic filter (`socket(7)`, SO_ATTACH_REUSEPORT_CBPF), which needs no privilege and has no loop: the search is
//! written out, four bytes a step.

use libc::{
    BPF_ABS, BPF_ADD, BPF_ALU, BPF_AND, BPF_B, BPF_IMM, BPF_IND, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JMP,
    BPF_K, BPF_LD, BPF_LDX, BPF_LEN, BPF_LSH, BPF_MEM, BPF_MOD, BPF_RET, BPF_ST, BPF_SUB, BPF_W, BPF_X,
    sock_filter,
};

/// How much of a datagram a filter looks at. The more, the longer it is, and the system bounds its length
/// (`net.core.optmem_max`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The Via of responses, the Route of requests.
    RouteAndVia,
    /// The Via of responses.
    Via,
    Nothing,
}

impl Scope {
    /// The best first.
    pub(crate) const ALL: [Scope; 3] = [Scope::RouteAndVia, Scope::Via, Scope::Nothing];
}

/// The filter for `sockets` sockets; `None` when it cannot be written.
pub(crate) fn filter(scope: Scope, sockets: u16) -> Option<Vec<sock_filter>> {
    let mut filter = Filter::default();
    if scope != Scope::Nothing {
        filter.load(BPF_W | BPF_ABS, 0);
        filter.unless_equal(u32::from_be_bytes(*b"SIP/"), Label::Request);
        filter.find_branch();
    }
    filter.mark(Label::Request);
    if scope == Scope::RouteAndVia {
        filter.find_token();
    }
    filter.go(Label::Chance);
    if scope == Scope::RouteAndVia {
        filter.route_found();
    }
    if scope != Scope::Nothing {
        filter.mark(Label::Bucket);
        filter.home_of_bucket(sockets);
    }
    filter.mark(Label::Chance);
    filter.load(BPF_W | BPF_ABS, (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM).cast_unsigned());
    filter.put(BPF_ALU | BPF_MOD | BPF_K, u32::from(sockets.max(1)));
    filter.put(BPF_RET | BPF_A, 0);
    filter.resolved()
}

/// `BPF_RET` gives the accumulator.
const BPF_A: u32 = 0x10;

/// The header field names and their values in front of a token, as we and nearly everybody writes them.
const ROUTE: &[u8] = b"\nRoute: <sip:";
/// What is in front of the bucket in a branch.
const COOKIE: &[u8] = b"z9hG4bK";
/// Where the branch of a top Via begins, by the shortest and by the longest address in front of it.
const BRANCH_FROM: u32 = 40;
const BRANCH_TO: u32 = 160;
/// Where a first Route begins: behind a Request-URI, one Via, and a Record-Route at most.
const ROUTE_FROM: u32 = 48;
const ROUTE_TO: u32 = 480;
/// What must follow: the rest of what is sought, and the bucket.
const ROOM: u32 = 32;
/// The first characters of a token, by which one is told from the name of a host.
const TOKEN_CHARS: u32 = 11;
const BUCKET_CHARS: u32 = 3;

/// A place in the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    Request,
    RouteFound,
    Bucket,
    Chance,
    /// The end of a step, by number.
    Step(usize),
}

/// What an instruction goes on with, beside the next one.
#[derive(Clone, Copy, Debug)]
enum Jump {
    None,
    Always(Label),
    If(Label),
    Unless(Label),
}

#[derive(Default)]
struct Filter {
    steps: Vec<(sock_filter, Jump)>,
    labels: Vec<(Label, usize)>,
    /// How many labels of steps were given out.
    count: usize,
}

impl Filter {
    fn put(&mut self, code: u32, k: u32) {
        self.jump(code, k, Jump::None);
    }

    fn jump(&mut self, code: u32, k: u32, jump: Jump) {
        let code = u16::try_from(code).unwrap_or_default();
        self.steps.push((sock_filter { code, jt: 0, jf: 0, k }, jump));
    }

    fn load(&mut self, what: u32, at: u32) {
        self.put(BPF_LD | what, at);
    }

    fn go(&mut self, label: Label) {
        self.jump(BPF_JMP | BPF_JA, 0, Jump::Always(label));
    }

    fn unless_equal(&mut self, k: u32, label: Label) {
        // A conditional jump does not reach far.
        let next = self.new_label();
        self.jump(BPF_JMP | BPF_JEQ | BPF_K, k, Jump::If(next));
        self.go(label);
        self.mark(next);
    }

    fn new_label(&mut self) -> Label {
        self.count += 1;
        Label::Step(self.count)
    }

    fn mark(&mut self, label: Label) {
        self.labels.push((label, self.steps.len()));
    }

    fn at_least(&mut self, octets: u32) {
        let next = self.new_label();
        self.load(BPF_W | BPF_LEN, 0);
        self.jump(BPF_JMP | BPF_JGE | BPF_K, octets, Jump::If(next));
        // Reading beyond the end would be an answer: the first socket.
        self.go(Label::Chance);
        self.mark(next);
    }

    /// Goes to `found` with the start of `sought` in X where it stands between two places. Each fourth place is looked at,
    /// at which one of the first four windows of `sought` must stand, behind what it begins with where that is asked for.
    fn find(&mut self, sought: &[u8], (from, to): (u32, u32), found: Label, begins_with: Option<u8>) {
        for at in (from..to).step_by(4) {
            let end = self.new_label();
            self.load(BPF_W | BPF_ABS, at);
            let windows = sought.windows(4).take(4).filter_map(|window| window.try_into().ok());
            let hits: Vec<(u32, Label)> =
                windows.map(|window| (u32::from_be_bytes(window), self.new_label())).collect();
            for (window, hit) in &hits {
                self.jump(BPF_JMP | BPF_JEQ | BPF_K, *window, Jump::If(*hit));
            }
            self.go(end);
            for (back, (_, hit)) in (0..).zip(hits) {
                self.mark(hit);
                if let Some(first) = begins_with.filter(|_| back > 0) {
                    self.load(BPF_B | BPF_ABS, at - back);
                    self.jump(BPF_JMP | BPF_JEQ | BPF_K, u32::from(first), Jump::Unless(end));
                }
                self.put(BPF_LDX | BPF_W | BPF_IMM, at - back);
                self.go(found);
            }
            self.mark(end);
        }
    }

    /// The branch of a response's first Via.
    fn find_branch(&mut self) {
        self.at_least(BRANCH_TO + ROOM);
        let found = self.new_label();
        self.find(COOKIE, (BRANCH_FROM, BRANCH_TO), found, None);
        self.go(Label::Chance);
        self.mark(found);
        self.move_on(COOKIE.len());
        self.go(Label::Bucket);
    }

    /// The token in a request's first Route. "Record-Route" has all windows of it but the first.
    fn find_token(&mut self) {
        self.at_least(ROUTE_TO + ROOM);
        self.find(ROUTE, (ROUTE_FROM, ROUTE_TO), Label::RouteFound, ROUTE.first().copied());
    }

    /// Whether what follows X is the whole of `ROUTE` and a token.
    fn route_found(&mut self) {
        self.mark(Label::RouteFound);
        for (at, window) in (0..).zip(ROUTE.chunks(4)) {
            match <[u8; 4]>::try_from(window) {
                Ok(window) => {
                    self.load(BPF_W | BPF_IND, at * 4);
                    self.unless_equal(u32::from_be_bytes(window), Label::Chance);
                }
                Err(_) => {
                    for (beside, byte) in (0..).zip(window) {
                        self.load(BPF_B | BPF_IND, at * 4 + beside);
                        self.unless_equal(u32::from(*byte), Label::Chance);
                    }
                }
            }
        }
        self.move_on(ROUTE.len());
        for at in BUCKET_CHARS..TOKEN_CHARS {
            self.digit(at);
        }
    }

    /// Adds to X.
    fn move_on(&mut self, octets: usize) {
        self.put(BPF_LD | BPF_W | BPF_IMM, u32::try_from(octets).unwrap_or_default());
        self.put(BPF_ALU | BPF_ADD | BPF_X, 0);
        // TAX of the manual: what was added up is the new X.
        self.put(BPF_TAX, 0);
    }

    /// Loads what a character of base32 stands for; by chance when it is none.
    fn digit(&mut self, at: u32) {
        let (letter, end) = (self.new_label(), self.new_label());
        self.load(BPF_B | BPF_IND, at);
        self.jump(BPF_JMP | BPF_JGE | BPF_K, u32::from(b'a'), Jump::If(letter));
        self.jump(BPF_JMP | BPF_JGE | BPF_K, u32::from(b'2'), Jump::Unless(Label::Chance));
        self.jump(BPF_JMP | BPF_JGT | BPF_K, u32::from(b'7'), Jump::If(Label::Chance));
        self.put(BPF_ALU | BPF_SUB | BPF_K, u32::from(b'2') - 26);
        self.go(end);
        self.mark(letter);
        self.jump(BPF_JMP | BPF_JGT | BPF_K, u32::from(b'z'), Jump::If(Label::Chance));
        self.put(BPF_ALU | BPF_SUB | BPF_K, u32::from(b'a'));
        self.mark(end);
    }

    /// The bucket that begins at X, modulo the number of shards.
    fn home_of_bucket(&mut self, sockets: u16) {
        for at in 0..BUCKET_CHARS {
            self.digit(at);
            self.put(BPF_ST, at);
        }
        self.put(BPF_LD | BPF_MEM, 0);
        for at in 1..BUCKET_CHARS {
            self.put(BPF_ALU | BPF_LSH | BPF_K, 5);
            self.put(BPF_LDX | BPF_MEM, at);
            self.put(BPF_ALU | BPF_ADD | BPF_X, 0);
        }
        self.put(BPF_ALU | BPF_AND | BPF_K, u32::from(cscf::bucket::BUCKETS) - 1);
        self.put(BPF_ALU | BPF_MOD | BPF_K, u32::from(sockets.max(1)));
        self.put(BPF_RET | BPF_A, 0);
    }

    /// The instructions, with where they jump to.
    fn resolved(self) -> Option<Vec<sock_filter>> {
        let place = |label| self.labels.iter().find(|(at, _)| *at == label).map(|(_, place)| *place);
        let mut resolved = Vec::with_capacity(self.steps.len());
        for (at, (mut step, jump)) in self.steps.into_iter().enumerate() {
            let distance = |label| place(label)?.checked_sub(at + 1);
            match jump {
                Jump::None => {}
                Jump::Always(label) => step.k = u32::try_from(distance(label)?).ok()?,
                Jump::If(label) => step.jt = u8::try_from(distance(label)?).ok()?,
                Jump::Unless(label) => step.jf = u8::try_from(distance(label)?).ok()?,
            }
            resolved.push(step);
        }
        (resolved.len() <= INSTRUCTIONS_MAX).then_some(resolved)
    }
}

/// `BPF_MISC | BPF_TAX`: the accumulator into X.
const BPF_TAX: u32 = 0x07;
/// `BPF_MAXINSNS`.
const INSTRUCTIONS_MAX: usize = 4096;
