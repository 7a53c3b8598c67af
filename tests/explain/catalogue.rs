//! The catalogue as documentation, and captures of other people's cores.

use carillon_tests::binaries::top;
use carillon_tests::skip;
use explain::{Kind, Outcome, Scene, capture};
use std::path::PathBuf;

/// `docs/explain.md` lists the catalogue as it is; `CARILLON_BLESS=1` writes it anew.
#[test]
fn the_documentation_lists_the_catalogue() {
    let file = top().join("docs/explain.md");
    let text = std::fs::read_to_string(&file).expect("the page");
    let (head, _) = text.split_once(MARK).expect("the mark behind which the catalogue begins");
    let wanted = format!("{head}{MARK}\n\n{}", explain::catalogue::page());
    if std::env::var_os("CARILLON_BLESS").is_some() {
        std::fs::write(&file, &wanted).expect("the page is writable");
        return;
    }
    assert!(text == wanted, "docs/explain.md is not the catalogue; CARILLON_BLESS=1 writes it anew");
}

const MARK: &str = "<!-- from here on: CARILLON_BLESS=1 cargo test -p carillon-tests --test explain -->";

/// The captures of the Open5GS documentation, in the folder that `CARILLON_CAPTURES` names.
#[test]
fn captures_of_handsets_are_rebuilt() {
    let Some(folder) = std::env::var_os("CARILLON_CAPTURES").map(PathBuf::from) else {
        return skip("CARILLON_CAPTURES names no folder with captures of handsets");
    };
    for (file, kind, at_least) in
        [("ipsec_reg.pcapng", Kind::Registration, 1), ("nonipsec_to_ipsec_call.pcapng", Kind::Call, 1)]
    {
        let bytes = std::fs::read(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let capture = capture::read(&bytes).unwrap_or_else(|error| panic!("{file}: {error}"));
        let scene = Scene::of(&capture.entries);
        let told: Vec<_> = scene.stories().iter().map(|story| scene.explain(story)).collect();
        for told in &told {
            println!("{file}: {}", told.text());
        }
        let picture = crate::recording::picture(&scene);
        let whole =
            told.iter().filter(|told| told.story.kind == kind && told.story.outcome == Outcome::Success);
        assert!(whole.count() >= at_least, "{file}\n{picture}");
        assert!(told.iter().all(|told| !told.is_fault()), "{file}\n{picture}");
    }
}
