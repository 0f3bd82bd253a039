//! The addresses of a name from `/etc/hosts` or the system's resolver, and the errors if there are none.

use std::fs::File;
use std::net::{IpAddr, SocketAddr};

use super::getaddrinfo::{Failure, getaddrinfo};
use super::hosts;
use super::name_servers::{self, Seen};
use crate::error::cause::{self, Cause};
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
    let missing = |why: &str, cause: &Cause| {
        Error::new(Kind::HostNotFound, format!("the host {name} {why}"))
            .noting(key::HOST, name)
            .caused(cause, &[("host", &name)])
    };
    let failed = |why: &dyn std::fmt::Display| {
        let message = format!("the host {name} could not be looked up: {why}");
        Error::new(Kind::ResolveFailed, message).noting(key::HOST, name)
    };
    match failure {
        Failure::NotFound => {
            missing("does not exist, says the resolver (NXDOMAIN)", &cause::HOST_UNKNOWN)
        }
        Failure::NoAddress => {
            missing("exists and has no A or AAAA record", &cause::HOST_WITHOUT_ADDRESS)
        }
        Failure::System(error) => failed(error).caused(&cause::LOOKUP_FAILED, &[("host", &name)]),
        Failure::Code(code, meaning) => {
            let server = SocketAddr::new(name_servers::first(), name_servers::PORT);
            match name_servers::ask(server, name) {
                Ok(seen) => of_server(name, server.ip(), &seen, failed),
                Err(_) => failed(&format_args!("{meaning} ({code})"))
                    .caused(&cause::LOOKUP_FAILED, &[("host", &name)]),
            }
        }
    }
}

/// The error for what the name server of this machine does when it is asked.
fn of_server(
    name: &str,
    server: IpAddr,
    seen: &Seen,
    failed: impl Fn(&dyn std::fmt::Display) -> Error,
) -> Error {
    let (what, cause) = match seen {
        Seen::Answered(2) => ("answers SERVFAIL", &cause::NAME_SERVER_FAILED),
        Seen::Answered(5) => ("answers REFUSED", &cause::NAME_SERVER_FAILED),
        Seen::Answered(_) => ("answers, and the lookup failed", &cause::LOOKUP_FAILED),
        Seen::Down => ("does not run", &cause::NAME_SERVER_DOWN),
        Seen::Silent => ("does not answer", &cause::NAME_SERVER_SILENT),
    };
    failed(&format_args!("the name server {server} {what}"))
        .noting(key::NAME_SERVER, server.to_string())
        .caused(cause, &[("host", &name), ("server", &server)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_failure_follows_from_its_code() {
        let code = Failure::Code("EAI_AGAIN", "no name server answered");
        for (failure, kind) in [
            (Failure::NotFound, Kind::HostNotFound),
            (Failure::NoAddress, Kind::HostNotFound),
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

    #[test]
    fn each_state_of_the_name_server_has_its_remedy() {
        let server = [192, 0, 2, 53].into();
        let failed = |why: &dyn std::fmt::Display| {
            Error::new(Kind::ResolveFailed, format!("the host acme.test: {why}"))
        };
        for (seen, what, remedy) in [
            (Seen::Answered(2), "answers SERVFAIL", "operator of the consumer's DNS"),
            (Seen::Down, "does not run", "Start the resolver at 192.0.2.53"),
            (Seen::Silent, "does not answer", "our own network team"),
        ] {
            let error = of_server("acme.test", server, &seen, failed);
            assert!(error.message().contains(what), "{error}");
            assert!(error.remedy().contains(remedy), "{}", error.remedy());
            assert_eq!(error.context()["name_server"], "192.0.2.53");
        }
    }
}
