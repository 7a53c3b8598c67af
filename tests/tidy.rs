//! What a machine can hold of the architecture: the dependency arrows, and the absences.
//!
//! `docs/architecture.md` gives the reasons. Each rule is a function from one source file to its violations; the tests
//! at the end show that a rule can fail.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Crates of this workspace, and which of the others each may depend on. Tests and benches may see everything.
const ARROWS: &[(&str, &[&str])] = &[
    ("ambient", &[]),
    ("sip-core", &["ambient"]),
    ("ims-aka", &["ambient"]),
    ("ipsec", &["ambient", "sip-core"]),
    ("diameter-client", &["ambient"]),
    ("recorder", &["ambient", "sip-core", "diameter-client"]),
    ("explain", &["ambient", "sip-core", "diameter-client", "recorder"]),
    ("console", &["ambient", "sip-core", "diameter-client", "recorder"]),
    ("cscf", &["ambient", "sip-core", "ipsec", "diameter-client", "recorder"]),
    // `shell` is for the main.rs of these packages; `shell_is_seen_by_main_only` holds that.
    ("pcscf", &["ambient", "sip-core", "ipsec", "diameter-client", "cscf", "shell"]),
    ("icscf", &["ambient", "sip-core", "diameter-client", "cscf", "shell"]),
    ("scscf", &["ambient", "sip-core", "ims-aka", "diameter-client", "cscf", "shell"]),
    ("ecscf", &["ambient", "sip-core", "cscf", "shell"]),
    ("hss-mock", &["ambient", "ims-aka", "diameter-client", "recorder", "cscf", "shell"]),
    ("ue", &["ambient", "sip-core", "ims-aka", "ipsec", "cscf"]),
    ("shell", &["ambient", "sip-core", "ipsec", "diameter-client", "recorder", "cscf"]),
    (
        "sim",
        &[
            "ambient",
            "sip-core",
            "ims-aka",
            "ipsec",
            "diameter-client",
            "cscf",
            "pcscf",
            "icscf",
            "scscf",
            "ecscf",
            "hss-mock",
            "ue",
        ],
    ),
    (
        "ims",
        &[
            "ambient",
            "sip-core",
            "ims-aka",
            "ipsec",
            "diameter-client",
            "cscf",
            "pcscf",
            "icscf",
            "scscf",
            "ecscf",
            "hss-mock",
            "ue",
            "recorder",
            "shell",
            "explain",
            "carillon-load",
            "recorder",
            "console",
        ],
    ),
    ("load", &["ambient", "sip-core", "ims-aka", "ipsec"]),
];

/// Crates without a clock, a socket, a thread or a file below `src/`, but for the files that [`does_io`] names.
const PURE: &[&str] = &[
    "ambient",
    "sip-core",
    "ims-aka",
    "ipsec",
    "diameter-client",
    "recorder",
    "explain",
    "cscf",
    "pcscf",
    "icscf",
    "scscf",
    "ecscf",
    "hss-mock",
    "ue",
    "sim",
];

/// Crates that decide what a subscriber is answered.
const ROLES: &[&str] = &["pcscf", "icscf", "scscf", "ecscf"];

/// One Rust file of the workspace.
struct Source {
    /// The folder at the top of the workspace.
    package: String,
    /// From the top of the workspace.
    path: PathBuf,
    text: String,
    is_tests_only: bool,
}

impl Source {
    fn is_below_src(&self) -> bool {
        self.path.components().nth(1).is_some_and(|folder| folder.as_os_str() == "src")
    }

    /// Whether the file is compiled for tests only: outside of `src/`, or declared below `#[cfg(test)]`.
    fn is_test_code(&self) -> bool {
        self.is_tests_only
            || !self.is_below_src()
            || self.path.components().any(|part| part.as_os_str() == "tests")
    }

