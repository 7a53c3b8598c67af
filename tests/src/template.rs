//! The configurations of peers: files with `@NAMES@` in them that each run replaces.

use std::fs;
use std::path::Path;

/// Writes every file below `interop/NAME` into `folder`, with the names in them replaced.
pub fn write(name: &str, names: &[(&str, String)], folder: &Path) {
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop").join(name);
    for entry in fs::read_dir(templates).expect("a folder of templates").flatten() {
        let mut text = fs::read_to_string(entry.path()).expect("a template");
        for (name, value) in names {
            text = text.replace(name, value);
        }
        fs::write(folder.join(entry.file_name()), text).expect("the scratch folder is writable");
    }
}
