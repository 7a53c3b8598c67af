//! Traces as OpenTelemetry has them: one call is one trace, made from what was recorded.
//!
//! The id of a trace is the first 16 bytes of SHA-256 of the icid, so that every process, and whoever has a capture, comes to
//! the same. A span is one transaction at one node: of a server from the request that came to the final response that left,
//! of a client from the request that left to the final response that came. A client's parent is the server at its node that
//! caused it; a server's parent is the client that sent to it.

use crate::entry::{Entry, Function, Message, Protocol, What};
use crate::story::{Story, stories};
use crate::{diameter, sip};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// One transaction at one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Of which trace.
    pub trace: [u8; 16],
    /// Its own id.
    pub id: [u8; 8],
    /// The span that caused it.
    pub parent: Option<[u8; 8]>,
    /// `sip.server INVITE`, `diameter.client UAR`.
    pub name: String,
    /// Where.
    pub function: Function,
    /// The name of the node.
    pub node: String,
    /// Whether it served, else asked.
    pub is_server: bool,
    /// Microseconds since 1970.
    pub start_us: u64,
    /// When it ended: its last message, where it never did.
    pub end_us: u64,
    /// The final status or result.
    pub code: Option<u32>,
    /// Whether that is a failure.
    pub is_failure: bool,
    /// What else is told of it.
    pub attributes: Vec<(&'static str, String)>,
}

/// The id of the trace of an icid.
pub fn trace_id(icid: &str) -> [u8; 16] {
    let digest = Sha256::digest(icid.as_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    id
}

/// The spans of joined entries, trace by trace.
pub fn spans(entries: &[Entry]) -> Vec<Span> {
    stories(entries).iter().flat_map(|story| of_story(story, entries)).collect()
}

/// What a transaction is found by at one node.
type Key = (usize, bool, String);

fn of_story(story: &Story, entries: &[Entry]) -> Vec<Span> {
    // A registration has an icid for each REGISTER: each message goes by its own, or by the one of its transaction.
    let fallback = story.icids.first().cloned().unwrap_or_else(|| story.id().to_owned());
    let start = entries.first().map(|first| first.at);
    let micros = |entry: &Entry| {
        start.map_or(0, |start| {
            start.wall.as_millis() * 1000 + (entry.at.instant - start.instant).as_micros() as u64
        })
    };
    let mut nodes = Vec::new();
    let mut open: BTreeMap<Key, usize> = BTreeMap::new();
    let mut spans: Vec<Span> = Vec::new();
    for at in &story.entries {
        let Some(entry) = entries.get(*at) else { continue };
        let What::Message(message) = &entry.what else { continue };
        let node = nodes.iter().position(|node| *node == &entry.node).unwrap_or_else(|| {
            nodes.push(&entry.node);
            nodes.len() - 1
        });
        let Some(transaction) = transaction(message) else { continue };
        let is_request = is_request(message);
        // Who receives a request serves; who receives a response has asked.
        let is_server = is_request != message.sent;
        let key = (node, is_server, transaction.clone());
        match open.get(&key) {
            None if is_request => {
                let icid = sip::icid(&message.bytes).filter(|_| message.protocol == Protocol::Sip);
                let parent = match is_server {
                    true => sender(&open, &transaction).map(|index| &spans[index]),
                    false => cause(&spans, entry, message),
                };
                let (trace, parent) = match (parent, icid) {
                    (Some(parent), None) => (parent.trace, Some(parent.id)),
                    (Some(parent), Some(icid)) => (trace_id(&icid), Some(parent.id)),
                    (None, icid) => (trace_id(&icid.unwrap_or_else(|| fallback.clone())), None),
                };
                let id = span_id(&entry.node.function, &entry.node.name, is_server, &transaction);
                let now = micros(entry);
                open.insert(key, spans.len());
                spans.push(Span {
                    trace,
                    id,
                    parent,
                    name: name(message, is_server),
                    function: entry.node.function,
                    node: entry.node.name.clone(),
                    is_server,
                    start_us: now,
                    end_us: now,
                    code: None,
                    is_failure: false,
                    attributes: attributes(message),
                });
            }
            None => {}
            Some(index) => {
                let span = &mut spans[*index];
                span.end_us = span.end_us.max(micros(entry));
                if let Some(code) = final_code(message) {
                    (span.code, span.is_failure) = (Some(code), message.is_failure());
                }
            }
        }
    }
    settle_traces(&mut spans);
    spans
}

/// A request of a UE has no icid yet; its trace is that of what it caused.
fn settle_traces(spans: &mut [Span]) {
    for _ in 0..spans.len() {
        let mut has_changed = false;
        for child in (0..spans.len()).rev() {
            let Some(parent) = spans[child].parent else { continue };
            let trace = spans[child].trace;
            if let Some(parent) = spans.iter_mut().find(|span| span.id == parent && span.trace != trace) {
                parent.trace = trace;
                has_changed = true;
            }
        }
        if !has_changed {
            return;
        }
    }
}

fn is_request(message: &Message) -> bool {
    match message.protocol {
        Protocol::Sip => sip::status(&message.bytes).is_none(),
        Protocol::Diameter => diameter::is_request(&message.bytes),
    }
}

/// What all messages of a transaction between two nodes have in common.
fn transaction(message: &Message) -> Option<String> {
    match message.protocol {
        Protocol::Sip => {
            let method = sip::method(&message.bytes)?;
            // The ACK of a failure is of the INVITE's transaction, and so is none of its own.
            (method != "ACK").then_some(())?;
            Some(format!("{method} {}", sip::branch(&message.bytes)?))
        }
        Protocol::Diameter => {
            let identifiers = diameter::identifiers(&message.bytes)?;
            let command = diameter::command(&message.bytes)?;
            Some(format!("{command} {}", hex(&identifiers)))
        }
    }
}

/// The client of a transaction, at another node.
fn sender(open: &BTreeMap<Key, usize>, transaction: &str) -> Option<usize> {
    open.iter().find(|((_, is_server, of), _)| !is_server && of == transaction).map(|(_, index)| *index)
}

/// The server at the same node that a request comes from: the youngest with its icid or its Call-ID, for Diameter the youngest
/// of all.
fn cause<'s>(spans: &'s [Span], entry: &Entry, message: &Message) -> Option<&'s Span> {
    let at_node = spans.iter().rev().filter(|span| {
        span.is_server && span.function == entry.node.function && span.node == entry.node.name
    });
    match message.protocol {
        Protocol::Diameter => at_node.into_iter().next(),
        Protocol::Sip => {
            let method = sip::method(&message.bytes)?;
            let ending = format!(" {method}");
            at_node.into_iter().find(|span| span.name.ends_with(&ending))
        }
    }
}

