//! The ladder as text, Mermaid, SVG and JSON.

use super::{Ladder, Row, Shown};
use crate::entry::{Entry, Protocol, What};
use std::fmt::Write;

/// Characters of a column, at least.
const WIDTH_MIN: usize = 9;

impl Ladder {
    /// As lines: ms since the start and since the line before, arrow, reference point, message. What failed has a cross,
    /// what was protected a lock.
    pub fn text(&self) -> String {
        let widest = self.columns.iter().map(|column| column.title.chars().count()).max().unwrap_or(0);
        let width = (widest + 2).max(WIDTH_MIN);
        let names: String = self.columns.iter().map(|column| format!("{:^width$}", column.title)).collect();
        let mut out = format!("{:>9} {:>8}  {}\n", "ms", "delta", names.trim_end());
        let mut before = None;
        for row in &self.rows {
            let at = row.at.as_secs_f64() * 1000.0;
            let delta = before.map_or(0.0, |before| at - before);
            before = Some(at);
            let _ = write!(out, "{at:>9.3} {delta:>+8.3}  ");
            match &row.what {
                Shown::Arrow { from, to, protocol, interface, summary, is_failure, is_secured, .. } => {
                    self.arrow(*from, *to, *protocol, width, &mut out);
                    let marks = [(*is_secured, " 🔒"), (*is_failure, " ✗")];
                    let marks: String =
                        marks.iter().filter(|(is_so, _)| *is_so).map(|(_, mark)| *mark).collect();
                    let _ = writeln!(out, "  {:<3} {summary}{marks}", interface.name());
                }
                Shown::Note { at, text } => {
                    let lanes: String = (0..self.columns.len())
                        .map(|lane| format!("{:^width$}", if lane == *at { "●" } else { "│" }))
                        .collect();
                    let _ = writeln!(out, "{lanes}  ·   {text}");
                }
            }
        }
        out
    }

    fn arrow(&self, from: usize, to: usize, protocol: Protocol, width: usize, out: &mut String) {
        // As a text in the middle of a column stands.
        let centre = |column: usize| column * width + (width - 1) / 2;
        let (left, right) = (centre(from.min(to)), centre(from.max(to)));
        let line = if protocol == Protocol::Sip { '─' } else { '╌' };
        for at in 0..self.columns.len() * width {
            out.push(match at {
                _ if from == to && at == left => '↺',
                _ if at == left && to < from => '◀',
                _ if at == right && from < to => '▶',
                _ if (left..=right).contains(&at) && from != to => line,
                _ if at % width == (width - 1) / 2 => '│',
                _ => ' ',
            });
        }
    }

    /// As a sequence diagram of Mermaid.
    pub fn mermaid(&self) -> String {
        let mut out = "sequenceDiagram\n".to_owned();
        for (number, column) in self.columns.iter().enumerate() {
            let _ = writeln!(out, "    participant C{number} as {}", plain(&column.title));
        }
        for row in &self.rows {
            match &row.what {
                Shown::Arrow { from, to, protocol, interface, summary, is_failure, .. } => {
                    let arrow = match (protocol, is_failure) {
                        (_, true) => "--x",
                        (Protocol::Sip, false) => "->>",
                        (Protocol::Diameter, false) => "-->>",
                    };
                    let text = plain(summary);
                    let _ = writeln!(out, "    C{from}{arrow}C{to}: {} {text}", interface.name());
                }
                Shown::Note { at, text } => {
                    let _ = writeln!(out, "    Note over C{at}: {}", plain(text));
                }
            }
        }
        out
    }