    /// The lines of production code with their numbers: comments, and what is for tests only, left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut lines = self.text.lines().enumerate().peekable();
        std::iter::from_fn(move || {
            loop {
                let (at, line) = lines.next()?;
                if line.trim() == "#[cfg(test)]" {
                    // The test module ends the file; any other item for tests is one line, or a function.
                    match lines.next() {
                        Some((_, item)) if item.contains("mod ") && item.trim_end().ends_with('{') => {
                            return None;
                        }
                        _ => continue,
                    }
                }
                if !line.trim_start().starts_with("//") {
                    return Some((at + 1, line));
                }
            }
        })
    }

    /// The modules that this file declares for tests only, as the paths that they may lie at.
    fn modules_for_tests(&self) -> Vec<PathBuf> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let own = match self.path.file_stem().and_then(|stem| stem.to_str()) {
            Some("lib" | "main" | "mod") | None => folder.to_path_buf(),
            Some(name) => folder.join(name),
        };
        let lines: Vec<_> = self.text.lines().map(str::trim).collect();
        lines
            .windows(2)
            .filter(|pair| pair[0] == "#[cfg(test)]")
            .filter_map(|pair| pair[1].split("mod ").nth(1)?.strip_suffix(';'))
            .flat_map(|name| [own.join(format!("{name}.rs")), own.join(name).join("mod.rs")])
            .collect()
    }

    fn lines_with<'a>(&'a self, needles: &'a [&'a str]) -> Vec<String> {
        self.code()
            .filter(|(_, line)| needles.iter().any(|needle| line.contains(needle)))
            .map(|(number, line)| format!("{}:{number}: {}", self.path.display(), line.trim()))
            .collect()
    }
}

/// Files that touch the world by design.
fn does_io(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name == "io.rs"
        || name == "main.rs"
        || path.starts_with("console/src/io")
        || path.starts_with("hss-mock/src/store")
        || path == Path::new("hss-mock/src/store.rs")
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_path_buf()
}

fn is_hidden_or_built(name: &str) -> bool {
    name.starts_with('.') && name != ".ci" || name.starts_with("target") || name == "node_modules"
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).expect("a folder of the workspace").flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        if is_hidden_or_built(&name.to_string_lossy()) {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path(), found),
            _ => found.push(entry.path()),
        }
    }
}

fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&top(), &mut found);
    found
}

fn sources() -> Vec<Source> {
    let mut sources: Vec<Source> = files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|file| {
            let path = file.strip_prefix(top()).expect("found below the top").to_path_buf();
            let package = path.components().next()?.as_os_str().to_string_lossy().into_owned();
            Some(Source { package, path, text: fs::read_to_string(&file).ok()?, is_tests_only: false })
        })
        .collect();
    let for_tests: Vec<PathBuf> = sources.iter().flat_map(Source::modules_for_tests).collect();
    for source in &mut sources {
        source.is_tests_only = for_tests.contains(&source.path);
    }
    sources
}

fn assert_none(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n  {}", violations.join("\n  "));
}

/// The names below `[dependencies]` of a Cargo.toml.
fn dependencies(manifest: &str) -> Vec<&str> {
    let mut section = "";
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
            if let Some(name) = line.strip_prefix("[dependencies.") {
                names.push(name.trim_end_matches(']'));
            }
        } else if section == "[dependencies]" && !line.is_empty() && !line.starts_with('#') {
            names.push(line.split(['.', '=', ' ']).next().unwrap_or_default());
        }
    }
    names
}

fn arrows_against(allowed: &BTreeMap<&str, &[&str]>, package: &str, manifest: &str) -> Vec<String> {
    let Some(may) = allowed.get(package) else { return Vec::new() };
    dependencies(manifest)
        .into_iter()
        .filter(|name| allowed.contains_key(name) && !may.contains(name))
        .map(|name| format!("{package} -> {name}"))
        .collect()
}