fn name(message: &Message, is_server: bool) -> String {
    let side = if is_server { "server" } else { "client" };
    match message.protocol {
        Protocol::Sip => format!("sip.{side} {}", sip::method(&message.bytes).unwrap_or_default()),
        Protocol::Diameter => format!("diameter.{side} {}", diameter::summary(&message.bytes)),
    }
}

fn final_code(message: &Message) -> Option<u32> {
    match message.protocol {
        Protocol::Sip => sip::status(&message.bytes).filter(|status| *status >= 200).map(u32::from),
        Protocol::Diameter if diameter::is_request(&message.bytes) => None,
        Protocol::Diameter => diameter::result_code(&message.bytes),
    }
}

fn attributes(message: &Message) -> Vec<(&'static str, String)> {
    let (_, to) = message.ends();
    let mut attributes = vec![
        ("server.address", to.ip().to_string()),
        ("server.port", to.port().to_string()),
        ("network.transport", message.transport.name().to_ascii_lowercase()),
        ("network.protocol.name", message.protocol.name().to_ascii_lowercase()),
        ("ims.reference_point", message.interface.name().to_owned()),
    ];
    match message.protocol {
        Protocol::Sip => {
            attributes.extend(sip::method(&message.bytes).map(|method| ("sip.method", method)));
            attributes.extend(sip::call_id(&message.bytes).map(|id| ("sip.call_id", id.to_owned())));
        }
        Protocol::Diameter => {
            let session =
                diameter::session_id(&message.bytes).map(|id| String::from_utf8_lossy(id).into_owned());
            attributes.extend(session.map(|session| ("diameter.session_id", session)));
        }
    }
    attributes
}

