//! Which files a configuration was made from, and what was in them: what is watched for changes, and
//! by what it is told whether anything changed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Files and folders by path, as they were when they were read.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct MadeFrom {
    /// With the SHA-256 of what they hold; none for what is not there, or cannot be read.
    pub files: BTreeMap<PathBuf, Option<[u8; 32]>>,
    /// Where further files would count, if they were there.
    pub folders: BTreeSet<PathBuf>,
}

impl MadeFrom {
    /// Whether both were made from the same files with the same contents. What was made without
    /// files, in memory, is never known to be the same.
    pub fn says_the_same(&self, other: &Self) -> bool {
        !self.files.is_empty() && self.files == other.files
    }

    /// Takes in the places of another set, without their contents.
    pub fn add_places(&mut self, other: &Self) {
        for path in other.files.keys() {
            self.files.entry(path.clone()).or_insert(None);
        }
        self.folders.extend(other.folders.iter().cloned());
    }

    pub(super) fn add_file(&mut self, path: &Path, text: Option<&str>) {
        self.files.insert(path.to_owned(), text.map(|text| Sha256::digest(text).into()));
    }
}

/// Written to while files are read.
pub(super) type Reading = RefCell<MadeFrom>;