#[test]
fn arrows_point_down_only() {
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let violations: Vec<_> = ARROWS
        .iter()
        .flat_map(|(package, _)| {
            let manifest =
                fs::read_to_string(top().join(package).join("Cargo.toml")).expect("a package has one");
            arrows_against(&allowed, package, &manifest)
        })
        .collect();
    assert_none("a dependency that points up", &violations);
}

#[test]
fn shell_is_seen_by_main_only() {
    let violations: Vec<_> = sources()
        .iter()
        .filter(|source| PURE.contains(&source.package.as_str()) && source.is_below_src())
        .filter(|source| !source.path.ends_with("main.rs"))
        .flat_map(|source| source.lines_with(&["use shell", " shell::", "(shell::"]))
        .collect();
    assert_none("a pure file that names the driver", &violations);
}

#[test]
fn tokio_appears_only_where_io_is() {
    let violations: Vec<_> = sources()
        .iter()
        .filter(|source| !source.is_test_code() && source.package != "shell" && !does_io(&source.path))
        .flat_map(|source| source.lines_with(&["tokio::", "use tokio"]))
        .collect();
    assert_none("tokio outside of shell, io.rs, main.rs and the HSS's store", &violations);
}

#[test]
fn pure_crates_have_no_clock_no_socket_no_thread_and_no_file() {
    const WORLD: &[&str] = &[
        "std::time::Instant",
        "SystemTime",
        "Instant::now",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "std::thread",
        "thread::spawn",
        "std::fs",
        "std::env::var",
        "rand::rng",
        "OsRng",
    ];
    let violations: Vec<_> = sources()
        .iter()
        .filter(|source| PURE.contains(&source.package.as_str()) && !source.is_test_code())
        .filter(|source| !does_io(&source.path))
        .flat_map(|source| source.lines_with(WORLD))
        .collect();
    assert_none("a pure crate that touches the world", &violations);
}

#[test]
fn pure_crates_iterate_no_randomly_keyed_map() {
    // `HashMap::new` keys itself from the operating system: two runs of a seed would differ.
    let violations: Vec<_> = sources()
        .iter()
        .filter(|source| PURE.contains(&source.package.as_str()) && !source.is_test_code())
        .filter(|source| !does_io(&source.path))
        .flat_map(|source| source.lines_with(&["HashMap::new(", "HashSet::new(", "RandomState"]))
        .collect();
    assert_none("a map with a random key", &violations);
}

/// The constants of `sip_core::Status` that refuse.
fn failure_statuses() -> Vec<String> {
    let text = fs::read_to_string(top().join("sip-core/src/status.rs")).expect("status.rs");
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (name, code) = (words.next()?, words.next()?.parse::<u16>().ok()?);
            // A challenge asks; it does not refuse.
            let is_failure = code >= 400 && !matches!(code, 401 | 407);
            (is_failure && name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
                .then(|| format!("Status::{name}"))
        })
        .collect()
}

/// Statements of production code, each with the number of its last line.
fn statements(source: &Source) -> Vec<(usize, String)> {
    let mut statements = vec![(0, String::new())];
    for (number, line) in source.code() {
        if let Some(last) = statements.last_mut() {
            last.0 = number;
            last.1.push_str(line);
        }
        if line.trim_end().ends_with([';', '{', '}']) {
            statements.push((number, String::new()));
        }
    }
    statements
}

/// Statements that refuse a request being handled by a bare reply.
///
/// A refusal with a body (restoration, TS 24.229 §7.6) is more than a `Reject` holds; a request whose hook has returned
/// (`reply_to`) has nobody to return one to.
fn refusals_without_reject(source: &Source, failures: &[String]) -> Vec<String> {
    let fails = |text: &str| failures.iter().any(|status| text.contains(status.as_str()));
    let by_number =
        |text: &str| text.split("Status::new(").nth(1).is_some_and(|rest| rest.starts_with(char::is_numeric));
    let statements = statements(source);
    let has_body = |at: usize| statements[at..].iter().take(6).any(|(_, text)| text.contains(".body("));
    statements
        .iter()
        .enumerate()
        .filter(|(at, (_, text))| {
            by_number(text) || text.contains(".reply(") && fails(text) && !has_body(*at)
        })
        .map(|(_, (number, text))| format!("{}:{number}: {}", source.path.display(), text.trim()))
        .collect()
}

