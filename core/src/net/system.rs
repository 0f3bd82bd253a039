//! The addresses of a name as this machine knows them, and what it means if there are none.

use std::fs::File;
use std::net::IpAddr;

use super::getaddrinfo::{Failure, getaddrinfo};
use super::hosts;
use crate::error::{Error, Kind, exhausted};

/// What this machine knows by itself, or else what its resolver says.
pub(super) fn addresses(name: &str) -> Result<Vec<IpAddr>, Error> {
    let known =
        hosts::addresses(name).map_err(|error| resolve_fault(name, &Failure::System(error)))?;
    if !known.is_empty() {
        return Ok(known);
    }
    // Absolute: no search domain is appended, whatever resolv.conf says.
    getaddrinfo(&format!("{name}.")).map_err(|failure| resolve_fault(name, &failure))
}

fn resolve_fault(name: &str, failure: &Failure) -> Error {
    let exhausted = match failure {
        Failure::System(error) => exhausted(error),
        // A resolver that gets no descriptor says the same as one that gets no answer.
        _ => File::open("/dev/null").err().as_ref().and_then(exhausted),
    };
    if let Some(overloaded) = exhausted {
        return overloaded.noting("host", name);
    }
    let failed = |why: &dyn std::fmt::Display| {
        let message = format!("the host {name} could not be looked up: {why}");
        Error::new(Kind::ResolveFailed, message).noting("host", name)
    };
    match failure {
        Failure::NotFound => {
            Error::new(Kind::HostNotFound, format!("the host {name} is unknown to the resolver"))
                .noting("host", name)
        }
        Failure::System(error) => failed(error),
        Failure::Code(code, meaning) => failed(&format_args!("{meaning} ({code})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failure_means_is_told_by_its_code() {
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
