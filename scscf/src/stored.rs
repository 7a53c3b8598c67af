//! How the parts of a record follow each other in the store: numbers of eight octets, and fields with their length before them.

/// Appends a field.
pub fn put(value: &mut Vec<u8>, field: &[u8]) {
    number(value, field.len() as u64);
    value.extend_from_slice(field);
}

/// Appends a number.
pub fn number(value: &mut Vec<u8>, number: u64) {
    value.extend_from_slice(&number.to_be_bytes());
}

/// Takes a field off the front; `None` when it is cut short.
pub fn take<'r>(rest: &mut &'r [u8]) -> Option<&'r [u8]> {
    let length = usize::try_from(read_number(rest)?).ok()?;
    let (field, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(field)
}

/// Takes a number off the front; `None` when it is cut short.
pub fn read_number(rest: &mut &[u8]) -> Option<u64> {
    let (number, left) = rest.split_first_chunk::<8>()?;
    *rest = left;
    Some(u64::from_be_bytes(*number))
}
