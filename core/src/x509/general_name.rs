//! `GeneralName` (RFC 5280 section 4.2.1.6): the names of a subjectAltName, and the bases of name
//! constraints.

use std::net::IpAddr;

use super::der::{self, Malformed};

/// The class of context-specific tags.
const CONTEXT: u8 = 0x80;

/// A subjectAltName that can identify a peer, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum San<'a> {
    Dns(&'a str),
    Ip(IpAddr),
    Uri(&'a str),
    Email(&'a str),
}

/// A name of any type, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GeneralName<'a> {
    Email(&'a str),
    Dns(&'a str),
    Uri(&'a str),
    /// The octets of an address, and in a name constraint those of its mask.
    Ip(&'a [u8]),
    /// The encoded Name, not yet parsed.
    Directory(&'a [u8]),
    /// A name of another type, by the number of its tag.
    Other(u8),
}

impl<'a> GeneralName<'a> {
    /// Reads a name. Text must be ASCII without a NUL, which would end it early in a program in C.
    pub(super) fn read(element: der::Element<'a>) -> Result<Self, Malformed> {
        let text = || {
            let text = std::str::from_utf8(element.content).ok().filter(|text| text.is_ascii());
            let text = text.ok_or(Malformed("has a subjectAltName that is not ASCII"))?;
            if text.contains('\0') {
                return Err(Malformed("has a NUL in its subjectAltName"));
            }
            Ok(text)
        };
        match element.tag {
            tag if tag == der::context(1, false) => Ok(Self::Email(text()?)),
            tag if tag == der::context(2, false) => Ok(Self::Dns(text()?)),
            tag if tag == der::context(4, true) => Ok(Self::Directory(element.content)),
            tag if tag == der::context(6, false) => Ok(Self::Uri(text()?)),
            tag if tag == der::context(7, false) => Ok(Self::Ip(element.content)),
            tag if tag & 0xc0 == CONTEXT => Ok(Self::Other(tag & 0x1f)),
            _ => Err(Malformed("has a subjectAltName of unknown type")),
        }
    }

    /// Reads a name of a subjectAltName.
    pub(super) fn read_san(element: der::Element<'a>) -> Result<Self, Malformed> {
        let name = Self::read(element)?;
        match name {
            Self::Ip(octets) if octets.len() != 4 && octets.len() != 16 => {
                Err(Malformed("has an IP address of odd length"))
            }
            name => Ok(name),
        }
    }

    /// Returns the name if its type can identify a peer.
    pub(super) fn as_san(self) -> Option<San<'a>> {
        match self {
            Self::Email(address) => Some(San::Email(address)),
            Self::Dns(name) => Some(San::Dns(name)),
            Self::Uri(uri) => Some(San::Uri(uri)),
            Self::Ip(octets) => ip(octets).map(San::Ip),
            Self::Directory(_) | Self::Other(_) => None,
        }
    }

    /// The name of the type, as in RFC 5280, in plain words where they are usual.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Email(_) => "e-mail",
            Self::Dns(_) => "DNS",
            Self::Uri(_) => "URI",
            Self::Ip(_) => "IP",
            Self::Directory(_) => "directoryName",
            Self::Other(0) => "otherName",
            Self::Other(3) => "x400Address",
            Self::Other(5) => "ediPartyName",
            Self::Other(8) => "registeredID",
            Self::Other(_) => "unknown",
        }
    }
}

/// Returns the address of 4 or 16 octets.
pub(crate) fn ip(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(octets).ok().map(IpAddr::from)
}
