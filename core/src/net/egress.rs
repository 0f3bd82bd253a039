//! The egress policy: the addresses that a dispatcher may connect to. Endpoint URLs come from
//! customers. Without a policy, a customer could direct our deliveries into our own network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::address_class::{Class, class_v4, class_v6, embedded_ipv4};
use super::cidr::Cidr;
use crate::error::spelling::allowing;
use crate::error::{Blame, Error, Kind, Stage, cause, key, words};
use crate::options;
use crate::recipe::{Argument, Rebuild, Recipe};

words! {
    /// The networks that an egress policy starts from.
    #[non_exhaustive]
    Preset {
        /// The addresses of the public Internet.
        Public = 1 "public",
        /// Public addresses and private networks. Loopback and link-local stay denied.
        Private = 2 "private",
    }
}

/// The addresses that a dispatcher may connect to. The default is [`public`](Self::public).
///
/// ```
/// use webhook_mtls::Egress;
///
/// let egress = Egress::public().allow(["10.20.0.0/16"])?.deny(["10.20.30.40"])?;
/// assert!(Egress::public().allow(["10.20.0.0/40"]).is_err());
/// # Ok::<(), webhook_mtls::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Egress {
    private: bool,
    allow: Arc<[Cidr]>,
    deny: Arc<[Cidr]>,
    /// The NAT64 prefixes of this network, the longest first.
    nat64: Arc<[Cidr]>,
}

impl Rebuild for Egress {
    fn recipe(&self) -> Option<Recipe> {
        let preset = if self.private { Preset::Private } else { Preset::Public };
        let texts = |networks: &[Cidr]| networks.iter().map(Cidr::to_string).collect();
        let recipe = Recipe::new("new").with("preset", Argument::Text(preset.name().to_owned()));
        let recipe = recipe.with_texts("allow", texts(&self.allow));
        Some(recipe.with_texts("deny", texts(&self.deny)).with_texts("nat64", texts(&self.nat64)))
    }
}

impl Default for Egress {
    fn default() -> Self {
        Self::public()
    }
}

impl Egress {
    /// Allows only addresses of the public Internet.
    pub fn public() -> Self {
        let (allow, deny, nat64) = Default::default();
        Self { private: false, allow, deny, nat64 }
    }

    /// Allows public addresses and private networks: RFC 1918, RFC 6598 (shared) and RFC 4193 (ULA).
    /// Loopback, link-local and multicast stay denied.
    pub fn private() -> Self {
        Self { private: true, ..Self::public() }
    }

    /// Returns the preset `public` or `private`.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` for any other name.
    pub fn preset(name: &str) -> Result<Self, Error> {
        match Preset::from_name(name) {
            Some(Preset::Public) => Ok(Self::public()),
            Some(Preset::Private) => Ok(Self::private()),
            None => Err(options::fault("egress", "must be public or private")),
        }
    }