#[test]
fn a_role_refuses_by_reject_only() {
    let failures = failure_statuses();
    assert!(failures.len() > 30, "the list of statuses was not read");
    let violations: Vec<_> = sources()
        .iter()
        .filter(|source| ROLES.contains(&source.package.as_str()) && !source.is_test_code())
        .flat_map(|source| refusals_without_reject(source, &failures))
        .collect();
    assert_none("a status chosen outside of a Reject", &violations);
}

/// The header names that `sip_core::Name` has a variant for, in lower case.
fn known_names() -> Vec<String> {
    let text = fs::read_to_string(top().join("sip-core/src/name.rs")).expect("name.rs");
    text.lines()
        .filter(|line| line.ends_with(" Single,") || line.ends_with(" List,") || line.ends_with(" Lines,"))
        .filter_map(|line| line.split('"').nth(1))
        .map(str::to_ascii_lowercase)
        .collect()
}

#[test]
fn a_role_names_known_headers_by_name_and_not_by_string() {
    let known = known_names();
    assert!(known.len() > 80, "the list of names was not read");
    let violations: Vec<_> = sources()
        .iter()
        .filter(|source| ROLES.contains(&source.package.as_str()) && !source.is_test_code())
        .flat_map(|source| source.lines_with(&[".other(b\"", ".others(b\"", "remove_other("]))
        .filter(|line| {
            line.split('"').skip(1).step_by(2).any(|text| known.contains(&text.to_ascii_lowercase()))
        })
        .collect();
    assert_none("a header that has a Name, named by a string", &violations);
}

#[test]
fn no_file_is_a_junk_drawer() {
    const DRAWERS: &[&str] =
        &["util", "utils", "common", "helper", "helpers", "misc", "types", "base", "stuff"];
    let violations: Vec<_> = files()
        .iter()
        .filter_map(|file| file.strip_prefix(top()).ok())
        .filter(|path| {
            path.components().any(|part| {
                let name = Path::new(part.as_os_str()).file_stem().unwrap_or_default().to_string_lossy();
                DRAWERS.contains(&name.to_ascii_lowercase().as_str())
            })
        })
        .map(|path| path.display().to_string())
        .collect();
    assert_none("a file whose home has not been found", &violations);
}

#[test]
fn every_file_says_what_it_is() {
    let violations: Vec<_> = sources()
        .iter()
        .filter(|source| source.is_below_src() && !source.is_test_code() && !source.text.starts_with("//!"))
        .map(|source| source.path.display().to_string())
        .collect();
    assert_none("a file without a module doc", &violations);
}

#[test]
fn nothing_is_left_for_later() {
    const LATER: &[&str] = &["todo!(", "unimplemented!(", "dbg!("];
    let later = sources();
    let mut violations: Vec<_> = later
        .iter()
        .filter(|source| source.is_below_src())
        .flat_map(|source| source.lines_with(LATER))
        .collect();
    // Split, so that this file does not name them itself.
    let marks = [concat!("#[ig", "nore"), concat!("TO", "DO"), concat!("FIX", "ME")];
    for source in &later {
        for (at, line) in source.text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                violations.push(format!("{}:{}: {}", source.path.display(), at + 1, line.trim()));
            }
        }
    }
    assert_none("left for later", &violations);
}

#[test]
fn unsafe_code_is_allowed_in_two_modules_of_shell_only() {
    // Batches of datagrams, and the options of an SCTP socket: the system has them, the standard library has not.
    const MODULES: &[&str] = &["shell/src/datagram/mmsg.rs", "shell/src/sctp/option.rs"];
    let allow = concat!("allow(unsafe", "_code)");
    let allowed: Vec<_> = sources()
        .iter()
        .filter(|source| source.text.contains(allow))
        .map(|source| source.path.display().to_string())
        .collect();
    assert_eq!(allowed, MODULES, "the files that allow unsafe code");
}

