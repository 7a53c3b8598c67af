//! What the user who runs the tests may do.

use shell::ipsec::Userspace;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};

/// Whether raw sockets may be opened; if not, the running test returns, and the file that `CARILLON_SKIPS` names counts it.
pub fn has_raw_sockets() -> bool {
    let entropy = crate::core::entropy().expect("entropy");
    let Err(error) = Userspace::open(&[IpAddr::V4(Ipv4Addr::LOCALHOST)], entropy) else { return true };
    let thread = std::thread::current();
    let line = format!("SKIP {}: no raw socket: {error}\n", thread.name().unwrap_or("a test"));
    eprint!("{line}");
    if let Some(file) = std::env::var_os("CARILLON_SKIPS") {
        let counted = std::fs::OpenOptions::new().create(true).append(true).open(file);
        counted.and_then(|mut file| file.write_all(line.as_bytes())).expect("a file that counts skips");
    }
    false
}
