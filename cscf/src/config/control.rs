//! `[control]`: where running processes take commands.

use super::reader::Reader;
use std::path::{Path, PathBuf};

/// How an operator reaches running processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlSection {
    /// The directory of the sockets, one for each process; none are opened without it.
    pub path: Option<PathBuf>,
}

impl ControlSection {
    pub(super) fn read(reader: &mut Reader<'_>, directory: &Path) -> ControlSection {
        let mut section = reader.section("control");
        let path = section.optional::<PathBuf>("path").map(|path| directory.join(path));
        section.end();
        ControlSection { path }
    }
}
