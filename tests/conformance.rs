//! Generates `docs/conformance.md` from `tests/conformance/rows.txt` and from the torture table of `sip-core`.
//!
//! `CARILLON_BLESS=1 cargo test -p carillon-tests --test conformance` writes the document anew. What a row may say is
//! checked: a status needs what proves it, and every test that a row names must be in the tree.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const ROWS: &str = "tests/conformance/rows.txt";
const TORTURE: &str = "sip-core/tests/torture.rs";
const DOCUMENT: &str = "docs/conformance.md";

/// How far a row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Done,
    Partly,
    NotYet,
    NotRead,
}

impl State {
    fn read(word: &str) -> Option<State> {
        Some(match word {
            "done" => State::Done,
            "partly" => State::Partly,
            "not yet" => State::NotYet,
            "not read" => State::NotRead,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            State::Done => "done",
            State::Partly => "partly",
            State::NotYet => "not yet",
            State::NotRead => "not read",
        }
    }
}

/// A test in the tree.
#[derive(Debug)]
struct Witness<'t> {
    file: &'t str,
    function: &'t str,
}

/// What one clause asks, and how far it is met.
#[derive(Debug)]
struct Row<'t> {
    line: usize,
    clause: &'t str,
    mark: &'t str,
    state: State,
    asks: &'t str,
    witnesses: Vec<Witness<'t>>,
    gaps: Vec<&'t str>,
}

/// A run of rows under one heading; its depth is the number of `=` before it.
#[derive(Debug)]
struct Section<'t> {
    depth: usize,
    title: &'t str,
    rows: Vec<Row<'t>>,
}

/// Reads the rows; the first thing that cannot be read is the error, with its line.
fn read(text: &str) -> Result<Vec<Section<'_>>, String> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let number = at + 1;
        let wrong = |what: &str| format!("{ROWS}:{number}: {what}: {line}");
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with('=') {
            let title = line.trim_start_matches('=');
            sections.push(Section { depth: line.len() - title.len(), title: title.trim(), rows: Vec::new() });
            continue;
        }
        let section = sections.last_mut().ok_or_else(|| wrong("a row before the first heading"))?;
        if !line.starts_with(' ') {
            let parts: Vec<&str> = line.splitn(4, " | ").collect();
            let [clause, mark, state, asks] = parts[..] else {
                return Err(wrong("a row is `clause | mark | status | what it asks`"));
            };
            let state = State::read(state).ok_or_else(|| wrong("unknown status"))?;
            if !matches!(mark, "C" | "C2" | "M" | "-") {
                return Err(wrong("unknown mark"));
            }
            let (witnesses, gaps) = (Vec::new(), Vec::new());
            section.rows.push(Row { line: number, clause, mark, state, asks, witnesses, gaps });
            continue;
        }
        let row = section.rows.last_mut().ok_or_else(|| wrong("nothing to belong to"))?;
        match line.trim().strip_prefix("- ") {
            Some(gap) => row.gaps.push(gap),
            None => {
                let (file, function) = line
                    .trim()
                    .split_once(' ')
                    .ok_or_else(|| wrong("a test is `file function`, a gap begins with `- `"))?;
                row.witnesses.push(Witness { file, function });
            }
        }
    }
    Ok(sections)
}

