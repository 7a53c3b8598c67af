//! Which PSAPs serve a request, in the order in which they are tried (TS 24.229 §5.11.2, TS 23.167 §6.2.2). Pure.

use crate::location::Location;
use cscf::config::Psap;
use cscf::{Failure, emergency};
use sip_core::Message;
use smallvec::SmallVec;

/// The PSAPs that serve a service at a location, by their place in the table.
///
/// The nearer its area is drawn around the caller, the earlier a PSAP comes; of equal ones, that with the narrower service;
/// of equal ones still, that which the table has first. One whose area is another does not come at all, and one without
/// an area serves everybody.
pub fn order(table: &[Psap], service: &[u8], location: &Location<'_>) -> SmallVec<[usize; 4]> {
    let serves = |psap: &Psap| emergency::is_within(service, psap.service.as_bytes());
    let fit = |psap: &Psap| Some((nearness(psap, location)?, psap.service.len()));
    let mut fitting: SmallVec<[((usize, usize), usize); 4]> = table
        .iter()
        .enumerate()
        .filter(|(_, psap)| serves(psap))
        .filter_map(|(at, psap)| Some((fit(psap)?, at)))
        .collect();
    fitting.sort_by_key(|(fit, _)| std::cmp::Reverse(*fit));
    fitting.into_iter().map(|(_, at)| at).collect()
}

/// How near the area of a PSAP is drawn around a location: the digits of the cell that it names, where a country counts
/// as the three of an MCC, and a state in it twice as much; 0 for a PSAP without an area.
fn nearness(psap: &Psap, location: &Location<'_>) -> Option<usize> {
    let is = |known: Option<&[u8]>, wanted: &str| {
        known.is_some_and(|known| known.eq_ignore_ascii_case(wanted.as_bytes()))
    };
    if psap.cells.is_empty() && psap.country.is_none() {
        return Some(0);
    }
    let of_cell = location.cell.and_then(|cell| {
        let fitting = psap.cells.iter().filter(|prefix| {
            cell.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
        });
        fitting.map(String::len).max()
    });
    let is_country = psap.country.as_ref().is_some_and(|country| is(location.country, country));
    let of_civic = match &psap.area {
        _ if !is_country => None,
        None => Some(COUNTRY),
        Some(area) => is(location.area, area).then_some(2 * COUNTRY),
    };
    of_cell.max(of_civic)
}

/// The digits of an MCC.
const COUNTRY: usize = 3;

/// Whether another PSAP is tried after this: one that is not there, too busy, or broken.
pub fn moves_on(failure: &Failure<'_>) -> bool {
    match failure {
        Failure::Timeout { answered } => !answered,
        Failure::Unreachable(_) => true,
        Failure::Response(response) => Message::status(response)
            .is_some_and(|status| matches!(status.code(), 408 | 480 | 486 | 500..=600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn psap(uri: &str, service: &str, cells: &[&str], country: &str, area: &str) -> Psap {
        let named = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
        Psap {
            uri: uri.to_owned(),
            service: service.to_owned(),
            cells: cells.iter().map(|cell| (*cell).to_owned()).collect(),
            country: named(country),
            area: named(area),
        }
    }

    #[test]
    fn the_nearest_area_comes_first_then_the_narrowest_service_then_the_table() {
        let table = [
            psap("any", "sos", &[], "", ""),
            psap("any-2", "sos", &[], "", ""),
            psap("police", "sos.police", &[], "", ""),
            psap("germany", "sos", &["262"], "DE", ""),
            psap("berlin", "sos", &["262010001", "262020001"], "DE", "Berlin"),
            psap("berlin-fire", "sos.fire", &["262010001"], "DE", "Berlin"),
            psap("france", "sos", &["208"], "FR", ""),
        ];
        for (service, cell, country, area, expected) in [
            ("sos", "", "", "", &["any", "any-2"][..]),
            ("sos.police", "", "", "", &["police", "any", "any-2"]),
            ("SOS.Police.traffic", "", "", "", &["police", "any", "any-2"]),
            ("sos", "2620199990001", "", "", &["germany", "any", "any-2"]),
            ("sos", "2620100010001", "", "", &["berlin", "germany", "any", "any-2"]),
            ("sos.fire", "2620100010001", "", "", &["berlin-fire", "berlin", "germany", "any", "any-2"]),
            ("sos.police", "2620100010001", "", "", &["berlin", "germany", "police", "any", "any-2"]),
            ("sos", "", "de", "berlin", &["berlin", "germany", "any", "any-2"]),
            ("sos", "", "DE", "Bremen", &["germany", "any", "any-2"]),
            ("sos", "", "", "Berlin", &["any", "any-2"]),
            ("sos", "20801", "DE", "", &["germany", "france", "any", "any-2"]),
            ("sos", "26", "", "", &["any", "any-2"]),
        ] {
            let known = |text: &'static str| Some(text.as_bytes()).filter(|text| !text.is_empty());
            let location = Location { cell: known(cell), country: known(country), area: known(area) };
            let order = order(&table, service.as_bytes(), &location);
            let found: Vec<&str> = order.iter().map(|at| table[*at].uri.as_str()).collect();
            assert_eq!(found, expected, "{service} at {cell} {country} {area}");
        }
        let elsewhere = &table[6..];
        assert!(order(elsewhere, b"sos", &Location::default()).is_empty(), "France is not everywhere");
    }
}