    /// Allows networks beyond the preset, as CIDR (`10.1.0.0/16`, `::1/128`) or single addresses.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if a text is neither a network nor an address.
    pub fn allow<I>(mut self, networks: I) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.allow = Cidr::parse_all("egress", networks)?;
        Ok(self)
    }

    /// Denies networks, even if the preset or `allow` allows them.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if a text is neither a network nor an address.
    pub fn deny<I>(mut self, networks: I) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.deny = Cidr::parse_all("egress", networks)?;
        Ok(self)
    }

    /// Sets the prefixes of this network's own NAT64 gateways. An address in such a prefix is checked
    /// by the IPv4 address that it embeds (RFC 6052), because the gateway connects to that address.
    /// The well-known prefix, 64:ff9b::/96, need not be given.
    ///
    /// * `prefixes`: IPv6 networks with a prefix of 32, 40, 48, 56, 64 or 96 bits.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if a text is not such a network.
    pub fn nat64<I>(mut self, prefixes: I) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut parsed = Cidr::parse_all("egress", prefixes)?.to_vec();
        if let Some(unfit) = parsed.iter().find(|cidr| !cidr.may_be_nat64()) {
            return Err(options::fault(
                "egress",
                format_args!(
                    "has the NAT64 prefix {unfit}; a prefix is IPv6, has 32, 40, 48, 56, 64 or 96 bits, \
                     and its bits 64 to 71 are zero (RFC 6052)"
                ),
            ));
        }
        parsed.sort_by_key(|cidr| std::cmp::Reverse(cidr.prefix));
        self.nat64 = parsed.into();
        Ok(self)
    }

    /// Allows every address. For addresses that the caller chose, and not a customer.
    pub(super) fn unrestricted() -> Self {
        let all = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let allow = all.map(|network| Cidr { network, prefix: 0 });
        Self { allow: Arc::new(allow), ..Self::public() }
    }

    /// Checks an address. Fails with `egress_denied`, which names the rule.
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), Error> {
        // An IPv4-mapped address reaches the same host as the IPv4 address.
        let plain = self.behind_nat64(address).unwrap_or(address.to_canonical());
        // A denied address is denied in every form: a gateway connects to the embedded address.
        let reached = [Some(address), Some(plain), embedded_ipv4(plain)];
        let denying =
            |address: &IpAddr| self.deny.iter().find(|cidr| cidr.contains(*address)).copied();
        if let Some(rule) = reached.iter().flatten().find_map(denying) {
            return Err(denied(
                address,
                &format!("it reaches the denied network {rule}"),
                &rule.to_string(),
                format!(
                    "If deliveries to this address are intended, remove {rule} from the networks \
                     that the dispatcher's egress policy denies."
                ),
            ));
        }
        if self.allow.iter().any(|cidr| cidr.contains(address) || cidr.contains(plain)) {
            return Ok(());
        }
        let class = match plain {
            IpAddr::V4(v4) => class_v4(v4),
            IpAddr::V6(v6) => class_v6(v6),
        };
        match class {
            Class::Public => Ok(()),
            Class::Private(_) if self.private => Ok(()),
            Class::Private(name) | Class::Special(name) => {
                let preset = if self.private { "private" } else { "public" };
                let denies = format_args!("which the preset {preset} denies");
                let bits = if plain.is_ipv4() { 32 } else { 128 };
                let error = denied(
                    address,
                    &match self.behind_nat64(address) {
                        Some(_) => format!("it reaches {plain}, which is {name}, {denies}"),
                        None => format!("it is {name}, {denies}"),
                    },
                    name,
                    format!(
                        "If deliveries to this address are intended, {}.",
                        allowing(format_args!("{plain}/{bits}"))
                    ),
                );
                Err(if is_metadata(plain) {
                    error.caused(&cause::METADATA_DENIED, &[])
                } else {
                    error
                })
            }
        }
    }
}

impl Egress {
    /// Returns the IPv4 address that a NAT64 gateway of this network would connect to. If several
    /// prefixes match, the longest is used, as in routing.
    fn behind_nat64(&self, address: IpAddr) -> Option<IpAddr> {
        let IpAddr::V6(v6) = address else { return None };
        let prefix = self.nat64.iter().find(|cidr| cidr.contains(address))?.prefix;
        // Every form skips octet 8 (RFC 6052 section 2.2).
        let octets = v6.octets();
        let mut inside = octets[usize::from(prefix / 8)..].iter().enumerate();
        let at = usize::from(prefix / 8);
        let mut next = || inside.find(|(place, _)| at + place != 8).map(|(_, octet)| *octet);
        Some(Ipv4Addr::new(next()?, next()?, next()?, next()?).into())
    }
}

/// Returns whether clouds serve the credentials of a machine at this address: AWS, Azure, Google and
/// others, ECS tasks, Alibaba, Oracle, and the IPv6 forms of AWS and Google.
fn is_metadata(address: IpAddr) -> bool {
    const V4: [[u8; 4]; 4] =
        [[169, 254, 169, 254], [169, 254, 170, 2], [100, 100, 100, 200], [192, 0, 0, 192]];
    const V6: [[u16; 8]; 2] =
        [[0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]];
    match address {
        IpAddr::V4(v4) => V4.contains(&v4.octets()),
        IpAddr::V6(v6) => V6.contains(&v6.segments()),
    }
}

fn denied(address: IpAddr, why: &str, rule: &str, remedy: String) -> Error {
    Error::new(Kind::EgressDenied, format!("{address} may not be connected to: {why}"))
        .at(Stage::Resolve)
        .blamed(Blame::Theirs)
        .noting(key::ADDRESS, address.to_string())
        .noting(key::RULE, rule)
        .advising(remedy)
}