/// What is wrong with a row by itself.
fn fault(row: &Row<'_>) -> Option<&'static str> {
    match row.state {
        State::Done if row.witnesses.is_empty() => Some("done, and no test shows it"),
        State::Done if !row.gaps.is_empty() => Some("done, and something is missing"),
        State::Partly if row.witnesses.is_empty() => Some("partly, and no test shows the part"),
        State::Partly if row.gaps.is_empty() => Some("partly, and what is missing is not said"),
        State::NotYet | State::NotRead if !row.witnesses.is_empty() => Some("a test shows what is not there"),
        State::NotRead if row.mark != "-" => Some("not read, and marked with a source"),
        State::Done | State::Partly | State::NotYet if row.mark == "-" => Some("no source mark"),
        _ => None,
    }
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_path_buf()
}

fn text_of(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether `source` has a test of this name.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let declared = format!("fn {name}(");
    lines.iter().enumerate().any(|(at, line)| {
        line.trim_start_matches("async ").starts_with(&declared)
            && lines[at.saturating_sub(4)..at]
                .iter()
                .any(|above| above.starts_with("#[test]") || above.starts_with("#[tokio::test"))
    })
}

/// The table of one section.
fn write_rows(out: &mut String, rows: &[Row<'_>]) {
    let _ = writeln!(out, "| Clause | Source | What it asks | Status | Shown by |\n|---|---|---|---|---|");
    for row in rows {
        let shown: Vec<String> = row
            .witnesses
            .iter()
            .map(|witness| format!("[`{}`](../{})", witness.function, witness.file))
            .collect();
        let gaps: String = row.gaps.iter().map(|gap| format!("<br>*Missing:* {gap}")).collect();
        let mark = if row.mark == "-" { String::new() } else { format!("[{}]", row.mark) };
        let shown = shown.join("<br>");
        let _ = writeln!(
            out,
            "| {} | {mark} | {}{gaps} | {} | {shown} |",
            row.clause,
            row.asks,
            row.state.word()
        );
    }
}

/// How many rows of each status there are.
fn write_counts(out: &mut String, sections: &[Section<'_>]) {
    let _ = writeln!(out, "| Part | done | partly | not yet | not read |\n|---|---|---|---|---|");
    let mut line = |title: &str, sections: &[&Section<'_>]| {
        let count = |state| sections.iter().flat_map(|s| &s.rows).filter(|row| row.state == state).count();
        let counts = [State::Done, State::Partly, State::NotYet, State::NotRead].map(count);
        let [done, partly, not_yet, not_read] = counts;
        let _ = writeln!(out, "| {title} | {done} | {partly} | {not_yet} | {not_read} |");
    };
    let starts: Vec<usize> = (0..sections.len()).filter(|at| sections[*at].depth == 1).collect();
    for (which, start) in starts.iter().enumerate() {
        let end = starts.get(which + 1).copied().unwrap_or(sections.len());
        let part: Vec<&Section<'_>> = sections[*start..end].iter().collect();
        line(sections[*start].title, &part);
    }
    line("**all**", &sections.iter().collect::<Vec<_>>());
}

/// One message of RFC 4475 or RFC 5118, as the torture test has it.
struct Tortured<'t> {
    section: &'t str,
    name: &'t str,
    verdict: &'t str,
}

fn torture_table(source: &str) -> Vec<Tortured<'_>> {
    source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("(\"")?.strip_suffix("),"))
        .filter_map(|line| {
            let mut parts = line.splitn(3, "\", ");
            let (section, name, verdict) = (parts.next()?, parts.next()?.strip_prefix('"')?, parts.next()?);
            Some(Tortured { section, name, verdict })
        })
        .collect()
}

/// The verdict in words.
fn in_words(verdict: &str) -> String {
    let inside = |head: &str| verdict.strip_prefix(head)?.strip_suffix(')');
    let spaced = |name: &str| {
        let mut words = String::new();
        for letter in name.chars() {
            if letter.is_uppercase() && !words.is_empty() {
                words.push(' ');
            }
            words.extend(letter.to_lowercase());
        }
        words
    };
    if let Some(reason) = inside("Unparsable(ParseReason::") {
        return format!("refused: no frame ({})", spaced(reason));
    }
    if let Some(field) = inside("Refused(Name::") {
        let (name, fault) = field.split_once(", Fault::").unwrap_or((field, ""));
        let name = if name == "Other" { "Request-URI" } else { name };
        return format!("refused: {name} ({})", spaced(fault));
    }
    match verdict {
        "Valid" => "accepted, and comes back byte for byte",
        "ValidCut" => "accepted; what lies behind Content-Length is cut off",
        "CseqMethod" => "refused: CSeq names another method",
        "UriHeaders" => "refused: the Request-URI has headers",
        other => panic!("{TORTURE}: a verdict without words: {other}"),
    }
    .to_owned()
}

const PREFACE: &str = "\
<!-- Generated by tests/conformance.rs from tests/conformance/rows.txt and sip-core/tests/torture.rs: edit those. -->

# Conformance

What the specifications ask of the parts that are built, clause by clause, and which test shows it. A row is *done* when a
test shows all of it, *partly* when a test shows a part and the missing rest is named, *not yet* when nothing of it is
there. The test that writes this page fails when a test named here is not in the tree.

The column *Source* says how the clause is known:

- **[C]** read in the text of the specification;
- **[C2]** read at second hand: in a clause-by-clause digest, a conformance specification or other people's source that
  cites the clause;
- **[M]** from memory: right in substance as far as we know, the clause number not verified;
- none, with the status *not read*: a clause that is known by its number only. What it asks may be met or not.

Versions: TS 24.229 v16, TS 29.228 v18.0.0, TS 29.229 v16.2.0, TS 33.203 v14.1.0, TS 23.218 v17.0.0, TS 23.228 v16.5.0,
TS 29.165 v16.6.0.
";

