//! Handsets: how phones of a make say what the specification leaves open, as data, one file for each.
//!
//! A handset changes no decision of the UE but how it writes: order and presence of header fields, the form of Contact and
//! Authorization, what it offers in Security-Client, its ports, its transport, its expiry. Facts come from public captures and
//! threads; what no public source shows is a guess, and each file says which is which.

pub mod apple;
pub mod mediatek;
pub mod plain;
pub mod qualcomm;
pub mod samsung;

use crate::config::{Reliable, SecurityConfig};
use cscf::flow::Transport;
use ipsec::agreement::{self, MECHANISMS_MAX};
use ipsec::{Algorithms, Encryption, Ends, Integrity, Mode};
use sip_core::{Name, RequestBuilder};
use std::fmt::{self, Write};
use std::time::Duration;

/// What phones of one make send.
#[derive(PartialEq, Eq)]
pub struct Handset {
    /// What it is called on a command line.
    pub name: &'static str,
    /// User-Agent.
    pub user_agent: Option<&'static str>,
    /// The order of header fields in a REGISTER behind the Via, which the transaction layer puts first.
    pub register_order: &'static [Name],
    /// The order in every other request. What an order does not name stands behind it, as the plain UE has it.
    pub order: &'static [Name],
    /// Contact in a REGISTER.
    pub register_contact: ContactForm,
    /// Contact in every other message.
    pub contact: ContactForm,
    /// Supported in a REGISTER.
    pub register_supported: &'static str,
    /// Supported in a request for a session.
    pub supported: &'static str,
    /// Allow in a request.
    pub allow: &'static str,
    /// Fields that an INVITE has beyond those of the plain UE.
    pub invite: &'static [(Name, &'static str)],
    /// P-Access-Network-Info, in the spelling of the handset.
    pub access: Option<&'static str>,
    /// The expiry that it asks for.
    pub expires: Duration,
    /// The order of the parameters of Authorization; what it does not name stands behind.
    pub authorization: &'static [&'static str],
    /// Whether Authorization names the algorithm before any challenge has.
    pub names_algorithm: bool,
    /// What it offers for security associations.
    pub offers: Offers,
    /// What it sends requests over that are short enough for UDP.
    pub transport: Transport,
    /// Whether it sends a 18x reliably without being made to.
    pub reliable: Reliable,
}

/// How a Contact is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContactForm {
    /// The user part of its URI.
    pub user: ContactUser,
    /// Whether a UE that uses TCP says so in the URI.
    pub transport: ContactTransport,
    /// Its parameters, in order.
    pub parameters: &'static [ContactParameter],
}

/// The user part of a Contact URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactUser {
    /// None.
    Absent,
    /// That of the identity which is registered.
    Identity,
}

/// The transport of a Contact URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactTransport {
    /// Never named.
    Absent,
    /// Named where it is TCP.
    Named,
}

/// A parameter of Contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactParameter {
    /// `+sip.instance` with the IMEI of the phone.
    Instance,
    /// As it is.
    Text(&'static str),
}

/// What a handset offers in Security-Client.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Offers {
    /// The pairs of algorithms, in the order in which they are offered.
    pub pairs: &'static [Algorithms],
    /// The parameters of a mechanism, in order.
    pub parameters: &'static [MechanismParameter],
    /// How several mechanisms are put together.
    pub layout: Layout,
    /// The ring of protected server ports.
    pub server_ports: &'static [u16],
    /// The ring of protected client ports.
    pub client_ports: &'static [u16],
}

/// How several mechanisms are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Each in a header field of its own.
    Lines,
    /// All in one header field, with this between them.
    List(&'static str),
}

/// A parameter of a mechanism of RFC 3329.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MechanismParameter {
    /// `q`: the first has 0.900, each further one less.
    Preference,
    /// `alg`.
    Integrity,
    /// `ealg`.
    Encryption,
    /// `prot=esp`.
    Protocol,
    /// `mod`.
    Mode,
    /// `spi-c` and `spi-s`.
    Spis,
    /// `port-c` and `port-s`.
    Ports,
}

/// All of them, by their names.
pub const ALL: [&Handset; 6] = [
    &plain::PLAIN,
    &samsung::SAMSUNG,
    &samsung::SAMSUNG_LIST,
    &apple::APPLE,
    &qualcomm::QUALCOMM,
    &mediatek::MEDIATEK,
];

