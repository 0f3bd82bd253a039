//! The files that material comes from, and reads of several files as one.
//!
//! A value that was read from files keeps their paths, so that a dispatcher or verifier can watch them.
//! The value itself never changes.

mod file;
mod reader;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use crate::error::cause::{self, Cause};
use crate::error::spelling::{Language, language};
use crate::error::{Error, Form, Kind, described, key, shown};
use crate::limits;
use crate::material::external_key::ExternalKey;
pub(crate) use reader::{ReadTimeouts, read_each};

/// The most attempts to read files whose links change meanwhile.
const MAX_ATTEMPTS: usize = 8;

/// Files that belong together, and the other inputs of their parsing.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    Identity {
        cert: PathBuf,
        key: PathBuf,
        passphrase: Option<Vec<u8>>,
    },
    /// The chain of an identity whose key is elsewhere.
    Signer {
        cert: PathBuf,
        key: Arc<ExternalKey>,
    },
    Trust {
        anchors: PathBuf,
        intermediates: Option<PathBuf>,
        crls: Option<PathBuf>,
        /// Digests of the keys of distrusted issuers.
        distrusted: Arc<[[u8; 32]]>,
        /// Whether the anchor is the certificate of the peer itself.
        exact: bool,
    },
    Pins {
        file: PathBuf,
    },
    /// The private key that signs tokens.
    SigningKey {
        file: PathBuf,
    },
    /// The public keys that verify tokens.
    JwtKeys {
        file: PathBuf,
        /// The key id that the caller gives to the only key.
        key_id: Option<Arc<str>>,
    },
}

/// The expected content of a file.
#[derive(Clone, Copy)]
pub(crate) enum Content {
    Certificate,
    PrivateKey,
    Trust,
    Intermediates,
    Crl,
    Pin,
    SigningKey,
    JwtKeys,
}

impl Content {
    /// Its name in errors.
    fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::PrivateKey => "private key",
            Self::Trust => "trust",
            Self::Intermediates => "intermediates",
            Self::Crl => "CRL",
            Self::Pin => "pin",
            Self::SigningKey => "signing key",
            Self::JwtKeys => "JWT keys",
        }
    }

    /// The most bytes of such a file.
    fn largest(self) -> usize {
        match self {
            Self::Crl => limits::CRLS,
            _ => limits::MATERIAL,
        }
    }
}

/// The content of the files at one time.
pub(crate) struct Snapshot {
    /// In the order of [`Source::files`].
    pub(crate) texts: Vec<Vec<u8>>,
    pub(crate) digest: [u8; 32],
    /// Later reads have higher numbers.
    order: u64,
    /// The permission bits of the private key's file.
    key_mode: Option<u32>,
}

/// The source of a value, and the read that gave it.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) source: Arc<Source>,
    /// The digest of all bytes of the files.
    pub(crate) digest: [u8; 32],
    /// Later reads have higher numbers.
    pub(crate) order: u64,
}

impl Source {
    /// The type of its material: `identity`, `trust`, `pins`, `signing_key` or `jwt_keys`.
    pub(crate) fn what(&self) -> &'static str {
        match self {
            Self::Identity { .. } | Self::Signer { .. } => "identity",
            Self::Trust { .. } => "trust",
            Self::Pins { .. } => "pins",
            Self::SigningKey { .. } => "signing_key",
            Self::JwtKeys { .. } => "jwt_keys",
        }
    }

    /// The files, with the content of each.
    pub(crate) fn files(&self) -> Vec<(&Path, Content)> {
        match self {
            Self::Identity { cert, key, .. } => {
                vec![(cert, Content::Certificate), (key, Content::PrivateKey)]
            }
            Self::Signer { cert, .. } => vec![(cert, Content::Certificate)],
            Self::Trust { anchors, intermediates, crls, .. } => {
                let mut files: Vec<(&Path, Content)> = vec![(anchors, Content::Trust)];
                files.extend(intermediates.iter().map(|path| (&**path, Content::Intermediates)));
                files.extend(crls.iter().map(|path| (&**path, Content::Crl)));
                files
            }
            Self::Pins { file } => vec![(file, Content::Pin)],
            Self::SigningKey { file } => vec![(file, Content::SigningKey)],
            Self::JwtKeys { file, .. } => vec![(file, Content::JwtKeys)],
        }
    }

    /// The paths of the files, for events.
    pub(crate) fn shown(&self) -> Vec<String> {
        self.files().iter().map(|(path, _)| path.display().to_string()).collect()
    }

    /// Adds to an error about the content the file that has it.
    ///
    /// * `at`: its place in [`files`](Self::files). `None`: all files together.
    /// * `texts`: the content of the files.
    pub(crate) fn blame(&self, at: Option<usize>, texts: &[Vec<u8>], error: Error) -> Error {
        // Not a fault of the content.
        if matches!(error.kind(), Kind::ClockImplausible | Kind::Overloaded | Kind::Internal) {
            return error;
        }
        let mut shown = self.shown();
        match at.filter(|at| *at < shown.len()) {
            Some(at) => {
                let file = shown.swap_remove(at);
                let error = error.prefixed(&file).noting(key::FILE, file.clone());
                match incomplete(texts.get(at).map_or(&[], Vec::as_slice), &error) {
                    Some(cause) => error.caused(cause, &[("file", &file)]),
                    None => error,
                }
            }
            None => error.prefixed(&shown.join(" and ")).noting(key::FILES, shown),
        }
    }

    /// Reads all files for the first time, on a separate thread. Blocks for a few seconds at most.
    ///
    /// Fails with `pem_invalid` if a file cannot be read in that time, with `overloaded` if this
    /// process has no descriptor or thread left.
    pub(crate) fn read(self: &Arc<Self>) -> Result<Snapshot, Error> {
        let mut outcome = Err(Error::new(Kind::Internal, "files were not read"));
        read_each(std::slice::from_ref(self), ReadTimeouts::INITIAL, |_, read| outcome = read);
        outcome
    }

    /// Reads all files on this thread, which may block. If the files are links that move from one
    /// directory to another, as in a Kubernetes volume, all files come from the same directory.
    fn read_blocking(&self, leased_until: Instant) -> Result<Snapshot, Error> {
        static ORDER: AtomicU64 = AtomicU64::new(1);
        let files = self.files();
        for _ in 0..MAX_ATTEMPTS {
            let order = ORDER.fetch_add(1, Ordering::Relaxed);
            let targets = link_targets(&files);
            let read: Result<Vec<file::Contents>, Error> = files
                .iter()
                .zip(&targets)
                .map(|((path, what), target)| {
                    file::read(target.as_deref().unwrap_or(path), path, *what, leased_until)
                })
                .collect();
            // Neither content nor an error is valid if the links have moved meanwhile.
            if link_targets(&files) == targets {
                return read.map(|contents| self.snapshot(contents, order));
            }
        }
        let (path, what) = files[0];
        Err(file::fault(path, what, "its links changed during every attempt to read it"))
    }

    fn snapshot(&self, contents: Vec<file::Contents>, order: u64) -> Snapshot {
        let mut digest = Sha256::new();
        for file::Contents { bytes, .. } in &contents {
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        }
        let key_mode = match self {
            Self::Identity { .. } => contents.get(1).map(|key| key.mode),
            Self::SigningKey { .. } => contents.first().map(|key| key.mode),
            Self::Signer { .. } | Self::Trust { .. } | Self::Pins { .. } | Self::JwtKeys { .. } => {
                None
            }
        };
        let texts = contents.into_iter().map(|file| file.bytes).collect();
        Snapshot { texts, digest: digest.finalize().into(), order, key_mode }
    }

    /// The file of the private key.
    pub(crate) fn key_file(&self) -> Option<&Path> {
        match self {
            Self::Identity { key, .. } => Some(key),
            Self::SigningKey { file } => Some(file),
            Self::Signer { .. } | Self::Trust { .. } | Self::Pins { .. } | Self::JwtKeys { .. } => {
                None
            }
        }
    }
}

