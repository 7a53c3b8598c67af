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

use siphasher::sip::SipHasher13;
use std::hash::Hasher;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// What reading a journal found, beside its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    /// The sequence number of the next frame.
    pub(super) next_sequence: u64,
    /// Where the next frame belongs: behind this, a torn frame may stand.
    pub(super) sound_bytes: u64,
    /// How much of a torn frame stands there; room that was not used yet is zeros, and does not count.
    pub(super) torn_bytes: usize,
}

/// Why bytes are no journal.
#[derive(Debug)]
pub(super) enum JournalError {
    /// They cannot be read.
    Io(io::Error),
    /// They do not begin as one.
    Foreign(&'static str),
    /// A frame is damaged, though one behind it is whole.
    Damaged {
        /// Where it begins.
        offset: u64,
    },
}

impl From<io::Error> for JournalError {
    fn from(error: io::Error) -> JournalError {
        JournalError::Io(error)
    }
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
    write_frame_of(sequence, out, |out| {
        for (key, value) in records {
            write_record(key, value, out);
        }
    });
}

/// Appends a frame whose payload `write` appends.
pub(super) fn write_frame_of(sequence: u64, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEAD]);
    write(out);
    let length = u32::try_from(out.len() - start - FRAME_HEAD).expect("a group is bounded far below 4 GiB");
    out[start + 8..start + 12].copy_from_slice(&length.to_be_bytes());
    out[start + 12..start + 20].copy_from_slice(&sequence.to_be_bytes());
    let sum = checksum(&out[start + 8..start + FRAME_HEAD], &out[start + FRAME_HEAD..]);
    out[start..start + 8].copy_from_slice(&sum.to_be_bytes());
}

/// Appends a record to a payload.
pub(super) fn write_record(key: &[u8], value: Option<&[u8]>, out: &mut Vec<u8>) {
    write_piece(key, out);
    match value {
        Some(value) => write_piece(value, out),
        None => out.extend_from_slice(&REMOVED.to_be_bytes()),
    }
}

fn write_piece(bytes: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(bytes.len()).expect("a record is bounded far below 4 GiB");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Reads a journal, and gives each record to `take` in the order in which they were written; a torn frame at the end is
/// left out.
pub(super) fn read(
    source: &mut (impl Read + Seek),
    mut take: impl FnMut(&[u8], Option<&[u8]>),
) -> Result<Contents, JournalError> {
    if !has_header(source)? {
        // A crash while the file was being made: nothing was acknowledged yet.
        return Ok(Contents { next_sequence: 1, sound_bytes: 0, torn_bytes: 0 });
    }
    let mut frames = Frames::new(&mut *source, header().len() as u64);
    loop {
        let offset = frames.offset;
        let Some(payload) = frames.next()? else { break };
        each_record(payload, &mut take).ok_or(JournalError::Damaged { offset })?;
    }
    let (sound_bytes, next_sequence) = (frames.offset, frames.next_sequence.unwrap_or(1));
    source.seek(SeekFrom::Start(sound_bytes))?;
    let mut rest = Vec::new();
    source.read_to_end(&mut rest)?;
    if has_later_frame(&rest, next_sequence) {
        return Err(JournalError::Damaged { offset: sound_bytes });
    }
    let torn_bytes = rest.iter().filter(|byte| **byte != 0).count();
    Ok(Contents { next_sequence, sound_bytes, torn_bytes })
}

/// Whether a journal begins here; false for one whose header was cut short.
fn has_header(source: &mut (impl Read + Seek)) -> Result<bool, JournalError> {
    let header = header();
    let mut bytes = Vec::new();
    source.seek(SeekFrom::Start(0))?;
    source.by_ref().take(header.len() as u64).read_to_end(&mut bytes)?;
    let written = header.iter().zip(&bytes).take_while(|(ours, theirs)| ours == theirs).count();
    if written == header.len() {
        return Ok(true);
    }
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    if is_zero(&bytes[written..]) {
        bytes.clear();
        source.read_to_end(&mut bytes)?;
        if is_zero(&bytes) {
            return Ok(false);
        }
    }
    Err(JournalError::Foreign(match written < MAGIC.len() {
        true => "it does not begin with the journal's mark",
        false => "its version is not known",
    }))
}

/// The whole frames of a journal one after the other, of which one at a time is in memory.
pub(super) struct Frames<S> {
    source: BufReader<S>,
    /// Where the next one begins.
    offset: u64,
    /// The number of the next one. That of the first is taken as it is: a compacted journal begins where the one before
    /// it had come to.
    next_sequence: Option<u64>,
    payload: Vec<u8>,
}

impl<S: Read> Frames<S> {
    /// Those that a source is about to give, the first of them at `offset` of the journal.
    pub(super) fn new(source: S, offset: u64) -> Frames<S> {
        Frames { source: BufReader::new(source), offset, next_sequence: None, payload: Vec::new() }
    }

    /// The payload of the next frame; `None` at the end, and for one that is torn or out of turn.
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let mut head = Vec::with_capacity(FRAME_HEAD);
        self.source.by_ref().take(FRAME_HEAD as u64).read_to_end(&mut head)?;
        let Some(head) = Head::read(&head) else { return Ok(None) };
        if self.next_sequence.is_some_and(|next| next != head.sequence) {
            return Ok(None);
        }
        self.payload.clear();
        self.source.by_ref().take(head.length as u64).read_to_end(&mut self.payload)?;
        if !head.is_of(&self.payload) {
            return Ok(None);
        }
        self.offset += (FRAME_HEAD + self.payload.len()) as u64;
        self.next_sequence = Some(head.sequence.wrapping_add(1));
        Ok(Some(&self.payload))
    }
}

