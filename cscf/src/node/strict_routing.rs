//! Strict routers, which put the next hop into the Request-URI (RFC 3261 §16.4, §16.6 step 6, §16.12.1.2).

use crate::node::Core;
use crate::role::Role;
use sip_core::{Edits, Message, Name, NameAddr, SlotId, Uri};

impl<R: Role> Core<R> {
    /// A request that a strict router sent to us, as a loose one would have sent it; `None` for any other.
    ///
    /// RFC 3261 §16.4: where the Request-URI is a URI that we recorded, the target is the last Route. Our own URI becomes
    /// the first Route, where a role looks for it.
    pub(super) fn undo_strict_routing(&mut self, message: &Message) -> Option<Message> {
        if !message.has(Name::Route) || !says_lr(message.uri()) {
            return None;
        }
        let uri = Uri::parse(message.uri()).ok()?;
        self.token_key.open(uri.user()?)?;
        let (last, target) = message.routes().next_back()?;
        let mut edits = Edits::new();
        edits.push_top(Name::Route, &bracketed(message.uri()));
        edits.remove_slot(last);
        edits.set_uri(target.ok()?.uri());
        let mut bytes = self.buffers.take();
        edits.render(message, &mut bytes);
        let index = self.indexes.pop().unwrap_or_default();
        let undone = Message::parse_into(bytes, &self.limits, index).ok()?;
        self.counters.add("strict_routing", "undone");
        Some(undone)
    }
}

/// Makes the Route in `slot` the Request-URI, and the Request-URI the last Route, where that Route does not route loosely
/// (RFC 3261 §16.6 step 6).
pub(super) fn yield_to_strict_router(message: &Message, edits: &mut Edits, slot: SlotId) {
    if says_lr(message.slot(slot)) {
        return;
    }
    let Ok(route) = NameAddr::parse(Name::Route, message.slot(slot)) else { return };
    let target = bracketed(edits.uri().unwrap_or(message.uri()));
    edits.append(Name::Route, &target);
    edits.remove_slot(slot);
    // RFC 3261 §19.1.1: headers have no place in a Request-URI.
    edits.set_uri(route.uri().split(|byte| *byte == b'?').next().unwrap_or_default());
}

/// Whether the URI in `text` has the parameter `lr`.
fn says_lr(text: &[u8]) -> bool {
    let params = text.split(|byte| matches!(byte, b';' | b'>' | b'?')).skip(1);
    params
        .map(|param| param.split(|byte| *byte == b'=').next())
        .any(|name| name.is_some_and(|name| name.eq_ignore_ascii_case(b"lr")))
}

fn bracketed(uri: &[u8]) -> Vec<u8> {
    [b"<", uri, b">"].concat()
}