impl Handset {
    /// The handset of a name; `google` is Qualcomm's, whose modem older Pixels have.
    pub fn of(name: &str) -> Option<&'static Handset> {
        let name = if name == "google" { qualcomm::QUALCOMM.name } else { name };
        ALL.into_iter().find(|handset| handset.name == name)
    }

    /// A UE of no make.
    pub fn plain() -> &'static Handset {
        &plain::PLAIN
    }

    /// What it offers, at its own ports.
    pub fn security(&self) -> SecurityConfig {
        SecurityConfig {
            pairs: self.offers.pairs.to_vec(),
            server_ports: self.offers.server_ports.to_vec(),
            client_ports: self.offers.client_ports.to_vec(),
            tunnel: None,
        }
    }

    /// The values of Security-Client that offer these mechanisms.
    pub fn mechanisms(
        &self,
        mechanisms: impl Iterator<Item = (Mode, Algorithms)>,
        ends: Ends,
    ) -> Vec<String> {
        let mechanisms: Vec<_> = mechanisms.take(MECHANISMS_MAX).collect();
        let preferences = agreement::preferences(mechanisms.len());
        let written: Vec<String> = (preferences.zip(mechanisms))
            .map(|(preference, mechanism)| self.offers.mechanism(preference, mechanism, ends))
            .collect();
        match self.offers.layout {
            Layout::Lines => written,
            Layout::List(between) => vec![written.join(between)],
        }
    }

    /// Completes a REGISTER.
    pub(crate) fn finish_register(&self, request: RequestBuilder) -> Vec<u8> {
        self.in_order(request, self.register_order)
    }

    /// Completes every other request.
    pub(crate) fn finish(&self, request: RequestBuilder) -> Vec<u8> {
        self.in_order(request, self.order)
    }

    fn in_order(&self, request: RequestBuilder, order: &[Name]) -> Vec<u8> {
        let request = match self.user_agent {
            Some(agent) => request.header(Name::UserAgent, agent),
            None => request,
        };
        arranged(request.build(), order)
    }

    /// Puts the parameters of an Authorization in order.
    pub(crate) fn authorization(&self, mut parameters: Vec<(&'static str, String)>) -> String {
        let place = |name: &str| self.authorization.iter().position(|own| *own == name);
        parameters.sort_by_key(|(name, _)| place(name).unwrap_or(self.authorization.len()));
        let written: Vec<String> =
            parameters.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("Digest {}", written.join(","))
    }
}

impl ContactForm {
    /// The value of Contact with this user and at this address.
    pub(crate) fn value(&self, uri: &str, instance: Option<&str>) -> String {
        let mut value = format!("<{uri}>");
        for parameter in self.parameters {
            // Writing to a String does not fail.
            let _ = match (parameter, instance) {
                (ContactParameter::Instance, Some(instance)) => {
                    write!(value, ";+sip.instance=\"<{instance}>\"")
                }
                (ContactParameter::Instance, None) => Ok(()),
                (ContactParameter::Text(text), _) => write!(value, ";{text}"),
            };
        }
        value
    }
}

impl Offers {
    fn mechanism(&self, preference: usize, (mode, pair): (Mode, Algorithms), ends: Ends) -> String {
        let mut value = "ipsec-3gpp".to_owned();
        let Ends { spi_c, spi_s, port_c, port_s } = ends;
        for parameter in self.parameters {
            // Writing to a String does not fail.
            let _ = match parameter {
                MechanismParameter::Preference => write!(value, ";q=0.{preference:03}"),
                MechanismParameter::Integrity => write!(value, ";alg={}", pair.integrity),
                MechanismParameter::Encryption => write!(value, ";ealg={}", pair.encryption),
                MechanismParameter::Protocol => write!(value, ";prot=esp"),
                MechanismParameter::Mode => write!(value, ";mod={}", mode.token()),
                MechanismParameter::Spis => write!(value, ";spi-c={};spi-s={}", spi_c.get(), spi_s.get()),
                MechanismParameter::Ports => write!(value, ";port-c={port_c};port-s={port_s}"),
            };
        }
        if mode != Mode::Transport && !self.parameters.contains(&MechanismParameter::Mode) {
            // A make that leaves `mod` out means `trans` by that.
            let _ = write!(value, ";mod={}", mode.token());
        }
        value
    }
}