#[test]
fn no_text_names_the_machine_that_it_was_written_on() {
    const TEXT: &[&str] =
        &["rs", "toml", "md", "txt", "csv", "xml", "yml", "yaml", "sh", "sql", "cfg", "conf", ""];
    let machine = [
        concat!("/wo", "rk/"),
        concat!("shared/", "reference"),
        concat!("shared/", "design"),
        concat!("/ro", "ot/"),
    ];
    let mut violations = Vec::new();
    for file in files() {
        let extension = file.extension().unwrap_or_default().to_string_lossy().into_owned();
        if !TEXT.contains(&extension.as_str()) {
            continue;
        }
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for (at, line) in text.lines().enumerate() {
            if machine.iter().any(|path| line.contains(path)) {
                let path = file.strip_prefix(top()).unwrap_or(&file);
                violations.push(format!("{}:{}: {}", path.display(), at + 1, line.trim()));
            }
        }
    }
    assert_none("a path of one machine", &violations);
}

// --- the rules can fail -------------------------------------------------------------------------------------------

fn source(package: &str, text: &str) -> Source {
    let path = PathBuf::from(format!("{package}/src/x.rs"));
    Source { package: package.into(), path, text: text.into(), is_tests_only: false }
}

#[test]
fn an_arrow_that_points_up_is_seen_in_each_way_of_writing_it() {
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    for manifest in [
        "[dependencies]\nambient.workspace = true\ncscf.workspace = true\n",
        "[dependencies]\ncscf = { workspace = true }\n",
        "[dependencies.cscf]\nworkspace = true\n",
    ] {
        assert_eq!(arrows_against(&allowed, "sip-core", manifest), ["sip-core -> cscf"], "{manifest}");
    }
    let tests_may = "[dependencies]\nambient.workspace = true\n[dev-dependencies]\ncscf.workspace = true\n";
    assert!(arrows_against(&allowed, "sip-core", tests_may).is_empty());
}

#[test]
fn a_failure_sent_by_reply_is_seen_over_several_lines_and_a_success_is_not() {
    let failures = vec!["Status::FORBIDDEN".to_owned()];
    let refused = source("pcscf", "turn.reply(\n    request,\n    Status::FORBIDDEN,\n    |_| (),\n);\n");
    assert_eq!(refusals_without_reject(&refused, &failures).len(), 1);
    let fine = source(
        "pcscf",
        "turn.reply(request, Status::OK, |_| ());\nErr(Reject::new(Status::FORBIDDEN, \"x\"));\n",
    );
    assert!(refusals_without_reject(&fine, &failures).is_empty());
    let restoration = source(
        "scscf",
        "turn.reply(request, Status::FORBIDDEN, |response| {\n    response.body(KIND, XML)\n});\n",
    );
    assert!(refusals_without_reject(&restoration, &failures).is_empty());
    let numbered = source("pcscf", "let status = Status::new(403);\n");
    assert_eq!(refusals_without_reject(&numbered, &failures).len(), 1);
}

#[test]
fn comments_and_test_modules_are_no_production_code() {
    let text = "// tokio::spawn\nlet a = 1;\n#[cfg(test)]\nmod tests { use tokio::time; }\n";
    assert!(source("cscf", text).lines_with(&["tokio"]).is_empty());
    assert_eq!(source("cscf", "use tokio::time;").lines_with(&["tokio"]).len(), 1);
    let declared = source("cscf", "#[cfg(test)]\nmod story;\nuse tokio::time;\n");
    assert_eq!(declared.lines_with(&["tokio"]).len(), 1, "code goes on behind the declaration");
    assert!(declared.modules_for_tests().contains(&PathBuf::from("cscf/src/x/story.rs")));
}