/// What stands before a payload.
struct Head<'b> {
    sum: u64,
    covered: &'b [u8],
    length: usize,
    sequence: u64,
}

impl Head<'_> {
    fn read(bytes: &[u8]) -> Option<Head<'_>> {
        let (head, _) = bytes.split_first_chunk::<FRAME_HEAD>()?;
        let (sum, covered) = head.split_first_chunk::<8>()?;
        let (length, sequence) = covered.split_first_chunk::<4>()?;
        Some(Head {
            sum: u64::from_be_bytes(*sum),
            covered,
            length: u32::from_be_bytes(*length) as usize,
            sequence: u64::from_be_bytes(*sequence.first_chunk()?),
        })
    }

    fn is_of(&self, payload: &[u8]) -> bool {
        payload.len() == self.length && checksum(self.covered, payload) == self.sum
    }
}

/// Whether a whole frame that was written after the one at the start of `bytes` stands behind it.
fn has_later_frame(bytes: &[u8], sequence: u64) -> bool {
    let numbers = sequence.saturating_add(1)..=sequence.saturating_add(LATER_FRAMES);
    (1..bytes.len()).any(|at| {
        let Some(head) = Head::read(&bytes[at..]) else { return false };
        // The number is looked at first: it is rarely right by chance, and a checksum over the rest is slow.
        numbers.contains(&head.sequence)
            && bytes[at + FRAME_HEAD..].get(..head.length).is_some_and(|payload| head.is_of(payload))
    })
}

/// Gives each record of a payload to `take`; `None` when it is not made of records.
pub(super) fn each_record(mut payload: &[u8], mut take: impl FnMut(&[u8], Option<&[u8]>)) -> Option<()> {
    while !payload.is_empty() {
        let key = read_piece(&mut payload)??;
        take(key, read_piece(&mut payload)?);
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

/// Over length and sequence of a frame, and what follows them.
fn checksum(head: &[u8], payload: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0, u64::from(VERSION));
    hasher.write(head);
    hasher.write(payload);
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
    use std::collections::BTreeMap;
    use std::io::Cursor;

    type Live = BTreeMap<Vec<u8>, Vec<u8>>;

    /// What is live in a journal, and what else was found.
    fn contents(bytes: &[u8]) -> Result<(Live, Contents), JournalError> {
        let mut live = Live::new();
        let contents = read(&mut Cursor::new(bytes), |key, value| {
            match value {
                Some(value) => live.insert(key.to_vec(), value.to_vec()),
                None => live.remove(key),
            };
        })?;
        Ok((live, contents))
    }

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
        let (found, contents) = contents(&journal(FRAMES)).unwrap();
        assert_eq!(found, live(&[("a", "3"), ("c", "4"), ("d", "")]));
        assert_eq!((contents.next_sequence, contents.torn_bytes), (4, 0));
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
            let (found, read) = contents(&bytes[..cut]).unwrap();
            let whole = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
            assert_eq!(found, states[whole], "cut at {cut}");
            assert!(read.sound_bytes <= cut as u64);
            // What a disk that had grown the file but not written it leaves behind.
            let mut grown = bytes[..cut].to_vec();
            grown.resize(cut + 100, 0);
            assert_eq!(contents(&grown).unwrap().0, states[whole], "cut at {cut}, then zeros");
        }
    }

    #[test]
    fn a_changed_byte_is_never_read_as_a_record() {
        let bytes = journal(FRAMES);
        let last = journal(&FRAMES[..2]).len();
        for at in header().len()..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            match contents(&damaged) {
                // In the last frame it looks like a torn write, which nobody was told of.
                Ok((_, contents)) => {
                    assert!(at >= last, "changed at {at}");
                    assert_eq!(contents.sound_bytes, last as u64);
                    assert!(contents.torn_bytes > 0);
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
        let foreign = |bytes: &[u8]| match contents(bytes) {
            Err(JournalError::Foreign(why)) => why,
            other => panic!("{other:?}"),
        };
        let mark = "it does not begin with the journal's mark";
        assert_eq!(foreign(b"[plmn]\nmcc = \"001\"\n"), mark);
        let mut later = header();
        later[11] = 9;
        assert_eq!(foreign(&later), "its version is not known");
        assert_eq!(foreign(b"CARIL\0\0\0\0\0\0\0\0x"), mark);
        assert_eq!(contents(b"CARIL\0\0\0\0\0\0\0\0\0").unwrap().1.sound_bytes, 0);
        assert!(contents(b"").is_ok());
    }
}
