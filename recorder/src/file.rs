//! A recording as a file: a line that says what it is, and chunks with their lengths.

use crate::entry::Entry;
use crate::frame::{Malformed, read_chunk, write_chunk};

/// Joined entries as a file.
pub fn save(entries: &[Entry]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    for run in entries.chunk_by(|a, b| a.node == b.node) {
        let entries: Vec<&Entry> = run.iter().collect();
        let chunk = write_chunk(&run[0].node, &entries);
        out.extend((chunk.len() as u32).to_be_bytes());
        out.extend(chunk);
    }
    out
}

/// Reads what [`save`] wrote.
pub fn load(bytes: &[u8]) -> Result<Vec<Entry>, Malformed> {
    let mut rest = bytes.strip_prefix(MAGIC).ok_or(Malformed)?;
    let mut entries = Vec::new();
    while let Some((length, more)) = rest.split_first_chunk::<4>() {
        let (chunk, more) = more.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or(Malformed)?;
        entries.extend(read_chunk(chunk)?.entries);
        rest = more;
    }
    if rest.is_empty() { Ok(entries) } else { Err(Malformed) }
}

const MAGIC: &[u8] = b"carillon recording 1\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn what_is_saved_is_loaded_in_its_order() {
        let entries = vec![
            sample::sip("INVITE sip:b SIP/2.0", "one", None),
            sample::diameter(300, "a;1;2", None),
            sample::sip("SIP/2.0 200 OK", "one", None),
        ];
        let file = save(&entries);
        assert_eq!(load(&file), Ok(entries));
        assert_eq!(load(&file[..file.len() - 1]), Err(Malformed));
        assert_eq!(load(b"{}"), Err(Malformed));
    }
}
