//! What every request must pass before a role sees it (RFC 3261 §16.3, §18.2.1; RFC 5393 §4.2 and §5.3).

use crate::flow::Source;
use crate::node::branch_id::{BranchId, LOOP_MASK};
use crate::node::{Core, breadth_of};
use crate::reject::Reject;
use crate::role::Role;
use sip_core::proxy::loop_detection::loop_hash;
use sip_core::{Message, Method, Name, Status, Via};
use std::io::Write;

impl<R: Role> Core<R> {
    /// Writes what the packet says of the sender into the top Via: received and rport (RFC 3261 §18.2.1, RFC 3581 §4).
    ///
    /// False when there is no readable Via, or no room for it.
    pub(super) fn stamp_via(&mut self, source: &Source, message: &mut Message) -> bool {
        let (Ok(via), Some((slot, raw))) = (message.top_via(), message.all(Name::Via).next()) else {
            return false;
        };
        let is_named_right = via.sent_by().ip() == Some(source.remote.ip());
        if is_named_right && via.rport().is_none() && via.received().is_none() {
            return true;
        }
        let value = &mut self.scratch;
        value.clear();
        let head = raw.iter().position(|byte| *byte == b';').unwrap_or(raw.len());
        value.extend_from_slice(raw[..head].trim_ascii_end());
        for (name, param) in via.params() {
            if name.eq_ignore_ascii_case(b"received") || name.eq_ignore_ascii_case(b"rport") {
                continue;
            }
            value.push(b';');
            value.extend_from_slice(name);
            if let Some(param) = param {
                value.push(b'=');
                value.extend_from_slice(param);
            }
        }
        // Writing into memory does not fail.
        let _ = write!(value, ";received={}", source.remote.ip());
        if via.rport().is_some() {
            let _ = write!(value, ";rport={}", source.remote.port());
        }
        message.overwrite(slot, value)
    }

    /// What every request must pass before a role sees it (RFC 3261 §16.3, RFC 5393 §4.2 and §5.3).
    pub(super) fn screen(&self, message: &Message, via: &Via<'_>, supported: &[&str]) -> Result<(), Reject> {
        message.check_beneath(via).map_err(|error| {
            Reject::new(Status::BAD_REQUEST, "malformed request").detail(error.to_string())
        })?;
        let is_cancel = message.method() == Method::Cancel;
        if message.max_forwards().is_ok_and(|left| left == Some(0)) && !is_cancel {
            return Err(Reject::new(Status::TOO_MANY_HOPS, "Max-Forwards is used up"));
        }
        if breadth_of(message) == 0 {
            return Err(Reject::new(Status::MAX_BREADTH_EXCEEDED, "Max-Breadth is used up"));
        }
        if self.is_loop(message) {
            return Err(Reject::new(Status::LOOP_DETECTED, "request came back unchanged"));
        }
        let unknown: Vec<String> = message
            .option_tags(Name::ProxyRequire)
            .filter(|tag| !supported.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(tag)))
            .map(|tag| String::from_utf8_lossy(tag).into_owned())
            .collect();
        if !unknown.is_empty() && !is_cancel {
            return Err(Reject::new(Status::BAD_EXTENSION, "Proxy-Require names an unknown extension")
                .header(Name::Unsupported, unknown.join(", ")));
        }
        let is_initial = || message.to().is_ok_and(|to| to.tag().is_none());
        if self.is_draining && !is_cancel && is_initial() {
            return Err(
                Reject::new(Status::SERVICE_UNAVAILABLE, "shutting down").header(Name::RetryAfter, "10")
            );
        }
        Ok(())
    }

    /// Whether a Via of ours in the message was made from the same request: a loop, not a spiral.
    pub(super) fn is_loop(&self, message: &Message) -> bool {
        let mut own_hash = None;
        message.all(Name::Via).any(|(_, value)| {
            // The next hops hand our Via on as we wrote it, so that the others need not be read.
            let sent_by = value.iter().position(|byte| *byte == b' ').map_or(value, |at| &value[at + 1..]);
            if !self.sent_by.iter().any(|(_, own)| sent_by.starts_with(own)) {
                return false;
            }
            let Ok(via) = Via::parse(value) else { return false };
            let Some(branch) = via.branch().and_then(BranchId::read) else { return false };
            let is_ours = self.locals.iter().any(|local| {
                via.port.unwrap_or(5060) == local.address.port()
                    && via.sent_by().ip() == Some(local.address.ip())
            });
            is_ours && branch.loop_hash != 0 && {
                let hash = *own_hash.get_or_insert_with(|| loop_hash(message, &self.hash_state) & LOOP_MASK);
                hash == branch.loop_hash
            }
        })
    }
}
