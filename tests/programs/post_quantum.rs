//! The certificates with ML-DSA keys for `tests/peers`. The openssl command of most machines cannot
//! make them.
//!
//! `post_quantum <directory>` writes a directory for each type of key, such as `ml_dsa_65`, with the
//! directories `server`, `ours` and `stranger` (of another CA). Each has `tls.crt`, `tls.key` and
//! `ca.pem`, the root that the other side trusts.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use webhook_mtls::testing::{Authority, Issued, KeyType, Leaf};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).ok_or("usage: post_quantum <directory>")?;
    for key_type in [KeyType::MlDsa44, KeyType::MlDsa65, KeyType::MlDsa87] {
        let home = Path::new(&directory).join(key_type.name());
        let ours = Authority::with_key_type("peers", key_type)?;
        let other = Authority::with_key_type("elsewhere", key_type)?;
        let root = ours.root_pem();
        write(&home.join("server"), &ours.issue(Leaf::server("consumer"))?, root)?;
        write(&home.join("ours"), &ours.issue(Leaf::client("dispatcher"))?, root)?;
        write(&home.join("stranger"), &other.issue(Leaf::client("dispatcher"))?, root)?;
    }
    Ok(())
}

fn write(directory: &Path, issued: &Issued, root: &str) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join("tls.crt"), &issued.chain_pem)?;
    fs::write(directory.join("ca.pem"), root)?;
    let key = directory.join("tls.key");
    fs::write(&key, &issued.key_pem)?;
    Ok(fs::set_permissions(key, fs::Permissions::from_mode(0o600))?)
}
