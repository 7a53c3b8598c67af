//! What was recorded, for whoever looks into a failed run.

use explain::Scene;
use std::fmt::Write;

/// Every event.
pub fn picture(scene: &Scene) -> String {
    let mut picture = String::new();
    let first = scene.events().first().map_or(0, |event| event.at_ms);
    for event in scene.events() {
        let _ = writeln!(
            picture,
            "  {:>6} {} -> {}: {}",
            event.at_ms - first,
            event.from,
            event.to,
            event.summary()
        );
    }
    picture
}
