//! What is committed beside the code that it is made from: the OpenAPI document, and the front end as it was built.
//!
//! `CARILLON_BLESS=1 cargo test -p console --test built` writes the document anew, `console/build` the front end.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_document_is_that_of_the_interface() {
    let (file, document) = (top().join("openapi.json"), console::io::openapi());
    if std::env::var_os("CARILLON_BLESS").is_some() {
        fs::write(&file, &document).expect("openapi.json");
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == document,
        "openapi.json is stale: CARILLON_BLESS=1 cargo test -p console --test built"
    );
    for path in ["/api/overview", "/api/events", "/api/phones/{name}/call"] {
        assert!(document.contains(path), "{path}");
    }
}

/// The sources of the front end, and what goes with them.
fn sources() -> Vec<String> {
    let mut found: Vec<String> =
        ["index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts"]
            .map(|name| format!("web/{name}"))
            .to_vec();
    let mut folders = vec![PathBuf::from("web/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(top().join(&folder)).expect("a folder of the front end").flatten() {
            let path = folder.join(entry.file_name());
            match entry.path().is_dir() {
                true => folders.push(path),
                false => found.push(path.display().to_string()),
            }
        }
    }
    found.push("openapi.json".to_owned());
    found.extend(["index.html", "console.js", "console.css"].map(|name| format!("dist/{name}")));
    found.sort();
    found
}

fn digest(path: &str) -> String {
    let octets = fs::read(top().join(path)).expect("a file of the front end");
    Sha256::digest(octets).iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The types of the front end are made from the document, and what is served from its sources, by one build.
#[test]
fn what_is_served_was_built_from_what_is_here() {
    let told = fs::read_to_string(top().join("dist/built-from.txt")).unwrap_or_default();
    let built: BTreeMap<&str, &str> =
        told.lines().filter_map(|line| line.split_once("  ")).map(|(digest, path)| (path, digest)).collect();
    let sources = sources();
    let stale: Vec<_> =
        sources.iter().filter(|path| built.get(path.as_str()) != Some(&digest(path).as_str())).collect();
    assert!(stale.is_empty(), "the front end is stale, run console/build: {stale:?}");
    assert_eq!(built.len(), sources.len(), "what was there when it was built is gone: run console/build");
}

#[test]
fn nothing_that_is_served_asks_another_host() {
    for file in ["index.html", "console.js", "console.css"] {
        let text = fs::read_to_string(top().join("dist").join(file)).expect("a built file");
        let foreign: Vec<_> = text
            .match_indices("://")
            .map(|(at, _)| {
                let end = text[at + 3..].find(['"', '\'', '`', '/', ' ', ')']).unwrap_or(0);
                &text[at + 3..at + 3 + end]
            })
            // The names of XML namespaces, which nobody fetches.
            .filter(|host| *host != "www.w3.org")
            .collect();
        assert!(foreign.is_empty(), "{file} names {foreign:?}");
    }
}