    /// As a picture that needs nothing else.
    pub fn svg(&self) -> String {
        let x = |column: usize| MARGIN + GUTTER + column * LANE + LANE / 2;
        let (width, height) =
            (MARGIN * 2 + GUTTER + self.columns.len() * LANE, MARGIN * 2 + (self.rows.len() + 2) * LINE);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"ui-monospace, monospace\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
        );
        for (number, column) in self.columns.iter().enumerate() {
            let (at, title) = (x(number), escaped(&column.title));
            let _ = writeln!(
                out,
                "<text x=\"{at}\" y=\"{}\" text-anchor=\"middle\" font-weight=\"bold\">{title}</text>\
                 <line x1=\"{at}\" y1=\"{}\" x2=\"{at}\" y2=\"{}\" stroke=\"#bbb\"/>",
                MARGIN + 12,
                MARGIN + 20,
                height - MARGIN
            );
        }
        for (number, row) in self.rows.iter().enumerate() {
            let y = MARGIN + (number + 2) * LINE;
            let ms = row.at.as_secs_f64() * 1000.0;
            let _ = writeln!(out, "<text x=\"{MARGIN}\" y=\"{y}\" fill=\"#666\">{ms:.3}</text>");
            svg_row(row, x, y, &mut out);
        }
        out.push_str("</svg>\n");
        out
    }

    /// As JSON: the columns, and a line each with the whole message.
    pub fn json(&self, entries: &[Entry]) -> serde_json::Value {
        use serde_json::json;
        let columns: Vec<_> = self
            .columns
            .iter()
            .map(|column| json!({ "title": column.title, "function": column.function.title() }))
            .collect();
        let row = |row: &Row| {
            let micros = u64::try_from(row.at.as_micros()).unwrap_or(u64::MAX);
            let wall = entries.get(row.entry).map_or(0, |entry| entry.at.wall.as_millis());
            match &row.what {
                Shown::Arrow { from, to, protocol, interface, summary, is_failure, is_secured, ends } => {
                    json!({
                        "at_us": micros, "wall_ms": wall, "from": from, "to": to, "protocol": protocol.name(),
                        "interface": interface.name(), "summary": summary, "failure": is_failure, "secured": is_secured,
                        "source": ends.0.to_string(), "destination": ends.1.to_string(),
                        "message": entries.get(row.entry).map(told),
                    })
                }
                Shown::Note { at, text } => {
                    json!({ "at_us": micros, "wall_ms": wall, "column": at, "note": text })
                }
            }
        };
        json!({ "columns": columns, "rows": self.rows.iter().map(row).collect::<Vec<_>>() })
    }
}

/// A message as text: of Diameter its octets in hexadecimal.
fn told(entry: &Entry) -> String {
    match &entry.what {
        What::Message(message) if message.protocol == Protocol::Sip => {
            String::from_utf8_lossy(&message.bytes).into_owned()
        }
        What::Message(message) => message.bytes.iter().map(|octet| format!("{octet:02x}")).collect(),
        What::Fact(fact) => fact.detail.clone(),
    }
}

fn svg_row(row: &Row, x: impl Fn(usize) -> usize, y: usize, out: &mut String) {
    let _ = match &row.what {
        Shown::Arrow { from, to, protocol, interface, summary, is_failure, .. } => {
            let colour = if *is_failure { "#c22" } else { "#234" };
            let dash = if *protocol == Protocol::Sip { "" } else { " stroke-dasharray=\"4 3\"" };
            let (start, end) = (x(*from), x(*to));
            let head = if end >= start { end.saturating_sub(6) } else { end + 6 };
            let middle = (start + end) / 2;
            writeln!(
                out,
                "<line x1=\"{start}\" y1=\"{y}\" x2=\"{end}\" y2=\"{y}\" stroke=\"{colour}\"{dash}/>\
                 <path d=\"M{end} {y} L{head} {} L{head} {} Z\" fill=\"{colour}\"/>\
                 <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" font-size=\"11\" fill=\"{colour}\">{}: {}</text>",
                y - 4,
                y + 4,
                y - 4,
                interface.name(),
                escaped(summary)
            )
        }
        Shown::Note { at, text } => {
            let at = x(*at);
            writeln!(
                out,
                "<circle cx=\"{at}\" cy=\"{}\" r=\"3\" fill=\"#a60\"/>\
                 <text x=\"{}\" y=\"{y}\" font-size=\"11\" fill=\"#a60\">{}</text>",
                y - 4,
                at + 8,
                escaped(text)
            )
        }
    };
}

