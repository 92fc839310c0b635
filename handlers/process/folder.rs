//! Folders: a private one for each start of a command, with its socket in it.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The longest path a Unix socket can have on Linux, its ending zero left out.
const LONGEST_BYTES: usize = 107;

/// A new folder that nobody else may look into, in $XDG_RUNTIME_DIR or else in
/// the folder for temporary files.
pub(super) fn private() -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let base = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|base| base.is_dir());
    let base = base.unwrap_or_else(std::env::temp_dir);
    loop {
        // Left behind by a process of our number that was killed with its
        // guard, or put there by somebody else, a name is not used.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = base.join(format!("ostler-{}-{number}", std::process::id()));
        if socket(&folder).as_os_str().len() > LONGEST_BYTES {
            let words = format!("{} is too long for a socket's path: set XDG_RUNTIME_DIR", folder.display());
            return Err(io::Error::new(io::ErrorKind::InvalidFilename, words));
        }
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created.map(|()| folder),
        }
    }
}

/// The socket in such a folder.
pub(super) fn socket(folder: &Path) -> PathBuf {
    folder.join("sock")
}
