//! The front end as it was built: part of the program, so that it needs no file and no network.

/// A file of the front end.
pub struct Asset {
    /// Its type.
    pub kind: &'static str,
    /// Its octets.
    pub bytes: &'static [u8],
}

/// The file at a path; `/` is the page.
pub fn at(path: &str) -> Option<Asset> {
    let (kind, bytes): (_, &[u8]) = match path {
        "/" | "/index.html" => ("text/html; charset=utf-8", include_bytes!("../dist/index.html")),
        "/console.js" => ("text/javascript; charset=utf-8", include_bytes!("../dist/console.js")),
        "/console.css" => ("text/css; charset=utf-8", include_bytes!("../dist/console.css")),
        _ => return None,
    };
    Some(Asset { kind, bytes })
}
