//! Our dictionary beside Wireshark's, which somebody else typed in.

use super::avp::ALL;
use super::{AvpDef, DataType, MandatoryBit, VENDOR_3GPP, VENDOR_ETSI, command_name};
use std::collections::BTreeMap;
use std::path::Path;

/// Where Debian's package `libwireshark-data` puts it.
const FOLDER: &str = "/usr/share/wireshark/diameter";

/// TS 29.229 table 6.3.1 leaves the M bit of these clear, Wireshark has it set; a receiver may not care.
const M_BIT_DIFFERS: [u32; 9] = [628, 629, 630, 631, 632, 634, 653, 654, 655];

/// Wireshark has no definition of these.
const ABSENT: [u32; 3] = [659, 660, 661];

/// One definition of Wireshark's.
struct Theirs {
    name: String,
    data_type: String,
    mandatory: String,
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    tag[start..].split('"').next()
}

fn without_comments(xml: &str) -> String {
    let mut pieces = xml.split("<!--");
    let first = pieces.next().unwrap_or_default().to_owned();
    first + &pieces.map(|piece| piece.split_once("-->").map_or("", |(_, after)| after)).collect::<String>()
}

fn read_definitions(folder: &Path) -> BTreeMap<(u32, u32), Vec<Theirs>> {
    let mut found: BTreeMap<_, Vec<Theirs>> = BTreeMap::new();
    for file in ["dictionary.xml", "nasreq.xml", "sip.xml", "TGPP.xml", "etsie2e4.xml"] {
        let xml =
            without_comments(&std::fs::read_to_string(folder.join(file)).unwrap().replace(['\n', '\t'], " "));
        for element in xml.split("<avp ").skip(1) {
            let (tag, inside) = element.split_once('>').unwrap();
            let tag = format!(" {tag}");
            let inside = inside.split("</avp>").next().unwrap_or_default();
            let vendor = match attribute(&tag, "vendor-id") {
                None | Some("None") => 0,
                Some("TGPP") => VENDOR_3GPP,
                Some("ETSI") => VENDOR_ETSI,
                Some(_) => continue,
            };
            let code: u32 = attribute(&tag, "code").unwrap().parse().unwrap();
            let data_type = match inside.split_once("type-name=\"") {
                Some((_, name)) => name.split('"').next().unwrap_or_default().to_owned(),
                None => "Grouped".to_owned(),
            };
            found.entry((vendor, code)).or_default().push(Theirs {
                name: attribute(&tag, "name").unwrap().to_owned(),
                data_type,
                mandatory: attribute(&tag, "mandatory").unwrap_or("may").to_owned(),
            });
        }
    }
    found
}

fn is_same_type(ours: &AvpDef, theirs: &str) -> bool {
    match (ours.data_type, theirs) {
        (DataType::OctetString, "OctetString" | "OctetStringOrUTF8") => true,
        // Kept as octets here: a RADIUS address has no family, an interface identifier is no number.
        (DataType::OctetString, "IPAddress") => ours.code == 8,
        (DataType::OctetString, "Unsigned64") => ours.code == 96,
        (DataType::Unsigned32, "Unsigned32" | "AppId" | "VendorId") => true,
        // The RFC has these as numbers, Wireshark lists their values.
        (DataType::Unsigned32, "Enumerated") => [268, 298, 299].contains(&ours.code),
        (DataType::Utf8String, "UTF8String") => true,
        (DataType::DiameterIdentity, "DiameterIdentity") => true,
        (DataType::DiameterUri, "DiameterURI") => true,
        (DataType::Enumerated, "Enumerated") => true,
        (DataType::Address, "IPAddress") => true,
        (DataType::Time, "Time") => true,
        (DataType::Grouped, "Grouped") => true,
        _ => false,
    }
}

fn is_same_name(ours: &str, theirs: &str) -> bool {
    let theirs = theirs.trim_start_matches("3GPP-").trim_start_matches("Cx-");
    ours.eq_ignore_ascii_case(theirs) || (ours, theirs) == ("Wildcarded-Public-Identity", "Wildcarded-PSI")
}

#[test]
fn every_avp_is_the_one_that_wireshark_knows() {
    let folder = Path::new(FOLDER);
    if !folder.exists() {
        return crate::tests::skip(&format!("{FOLDER} does not exist (Debian package libwireshark-data)"));
    }
    let theirs = read_definitions(folder);
    let mut differences = Vec::new();
    for ours in ALL {
        let known = theirs.get(&(ours.vendor, ours.code)).map(Vec::as_slice).unwrap_or_default();
        let Some(same) = known.iter().find(|t| is_same_name(ours.name, &t.name)) else {
            if !ABSENT.contains(&ours.code) {
                let names: Vec<_> = known.iter().map(|t| &t.name).collect();
                differences.push(format!("{} {}: {names:?}", ours.code, ours.name));
            }
            continue;
        };
        if !is_same_type(ours, &same.data_type) {
            differences.push(format!("{} {:?} is a {}", ours.name, ours.data_type, same.data_type));
        }
        let is_same_bit = match ours.mandatory {
            MandatoryBit::Must => same.mandatory != "mustnot",
            MandatoryBit::Clear => same.mandatory != "must",
        };
        if is_same_bit == M_BIT_DIFFERS.contains(&ours.code) {
            differences.push(format!("{} {:?}: M {}", ours.name, ours.mandatory, same.mandatory));
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn every_cx_command_is_the_one_that_wireshark_knows() {
    let Ok(xml) = std::fs::read_to_string(Path::new(FOLDER).join("TGPP.xml")) else {
        return crate::tests::skip(&format!(
            "{FOLDER}/TGPP.xml cannot be read (Debian package libwireshark-data)"
        ));
    };
    for (name, code) in [
        ("User-Authorization", 300),
        ("Server-Assignment", 301),
        ("Location-Info", 302),
        ("Multimedia-Auth", 303),
        ("Registration-Termination", 304),
        ("Push-Profile", 305),
    ] {
        let line = xml.lines().find(|line| line.contains(&format!("<command name=\"{name}\""))).unwrap();
        assert_eq!(
            attribute(line, "code").or(line.split("code=\"").nth(1).map(|c| &c[..3])),
            Some(&*code.to_string())
        );
        let initials: String = name.split('-').filter_map(|word| word.chars().next()).collect();
        assert_eq!(command_name(code, true), Some(&*format!("{initials}R")));
    }
}

#[test]
fn no_two_definitions_have_the_same_code_and_vendor() {
    let mut seen = BTreeMap::new();
    for def in ALL {
        assert_eq!(seen.insert((def.vendor, def.code), def.name), None, "{}", def.name);
    }
}
