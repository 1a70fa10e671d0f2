//! A folder that changes as a Secret volume does.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::authority::Leaf;

/// A folder as a kubelet lays it out: `tls.crt -> ..data/tls.crt`, `..data -> ..<time>`, swapped by a rename.
pub(crate) struct SecretVolume {
    folder: TempDir,
    version: u32,
}

impl SecretVolume {
    pub(crate) fn new(leaf: &Leaf) -> Self {
        let mut volume = Self { folder: TempDir::new().unwrap(), version: 0 };
        volume.write(Some(&leaf.cert), Some(&leaf.key));
        for name in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(name), volume.path(name)).unwrap();
        }
        volume
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Swaps the whole content at once; what is none is missing afterwards.
    pub(crate) fn write(&mut self, cert: Option<&str>, key: Option<&str>) {
        let old = fs::read_link(self.path("..data")).ok();
        self.version += 1;
        let name = format!("..2026_01_02_03_04_05.{:09}", self.version);
        fs::create_dir(self.path(&name)).unwrap();
        for (file, content) in [("tls.crt", cert), ("tls.key", key)] {
            if let Some(content) = content {
                fs::write(self.path(&name).join(file), content).unwrap();
            }
        }
        symlink(&name, self.path("..data_tmp")).unwrap();
        fs::rename(self.path("..data_tmp"), self.path("..data")).unwrap();
        if let Some(old) = old {
            fs::remove_dir_all(self.path(old.to_str().unwrap())).unwrap();
        }
    }

    pub(crate) fn swap(&mut self, leaf: &Leaf) {
        self.write(Some(&leaf.cert), Some(&leaf.key));
    }
}
