use super::*;
use ambient::Entropy;
use recorder::Function;

const REGISTER: &[u8] =
    b"REGISTER sip:home.net SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1\r\n\
    From: <sip:a@home.net>;tag=1\r\nTo: <sip:a@home.net>\r\nCall-ID: one\r\nCSeq: 1 REGISTER\r\n\
    Contact: <sip:10.0.0.1>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";

/// A UAR without AVPs.
fn uar() -> Vec<u8> {
    [&[1, 0, 0, 20, 0xc0, 0, 1, 44][..], &[1, 0, 0, 0], &[0; 8]].concat()
}

fn udp(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() + 8) as u16;
    [&5060_u16.to_be_bytes()[..], &5060_u16.to_be_bytes(), &length.to_be_bytes(), &[0, 0], payload].concat()
}

fn tcp(sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    [
        &3868_u16.to_be_bytes()[..],
        &4000_u16.to_be_bytes(),
        &sequence.to_be_bytes(),
        &[0; 4],
        &[0x50, flags],
        &[0; 6],
        payload,
    ]
    .concat()
}

fn sctp(payload: &[u8]) -> Vec<u8> {
    let length = (16 + payload.len()) as u16;
    let head = [&3868_u16.to_be_bytes()[..], &3868_u16.to_be_bytes(), &[0; 8]].concat();
    [&head[..], &[0, 3], &length.to_be_bytes(), &[0; 12], payload].concat()
}

fn ipv4_part(protocol: u8, payload: &[u8], offset: usize, more: bool) -> Vec<u8> {
    let total = (20 + payload.len()) as u16;
    let place = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
    let head =
        [&[0x45, 0][..], &total.to_be_bytes(), &[0, 7], &place.to_be_bytes(), &[64, protocol, 0, 0]].concat();
    [&head[..], &[10, 0, 0, 1], &[10, 0, 0, 2], payload].concat()
}

fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_part(protocol, payload, 0, false)
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let head = [&[0x60, 0, 0, 0][..], &(payload.len() as u16).to_be_bytes(), &[next, 64]].concat();
    [&head[..], &[1; 16], &[2; 16], payload].concat()
}

/// ESP with NULL encryption and an ICV of 12 octets.
fn esp(next: u8, payload: &[u8]) -> Vec<u8> {
    let padding = (4 - (payload.len() + 2) % 4) % 4;
    let pad: Vec<u8> = (1..=padding as u8).collect();
    [&[0, 0, 0x10, 1, 0, 0, 0, 1][..], payload, &pad, &[padding as u8, next], &[9; 12]].concat()
}

fn gtp(payload: &[u8]) -> Vec<u8> {
    let inner = [&[0x30, 0xff][..], &(payload.len() as u16).to_be_bytes(), &[0, 0, 0, 1], payload].concat();
    let length = (inner.len() + 8) as u16;
    [&2152_u16.to_be_bytes()[..], &2152_u16.to_be_bytes(), &length.to_be_bytes(), &[0, 0], &inner].concat()
}

/// A pcap of frames a millisecond apart.
fn pcap(link: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file =
        [&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0][..], &[0; 8], &65_535_u32.to_le_bytes(), &link.to_le_bytes()]
            .concat();
    for (n, frame) in (0_u32..).zip(frames) {
        let length = frame.len() as u32;
        for word in [1_700_000_000, n * 1000, length, length] {
            file.extend_from_slice(&u32::to_le_bytes(word));
        }
        file.extend_from_slice(frame);
    }
    file
}

/// The same as a pcapng.
fn pcapng(link: u16, frames: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let length = (12 + body.len().next_multiple_of(4)) as u32;
        let mut block = [&kind.to_le_bytes()[..], &length.to_le_bytes(), body].concat();
        block.resize(length as usize - 4, 0);
        block.extend_from_slice(&length.to_le_bytes());
        block
    };
    let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    let mut file = block(0x0a0d_0d0a, &section);
    // Nanoseconds.
    let interface = [&link.to_le_bytes()[..], &[0; 6], &[9, 0, 1, 0, 9, 0, 0, 0], &[0; 4]].concat();
    file.extend(block(1, &interface));
    for (n, frame) in (0_u64..).zip(frames) {
        let at = (1_700_000_000_000_u64 + n) * 1_000_000;
        let (high, low) = ((at >> 32) as u32, at as u32);
        let length = frame.len() as u32;
        let words: Vec<u8> =
            [0, high, low, length, length].iter().flat_map(|word| word.to_le_bytes()).collect();
        file.extend(block(6, &[&words[..], frame].concat()));
    }
    file
}

fn messages(file: &[u8]) -> Vec<Vec<u8>> {
    let capture = read(file).expect("a capture");
    let bytes = |entry: Entry| match entry.what {
        What::Message(message) => message.bytes,
        What::Fact(fact) => panic!("{fact:?}"),
    };
    capture.entries.into_iter().map(bytes).collect()
}

