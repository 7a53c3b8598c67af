//! What changed in a SIP message from one hop to the next, line by line.

use crate::api::ChangedLine;

/// Longer messages are not compared: the work grows with the square.
const LINES_MAX: usize = 400;

/// The lines of `new` against those of `old`; empty where there are too many.
pub fn between(old: &str, new: &str) -> Vec<ChangedLine> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    if old.len() > LINES_MAX || new.len() > LINES_MAX {
        return Vec::new();
    }
    // The longest common subsequence of what is left, from each pair of places.
    let width = new.len() + 1;
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    for a in (0..old.len()).rev() {
        for b in (0..new.len()).rev() {
            longest[a * width + b] = match old[a] == new[b] {
                true => longest[(a + 1) * width + b + 1] + 1,
                false => longest[(a + 1) * width + b].max(longest[a * width + b + 1]),
            };
        }
    }
    let (mut a, mut b) = (0, 0);
    let mut lines = Vec::with_capacity(old.len().max(new.len()));
    let line = |change: &str, text: &str| ChangedLine { change: change.to_owned(), text: text.to_owned() };
    while a < old.len() || b < new.len() {
        if a < old.len() && b < new.len() && old[a] == new[b] {
            lines.push(line("same", new[b]));
            (a, b) = (a + 1, b + 1);
        } else if a < old.len()
            && (b == new.len() || longest[(a + 1) * width + b] >= longest[a * width + b + 1])
        {
            lines.push(line("removed", old[a]));
            a += 1;
        } else {
            lines.push(line("added", new[b]));
            b += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_came_and_a_line_that_went_are_seen() {
        let shown: Vec<_> = between("INVITE\nVia: a\nRoute: x\nTo: b", "INVITE\nVia: p\nVia: a\nTo: b")
            .iter()
            .map(|line| format!("{} {}", line.change, line.text))
            .collect();
        let expected = ["same INVITE", "added Via: p", "same Via: a", "removed Route: x", "same To: b"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn nothing_against_something_is_all_new() {
        assert!(between("", "a\nb").iter().all(|line| line.change == "added"));
        assert!(between(&"a\n".repeat(500), "b").is_empty());
    }
}
