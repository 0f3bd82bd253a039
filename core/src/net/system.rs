//! The addresses of a name from `/etc/hosts` or the system's resolver, and the errors if there are none.

use std::fs::File;
use std::net::IpAddr;

use super::getaddrinfo::{Failure, getaddrinfo};
use super::hosts;
use crate::error::{Error, Kind, exhausted, key};

/// Returns the addresses from `/etc/hosts`, or from the resolver if the file does not have the name.
pub(super) fn addresses(name: &str) -> Result<Vec<IpAddr>, Error> {
    let known =
        hosts::addresses(name).map_err(|error| resolve_fault(name, &Failure::System(error)))?;
    if !known.is_empty() {
        return Ok(known);
    }
    // An absolute name: no search domain of resolv.conf is appended.
    getaddrinfo(&format!("{name}.")).map_err(|failure| resolve_fault(name, &failure))
}

fn resolve_fault(name: &str, failure: &Failure) -> Error {
    let exhausted = match failure {
        Failure::System(error) => exhausted(error),
        // The resolver reports the same code for a missing descriptor and for a missing answer.
        _ => File::open("/dev/null").err().as_ref().and_then(exhausted),
    };
    if let Some(overloaded) = exhausted {
        return overloaded.noting(key::HOST, name);
    }
    let failed = |why: &dyn std::fmt::Display| {
        let message = format!("the host {name} could not be looked up: {why}");
        Error::new(Kind::ResolveFailed, message).noting(key::HOST, name)
    };
    match failure {
        Failure::NotFound => {
            Error::new(Kind::HostNotFound, format!("the host {name} is unknown to the resolver"))
                .noting(key::HOST, name)
        }
        Failure::System(error) => failed(error),
        Failure::Code(code, meaning) => failed(&format_args!("{meaning} ({code})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_failure_follows_from_its_code() {
        let code = Failure::Code("EAI_AGAIN", "no name server answered");
        for (failure, kind) in [
            (Failure::NotFound, Kind::HostNotFound),
            (code, Kind::ResolveFailed),
            (
                Failure::System(std::io::Error::from_raw_os_error(nix::libc::EIO)),
                Kind::ResolveFailed,
            ),
            (
                Failure::System(std::io::Error::from_raw_os_error(nix::libc::EMFILE)),
                Kind::Overloaded,
            ),
        ] {
            let error = resolve_fault("acme.example", &failure);
            assert_eq!(error.kind(), kind, "{error}");
            assert_eq!(error.context()["host"], "acme.example");
        }
    }
}
