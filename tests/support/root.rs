//! A root directory of a test's own, gone when the test is over.
#![allow(dead_code, reason = "each test uses what it needs of it")]

use std::fs;
use std::path::{Path, PathBuf};

/// A root; paths below it are written without a slash in front.
pub struct Root(pub PathBuf);

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Root {
    /// An empty one. No other test of the same program may have this name.
    pub fn empty(name: &str) -> Self {
        let folder = format!("wisp-{}-{name}-{}", env!("CARGO_CRATE_NAME"), std::process::id());
        let root = Self(std::env::temp_dir().join(folder));
        let _ = fs::remove_dir_all(&root.0);
        fs::create_dir_all(&root.0).unwrap();
        root
    }

    /// As an argument.
    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// Where `path` is outside.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path)
    }

    /// Makes the file, and the folders it is in.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Whether anything is there, a link to nowhere included.
    pub fn has(&self, path: &str) -> bool {
        self.join(path).symlink_metadata().is_ok()
    }
}
