//! `ims bundle`: one file to attach to a report of what went wrong.

use crate::arguments::Bundle;
use crate::exit::Failure;
use crate::{ladder, recording, screen, settings};
use recorder::Ladder;

/// Carries out `ims bundle`.
pub fn run(bundle: &Bundle) -> Result<(), Failure> {
    let config = settings::read(bundle.core.config.as_deref())?;
    let entries = recording::read(&config, bundle.choice.from.as_deref(), bundle.core.timeout)?;
    let choice = bundle.choice.read();
    let chosen = choice.entries(&entries)?;
    let drawn = Ladder::of(&chosen);
    let files = [
        ("ladder.txt", drawn.text().into_bytes()),
        ("ladder.svg", drawn.svg().into_bytes()),
        ("list.txt", ladder::list(&choice.of(&entries), &entries).into_bytes()),
        ("capture.pcapng", recorder::pcapng::write(&chosen)),
        ("recording.rec", recorder::file::save(&chosen)),
        ("configuration.toml", configuration(&config.print_config(), config.recorder.privacy).into_bytes()),
        ("version.txt", version().into_bytes()),
    ];
    let archive = zip(&files);
    std::fs::write(&bundle.output, archive)
        .map_err(|error| Failure::Failed(format!("{}: {error}", bundle.output.display())))?;
    screen::line(format_args!("{}: {} files", bundle.output.display(), files.len()));
    Ok(())
}

fn version() -> String {
    let system = std::fs::read_to_string("/proc/version").unwrap_or_default();
    format!("carillon {}\n{system}", env!("CARGO_PKG_VERSION"))
}

/// A configuration for others: its URLs have no passwords, and with privacy it names no user. Keys are files that it only
/// names.
fn configuration(config: &str, is_private: bool) -> String {
    let mut shown: String = config.lines().map(|line| without_password(line) + "\n").collect();
    if is_private {
        shown = shown.lines().map(|line| without_identities(line) + "\n").collect();
        recorder::hide_text(&mut shown);
    }
    shown
}

fn without_password(line: &str) -> String {
    match (line.find("://"), line.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 < at => format!("{}***{}", &line[..scheme + 3], &line[at..]),
        _ => line.to_owned(),
    }
}

/// Whom a sample is of is written as an operator likes it: a part of a number, a name.
fn without_identities(line: &str) -> String {
    let list = line.trim_start().strip_prefix("identities = ");
    match list.and_then(|list| Some((list.find('"')?, list.rfind('"')?))) {
        Some(_) => "identities = [\"***\"]".to_owned(),
        None => line.to_owned(),
    }
}

/// An archive of files as they are (APPNOTE of PKZIP, method 0).
fn zip(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for (name, content) in files {
        let place = out.len() as u32;
        let size = (content.len() as u32).to_le_bytes();
        // Version 2.0, names in UTF-8, stored, the first of January 1980.
        let mut common = vec![20, 0, 0, 8, 0, 0, 0, 0, 0x21, 0];
        common.extend(crc32(content).to_le_bytes());
        common.extend(size);
        common.extend(size);
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        out.extend(b"PK\x03\x04");
        out.extend_from_slice(&common);
        out.extend(name.as_bytes());
        out.extend(content);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend_from_slice(&common);
        directory.extend([0; 6]);
        // A file of its owner and readable by all.
        directory.extend((0o100_644_u32 << 16).to_le_bytes());
        directory.extend(place.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, size, count) = (out.len() as u32, directory.len() as u32, files.len() as u16);
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of CRC-32/ISO-HDLC.
    #[test]
    fn sums_are_those_of_everybody() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_password_of_a_database_is_not_shown() {
        let config = "store = \"postgres://hss:secret@db/hss\"  # lab.toml:3\nuri = \"sip:a@b\"\n";
        let expected = "store = \"postgres://***@db/hss\"  # lab.toml:3\nuri = \"sip:a@b\"\n";
        assert_eq!(configuration(config, false), expected);
    }

    #[test]
    fn with_privacy_a_configuration_names_nobody() {
        let config =
            "identities = [\"alice\", \"+4930100\"]  # lab.toml:3\nidentities = []\npsap = \"sip:ann@b\"\n";
        let expected = "identities = [\"***\"]\nidentities = []\npsap = \"sip:a**@b\"\n";
        assert_eq!(configuration(config, true), expected);
        assert_eq!(configuration(config, false), config);
    }
}