fn span_id(function: &Function, node: &str, is_server: bool, transaction: &str) -> [u8; 8] {
    let digest = Sha256::digest(format!("{function:?} {node} {is_server} {transaction}").as_bytes());
    let mut id = [0; 8];
    id.copy_from_slice(&digest[..8]);
    id
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Spans as OTLP in JSON: one resource for each node. A line of a file, or the body of a POST to `/v1/traces`.
pub fn json(spans: &[Span]) -> Value {
    let mut by_node: BTreeMap<(Function, &str), Vec<&Span>> = BTreeMap::new();
    for span in spans {
        by_node.entry((span.function, &span.node)).or_default().push(span);
    }
    let resources: Vec<_> = by_node
        .into_iter()
        .map(|((function, node), spans)| {
            let mut attributes = vec![attribute("service.name", function.title())];
            if !node.is_empty() {
                attributes.push(attribute("service.instance.id", node));
            }
            let spans: Vec<_> = spans.into_iter().map(span_json).collect();
            json!({
                "resource": { "attributes": attributes },
                "scopeSpans": [{ "scope": { "name": "carillon" }, "spans": spans }],
            })
        })
        .collect();
    json!({ "resourceSpans": resources })
}

fn span_json(span: &Span) -> Value {
    let mut attributes: Vec<_> = span.attributes.iter().map(|(key, value)| attribute(key, value)).collect();
    attributes.push(attribute("ims.role", span.function.title()));
    if let Some(code) = span.code {
        let key = if span.name.starts_with("sip") { "sip.status_code" } else { "diameter.result_code" };
        attributes.push(json!({ "key": key, "value": { "intValue": code.to_string() } }));
        if span.is_failure {
            attributes.push(attribute("error.type", &code.to_string()));
        }
    }
    let mut told = json!({
        "traceId": hex(&span.trace),
        "spanId": hex(&span.id),
        "name": span.name,
        "kind": if span.is_server { 2 } else { 3 },
        "startTimeUnixNano": (span.start_us * 1000).to_string(),
        "endTimeUnixNano": (span.end_us * 1000).to_string(),
        "attributes": attributes,
        "status": { "code": if span.is_failure { 2 } else { 0 } },
    });
    if let Some(parent) = &span.parent {
        told["parentSpanId"] = hex(parent).into();
    }
    told
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn at(function: Function, sent: bool, mut entry: Entry) -> Entry {
        entry.node.function = function;
        if let What::Message(message) = &mut entry.what {
            message.sent = sent;
        }
        entry
    }

    #[test]
    fn a_call_is_one_trace_and_each_hop_the_parent_of_the_next() {
        let first = || sample::sip("INVITE sip:b SIP/2.0", "leg", None);
        let second = || {
            let mut entry = sample::sip("INVITE sip:b SIP/2.0", "leg", Some("ic"));
            if let What::Message(message) = &mut entry.what {
                let text = String::from_utf8_lossy(&message.bytes).replace("z9hG4bKleg", "z9hG4bKnext");
                message.bytes = text.into_bytes();
            }
            entry
        };
        let busy = || sample::sip("SIP/2.0 486 Busy Here", "leg", None);
        let entries = [
            at(Function::Ue, true, first()),
            at(Function::Pcscf, false, first()),
            at(Function::Pcscf, true, second()),
            at(Function::Scscf, false, second()),
            at(Function::Pcscf, true, busy()),
            at(Function::Ue, false, busy()),
        ];
        let spans = spans(&entries);
        let names: Vec<_> = spans.iter().map(|span| (span.function, span.is_server)).collect();
        let expected = [
            (Function::Ue, false),
            (Function::Pcscf, true),
            (Function::Pcscf, false),
            (Function::Scscf, true),
        ];
        assert_eq!(names, expected);
        assert_eq!(spans[0].parent, None);
        for pair in spans.windows(2) {
            assert_eq!(pair[1].parent, Some(pair[0].id));
        }
        assert!(spans.iter().all(|span| span.trace == trace_id("ic")), "{spans:?}");
        assert_eq!((spans[0].code, spans[0].is_failure), (Some(486), true));
        let told = json(&spans).to_string();
        assert!(told.contains(&hex(&trace_id("ic"))) && told.contains("parentSpanId"));
    }
}
