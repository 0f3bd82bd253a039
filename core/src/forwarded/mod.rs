//! Certificates that a TLS proxy forwards in request headers: who may forward them ([`Hop`]), how the
//! proxy writes them ([`Dialect`]), and [`Verifier::verify_forwarded`].
//!
//! A header proves nothing by itself: every client can send one. So the hop is authenticated first, by
//! what the transport says of its peer or by a shared secret. Then the headers of the dialect must be
//! unambiguous, the proxy's own verdict must be positive, and the verifier judges the chain again.

mod decode;
mod dialect;
mod hop;
mod lines;
mod pem_text;
mod proxy_config;
#[cfg(test)]
mod proxy_config_tests;
mod refusal;
mod structured;
mod xfcc;
mod xfcc_json;

use std::time::SystemTime;

use crate::error::Error;
use crate::options;
use crate::verify::{PeerIdentity, Role, Verifier};
pub use dialect::Dialect;
pub use hop::{Hop, Remote};
use lines::Lines;
pub use proxy_config::{ProxyOptions, ProxyServer, proxy_config};

/// The most header lines of a request.
pub const MAX_LINES: usize = 1024;

/// The longest value of a header with a certificate, before it is decoded: 64 KiB.
pub(crate) const MAX_VALUE: usize = 64 * 1024;

impl Verifier {
    /// Verifies the client certificate that a proxy forwards in the headers of a request.
    ///
    /// The chain is judged as in [`verify_chain`](Self::verify_chain). Most proxies forward the leaf
    /// alone: give the trust the intermediates.
    ///
    /// * `headers`: every header line of the request as it arrived, in order, repeats included: not
    ///   a map, which hides a second line.
    /// * `dialect`: how the proxy writes the certificate.
    /// * `hop`: the proxy that is believed.
    /// * `remote`: the peer of the transport itself. Never an address from a header, such as
    ///   `X-Forwarded-For`. A secret hop needs none.
    /// * `at`: the instant of the verification.
    ///
    /// Returns the peer with evidence `forwarded` and the name of the hop.
    ///
    /// # Errors
    ///
    /// Fails with `hop_untrusted` if the request does not come from the hop, or if a client could have
    /// written a header of the dialect: a second line, a name that differs by `_`, a verdict that is
    /// absent. Fails with `evidence_missing` if the hop forwards no certificate, a negative verdict
    /// or a malformed value. `context` has the `reason`. Otherwise fails as `verify_chain` does, and with
    /// `option_invalid` if this verifier judges servers.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::SystemTime;
    /// use webhook_mtls::forwarded::{Dialect, Hop, Remote};
    /// use webhook_mtls::testing::{Lab, Leaf};
    /// use webhook_mtls::{Authorization, Kind, Role, Verifier, VerifierOptions};
    /// # use base64::Engine as _;
    /// # let lab = Lab::start()?;
    /// # let issued = lab.authority().issue(Leaf::client("acme"))?;
    /// # let encode = |der: &[u8]| format!(":{}:", base64::prelude::BASE64_STANDARD.encode(der));
    /// # let (leaf, issuer) = (encode(&issued.chain_der[0]), encode(&issued.chain_der[1]));
    ///
    /// let options = VerifierOptions::new(Role::Client, lab.trust());
    /// let verifier = Verifier::new(options.authorization(Authorization::ca_members()))?;
    /// let hop = Hop::address("edge", ["10.0.0.0/24"])?;
    ///
    /// let headers = [("Client-Cert", leaf.as_str()), ("Client-Cert-Chain", issuer.as_str())];
    /// let remote = Remote::Address("10.0.0.7".parse()?);
    /// let now = SystemTime::now();
    /// let peer = verifier.verify_forwarded(&headers, Dialect::Rfc9440, &hop, Some(remote), now)?;
    /// assert_eq!((peer.tenant().is_some(), peer.hop()), (true, Some("edge")));
    ///
    /// let stranger = Remote::Address("192.0.2.1".parse()?);
    /// let refused = verifier.verify_forwarded(&headers, Dialect::Rfc9440, &hop, Some(stranger), now);
    /// assert_eq!(refused.unwrap_err().kind(), Kind::HopUntrusted);
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "testing"))]
    /// # fn main() {}
    /// ```
    pub fn verify_forwarded<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        headers: &[(N, V)],
        dialect: Dialect,
        hop: &Hop,
        remote: Option<Remote>,
        at: SystemTime,
    ) -> Result<PeerIdentity, Error> {
        self.check_forwarding()?;
        let lines = Lines::new(headers);
        let chain = lines
            .and_then(|lines| {
                hop.authenticate(&lines, remote)?;
                dialect.chain(&lines)
            })
            .map_err(|refusal| refusal.into_error(hop.name()))
            .inspect_err(|error| self.account(Some(error)))?;
        let ders: Vec<&[u8]> = chain.ders.iter().map(Vec::as_slice).collect();
        let peer = self.judge(&ders, chain.is_whole, None, at)?;
        Ok(peer.forwarded_by(hop.shared_name()))
    }

    /// Checks that this verifier judges clients, as a proxy forwards them.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid`.
    #[doc(hidden)]
    pub fn check_forwarding(&self) -> Result<(), Error> {
        if self.role() == Role::Client {
            return Ok(());
        }
        Err(options::fault("role", "must be client: a proxy forwards clients"))
    }
}