#[test]
fn sip_is_found_below_every_link_and_in_every_tunnel() {
    let packet = ipv4(17, &udp(REGISTER));
    let ethernet = [&[0; 12][..], &[0x81, 0, 0, 5, 8, 0], &packet].concat();
    for (what, link, frame) in [
        ("Ethernet with a VLAN", 1, ethernet),
        ("SLL", 113, [&[0; 16][..], &packet].concat()),
        ("SLL2", 276, [&[0; 20][..], &packet].concat()),
        ("raw IP", 101, packet.clone()),
        ("IPv6", 229, ipv6(17, &udp(REGISTER))),
        ("GTP-U", 101, ipv4(17, &gtp(&packet))),
        ("IP in IP", 101, ipv4(4, &packet)),
        ("ESP with NULL", 101, ipv4(50, &esp(17, &udp(REGISTER)))),
        ("ESP in UDP", 101, {
            let esp = esp(17, &udp(REGISTER));
            let length = (esp.len() + 8) as u16;
            ipv4(
                17,
                &[&4500_u16.to_be_bytes()[..], &4500_u16.to_be_bytes(), &length.to_be_bytes(), &[0, 0], &esp]
                    .concat(),
            )
        }),
    ] {
        assert_eq!(messages(&pcap(link, std::slice::from_ref(&frame))), [REGISTER], "{what} in pcap");
        if let Ok(link) = u16::try_from(link) {
            assert_eq!(messages(&pcapng(link, &[frame])), [REGISTER], "{what} in pcapng");
        }
    }
}

#[test]
fn the_time_of_both_formats_is_the_same() {
    let frames = [ipv4(17, &udp(REGISTER))];
    let wall = |file: &[u8]| read(file).expect("a capture").entries[0].at.wall.as_millis();
    assert_eq!(wall(&pcap(101, &frames)), 1_700_000_000_000);
    assert_eq!(wall(&pcapng(101, &frames)), 1_700_000_000_000);
}

#[test]
fn fragments_are_joined_in_whatever_order_they_come() {
    let whole = udp(REGISTER);
    let cut = 64;
    let (first, last) = whole.split_at(cut);
    let parts = [ipv4_part(17, first, 0, true), ipv4_part(17, last, cut, false)];
    assert_eq!(messages(&pcap(101, &parts)), [REGISTER]);
    assert_eq!(messages(&pcap(101, &[parts[1].clone(), parts[0].clone()])), [REGISTER]);
    assert_eq!(messages(&pcap(101, &parts[..1])), Vec::<Vec<u8>>::new());
}

#[test]
fn a_stream_is_put_together_wherever_it_is_cut_and_whatever_comes_first_or_twice() {
    let stream = [uar(), REGISTER.to_vec(), uar()].concat();
    for cut in 1..stream.len() {
        let (first, last) = stream.split_at(cut);
        let segment = |at: usize, bytes: &[u8]| ipv4(6, &tcp(1 + at as u32, 0x18, bytes));
        let frames = [
            ipv4(6, &tcp(0, 2, &[])),
            segment(cut, last),
            segment(0, first),
            segment(0, first),
            segment(cut, last),
        ];
        assert_eq!(messages(&pcap(101, &frames)), [uar(), REGISTER.to_vec(), uar()], "cut at {cut}");
    }
}

#[test]
fn diameter_is_found_in_sctp() {
    assert_eq!(messages(&pcap(101, &[ipv4(132, &sctp(&uar()))])), [uar()]);
}

#[test]
fn what_is_encrypted_is_counted_and_what_is_repeated_on_another_interface_is_not() {
    let secret = [&[0, 0, 0x10, 1, 0, 0, 0, 1][..], &[0xa5; 64]].concat();
    let capture = read(&pcap(101, &[ipv4(50, &secret)])).expect("a capture");
    assert_eq!((capture.protected, capture.entries.len()), (1, 0));
    let packet = ipv4(17, &udp(REGISTER));
    assert_eq!(messages(&pcap(101, &[packet.clone(), packet])).len(), 1);
}

#[test]
fn the_functions_are_known_by_what_they_do() {
    let capture = read(&pcap(101, &[ipv4(17, &udp(REGISTER))])).expect("a capture");
    assert_eq!(capture.entries[0].node.function, Function::Ue);
}

#[test]
fn what_is_no_capture_is_said_to_be_none() {
    for file in [&b""[..], b"\x0a", b"GET / HTTP/1.1\r\n", &[0; 64]] {
        assert_eq!(read(file).err(), Some(CaptureError::UnknownFormat));
    }
}

/// A capture of a stranger: cut anywhere and changed anywhere, it is read as far as it goes.
#[test]
fn hostile_octets_hurt_nobody() {
    let frames = [
        ipv4(17, &udp(REGISTER)),
        ipv4(17, &gtp(&ipv4(6, &tcp(1, 0x18, REGISTER)))),
        ipv6(44, &[&[17, 0, 0, 1, 0, 0, 0, 9][..], &udp(REGISTER)].concat()),
        ipv4(50, &esp(17, &udp(REGISTER))),
        ipv4(132, &sctp(&uar())),
    ];
    let mut entropy = Entropy::seeded(11);
    for file in [pcap(101, &frames), pcapng(101, &frames)] {
        for length in 0..file.len() {
            let _ = read(&file[..length]);
        }
        for _ in 0..3000 {
            let mut changed = file.clone();
            for _ in 0..=entropy.below(6) {
                let at = entropy.below(changed.len() as u64) as usize;
                changed[at] = entropy.next_u64() as u8;
            }
            if let Ok(capture) = read(&changed) {
                let scene = crate::Scene::of(&capture.entries);
                for story in scene.stories() {
                    let _ = scene.explain(story).text();
                }
            }
        }
    }
}