impl fmt::Debug for Handset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const MD5_NULL: Algorithms = Algorithms { integrity: Integrity::HmacMd5, encryption: Encryption::Null };
const MD5_AES: Algorithms = Algorithms { integrity: Integrity::HmacMd5, encryption: Encryption::AesCbc };
const MD5_3DES: Algorithms = Algorithms { integrity: Integrity::HmacMd5, encryption: Encryption::DesEde3Cbc };
const SHA1_NULL: Algorithms = Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::Null };
const SHA1_AES: Algorithms = Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::AesCbc };
const SHA1_3DES: Algorithms =
    Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::DesEde3Cbc };

/// The feature tag of multimedia telephony (TS 24.173 §5.1).
const MMTEL: ContactParameter =
    ContactParameter::Text("+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\"");
/// The feature tag of short messages over IP (TS 24.341 §5.3.2.2).
const SMSIP: ContactParameter = ContactParameter::Text("+g.3gpp.smsip");

/// A request of ours, none of whose lines is folded, with its header fields in an order.
fn arranged(request: Vec<u8>, order: &[Name]) -> Vec<u8> {
    let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n").filter(|_| !order.is_empty())
    else {
        return request;
    };
    let mut lines = request[..end + 2].split_inclusive(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let mut lines: Vec<&[u8]> = lines.collect();
    lines.sort_by_key(|line| {
        let is_named = |name: &&Name| {
            let text = name.as_str().as_bytes();
            line.get(..text.len()) == Some(text) && line.get(text.len()) == Some(&b':')
        };
        order.iter().position(|name| is_named(&name)).unwrap_or(order.len())
    });
    let mut out = Vec::with_capacity(request.len());
    out.extend_from_slice(first);
    for line in lines {
        out.extend_from_slice(line);
    }
    out.extend_from_slice(&request[end + 2..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Tunnel;
    use ipsec::{Offer, Spi, agreement};
    use sip_core::Method;

    fn ends() -> Ends {
        let spi = |number| Spi::new(number).expect("not reserved");
        Ends { spi_c: spi(4000), spi_s: spi(4001), port_c: 5001, port_s: 5000 }
    }

    #[test]
    fn each_handset_has_a_name_of_its_own_and_is_found_by_it() {
        for handset in ALL {
            assert_eq!(Handset::of(handset.name), Some(handset));
        }
        assert_eq!(Handset::of("google"), Some(&qualcomm::QUALCOMM));
        assert_eq!(Handset::of("nokia"), None);
    }

    #[test]
    fn what_each_handset_offers_is_read_back() {
        for (handset, tunnel) in
            ALL.into_iter().flat_map(|handset| [(handset, None), (handset, Some(Tunnel::default()))])
        {
            let config = SecurityConfig { tunnel, ..handset.security() };
            let values = handset.mechanisms(config.mechanisms(), ends());
            let request =
                values.iter().fold(RequestBuilder::new(Method::Register, "sip:home"), |request, value| {
                    request.header(Name::SecurityClient, value.as_str())
                });
            let message = sip_core::Message::parse(request.build(), &sip_core::parse::Limits::default());
            let message = message.expect("a request");
            let offer = Offer::read(message.all(Name::SecurityClient).map(|(_, value)| value));
            assert_eq!(
                offer,
                Ok(Offer { ends: ends(), mechanisms: config.mechanisms().collect() }),
                "{}",
                handset.name
            );
        }
    }

    #[test]
    fn a_plain_ue_writes_mechanisms_as_a_pcscf_does() {
        for tunnel in [None, Some(Tunnel::default())] {
            let config = SecurityConfig { tunnel, ..plain::PLAIN.security() };
            let expected = agreement::written(config.mechanisms(), Some(ends()));
            assert_eq!(plain::PLAIN.mechanisms(config.mechanisms(), ends()), expected);
        }
    }

    #[test]
    fn header_fields_are_put_in_order_and_what_is_not_named_stands_behind() {
        let request = RequestBuilder::new(Method::Message, "sip:b@h")
            .header(Name::MaxForwards, "70")
            .header(Name::From, "<sip:a@h>")
            .header(Name::Route, "<sip:p;lr>")
            .header(Name::To, "<sip:b@h>")
            .header(Name::Route, "<sip:s;lr>")
            .body("text/plain", b"To: you\r\n\r\nx");
        let arranged = arranged(request.build(), &[Name::To, Name::Route]);
        let expected = "MESSAGE sip:b@h SIP/2.0\r\nTo: <sip:b@h>\r\nRoute: <sip:p;lr>\r\nRoute: <sip:s;lr>\r\n\
            Max-Forwards: 70\r\nFrom: <sip:a@h>\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\n\
            To: you\r\n\r\nx";
        assert_eq!(String::from_utf8(arranged).unwrap(), expected);
    }
}
