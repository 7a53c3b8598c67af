//! The format of the journal: a header, then frames, each one group of records that is durable as a whole.
//!
//! ```text
//! header  "CARILLON" version:u32
//! frame   checksum:u64 length:u32 sequence:u64 payload[length]
//! payload { key_length:u32 key value_length:u32 value }*      value_length 0xffff_ffff removes the key
//! ```
//!
//! All numbers are big-endian. The checksum covers everything behind it in the frame. The next frame is written only
//! after the one before is on the disk, so that a crash can tear the last one alone.

use cscf::query::Record;
use siphasher::sip::SipHasher13;
use std::collections::BTreeMap;
use std::hash::Hasher;

/// What the records of a journal come to.
pub(super) type Live = BTreeMap<Vec<u8>, Vec<u8>>;

/// What reading a journal found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contents {
    /// The last value of each key.
    pub(super) live: Live,
    /// The sequence number of the next frame.
    pub(super) next_sequence: u64,
    /// Where the next frame belongs: behind this, a torn frame may stand.
    pub(super) sound_bytes: usize,
}

/// Why bytes are no journal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum JournalError {
    /// It does not begin as one.
    Foreign(&'static str),
    /// A frame is damaged, though one behind it is whole.
    Damaged {
        /// Where it begins.
        offset: usize,
    },
}

/// The header of a new journal.
pub(super) fn header() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes
}

/// Appends a frame to `out`; its records take effect together.
pub(super) fn write_frame<'r>(
    sequence: u64,
    records: impl IntoIterator<Item = (&'r [u8], Option<&'r [u8]>)>,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEAD]);
    for (key, value) in records {
        write_piece(key, out);
        match value {
            Some(value) => write_piece(value, out),
            None => out.extend_from_slice(&REMOVED.to_be_bytes()),
        }
    }
    let length = u32::try_from(out.len() - start - FRAME_HEAD).expect("a group is bounded far below 4 GiB");
    out[start + 8..start + 12].copy_from_slice(&length.to_be_bytes());
    out[start + 12..start + 20].copy_from_slice(&sequence.to_be_bytes());
    let sum = checksum(&out[start + 8..]);
    out[start..start + 8].copy_from_slice(&sum.to_be_bytes());
}

fn write_piece(bytes: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(bytes.len()).expect("a record is bounded far below 4 GiB");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Reads a journal; a torn frame at its end is left out.
pub(super) fn read(bytes: &[u8]) -> Result<Contents, JournalError> {
    let header = header();
    let mut contents = Contents { live: Live::new(), next_sequence: 1, sound_bytes: header.len() };
    let written = header.iter().zip(bytes).take_while(|(ours, theirs)| ours == theirs).count();
    if written < header.len() && bytes[written..].iter().all(|byte| *byte == 0) {
        // A crash while the file was being made: nothing was acknowledged yet.
        return Ok(Contents { sound_bytes: 0, ..contents });
    }
    if !bytes.starts_with(MAGIC) {
        return Err(JournalError::Foreign("it does not begin with the journal's mark"));
    }
    if !bytes.starts_with(&header) {
        return Err(JournalError::Foreign("its version is not known"));
    }
    // The first frame of a compacted journal carries the number that it had come to.
    if let Some(first) = frame_at(bytes, contents.sound_bytes) {
        contents.next_sequence = first.sequence;
    }
    while contents.sound_bytes < bytes.len() {
        let frame =
            frame_at(bytes, contents.sound_bytes).filter(|frame| frame.sequence == contents.next_sequence);
        let Some(frame) = frame else {
            return match has_later_frame(bytes, contents.sound_bytes, contents.next_sequence) {
                true => Err(JournalError::Damaged { offset: contents.sound_bytes }),
                false => Ok(contents),
            };
        };
        if apply(frame.payload, &mut contents.live).is_none() {
            return Err(JournalError::Damaged { offset: contents.sound_bytes });
        }
        contents.sound_bytes += FRAME_HEAD + frame.payload.len();
        contents.next_sequence += 1;
    }
    Ok(contents)
}

/// Applies records to what is live.
pub(super) fn merge(live: &mut Live, record: Record) {
    match record.value {
        Some(value) => {
            live.insert(record.key, value);
        }
        None => {
            live.remove(&record.key);
        }
    }
}

struct Frame<'b> {
    sequence: u64,
    payload: &'b [u8],
}

/// The whole frame at `offset`.
fn frame_at(bytes: &[u8], offset: usize) -> Option<Frame<'_>> {
    let head = bytes.get(offset..)?.first_chunk::<FRAME_HEAD>()?;
    let (sum, rest) = head.split_first_chunk::<8>()?;
    let (length, sequence) = rest.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length) as usize;
    let sequence = u64::from_be_bytes(*sequence.first_chunk()?);
    let end = offset.checked_add(FRAME_HEAD)?.checked_add(length)?;
    let covered = bytes.get(offset + 8..end)?;
    (checksum(covered) == u64::from_be_bytes(*sum))
        .then_some(Frame { sequence, payload: &bytes[offset + FRAME_HEAD..end] })
}

