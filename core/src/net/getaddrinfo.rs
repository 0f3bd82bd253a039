//! A direct call of the system's resolver. The standard library reports the cause of a failed lookup
//! only in a text, which the locale translates. The meaning of a failure must not depend on the
//! locale.

#![allow(unsafe_code, reason = "no safe interface returns the EAI_* code")]

use std::ffi::{CString, c_int};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

use nix::libc::{self, addrinfo};

/// EAI_ADDRFAMILY of glibc. The crate libc does not define it.
const EAI_ADDRFAMILY: c_int = -9;

/// Why a lookup found no addresses.
#[derive(Debug)]
pub(super) enum Failure {
    /// The name does not exist.
    NotFound,
    /// The name exists, and has no address.
    NoAddress,
    /// A system call failed.
    System(io::Error),
    /// The resolver failed with this code and meaning.
    Code(&'static str, &'static str),
}

/// Returns the addresses of a name, in the order of the resolver (RFC 6724). The resolver may block
/// for any time.
pub(super) fn getaddrinfo(name: &str) -> Result<Vec<IpAddr>, Failure> {
    let name = CString::new(name).map_err(|_| Failure::NotFound)?;
    // SAFETY: all zeros is the documented form of "no hint": null pointers and numbers.
    let mut hints: addrinfo = unsafe { std::mem::zeroed() };
    // Like the standard library: no flags, any family. The socket type avoids duplicate addresses.
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut list: *mut addrinfo = ptr::null_mut();
    // SAFETY: the name ends with NUL, and the other pointers are to locals that outlive the call.
    let code =
        unsafe { libc::getaddrinfo(name.as_ptr(), ptr::null(), &raw const hints, &raw mut list) };
    if code != 0 {
        return Err(Failure::of(code));
    }
    let mut addresses = Vec::new();
    let mut next = list;
    // SAFETY: the call succeeded and returned the list, which ends with a null pointer.
    while let Some(entry) = unsafe { next.as_ref() } {
        // SAFETY: the resolver made the entry.
        addresses.extend(unsafe { address(entry) });
        next = entry.ai_next;
    }
    // SAFETY: the list is not used again.
    unsafe { libc::freeaddrinfo(list) };
    Ok(addresses)
}

/// Returns the address of an entry, if it is of a known family.
///
/// # Safety
///
/// `ai_addr` must be null, or point to an address of the family that the entry names.
unsafe fn address(entry: &addrinfo) -> Option<IpAddr> {
    if entry.ai_addr.is_null() {
        return None;
    }
    match entry.ai_family {
        libc::AF_INET => {
            // SAFETY: guaranteed by the caller. The pointer may be unaligned.
            let found = unsafe { entry.ai_addr.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(Ipv4Addr::from(found.sin_addr.s_addr.to_ne_bytes()).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let found = unsafe { entry.ai_addr.cast::<libc::sockaddr_in6>().read_unaligned() };
            Some(Ipv6Addr::from(found.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

impl Failure {
    fn of(code: c_int) -> Self {
        match code {
            libc::EAI_NONAME => Self::NotFound,
            libc::EAI_NODATA | EAI_ADDRFAMILY => Self::NoAddress,
            libc::EAI_SYSTEM => Self::System(io::Error::last_os_error()),
            libc::EAI_MEMORY => Self::System(io::Error::from_raw_os_error(libc::ENOMEM)),
            libc::EAI_AGAIN => Self::Code("EAI_AGAIN", "no name server answered"),
            libc::EAI_FAIL => Self::Code("EAI_FAIL", "the name server failed"),
            _ => Self::Code("EAI", "the resolver failed for an unknown reason"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_codes_are_distinguished() {
        assert_eq!(getaddrinfo("192.0.2.7").unwrap(), [IpAddr::from([192, 0, 2, 7])]);
        let v6: IpAddr = "2001:db8::7".parse().unwrap();
        assert_eq!(getaddrinfo("2001:db8::7").unwrap(), [v6]);
        assert!(matches!(getaddrinfo("a\0b"), Err(Failure::NotFound)));
        assert!(matches!(Failure::of(libc::EAI_NONAME), Failure::NotFound));
        assert!(matches!(Failure::of(libc::EAI_NODATA), Failure::NoAddress));
        assert!(matches!(Failure::of(libc::EAI_AGAIN), Failure::Code("EAI_AGAIN", _)));
    }
}