fn generated() -> String {
    let rows = text_of(ROWS);
    let sections = read(&rows).unwrap_or_else(|error| panic!("{error}"));
    let mut out = String::from(PREFACE);
    out.push('\n');
    write_counts(&mut out, &sections);
    for section in &sections {
        let _ = writeln!(out, "\n{} {}", "#".repeat(section.depth + 1), section.title);
        if !section.rows.is_empty() {
            out.push('\n');
            write_rows(&mut out, &section.rows);
        }
    }
    let _ = writeln!(
        out,
        "\n## Torture messages (RFC 4475, RFC 5118)\n\n\
         The messages of both RFCs, byte for byte, and what becomes of each before a transaction sees it \
         ([`every_message_is_classified_as_the_rfcs_ask`](../{TORTURE}), \
         [`a_valid_message_comes_back_byte_for_byte`](../{TORTURE})). A refused request is answered by 400, by 505 for \
         its version, where it says enough of itself to be answered \
         ([`a_refused_request_is_answered_where_it_can_be`](../{TORTURE})).\n\n\
         | RFC and section | Message | Classification |\n|---|---|---|"
    );
    for message in torture_table(&text_of(TORTURE)) {
        let (rfc, section) = message.section.split_once(' ').expect("RFC and section");
        let _ =
            writeln!(out, "| RFC {rfc} §{section} | `{}` | {} |", message.name, in_words(message.verdict));
    }
    out
}

#[test]
fn every_row_is_proved_as_far_as_it_claims() {
    let rows = text_of(ROWS);
    let sections = read(&rows).unwrap_or_else(|error| panic!("{error}"));
    let faults: Vec<String> = sections
        .iter()
        .flat_map(|section| &section.rows)
        .filter_map(|row| Some(format!("{ROWS}:{}: {}: {}", row.line, fault(row)?, row.asks)))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_test_that_a_row_names_is_in_the_tree() {
    let rows = text_of(ROWS);
    let sections = read(&rows).unwrap_or_else(|error| panic!("{error}"));
    let missing: Vec<String> = sections
        .iter()
        .flat_map(|section| &section.rows)
        .flat_map(|row| row.witnesses.iter().map(move |witness| (row, witness)))
        .filter(|(_, witness)| {
            let source = fs::read_to_string(top().join(witness.file)).unwrap_or_default();
            !has_test(&source, witness.function)
        })
        .map(|(row, witness)| {
            format!("{ROWS}:{}: {} has no test {}", row.line, witness.file, witness.function)
        })
        .collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn the_document_is_the_one_that_is_generated() {
    let wanted = generated();
    if std::env::var_os("CARILLON_BLESS").is_some() {
        fs::write(top().join(DOCUMENT), &wanted).expect("the document can be written");
    }
    let there = fs::read_to_string(top().join(DOCUMENT)).unwrap_or_default();
    let differs = there.lines().zip(wanted.lines()).position(|(there, wanted)| there != wanted);
    assert!(
        there == wanted,
        "{DOCUMENT} is not what its rows give (line {:?}); CARILLON_BLESS=1 writes it anew",
        differs.map(|at| at + 1)
    );
}

#[test]
fn every_message_of_the_torture_table_is_listed() {
    let source = text_of(TORTURE);
    let listed = torture_table(&source).len();
    let folder = top().join("sip-core/tests/torture");
    let there = fs::read_dir(folder)
        .expect("the messages")
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "dat"))
        .count();
    assert_eq!(listed, there);
}

#[test]
fn a_row_that_claims_too_much_is_seen() {
    let judged = |text: &str| {
        let sections = read(text)?;
        match fault(&sections[0].rows[0]) {
            Some(fault) => Err(fault.to_owned()),
            None => Ok(()),
        }
    };
    assert_eq!(judged("= A\nTS 1 §1 | C | done | x\n    a.rs b\n"), Ok(()));
    for wrong in [
        "= A\nTS 1 §1 | C | done | x\n",
        "= A\nTS 1 §1 | C | done | x\n    a.rs b\n    - but not y\n",
        "= A\nTS 1 §1 | C | partly | x\n    a.rs b\n",
        "= A\nTS 1 §1 | C | not yet | x\n    a.rs b\n",
        "= A\nTS 1 §1 | C | not read | x\n",
        "= A\nTS 1 §1 | - | done | x\n    a.rs b\n",
        "= A\nTS 1 §1 | C | nearly | x\n",
        "= A\nTS 1 §1 | X | done | x\n    a.rs b\n",
        "TS 1 §1 | C | not yet | x\n",
    ] {
        assert!(judged(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_function_that_is_no_test_proves_nothing() {
    let source = "#[test]\nfn shown() {}\n\n// why\n// more\n// and more\n// still more\nfn helper() {}\n";
    assert!(has_test(source, "shown"));
    assert!(!has_test(source, "helper"));
    assert!(!has_test(source, "show"));
}
