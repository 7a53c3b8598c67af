//! A message that is the same every time but for a serial number, and for the branch of the request that it answers.
//!
//! Filling one is a copy and a few bytes written over it, so that preparing a message weighs next to nothing beside what
//! is measured.

/// Stands for the serial number in the text of a template.
pub const SERIAL: &str = "%%serial%%%%";
/// The branch parameter of the node's own Via: a fixed length, so a response is patched in place.
const BRANCH_CHARS: usize = 38;

/// A message with holes.
#[derive(Debug)]
pub struct Template {
    bytes: Vec<u8>,
    serials: Vec<usize>,
    branch: Option<usize>,
}

impl Template {
    /// The message in `text`, whose lines end in LF here; [`SERIAL`] marks the holes.
    pub fn new(text: &str) -> Template {
        Template::of(text.replace('\n', "\r\n").into_bytes(), None)
    }

    /// The answer of the next hop to the `forwarded` request, which the node made of a request numbered `serial`.
    pub fn answer(forwarded: &[u8], serial: u64, status: &str, more: &str) -> Template {
        let forwarded = String::from_utf8_lossy(forwarded).replace(&number(serial), SERIAL);
        let mut text = format!("SIP/2.0 {status}\r\n");
        for line in forwarded.split("\r\n").take_while(|line| !line.is_empty()) {
            let is_copied = ["Via:", "From:", "To:", "Call-ID:", "CSeq:", "Record-Route:"]
                .iter()
                .any(|name| line.starts_with(name));
            if is_copied {
                let is_bare = line.starts_with("To:") && !line.contains(";tag=");
                text.push_str(line);
                text.push_str(if is_bare { ";tag=there\r\n" } else { "\r\n" });
            }
        }
        text.push_str(&more.replace('\n', "\r\n"));
        text.push_str("Content-Length: 0\r\n\r\n");
        let branch = branch_of(text.as_bytes());
        Template::of(text.into_bytes(), branch)
    }

    fn of(mut bytes: Vec<u8>, branch: Option<usize>) -> Template {
        let mut serials = Vec::new();
        while let Some(at) = bytes.windows(SERIAL.len()).position(|part| part == SERIAL.as_bytes()) {
            bytes[at..at + SERIAL.len()].copy_from_slice(number(0).as_bytes());
            serials.push(at);
        }
        Template { bytes, serials, branch }
    }

    /// Writes the message numbered `serial` into `out`.
    pub fn fill(&self, serial: u64, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.bytes);
        for at in &self.serials {
            write_number(serial, &mut out[*at..*at + SERIAL.len()]);
        }
    }

    /// Writes the answer to `forwarded` into `out`.
    pub fn fill_answer(&self, serial: u64, forwarded: &[u8], out: &mut Vec<u8>) {
        self.fill(serial, out);
        if let (Some(to), Some(from)) = (self.branch, branch_of(forwarded)) {
            out[to..to + BRANCH_CHARS].copy_from_slice(&forwarded[from..from + BRANCH_CHARS]);
        }
    }

    /// How long the message is.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the message is empty.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Where the value of the top Via's branch begins.
fn branch_of(message: &[u8]) -> Option<usize> {
    let mark = b";branch=";
    message.windows(mark.len()).position(|part| part == mark).map(|at| at + mark.len())
}

/// The first value of a header field, to its line's end; panics when there is none.
pub fn header(message: &[u8], name: &str) -> String {
    let text = String::from_utf8_lossy(message);
    let prefix = format!("{name}: ");
    text.lines()
        .find_map(|line| line.strip_prefix(&prefix))
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .to_owned()
}

fn number(serial: u64) -> String {
    format!("{serial:0width$}", width = SERIAL.len())
}

fn write_number(mut serial: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (serial % 10) as u8;
        serial /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filling_has_its_own_number_everywhere() {
        let template = Template::new("INVITE a\nVia: x;branch=%%serial%%%%\nCall-ID: %%serial%%%%\n\n");
        let mut out = Vec::new();
        template.fill(42, &mut out);
        assert_eq!(out, b"INVITE a\r\nVia: x;branch=000000000042\r\nCall-ID: 000000000042\r\n\r\n");
        assert_eq!(template.len(), out.len());
    }

    #[test]
    fn an_answer_carries_the_branch_of_the_request_that_left() {
        let request = |branch: char, serial: u64| {
            let branch = branch.to_string().repeat(BRANCH_CHARS);
            let number = number(serial);
            format!(
                "INFO a SIP/2.0\r\nVia: SIP/2.0/UDP n;branch={branch}\r\nCall-ID: {number}\r\nTo: <sip:b>\r\n\r\n"
            )
        };
        let template = Template::answer(request('a', 1).as_bytes(), 1, "200 OK", "");
        let mut out = Vec::new();
        template.fill_answer(7, request('b', 7).as_bytes(), &mut out);
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains(&"b".repeat(BRANCH_CHARS)) && text.contains("Call-ID: 000000000007"), "{text}");
        assert!(text.contains("To: <sip:b>;tag=there\r\n"), "{text}");
    }
}
