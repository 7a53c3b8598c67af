//! The 200 to a REGISTER (TS 24.229 §5.4.1.2.2F).

use super::binding::Binding;
use super::register::Register;
use super::registrations::Registration;
use ambient::Instant;
use sip_core::{Message, Name, ResponseBuilder};

/// What the 200 is made of beside the request.
#[derive(Debug)]
pub struct Accepted<'a> {
    /// The set as it stands; `None` when nothing of it is left.
    pub registration: Option<&'a Registration>,
    /// The request.
    pub register: &'a Register,
    /// Our URI that marks a request as originating.
    pub service_route: &'a str,
    /// Our inter operator identifier.
    pub ioi: &'a str,
    /// Authentication-Info, where the scheme has one.
    pub authentication_info: Option<&'a str>,
    /// The time of the answer.
    pub now: Instant,
}

impl Accepted<'_> {
    /// Adds the header fields to the response.
    pub fn fill<'m>(&self, mut response: ResponseBuilder<'m>, request: &Message) -> ResponseBuilder<'m> {
        for (_, path) in request.all(Name::Path) {
            response = response.header(Name::Path, path);
        }
        if let Some(registration) = self.registration.filter(|registration| !registration.bindings.is_empty())
        {
            for binding in &registration.bindings {
                response = response.header(Name::Contact, &contact_value(binding, self.now)[..]);
            }
            if !self.register.removes_only() {
                response = response.header(Name::ServiceRoute, format_args!("<{}>", self.service_route));
            }
            for uri in registration.associated_uris() {
                response = response.header(Name::PAssociatedUri, format_args!("<{uri}>"));
            }
            if let Some(charging) = charging_addresses(registration) {
                response = response.header(Name::PChargingFunctionAddresses, &charging);
            }
            if self.register.contacts().iter().any(|contact| contact.flow().is_some()) {
                response = response.header(Name::Require, "outbound");
            }
        }
        if let Some(vector) = &self.register.charging_vector {
            // TS 24.229 §4.5.4: who answers returns orig-ioi and adds its own term-ioi.
            let vector = vector.clone().answered_by(self.ioi);
            response = response.header(Name::PChargingVector, format_args!("{vector}"));
        }
        if let Some(info) = self.authentication_info {
            response = response.header(Name::AuthenticationInfo, info);
        }
        response
    }
}

fn contact_value(binding: &Binding, now: Instant) -> Vec<u8> {
    let mut value = Vec::new();
    value.push(b'<');
    value.extend_from_slice(&binding.contact.uri);
    value.push(b'>');
    value.extend_from_slice(&binding.contact.params);
    // Rounded up: a UE that has just been granted an hour is told an hour.
    let left_s = binding.expires_at.since(now).as_micros().div_ceil(1_000_000);
    value.extend_from_slice(format!(";expires={left_s}").as_bytes());
    value
}

fn charging_addresses(registration: &Registration) -> Option<String> {
    let charging = registration.charging.as_ref()?;
    let part = |name, function: &Option<String>| {
        function
            .as_ref()
            .filter(|address| !address.contains(['"', '\\']))
            .map(|address| format!("{name}=\"{address}\""))
    };
    let parts: Vec<String> = [
        part("ccf", &charging.primary_ccf),
        part("ccf", &charging.secondary_ccf),
        part("ecf", &charging.primary_ecf),
        part("ecf", &charging.secondary_ecf),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}
