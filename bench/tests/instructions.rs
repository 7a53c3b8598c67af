//! What a role spends on a message is held: no case may grow by more than 5 % over the committed table.
//!
//! `CARILLON_BLESS=1 cargo test -p carillon-bench --test instructions` writes `instructions.txt` anew: read the difference
//! as code. The table holds for one compiler and one processor architecture; with another one nothing is compared. The
//! program that is counted is built as it is shipped, in the `release` profile.

use carillon_bench::cases::by_key;
use carillon_bench::criteria::WORST_OCTETS;
use carillon_bench::instructions::{per_round, tool};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Forwards within a dialog, initial INVITEs and REGISTERs, at each role.
const KEYS: [&str; 13] = [
    "p-ack",
    "p-info",
    "p-info-to",
    "s-ack",
    "s-info",
    "p-invite",
    "i-invite",
    "s-invite",
    "s-invite-to",
    "p-register",
    "i-register",
    "s-challenge",
    "s-register",
];
const TABLE: &str = "tests/instructions.txt";
const ROUNDS: u32 = 200;

fn skip(reason: &str) {
    eprintln!("SKIP no_role_spends_more_on_a_message: {reason}");
    if let Some(file) = std::env::var_os("CARILLON_SKIPS") {
        let earlier = std::fs::read_to_string(&file).unwrap_or_default();
        let line = format!("{earlier}SKIP no_role_spends_more_on_a_message: {reason}\n");
        std::fs::write(file, line).expect("a skip is counted");
    }
}

/// Compiler and architecture: the figures of another pair tell nothing.
fn setting() -> String {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(compiler).arg("--version").output().expect("the compiler of this test");
    format!("{} on {}", String::from_utf8_lossy(&version.stdout).trim(), std::env::consts::ARCH)
}

/// The bench as it is shipped, beside what this test was built with.
fn program() -> PathBuf {
    // TARGET/PROFILE/deps/instructions-0123456789abcdef
    let own = std::env::current_exe().expect("a test knows its own file");
    let target = own.ancestors().nth(3).expect("the target folder");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", "carillon-bench", "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    target.join("release/carillon-bench")
}

/// The setting and the figures of a table.
fn read(table: &str) -> (&str, Vec<(&str, u64)>) {
    let setting = table.lines().find_map(|line| line.strip_prefix("# counted with ")).unwrap_or_default();
    let rows = table.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
    (setting, rows.filter_map(|(key, figure)| Some((key, figure.trim().parse().ok()?))).collect())
}

/// Whether `counted` is more than 5 % above `figure`.
fn has_grown(figure: u64, counted: u64) -> bool {
    counted * 100 > figure * 105
}

#[test]
fn no_role_spends_more_on_a_message() {
    if let Err(reason) = tool() {
        let required = std::env::var_os("CARILLON_TOOLS").is_some_and(|value| value == "required");
        assert!(!required, "{reason}");
        return skip(&reason);
    }
    let is_blessing = std::env::var_os("CARILLON_BLESS").is_some();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE);
    let table = std::fs::read_to_string(&path).unwrap_or_default();
    let (counted_with, figures) = read(&table);
    let setting = setting();
    if counted_with != setting && !is_blessing {
        return skip(&format!("{TABLE} is of {counted_with}, and this is {setting}"));
    }
    let program = program();
    let mut written =
        format!("# Instructions of one round; see instructions.rs.\n# counted with {setting}\n");
    let mut grown = Vec::new();
    for key in KEYS {
        assert!(by_key(key).is_some(), "no case {key}");
        let counted = per_round(&program, key, ROUNDS).expect("valgrind counts");
        let _ = writeln!(written, "{key} {counted}");
        match figures.iter().find(|(name, _)| *name == key) {
            Some((_, figure)) if has_grown(*figure, counted) => {
                grown.push(format!("{key}: {figure} to {counted}"))
            }
            Some(_) => {}
            None => grown.push(format!("{key}: not in the table")),
        }
    }
    if is_blessing {
        std::fs::write(&path, written).expect("the table can be written");
    } else {
        assert!(grown.is_empty(), "{grown:#?}; CARILLON_BLESS=1 writes {TABLE} anew");
    }
}

/// Of the cheapest forward there is, which is recorded twice, as it came and as it left.
#[test]
fn the_recorder_costs_less_than_a_twentieth_of_a_forward() {
    if let Err(reason) = tool() {
        let required = std::env::var_os("CARILLON_TOOLS").is_some_and(|value| value == "required");
        assert!(!required, "{reason}");
        return skip(&reason);
    }
    let program = program();
    let counted = |key| per_round(&program, key, ROUNDS).expect("valgrind counts");
    for (off, on) in [("s-ack", "s-ack-recorded"), ("s-info", "s-info-recorded")] {
        let (forwarded, recorded) = (counted(off), counted(on));
        println!("{off}: {forwarded} instructions, recorded {recorded}");
        assert!(recorded > forwarded && !has_grown(forwarded, recorded), "{off}: {forwarded}, {recorded}");
    }
}

/// An expression costs as much as its text is long, whatever it is: an engine that tries one way after the other would
/// need more than there is time for.
#[test]
fn the_worst_expression_costs_a_few_instructions_for_an_octet() {
    if let Err(reason) = tool() {
        let required = std::env::var_os("CARILLON_TOOLS").is_some_and(|value| value == "required");
        assert!(!required, "{reason}");
        return skip(&reason);
    }
    let counted = per_round(&program(), "ifc-worst", ROUNDS).expect("valgrind counts");
    let octets = WORST_OCTETS as u64;
    assert!((octets..octets * 16).contains(&counted), "{counted} instructions for {octets} octets");
}

#[test]
fn five_percent_are_let_pass_and_more_is_growth() {
    assert!(!has_grown(100_000, 90_000));
    assert!(!has_grown(100_000, 105_000));
    assert!(has_grown(100_000, 105_001));
}

#[test]
fn a_table_says_how_it_was_counted() {
    let (setting, figures) = read("# Instructions.\n# counted with rustc 1 on x\np-info 12\ns-info 7\n");
    assert_eq!(setting, "rustc 1 on x");
    assert_eq!(figures, [("p-info", 12), ("s-info", 7)]);
}
