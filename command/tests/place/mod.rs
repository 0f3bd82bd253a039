//! A lab with one consumer, and its files, for the tests of the command.

use std::path::{Path, PathBuf};

use webhook_mtls::testing::{Consumer, Lab};

/// The pin of a key that no consumer has.
pub(crate) const OTHER_PIN: &str = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A lab, its files in a directory of their own, and one consumer.
pub(crate) struct Place {
    pub(crate) lab: Lab,
    pub(crate) acme: Consumer,
    pub(crate) files: PathBuf,
}

impl Place {
    /// * `name`: of the directory, different in each test.
    pub(crate) fn new(name: &str) -> Self {
        let lab = Lab::start().expect("a lab");
        let acme = lab.consumer("acme").expect("a consumer");
        // The screens show this path, so it has one width in every run, and TMPDIR does not change it.
        let files = Path::new("/tmp").join(format!("wmtls-{:07}-{name}", std::process::id()));
        lab.write_files(&files).expect("files");
        Self { lab, acme, files }
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.files.join(name).display().to_string()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.files);
    }
}
