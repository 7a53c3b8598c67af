//! Entry points for a fuzzer, as ordinary functions: any bytes, no panic, no hang, bounded memory.

use crate::capabilities::Capabilities;
use crate::cx::{Fault, decode_answer, decode_request};
use crate::endpoint::{ConnId, Endpoint, EndpointConfig, EndpointInput, EndpointOutput};
use crate::wire::{Avps, Message};
use ambient::{Entropy, Now};

/// Feeds `data` to the codec as one message, and to an endpoint as a stream after a good handshake.
///
/// # Panics
///
/// When what was read cannot be written and read again to the same value: that is what a fuzzer looks for.
pub fn fuzz_diameter(data: &[u8]) {
    if let Ok(message) = Message::parse(data) {
        walk(message.avps());
        fuzz_cx(&message);
        let _ = Capabilities::decode(&message);
    }
    fuzz_endpoint(data);
}

fn walk(avps: Avps<'_>) {
    for avp in avps.map_while(Result::ok) {
        let _ = (avp.text(), avp.unsigned32());
        if let Ok(inside) = avp.group() {
            walk(inside);
        }
    }
}

fn fuzz_cx(message: &Message<'_>) {
    let header = message.header;
    match decode_request(message) {
        Ok((envelope, request)) => {
            let bytes = request.encode(&envelope, header.hop_by_hop, header.end_to_end);
            let again = Message::parse(&bytes).map_err(Fault::from).and_then(|m| decode_request(&m));
            assert_eq!(again, Ok((envelope, request)));
        }
        Err(fault) => {
            let bytes = fault.answer(&header, message.avps(), "host.example", "example");
            assert!(Message::parse(&bytes).is_ok(), "a refusal can be read");
        }
    }
    if let Ok((envelope, answer)) = decode_answer(message) {
        let bytes = answer.encode(&header, &envelope);
        let again = Message::parse(&bytes).map_err(Fault::from).and_then(|m| decode_answer(&m));
        assert_eq!(again.map(|(_, answer)| answer.result()), Ok(answer.result()));
    }
}

fn fuzz_endpoint(data: &[u8]) {
    let mut config = EndpointConfig::new("hss.example", "example");
    config.accept_unknown_peers = true;
    config.message_len_max = 1 << 16;
    let mut endpoint = Endpoint::new(config, Entropy::seeded(1));
    let conn = ConnId::accepted(1);
    let now = Now::default();
    let remote = (std::net::Ipv4Addr::LOCALHOST, 3868).into();
    endpoint.handle(now, EndpointInput::Accepted { conn, remote });
    let cer = Capabilities::own("fuzz.example", "example", "fuzz", &[]).encode_request(1, 1);
    endpoint.handle(now, EndpointInput::Bytes { conn, bytes: &cer });
    // Two pieces, so that a message may lie across the cut.
    let (a, b) = data.split_at(data.len() / 3);
    for bytes in [a, b] {
        endpoint.handle(now, EndpointInput::Bytes { conn, bytes });
        while let Some(output) = endpoint.poll_output() {
            match output {
                EndpointOutput::Send { bytes, .. } => {
                    assert!(Message::parse(&bytes).is_ok(), "what we write can be read");
                }
                EndpointOutput::Request { id, request, .. } => {
                    let answer = request.refuse(crate::cx::CxResult::USER_UNKNOWN);
                    endpoint.handle(now, EndpointInput::Answer { id, answer });
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cx::tests::samples;

    /// Mutations of every kind of message that Cx has, the same at every run.
    #[test]
    fn mutated_messages_are_survived() {
        let seeds: Vec<Vec<u8>> = samples::messages().into_iter().map(|(_, bytes)| bytes).collect();
        let mut entropy = Entropy::seeded(0x00d1_a3e7);
        for seed in &seeds {
            fuzz_diameter(seed);
        }
        for round in 0..24_000 {
            let mut data = seeds[round % seeds.len()].clone();
            for _ in 0..=entropy.below(3) {
                mutate(&mut data, &mut entropy);
            }
            // Half of them keep a message length that fits, to get past the framing.
            if entropy.below(2) == 0 && data.len() >= 20 {
                data.resize(data.len().next_multiple_of(4), 0);
                let len = (data.len() as u32).to_be_bytes();
                data[..4].copy_from_slice(&[1, len[1], len[2], len[3]]);
            }
            fuzz_diameter(&data);
        }
    }

    fn mutate(data: &mut Vec<u8>, entropy: &mut Entropy) {
        let at = entropy.below(data.len().max(1) as u64) as usize;
        match entropy.below(6) {
            0 if !data.is_empty() => data[at] = entropy.next_u32() as u8,
            1 if !data.is_empty() => data[at] ^= 1 << entropy.below(8),
            2 => data.truncate(at),
            3 => data.insert(at, entropy.next_u32() as u8),
            // A length field set to an extreme.
            4 if data.len() > at + 4 => data[at..at + 4].copy_from_slice(&[0x40, 0xff, 0xff, 0xff]),
            _ => {
                let piece = data[at..(at + 24).min(data.len())].to_vec();
                data.extend_from_slice(&piece);
            }
        }
    }
}
