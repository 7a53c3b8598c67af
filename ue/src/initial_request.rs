//! Requests outside of any dialog (TS 24.229 §5.1.2A.1): who asks, whom, and by which way.

use crate::config::Fault;
use crate::ue::Ue;
use cscf::Turn;
use cscf::flow::Transport;
use sip_core::{Method, Name, RequestBuilder, Uri};

/// What ties a request to its repetition (RFC 3261 §8.1.3.5): the same Call-ID and From tag, the next CSeq.
#[derive(Clone, Debug)]
pub(crate) struct Thread {
    call_id: String,
    tag: String,
    sequence: u32,
}

impl Thread {
    /// A new one.
    pub(crate) fn new(turn: &mut Turn<'_, Ue>) -> Thread {
        Thread { call_id: Ue::token(turn), tag: Ue::token(turn), sequence: 0 }
    }

    /// Call-ID and From tag.
    pub(crate) fn names(&self) -> (&str, &str) {
        (&self.call_id, &self.tag)
    }
}

impl Ue {
    /// A request to `to`, complete but for Via, Contact and what its method needs; or why there is none.
    pub(crate) fn initial_request(
        &self,
        thread: &mut Thread,
        method: Method<'_>,
        to: &str,
    ) -> Result<RequestBuilder, &'static str> {
        let to = self.dialled(to)?;
        let (identity, service_route) = self.asking_as()?;
        thread.sequence += 1;
        let Thread { call_id, tag, sequence } = thread;
        let hop = self.protected_ends().map_or(self.config.pcscf, |(_, hop)| hop);
        let mut request = RequestBuilder::new(method, &to);
        // TS 24.229 §5.1.2A.1.1: the P-CSCF, then the Service-Route as it came.
        request = match hop.transport {
            Transport::Udp => request.header(Name::Route, format_args!("<sip:{};lr>", hop.remote)),
            Transport::Tcp | Transport::Tls => {
                let route = format_args!("<sip:{};transport={};lr>", hop.remote, hop.transport);
                request.header(Name::Route, route)
            }
        };
        for route in service_route {
            request = request.header(Name::Route, route);
        }
        request = request
            .header(Name::MaxForwards, "70")
            .header(Name::From, format_args!("<{identity}>;tag={tag}"))
            .header(Name::To, format_args!("<{to}>"))
            .header(Name::CallId, &*call_id)
            .header(Name::CSeq, format_args!("{sequence} {method}"));
        if self.config.policy.fault == Some(Fault::ForgedIdentity) {
            let forged = format!("<sip:somebody-else@{}>", self.config.home_domain);
            request =
                request.header(Name::PPreferredIdentity, &forged).header(Name::PAssertedIdentity, &forged);
        } else {
            request = request.header(Name::PPreferredIdentity, format_args!("<{identity}>"));
        }
        if let Some(access) = &self.config.access {
            request = request.header(Name::PAccessNetworkInfo, access);
        }
        Ok(self.proof().on(request))
    }

    /// The identity that asks, and the Service-Route: the registered one where it is not barred, else the default one
    /// (TS 24.229 §5.1.1.3).
    fn asking_as(&self) -> Result<(&str, &[String]), &'static str> {
        match self.registration.binding() {
            Some(binding) => {
                let is_listed = |identity: &&String| **identity == self.config.impu;
                let identity = binding.identities.iter().find(is_listed).or(binding.identities.first());
                Ok((identity.unwrap_or(&self.config.impu), &binding.service_route))
            }
            None if self.config.policy.fault == Some(Fault::Unregistered) => Ok((&self.config.impu, &[])),
            None => Err("not registered"),
        }
    }

    /// The URI that was dialled; a local number is one of the home network (TS 24.229 §5.1.2A.1.5).
    fn dialled(&self, to: &str) -> Result<String, &'static str> {
        match Uri::parse(to.as_bytes()) {
            Ok(Uri::Sip(_) | Uri::Urn(_)) => Ok(to.to_owned()),
            Ok(Uri::Tel(tel)) if tel.is_global() || tel.params.has(b"phone-context") => Ok(to.to_owned()),
            Ok(Uri::Tel(_)) => Ok(format!("{to};phone-context={}", self.config.home_domain)),
            _ => Err("neither a SIP nor a tel URI"),
        }
    }
}