/// Text that ends neither a line nor a statement of Mermaid.
fn plain(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ';' | '#' | '\n' | '\r' | '%') { ' ' } else { c }).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Around a picture, beside the times, between columns, between lines.
const MARGIN: usize = 16;
const GUTTER: usize = 80;
const LANE: usize = 150;
const LINE: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Fact;
    use crate::sample;

    fn ladder() -> (Ladder, Vec<Entry>) {
        let mut entries = vec![
            sample::sip("INVITE sip:b SIP/2.0", "one", None),
            sample::sip("SIP/2.0 486 Busy Here", "one", None),
        ];
        if let What::Message(message) = &mut entries[1].what {
            message.sent = true;
        }
        (Ladder::of(&entries), entries)
    }

    #[test]
    fn what_failed_is_marked_and_a_phone_that_records_nothing_is_named() {
        let (ladder, _) = ladder();
        let expected = [
            "       ms    delta      a     P-CSCF",
            "    0.000   +0.000      ─────────▶      Gm  INVITE",
            "    0.000   +0.000      ◀─────────      Gm  486 Busy Here (INVITE) ✗",
        ];
        assert_eq!(ladder.text().lines().map(str::trim_end).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_other_forms_say_the_same() {
        let (ladder, entries) = ladder();
        let expected = "sequenceDiagram\n    participant C0 as a\n    participant C1 as P-CSCF\n    \
                        C0->>C1: Gm INVITE\n    C1--xC0: Gm 486 Busy Here (INVITE)\n";
        assert_eq!(ladder.mermaid(), expected);
        let svg = ladder.svg();
        assert_eq!(svg.matches("<path").count(), 2);
        assert_eq!(svg.matches('<').count(), svg.matches('>').count());
        let json = ladder.json(&entries);
        assert_eq!(json["rows"][1]["failure"], true);
        assert!(json["rows"][0]["message"].as_str().is_some_and(|text| text.starts_with("INVITE sip:b")));
    }

    /// The statements of Mermaid's grammar of sequence diagrams that are used here; a text ends at a line, `;` or `#`.
    fn statement(line: &str) -> Option<&str> {
        let is_party =
            |word: &str| word.strip_prefix('C').is_some_and(|number| number.parse::<usize>().is_ok());
        let is_text = |text: &str| !text.is_empty() && !text.contains([';', '#', '\n', '\r']);
        if let Some(rest) = line.strip_prefix("participant ") {
            let (party, title) = rest.split_once(" as ")?;
            return (is_party(party) && is_text(title)).then_some("participant");
        }
        if let Some(rest) = line.strip_prefix("Note over ") {
            let (party, text) = rest.split_once(": ")?;
            return (is_party(party) && is_text(text)).then_some("note");
        }
        let (ends, text) = line.split_once(": ")?;
        let arrow = ["-->>", "->>", "--x"].into_iter().find(|arrow| ends.contains(arrow))?;
        let (from, to) = ends.split_once(arrow)?;
        (is_party(from) && is_party(to) && is_text(text)).then_some("message")
    }

    #[test]
    fn what_anyone_sends_is_text_in_mermaid_and_steers_no_terminal() {
        let mut entries = vec![
            sample::sip("INVITE;end#\u{1b}[2J sip:b SIP/2.0", "one", None),
            sample::sip("SIP/2.0 486 a;b#c%%d\u{1b}[31m", "one", None),
            sample::diameter(300, "a;1;2", None),
        ];
        let fact = Fact {
            name: "refused".to_owned(),
            cause: "no; user#".to_owned(),
            detail: "a\r\nC0->>C1: forged\u{7}".to_owned(),
            call_id: "one".to_owned(),
            remote: None,
        };
        entries.push(Entry { what: What::Fact(fact), ..entries[0].clone() });
        let ladder = Ladder::of(&entries);
        let mermaid = ladder.mermaid();
        let mut lines = mermaid.lines();
        assert_eq!(lines.next(), Some("sequenceDiagram"));
        let statements: Vec<_> = lines.map(|line| statement(line.trim_start())).collect();
        let count = |wanted| statements.iter().filter(|found| **found == Some(wanted)).count();
        assert_eq!(
            (count("participant"), count("message"), count("note"), statements.len()),
            (ladder.columns.len(), 3, 1, ladder.columns.len() + 4),
            "{mermaid}"
        );
        for drawn in [ladder.text(), ladder.svg(), mermaid] {
            assert!(!drawn.contains(|c: char| c.is_control() && c != '\n'), "{drawn:?}");
        }
    }
}
