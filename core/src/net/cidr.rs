//! Networks as CIDR (RFC 4632), and the prefixes of NAT64 (RFC 6052).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::error::{Error, Form, shown};
use crate::options;

/// The valid lengths of a NAT64 prefix (RFC 6052 section 2.2).
const NAT64_LENGTHS: [u8; 6] = [32, 40, 48, 56, 64, 96];

/// A network: an address and the number of its leading bits that are significant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cidr {
    pub(super) network: IpAddr,
    pub(crate) prefix: u8,
}

impl Cidr {
    /// Parses the networks of an option. Fails with `option_invalid`.
    pub(crate) fn parse_all<I>(option: &str, networks: I) -> Result<Arc<[Self]>, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        networks.into_iter().map(|text| Self::parse(option, text.as_ref())).collect()
    }

    fn parse(option: &str, text: &str) -> Result<Self, Error> {
        let fault = |why: &str| {
            let network = shown(text, Form::Network);
            options::fault(option, format_args!("has the network {network}, which {why}"))
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().map_err(|_| fault("is not an IP address or CIDR"))?;
        let bits = if network.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits)
                if !digits.is_empty()
                    && digits.len() <= 3
                    && digits.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                digits
                    .parse()
                    .ok()
                    .filter(|prefix| *prefix <= bits)
                    .ok_or_else(|| fault("has a prefix that is too long"))?
            }
            Some(_) => return Err(fault("has a malformed prefix")),
        };
        let cidr = Self { network, prefix };
        // 10.0.0.1/8 is a mistake: the host or the network was meant.
        if masked(network, prefix) != network {
            return Err(fault("has bits set beyond its prefix"));
        }
        Ok(cidr)
    }

    /// Returns whether it has a form of RFC 6052 section 2.2.
    pub(super) fn may_be_nat64(&self) -> bool {
        match self.network {
            IpAddr::V6(network) => NAT64_LENGTHS.contains(&self.prefix) && network.octets()[8] == 0,
            IpAddr::V4(_) => false,
        }
    }

    pub(crate) fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.network.is_ipv4() && masked(address, self.prefix) == self.network
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}
