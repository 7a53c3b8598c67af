//! The torture messages hold every invariant of the fuzz entry points; `carillon-fuzz` replays its corpus and mutates it.

use sip_core::fuzz::{fuzz_message, fuzz_sdp, fuzz_stream};
use std::path::Path;

#[test]
fn the_torture_messages_hold_every_invariant() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_file() {
            let data = std::fs::read(path).expect("readable");
            fuzz_message(&data);
            fuzz_sdp(&data);
            fuzz_stream(&data);
            count += 1;
        }
    }
    assert!(count >= 61, "{count} of RFC 4475 and RFC 5118");
}
