//! Where control sockets lie: in a directory that nobody else can put one into.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The socket of the process `name` in `directory`.
pub fn socket_path(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.sock"))
}

/// A directory for the sockets of a core that no configuration gives one: below `XDG_RUNTIME_DIR`, or one of the user's
/// own. `core` tells several cores apart.
pub fn private_directory(core: &str) -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty());
    match (runtime, own_user()) {
        (Some(runtime), _) => PathBuf::from(runtime).join("carillon").join(core),
        (None, Some(0)) => Path::new("/run/carillon").join(core),
        (None, user) => {
            let user = user.map_or("unknown".to_owned(), |user| user.to_string());
            std::env::temp_dir().join(format!("carillon-{user}")).join(core)
        }
    }
}

/// Makes the directory when it is not there, and checks that it is safe.
pub(super) fn prepare(directory: &Path) -> Result<(), String> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| error.to_string())?;
    check(directory)
}

/// Whether nobody but its owner, who is this user or root, can put a socket into a directory.
pub(super) fn check(directory: &Path) -> Result<(), String> {
    let found = fs::metadata(directory).map_err(|error| error.to_string())?;
    if found.mode() & 0o022 != 0 {
        return Err("its directory can be written by others: `chmod go-w` it".to_owned());
    }
    let own = own_user();
    if own != Some(0) && found.uid() != 0 && Some(found.uid()) != own {
        return Err("its directory belongs to another user".to_owned());
    }
    Ok(())
}

/// Listens at `path`, in the place of a socket that a crash left behind.
pub(super) fn bind(path: &Path) -> Result<UnixListener, String> {
    if UnixStream::connect(path).is_ok() {
        return Err("another process takes commands there".to_owned());
    }
    // Made under another name: at its own it never is any but its owner's.
    let made = path.with_extension("new");
    let _ = fs::remove_file(&made);
    let bound = || -> io::Result<UnixListener> {
        let listener = UnixListener::bind(&made)?;
        fs::set_permissions(&made, Permissions::from_mode(0o600))?;
        fs::rename(&made, path)?;
        Ok(listener)
    };
    bound().map_err(|error| error.to_string())
}

fn own_user() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|metadata| metadata.uid())
}
