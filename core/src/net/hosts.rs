//! The names in `/etc/hosts` (hosts(5)).
//!
//! Names are looked up as absolute names, with a trailing dot, so that no search domain is appended.
//! The resolver does not match that form with the entries of the file. So the file is read here, before
//! the call of the resolver.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::net::IpAddr;
use std::path::Path;

const HOSTS: &str = "/etc/hosts";

/// Returns the addresses of a name in the file, in the order of its lines. The list is empty if the
/// file does not exist or is not readable.
///
/// Fails if this process or machine has no descriptor left, or if reading fails.
pub(super) fn addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    addresses_in(Path::new(HOSTS), name)
}

fn addresses_in(path: &Path, name: &str) -> io::Result<Vec<IpAddr>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => {
            return match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Ok(Vec::new()),
                _ => Err(error),
            };
        }
    };
    let mut found = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        let line = line?;
        // A line that is not UTF-8 cannot name the host of a URL.
        if let Ok(line) = std::str::from_utf8(&line) {
            found.extend(address_of(line, name));
        }
    }
    Ok(found)
}

/// Returns the address of a line, if the line names the host.
fn address_of(line: &str, name: &str) -> Option<IpAddr> {
    let line = line.split('#').next()?;
    let mut words = line.split_ascii_whitespace();
    // An address with a zone (fe80::1%eth0) does not parse: it is link-local, which is not supported.
    let address = words.next()?.parse().ok()?;
    words.any(|known| known.eq_ignore_ascii_case(name)).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_an_address_and_any_number_of_hosts() {
        let found = |line: &str| address_of(line, "hooks.acme.example").map(|it| it.to_string());
        assert_eq!(found("192.0.2.7 hooks.acme.example"), Some("192.0.2.7".into()));
        assert_eq!(
            found("\t2001:db8::7\tacme\tHOOKS.acme.EXAMPLE # x"),
            Some("2001:db8::7".into())
        );
        for line in [
            "",
            "# 192.0.2.7 hooks.acme.example",
            "192.0.2.7 # hooks.acme.example",
            "192.0.2.7 acme hooks.acme.example.evil.example",
            "192.0.2.7 hooks.acme.example.",
            "fe80::1%eth0 hooks.acme.example",
            "hooks.acme.example 192.0.2.7",
            "127.1 hooks.acme.example",
        ] {
            assert_eq!(found(line), None, "{line}");
        }
    }

    #[test]
    fn a_file_may_have_several_addresses_of_a_name_or_be_absent() {
        let path = std::env::temp_dir().join(format!("hosts-{}", std::process::id()));
        std::fs::write(&path, b"127.0.0.1 localhost\n\xff\xfe x\n::1 localhost\r\n").unwrap();
        let found = addresses_in(&path, "localhost").unwrap();
        assert_eq!(found, ["127.0.0.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
        std::fs::remove_file(&path).unwrap();
        assert!(addresses_in(&path, "localhost").unwrap().is_empty());
    }
}
