//! Expressions that are none, that match nothing or everything, or that were written in another notation.

use super::super::expression::{Case, Compiler, Wrong};
use super::super::session_description::SessionDescription;
use super::{Findings, REFUSED};

/// Looks an expression over; `element` holds it.
pub fn find(expression: &str, element: &str, findings: &mut Findings) {
    match Compiler::default().compile(expression, Case::Sensitive) {
        Err(fault) => {
            let remedy = match fault.reason {
                Wrong::NothingToRepeat if expression.starts_with('+') => {
                    "a plus stands for itself as \\+".to_owned()
                }
                Wrong::NothingToRepeat if expression.contains('*') && !expression.contains(".*") => {
                    GLOB.to_owned()
                }
                Wrong::NothingToRepeat if expression.contains("(?") => {
                    "extended expressions of POSIX have no (?: or (?i)".to_owned()
                }
                Wrong::Large => "count less, or match a part of the value".to_owned(),
                _ => "write a POSIX extended regular expression (TS 29.228 Annex F)".to_owned(),
            };
            findings.error(format!("{REFUSED}: {element} {expression:?}: {fault}"), remedy);
        }
        Ok(compiled) => {
            if !compiled.can_match() {
                findings.error(
                    format!("{element} {expression:?} matches no text"),
                    "^ is the start of the value and $ its end, wherever they stand",
                );
            }
            find_other_notation(expression, element, findings);
        }
    }
}

const GLOB: &str = "this looks like a glob: in an expression, any characters are .* and any one is .";

fn find_other_notation(expression: &str, element: &str, findings: &mut Findings) {
    let mut characters = expression.char_indices().peekable();
    let mut is_in_bracket = false;
    let mut before = None;
    while let Some((at, character)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        match character {
            '[' if !is_in_bracket => is_in_bracket = true,
            ']' if is_in_bracket && before != Some('[') => is_in_bracket = false,
            '\\' if is_in_bracket && next.is_some_and(|next| next != ']') => {
                return findings.warning(
                    format!("{element} {expression:?}: a backslash in brackets stands for itself"),
                    "leave it out: nothing has to be escaped there",
                );
            }
            '\\' if !is_in_bracket => {
                if let Some(letter) = next.filter(char::is_ascii_alphabetic) {
                    let meant = match letter {
                        'd' => "[0-9]",
                        'w' => "[[:alnum:]_]",
                        's' => "[[:space:]]",
                        'D' => "[^0-9]",
                        'W' => "[^[:alnum:]_]",
                        'S' => "[^[:space:]]",
                        _ => "what it should stand for",
                    };
                    return findings.warning(
                        format!("{element} {expression:?}: \\{letter} is the letter {letter}"),
                        format!("POSIX has no such classes; write {meant}"),
                    );
                }
                characters.next();
            }
            '+' if !is_in_bracket
                && matches!(before, Some(':' | '^'))
                && next.is_some_and(|next| next.is_ascii_digit()) =>
            {
                return findings.warning(
                    format!("{element} {expression:?}: the + repeats what stands before it"),
                    "a plus stands for itself as \\+",
                );
            }
            '*' if !is_in_bracket
                && (matches!(before, Some(':' | '@' | '/' | '=')) || is_last_of_word(expression, at)) =>
            {
                return findings
                    .warning(format!("{element} {expression:?}: the * repeats one character"), GLOB);
            }
            _ => {}
        }
        before = Some(character);
    }
}

/// Whether the star at the end of an expression follows a word without any operator, as in `voice*`.
fn is_last_of_word(expression: &str, at: usize) -> bool {
    let word = &expression[..at];
    at + 1 == expression.len()
        && word.len() > 1
        && word.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
}

/// What an expression on the Request-URI never sees.
pub fn find_in_target(expression: &str, findings: &mut Findings) {
    let lower = expression.to_ascii_lowercase();
    let unseen = ["sip:", "sips:", "tel:", "@", "user=phone", "transport="];
    if let Some(part) = unseen.into_iter().find(|part| lower.contains(part)) {
        findings.error(
            format!("RequestURI {expression:?}: {part:?} is never there: of a SIP URI the host and port are matched, of a tel URI the number"),
            "match the host alone, or a header field such as To",
        );
    }
    find_all(expression, findings);
}

/// An expression that every value matches.
pub fn find_all(expression: &str, findings: &mut Findings) {
    if Compiler::default().compile(expression, Case::Sensitive).is_ok_and(|compiled| compiled.is_always()) {
        findings.warning(
            format!("{expression:?} matches everything"),
            "leave it out, or say what should be matched",
        );
    }
}

/// The letter of a line of a session description.
pub fn find_in_line(line: &str, findings: &mut Findings) {
    match SessionDescription::compile(line, None, &mut Compiler::default()) {
        Err(_) => find(line, "Line", findings),
        Ok(compiled) if compiled.is_never() => findings.error(
            format!("Line {line:?} matches no line"),
            "it is the letter before =, as in <Line>m</Line>; what stands behind goes into Content",
        ),
        Ok(_) => {}
    }
}
