//! `[network]`: what is known of the network between the functions.

use super::reader::Reader;
use super::value::Fault;
use crate::node::UDP_REQUEST_MAX;
use std::ops::RangeInclusive;

/// What is known of the network between the functions (Mw, ISC).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkSection {
    /// The path MTU towards every other function, in octets; `None`: not known.
    pub path_mtu: Option<u32>,
}

impl NetworkSection {
    pub(super) fn read(reader: &mut Reader<'_>) -> NetworkSection {
        let mut section = reader.section("network");
        let path_mtu = section.optional::<u32>("path_mtu");
        section.end();
        if path_mtu.is_some_and(|octets| !PATH_MTU.contains(&octets)) {
            let remedy = format!(
                "use the octets of the smallest link between the functions, from {} to {}, or leave the key out",
                PATH_MTU.start(),
                PATH_MTU.end()
            );
            reader.reject("network", "path_mtu", Fault::new("is no path MTU", remedy));
        }
        NetworkSection { path_mtu }
    }

    /// The longest request that leaves by UDP where TCP is there too, in octets (RFC 3261 §18.1.1).
    pub fn udp_request_max(&self) -> usize {
        self.path_mtu.map_or(UDP_REQUEST_MAX, |octets| octets.saturating_sub(MTU_MARGIN) as usize)
    }
}

/// RFC 3261 §18.1.1: the response may be so much longer than the request.
const MTU_MARGIN: u32 = 200;
/// From what every IPv4 host takes (RFC 791 §3.1) to the longest datagram.
const PATH_MTU: RangeInclusive<u32> = 576..=65_535;
