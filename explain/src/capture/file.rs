//! The two formats of a capture file: pcap, and the blocks of pcapng.

use super::CaptureError;

/// One frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'f> {
    /// Microseconds since 1970.
    pub at_us: u64,
    /// What the link layer is, by the numbers of tcpdump.
    pub link: u32,
    /// The octets that were captured.
    pub bytes: &'f [u8],
}

/// Gives each frame to `take` until it wants no more; whether the file has an end that is cut off, or more frames.
pub fn frames(bytes: &[u8], mut take: impl FnMut(Frame<'_>) -> bool) -> Result<bool, CaptureError> {
    match bytes.first_chunk::<4>() {
        Some([0x0a, 0x0d, 0x0d, 0x0a]) => Ok(pcapng(bytes, &mut take)),
        Some([0xa1, 0xb2, 0xc3, 0xd4]) => Ok(pcap(bytes, Order::Big, 1, &mut take)),
        Some([0xd4, 0xc3, 0xb2, 0xa1]) => Ok(pcap(bytes, Order::Little, 1, &mut take)),
        Some([0xa1, 0xb2, 0x3c, 0x4d]) => Ok(pcap(bytes, Order::Big, 1000, &mut take)),
        Some([0x4d, 0x3c, 0xb2, 0xa1]) => Ok(pcap(bytes, Order::Little, 1000, &mut take)),
        _ => Err(CaptureError::UnknownFormat),
    }
}

/// The order of octets in a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Big,
    Little,
}

impl Order {
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let octets = *bytes.get(at..)?.first_chunk::<2>()?;
        Some(match self {
            Order::Big => u16::from_be_bytes(octets),
            Order::Little => u16::from_le_bytes(octets),
        })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let octets = *bytes.get(at..)?.first_chunk::<4>()?;
        Some(match self {
            Order::Big => u32::from_be_bytes(octets),
            Order::Little => u32::from_le_bytes(octets),
        })
    }
}

fn pcap(bytes: &[u8], order: Order, per_us: u32, take: &mut impl FnMut(Frame<'_>) -> bool) -> bool {
    let Some(link) = order.u32(bytes, 20).map(|link| link & 0xffff) else { return true };
    let mut at = 24;
    while at < bytes.len() {
        let (Some(seconds), Some(part), Some(length)) =
            (order.u32(bytes, at), order.u32(bytes, at + 4), order.u32(bytes, at + 8))
        else {
            return true;
        };
        let Some(frame) = bytes.get(at + 16..).and_then(|rest| rest.get(..length as usize)) else {
            return true;
        };
        let at_us = u64::from(seconds) * 1_000_000 + u64::from(part / per_us);
        if !take(Frame { at_us, link, bytes: frame }) {
            return true;
        }
        at += 16 + frame.len();
    }
    false
}

/// One interface of a pcapng section.
#[derive(Clone, Copy)]
struct Interface {
    link: u32,
    /// Units of its time in a second, by a power of ten or of two.
    resolution: u8,
}

fn pcapng(bytes: &[u8], take: &mut impl FnMut(Frame<'_>) -> bool) -> bool {
    let mut order = Order::Little;
    let mut interfaces: Vec<Interface> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        if rest.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
            order = match rest.get(8..12) {
                Some([0x1a, 0x2b, 0x3c, 0x4d]) => Order::Big,
                Some([0x4d, 0x3c, 0x2b, 0x1a]) => Order::Little,
                _ => return true,
            };
            interfaces.clear();
        }
        let (Some(kind), Some(length)) = (order.u32(rest, 0), order.u32(rest, 4)) else { return true };
        let length = length as usize;
        if length < 12 || !length.is_multiple_of(4) {
            return true;
        }
        let Some(body) = rest.get(8..length - 4) else { return true };
        let goes_on = match kind {
            INTERFACE => {
                if interfaces.len() < INTERFACES_MAX {
                    interfaces.push(interface(body, order));
                }
                true
            }
            ENHANCED => enhanced(body, order, &interfaces, take),
            SIMPLE => {
                let length = order.u32(body, 0).unwrap_or(0) as usize;
                let frame = body.get(4..).unwrap_or_default();
                let frame = &frame[..frame.len().min(length)];
                interfaces
                    .first()
                    .is_none_or(|first| take(Frame { at_us: 0, link: first.link, bytes: frame }))
            }
            _ => true,
        };
        if !goes_on {
            return true;
        }
        at += length;
    }
    false
}

fn interface(body: &[u8], order: Order) -> Interface {
    let link = u32::from(order.u16(body, 0).unwrap_or(0));
    let mut resolution = 6;
    let mut at = 8;
    while let (Some(code), Some(length)) = (order.u16(body, at), order.u16(body, at + 2)) {
        if code == 0 {
            break;
        }
        if code == RESOLUTION {
            resolution = body.get(at + 4).copied().unwrap_or(6);
        }
        at += 4 + usize::from(length).next_multiple_of(4);
    }
    Interface { link, resolution }
}

fn enhanced(
    body: &[u8],
    order: Order,
    interfaces: &[Interface],
    take: &mut impl FnMut(Frame<'_>) -> bool,
) -> bool {
    let words = [0, 4, 8, 12].map(|at| order.u32(body, at));
    let [Some(number), Some(high), Some(low), Some(length)] = words else { return true };
    let Some(interface) = interfaces.get(number as usize) else { return true };
    let units = (u64::from(high) << 32) | u64::from(low);
    let at_us = match interface.resolution {
        power @ 0..=6 => units.saturating_mul(10_u64.pow(u32::from(6 - power))),
        power @ 7..=24 => (u128::from(units) / 10_u128.pow(u32::from(power - 6))) as u64,
        power if power & 0x80 != 0 => {
            let shift = u32::from(power & 0x7f).min(63);
            ((u128::from(units) * 1_000_000) >> shift) as u64
        }
        _ => units,
    };
    let Some(frame) = body.get(20..).and_then(|rest| rest.get(..length as usize)) else { return true };
    take(Frame { at_us, link: interface.link, bytes: frame })
}

const INTERFACE: u32 = 1;
const SIMPLE: u32 = 3;
const ENHANCED: u32 = 6;
/// The option if_tsresol.
const RESOLUTION: u16 = 9;
/// Interfaces of one section.
const INTERFACES_MAX: usize = 1024;
