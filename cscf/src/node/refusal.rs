//! Refusals: the one place that turns a [`Reject`] into a response.

use crate::context::{Came, ContextId};
use crate::flow::Source;
use crate::input::{Output, Ticket};
use crate::metrics::{Flowing, Kind};
use crate::node::Core;
use crate::node::server::response_exit;
use crate::reject::Reject;
use crate::role::{Incoming, Role};
use ambient::Now;
use sip_core::{Message, Method, Name, ParseError, ResponseBuilder};

impl<R: Role> Core<R> {
    /// Counts a request that came, and notes how it did; a repeated one, which a transaction absorbs, as such.
    pub(super) fn came(
        &mut self,
        now: Now,
        source: &Source,
        message: &Message,
        method: &Method<'_>,
        is_again: bool,
    ) -> Came {
        let kind = Kind::of(method);
        let is_initial = *method == Method::Invite && message.to().is_ok_and(|to| to.tag().is_none());
        match &mut self.traffic {
            Some(traffic) if is_again => traffic.again(Flowing::In, kind),
            Some(traffic) => traffic.request(Flowing::In, kind, source.transport),
            None => {}
        }
        Came { at: now.instant, kind, transport: source.transport, is_initial, has_rung: false }
    }

    /// A message that could not be parsed: answered where that is possible (RFC 3261 §8.2, RFC 4475).
    pub(super) fn malformed(&mut self, source: Source, error: ParseError) {
        self.facts.about(None, Some(source.remote));
        self.count("malformed", error.reason.label());
        tracing::debug!(role = R::NAME, reason = error.reason.label(), remote = %source.remote, "malformed message");
        let status = error.reason.status();
        let cause = error.reason.label();
        if let Some(message) = error.into_request() {
            self.refuse_stateless(&Incoming { message, source }, &Reject::new(status, cause));
        }
    }

    /// Refuses the request of a context, or counts a refusal that comes too late.
    pub(crate) fn refuse(&mut self, now: Now, id: Option<ContextId>, request: &Incoming, reject: &Reject) {
        let is_late = id.and_then(|id| self.contexts.get(id)).is_some_and(|context| context.is_answered);
        if is_late {
            return self.count("late_refusal", reject.cause);
        }
        self.refused(request, reject);
        tracing::info!(
            role = R::NAME,
            status = reject.status.code(),
            cause = reject.cause,
            detail = reject.detail.as_deref().unwrap_or_default(),
            method = %request.message.method(),
            remote = %request.source.remote,
            "refused"
        );
        if let Some(id) = id {
            self.cancel_branches(now, id);
        }
        let warning = self.warning(reject);
        self.reply(now, id, request, reject.status, |response| fill_refusal(response, reject, &warning));
    }

    /// Refuses a request that gets no transaction.
    pub(super) fn refuse_stateless(&mut self, request: &Incoming, reject: &Reject) {
        self.refused(request, reject);
        let Ok(via) = request.message.top_via() else { return };
        if request.message.method() == Method::Ack {
            return;
        }
        if let Some(traffic) = &mut self.traffic {
            let kind = Kind::of(&request.message.method());
            traffic.response(Flowing::Out, kind, request.source.transport, reject.status.code());
        }
        let exit = response_exit(&request.source, &via);
        let mut builder = ResponseBuilder::for_request(&request.message, reject.status);
        if request.message.to().is_ok_and(|to| to.tag().is_none()) {
            let tag = self.mint_tag();
            builder = builder.to_tag(tag.as_str());
        }
        let warning = self.warning(reject);
        let bytes = fill_refusal(builder, reject, &warning).build();
        self.outputs.push_back(Output::Send { exit, bytes, ticket: Ticket::default() });
    }

    /// Counts and records a refusal.
    fn refused(&mut self, request: &Incoming, reject: &Reject) {
        self.counters.add("refused", reject.cause);
        if self.facts.is_on() {
            self.facts.about(request.message.first(Name::CallId), Some(request.source.remote));
            let (method, status) = (request.message.method(), reject.status.code());
            let detail = match &reject.detail {
                Some(detail) => format!("{method} {status}: {detail}"),
                None => format!("{method} {status}"),
            };
            self.facts.add("refused", reject.cause, &detail);
        }
    }

    /// The cause as a Warning value (RFC 3261 §20.43: 399, miscellaneous).
    pub(super) fn warning(&self, reject: &Reject) -> String {
        format!("399 {} \"{}\"", self.locals[0].address, reject.cause)
    }
}

fn fill_refusal<'m>(response: ResponseBuilder<'m>, reject: &Reject, warning: &str) -> ResponseBuilder<'m> {
    let response = response.header(Name::Warning, warning);
    let response = reject
        .headers
        .iter()
        .fold(response, |response, (name, value)| response.header(*name, value.as_str()));
    match &reject.body {
        Some((content_type, text)) => response.body(*content_type, text.as_bytes()),
        None => response,
    }
}