/// Returns the cause if the content of a file is not complete.
fn incomplete(text: &[u8], error: &Error) -> Option<&'static Cause> {
    let count = |part| memchr::memmem::find_iter(text, part).count();
    let cause = if text.trim_ascii().is_empty() {
        &cause::FILE_EMPTY
    } else if count("-----BEGIN ") > count("-----END ") {
        &cause::FILE_CUT_OFF
    } else {
        return None;
    };
    cause.kinds.contains(&error.kind()).then_some(cause)
}

impl Snapshot {
    pub(crate) fn origin(&self, source: Arc<Source>) -> Origin {
        Origin { source, digest: self.digest, order: self.order }
    }

    /// Returns the permission bits of the private key's file if every user of this machine may read it.
    pub(crate) fn open_key(&self) -> Option<u32> {
        self.key_mode.filter(|mode| mode & 0o004 != 0)
    }
}

impl Origin {
    /// Returns the origin with the same files, for a trust that distrusts these keys.
    pub(crate) fn distrusting(&self, keys: &Arc<[[u8; 32]]>) -> Self {
        let mut source = (*self.source).clone();
        if let Source::Trust { distrusted, .. } = &mut source {
            *distrusted = keys.clone();
        }
        Self { source: Arc::new(source), ..self.clone() }
    }
}

/// Returns the absolute path of a file, because the working directory may change before the next read.
///
/// Errors and events show the path, but callers may pass a key or a passphrase in its place. So a text
/// that neither looks like a path nor names a file is refused, and not quoted.
///
/// * `what`: the type of content of the file.
///
/// Fails with `pem_invalid`.
pub(crate) fn absolute_path(path: &Path, what: &str) -> Result<PathBuf, Error> {
    let text = path.to_string_lossy();
    let looks_like_a_path = shown(&text, Form::Path).starts_with('"');
    if !looks_like_a_path && let Err(error) = fs::symlink_metadata(path) {
        let seen = described(&text);
        let why = match error.kind() {
            ErrorKind::NotFound => "no file has this name".to_owned(),
            other => other.to_string(),
        };
        let message = format!("{what} file: {seen} in place of a path, and {why}");
        return Err(Error::new(Kind::PemInvalid, message).advising(path_remedy()));
    }
    Ok(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
}

/// Returns the remedy for a text that is given in place of a path.
fn path_remedy() -> &'static str {
    match language() {
        Language::Command => {
            "Give the path of a file. Write ./ in front of a name without a full stop."
        }
        Language::Python | Language::Rust => "Pass the path of a file, or PEM text to from_pem.",
        Language::Node => "Pass the path of a file, or PEM text to fromPem.",
        Language::C => {
            "Pass the path of a file, or PEM text to the function that ends in from_pem."
        }
    }
}

/// Resolves the links of the paths. `None` stands for a path that cannot be resolved.
fn link_targets(files: &[(&Path, Content)]) -> Vec<Option<PathBuf>> {
    files.iter().map(|(path, _)| fs::canonicalize(path).ok()).collect()
}