/// Whether a whole frame that was written after the one at `offset` stands behind it.
fn has_later_frame(bytes: &[u8], offset: usize, sequence: u64) -> bool {
    let numbers = sequence.saturating_add(1)..=sequence.saturating_add(LATER_FRAMES);
    (offset + 1..bytes.len()).any(|at| {
        let Some(head) = bytes[at..].first_chunk::<FRAME_HEAD>() else { return false };
        // The number is looked at first: it is rarely right by chance, and a checksum over the rest is slow.
        let number = head.last_chunk::<8>().map(|number| u64::from_be_bytes(*number));
        number.is_some_and(|number| numbers.contains(&number)) && frame_at(bytes, at).is_some()
    })
}

fn apply(mut payload: &[u8], live: &mut Live) -> Option<()> {
    while !payload.is_empty() {
        let key = read_piece(&mut payload)??.to_vec();
        let value = read_piece(&mut payload)?.map(<[u8]>::to_vec);
        merge(live, Record { key, value });
    }
    Some(())
}

/// The piece at the start of `bytes`: outer `None` when it is cut, inner `None` when it removes.
fn read_piece<'b>(bytes: &mut &'b [u8]) -> Option<Option<&'b [u8]>> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length);
    if length == REMOVED {
        *bytes = rest;
        return Some(None);
    }
    let (piece, rest) = rest.split_at_checked(length as usize)?;
    *bytes = rest;
    Some(Some(piece))
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0, u64::from(VERSION));
    hasher.write(bytes);
    hasher.finish()
}

const MAGIC: &[u8] = b"CARILLON";
const VERSION: u32 = 1;
const FRAME_HEAD: usize = 20;
const REMOVED: u32 = u32::MAX;
/// How far behind a damaged frame a whole one is looked for: the damage is never longer than a disk's block or two.
const LATER_FRAMES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(frames: &[&[(&str, Option<&str>)]]) -> Vec<u8> {
        let mut bytes = header();
        for (records, sequence) in frames.iter().zip(1..) {
            let records = records.iter().map(|(key, value)| (key.as_bytes(), value.map(str::as_bytes)));
            write_frame(sequence, records, &mut bytes);
        }
        bytes
    }

    fn live(pairs: &[(&str, &str)]) -> Live {
        pairs.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
    }

    const FRAMES: &[&[(&str, Option<&str>)]] = &[
        &[("a", Some("1")), ("b", Some("2"))],
        &[("a", Some("3"))],
        &[("d", Some("")), ("b", None), ("c", Some("4"))],
    ];

    #[test]
    fn the_last_record_of_a_key_wins() {
        let contents = read(&journal(FRAMES)).unwrap();
        assert_eq!(contents.live, live(&[("a", "3"), ("c", "4"), ("d", "")]));
        assert_eq!(contents.next_sequence, 4);
    }

    #[test]
    fn a_crash_at_any_byte_leaves_whole_groups_and_nothing_else() {
        let bytes = journal(FRAMES);
        let states = [
            live(&[]),
            live(&[("a", "1"), ("b", "2")]),
            live(&[("a", "3"), ("b", "2")]),
            live(&[("a", "3"), ("c", "4"), ("d", "")]),
        ];
        let ends: Vec<_> = (0..=3).map(|count| journal(&FRAMES[..count]).len()).collect();
        for cut in 0..=bytes.len() {
            let contents = read(&bytes[..cut]).unwrap();
            let whole = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
            assert_eq!(contents.live, states[whole], "cut at {cut}");
            assert!(contents.sound_bytes <= cut);
            // What a disk that had grown the file but not written it leaves behind.
            let mut grown = bytes[..cut].to_vec();
            grown.resize(cut + 100, 0);
            assert_eq!(read(&grown).unwrap().live, states[whole], "cut at {cut}, then zeros");
        }
    }

    #[test]
    fn a_changed_byte_is_never_read_as_a_record() {
        let bytes = journal(FRAMES);
        let last = journal(&FRAMES[..2]).len();
        for at in header().len()..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            match read(&damaged) {
                // In the last frame it looks like a torn write, which nobody was told of.
                Ok(contents) => {
                    assert!(at >= last, "changed at {at}");
                    assert_eq!(contents.sound_bytes, last);
                }
                Err(error) => {
                    assert!(matches!(error, JournalError::Damaged { .. }));
                    assert!(at < last, "changed at {at}");
                }
            }
        }
    }

    #[test]
    fn another_file_or_a_later_version_is_not_taken_for_a_journal() {
        assert!(matches!(read(b"[plmn]\nmcc = \"001\"\n"), Err(JournalError::Foreign(_))));
        let mut later = header();
        later[11] = 9;
        assert_eq!(read(&later), Err(JournalError::Foreign("its version is not known")));
        assert!(read(b"").is_ok());
    }
}
