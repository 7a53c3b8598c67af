//! The 200 to a REGISTER (TS 24.229 §5.4.1.2.2F).

use super::binding::Binding;
use super::gruu::Gruus;
use super::register::Register;
use super::registrations::Registration;
use ambient::Instant;
use cscf::charging;
use cscf::identity::HomeNetwork;
use diameter_client::cx::ChargingInformation;
use sip_core::fields::charging::ChargingVector;
use sip_core::{Message, Name, NameAddr, ResponseBuilder, Uri, Value};
use std::fmt;
use std::io::Write;

/// What the 200 is made of beside the request.
pub struct Accepted<'a> {
    /// The set as it stands; `None` when nothing of it is left.
    pub registration: Option<&'a Registration>,
    /// The request.
    pub register: &'a Register,
    /// Our URI that marks a request as originating.
    pub service_route: &'a dyn fmt::Display,
    /// Our inter operator identifier.
    pub ioi: &'a str,
    /// Our network.
    pub home: &'a HomeNetwork,
    /// Authentication-Info, where the scheme has one.
    pub authentication_info: Option<&'a str>,
    /// The GRUUs that its UE has asked for.
    pub gruus: Option<&'a Gruus>,
    /// The time of the answer.
    pub now: Instant,
}

impl Accepted<'_> {
    /// Adds the header fields to the response.
    pub fn fill<'m>(&self, mut response: ResponseBuilder<'m>, request: &Message) -> ResponseBuilder<'m> {
        for (_, path) in request.all(Name::Path) {
            response = response.header(Name::Path, path);
        }
        let is_emergency = self.register.is_emergency();
        let listed = |registration: &&'_ Registration| {
            registration.bindings.iter().any(|binding| binding.is_emergency == is_emergency)
        };
        if let Some(registration) = self.registration.filter(listed) {
            // A contact for emergencies is told to its own UE, and it is told of no other (TS 24.229 §5.4.8.2).
            for binding in registration.bindings.iter().filter(|binding| binding.is_emergency == is_emergency)
            {
                response =
                    response.header(Name::Contact, Listed { binding, now: self.now, gruus: self.gruus });
            }
            if !self.register.removes_only() && !is_emergency {
                // The parameter says what the token does, to an S-CSCF that cannot read it any more.
                response = response.header(Name::ServiceRoute, format_args!("<{};orig>", self.service_route));
            }
            for identity in registration.set.associated() {
                response = response.header(Name::PAssociatedUri, format_args!("<{}>", identity.as_str()));
            }
            if is_emergency && registration.set.associated().next().is_none() {
                // Whoever is barred is helped under the name that it came by.
                let named = self.register.impu.as_str();
                response = response.header(Name::PAssociatedUri, format_args!("<{named}>"));
            }
            if let Some(functions) =
                registration.charging.as_deref().map(Functions).filter(Functions::has_any)
                && self.is_pcscf_at_home(request)
            {
                response = response.header(Name::PChargingFunctionAddresses, format_args!("{functions}"));
            }
            if self.register.contacts().iter().any(|contact| contact.flow().is_some()) {
                response = response.header(Name::Require, "outbound");
            }
        }
        // TS 24.229 §4.5.4: who answers returns orig-ioi and adds its own term-ioi.
        if let Some(vector) = charging::answer(request, self.ioi) {
            response = response.header(Name::PChargingVector, format_args!("{vector}"));
        }
        if let Some(info) = self.authentication_info {
            response = response.header(Name::AuthenticationInfo, info);
        }
        response
    }

    /// Whether the P-CSCF is one of our network (TS 24.229 §5.4.1.2.2F): only such a one is told where we charge.
    ///
    /// Each of P-Visited-Network-ID, orig-ioi and the first proxy of the Path that says where the P-CSCF is must say
    /// that it is here, and one of the first two must be there.
    fn is_pcscf_at_home(&self, request: &Message) -> bool {
        let visited = request.first(Name::PVisitedNetworkId).map(|value| {
            let network = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            let network =
                network.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(network);
            self.home.is_domain(network)
        });
        let vector = request.first(Name::PChargingVector).and_then(|value| ChargingVector::parse(value).ok());
        let sender = vector.and_then(|vector| Some(*vector.orig_ioi()? == *self.ioi.as_bytes()));
        let edge = request.all(Name::Path).last().is_none_or(|(_, path)| is_at_home(path, self.home));
        matches!((visited, sender), (Some(_), _) | (_, Some(_)))
            && visited.unwrap_or(true)
            && sender.unwrap_or(true)
            && edge
    }
}

/// Whether a Path entry names a host of the home domain. An address says nothing of a network.
fn is_at_home(path: &[u8], home: &HomeNetwork) -> bool {
    let Ok(entry) = NameAddr::parse(Name::Path, path) else { return false };
    let Ok(Uri::Sip(uri)) = entry.parsed_uri() else { return false };
    let domain = home.domain().as_bytes();
    uri.host.name().is_none_or(|name| {
        name.len() >= domain.len() && {
            let (host, end) = name.split_at(name.len() - domain.len());
            home.is_domain(end) && (host.is_empty() || host.ends_with(b"."))
        }
    })
}

/// A binding as the 200 lists it.
struct Listed<'a> {
    binding: &'a Binding,
    now: Instant,
    gruus: Option<&'a Gruus>,
}

impl Value for Listed<'_> {
    fn write_to(self, out: &mut Vec<u8>) {
        out.push(b'<');
        out.extend_from_slice(self.binding.uri());
        out.push(b'>');
        out.extend_from_slice(self.binding.params());
        // Rounded up: a UE that has just been granted an hour is told an hour.
        let left_s = self.binding.expires_at.since(self.now).as_micros().div_ceil(1_000_000);
        // A buffer in memory takes every write.
        let _ = write!(out, ";expires={left_s}");
        if let Some(gruus) = self.gruus.filter(|_| self.binding.has_gruu()) {
            let _ = write!(out, ";pub-gruu=\"{}\"", gruus.public(self.binding));
            if let Some(temporary) = gruus.temporary(self.binding) {
                let _ = write!(out, ";temp-gruu=\"{temporary}\"");
            }
        }
    }
}

/// The addresses of charging functions as P-Charging-Function-Addresses has them (RFC 7315 §4.5).
pub(super) struct Functions<'a>(pub(super) &'a ChargingInformation);

impl Functions<'_> {
    fn each(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let ChargingInformation { primary_ccf, secondary_ccf, primary_ecf, secondary_ecf } = self.0;
        [("ccf", primary_ccf), ("ccf", secondary_ccf), ("ecf", primary_ecf), ("ecf", secondary_ecf)]
            .into_iter()
            .filter_map(|(name, function)| Some((name, function.as_deref()?)))
            .filter(|(_, address)| !address.contains(['"', '\\']))
    }

    pub(super) fn has_any(&self) -> bool {
        self.each().next().is_some()
    }
}

impl fmt::Display for Functions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, address)) in self.each().enumerate() {
            write!(f, "{}{name}=\"{address}\"", if number == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}
