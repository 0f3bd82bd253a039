//! The verifier: one expectation for many webhooks.

use std::sync::Arc;
use std::time::SystemTime;

use super::headers::WebhookHeaders;
use super::options::WebhookVerifierOptions;
use super::reload::KeyReloader;
use super::secrets;
use super::token::{self, TokenContext};
use super::verified::{ReplayKey, VerifiedWebhook};
use crate::clock::unix_seconds;
use crate::error::{Error, Kind, cause};
use crate::event::{Event, EventQueue};
use crate::limits::Limit;
use crate::material::watch::CheckReason;
use crate::options;
use crate::verify::PeerIdentity;

/// Verifies webhooks: that the peer's certificate, the signature and the token speak of one tenant.
/// Cheap to clone, safe to share.
///
/// The files of its keys are checked once per `reload` interval, on a thread that a verification starts
/// and does not wait for.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::time::SystemTime;
/// # use webhook_mtls::testing::{Lab, Leaf};
/// # use webhook_mtls::{Kind, Role, TenantRule, Verifier, VerifierOptions};
/// # let lab = Lab::start()?;
/// # let rule = TenantRule::san_uri("spiffe://lab.test/tenant/{tenant}")?;
/// # let verifier = Verifier::new(VerifierOptions::new(Role::Client, lab.trust()).tenant(rule))?;
/// # let chain = lab.authority().issue(Leaf::client("acme"))?.chain_der;
/// # let peer = verifier.verify_chain(&chain, None, SystemTime::now())?;
/// use webhook_mtls::webhook::{WebhookVerifier, WebhookVerifierOptions};
///
/// let options = WebhookVerifierOptions::new();
/// let webhooks =
///     WebhookVerifier::new(options.secrets(["whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"])?)?;
/// let headers = [("webhook-id", "evt_1"), ("webhook-timestamp", "1764547200")];
/// let error = webhooks.verify_webhook(&peer, headers, b"{}", SystemTime::now()).unwrap_err();
/// assert_eq!(error.kind(), Kind::SignatureInvalid);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct WebhookVerifier {
    options: Arc<WebhookVerifierOptions>,
    reloader: Arc<KeyReloader>,
}

impl WebhookVerifier {
    /// Checks the options.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if there are neither secrets nor keys, or if a claim or an audience is
    /// required and there are no keys.
    pub fn new(options: WebhookVerifierOptions) -> Result<Self, Error> {
        if options.secrets.is_empty() && options.keys.is_empty() {
            return Err(options::fault("secrets", "or keys is required to verify webhooks")
                .advising("Give the secrets of Standard Webhooks, the keys of tokens, or both."));
        }
        let rules = &options.token;
        let of_tokens = [
            ("audience", rules.audience.is_some()),
            ("issuer", rules.issuer.is_some()),
            ("tenant_claim", rules.tenant_claim.is_some()),
            ("content_digest", rules.content_digest),
        ];
        if options.keys.is_empty()
            && let Some((name, _)) = of_tokens.into_iter().find(|(_, is_set)| *is_set)
        {
            return Err(options::fault(name, "is about tokens, and keys is not set"));
        }
        let reloader = Arc::new(KeyReloader::new(&options.keys, options.reload));
        Ok(Self { options: Arc::new(options), reloader })
    }

    /// Verifies a webhook.
    ///
    /// The order of the checks: the peer has a tenant; no header is repeated; the signature by Standard
    /// Webhooks; the token: signature, dates, audience and issuer, its certificate, tenant, body and id.
    ///
    /// * `peer`: the sender's verified certificate, as [`Verifier`](crate::Verifier) returns it.
    /// * `headers`: all headers of the request as they arrived, repeated ones included.
    /// * `body`: the bytes of the body as they arrived.
    /// * `at`: the instant of the verification.
    ///
    /// # Errors
    ///
    /// Fails with `signature_invalid`, `token_invalid` or `tenant_refused` at the stage `verify`, or with
    /// `body_too_large`.
    pub fn verify_webhook<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        peer: &PeerIdentity,
        headers: impl IntoIterator<Item = (N, V)>,
        body: &[u8],
        at: SystemTime,
    ) -> Result<VerifiedWebhook, Error> {
        self.verify_webhook_of(peer.tenant(), &peer.x5t_s256(), headers, body, at)
    }

    /// Verifies a webhook as [`verify_webhook`](Self::verify_webhook) does, then asks a store whether the
    /// webhook came before.
    ///
    /// * `seen`: records the key and returns whether it was there, in one step that no other call comes
    ///   between. A webhook without an id is not asked about.
    ///
    /// # Errors
    ///
    /// Fails as [`verify_webhook`](Self::verify_webhook) does, or with the error of the store.
    pub fn verify_webhook_once<N: AsRef<[u8]>, V: AsRef<[u8]>, E: From<Error>>(
        &self,
        peer: &PeerIdentity,
        headers: impl IntoIterator<Item = (N, V)>,
        body: &[u8],
        at: SystemTime,
        seen: impl FnOnce(ReplayKey<'_>) -> Result<bool, E>,
    ) -> Result<VerifiedWebhook, E> {
        let webhook = self.verify_webhook(peer, headers, body, at)?;
        let duplicate = webhook.replay_key().map(seen).transpose()?;
        Ok(webhook.marked(duplicate.unwrap_or(false)))
    }

    /// Verifies the webhook of a peer whose facts a binding holds.
    ///
    /// # Errors
    ///
    /// Fails as [`verify_webhook`](Self::verify_webhook) does.
    #[doc(hidden)]
    pub fn verify_webhook_of<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        tenant: Option<&str>,
        certificate: &str,
        headers: impl IntoIterator<Item = (N, V)>,
        body: &[u8],
        at: SystemTime,
    ) -> Result<VerifiedWebhook, Error> {
        Limit::body().check(body.len())?;
        let tenant = tenant.ok_or_else(|| {
            Error::new(Kind::TenantRefused, "the peer's certificate names no tenant")
                .caused(&cause::PEER_WITHOUT_TENANT, &[])
        })?;
        let headers = WebhookHeaders::read(headers)?;
        let at = unix_seconds(at);
        let options = &*self.options;
        let keys = self.reloader.current();
        let (secrets, keys) = (options.secrets.of(tenant), keys.of(tenant));
        if secrets.is_none() && keys.is_none() {
            let why = "there are neither secrets nor keys of the peer's tenant";
            return Err(
                Error::new(Kind::TenantRefused, why).caused(&cause::TENANT_WITHOUT_KEYS, &[])
            );
        }
        let tolerance = i64::try_from(options.timestamp_tolerance.as_secs()).unwrap_or(0);
        let signed = match (secrets, &headers.signature) {
            (Some(secrets), Some(signatures)) => {
                Some(secrets.check(&headers, signatures, body, at, tolerance)?)
            }
            (Some(_), None) if options.require_signature || keys.is_none() => {
                return Err(secrets::missing("webhook-signature"));
            }
            _ => None,
        };
        let context = TokenContext { tenant, certificate, id: headers.id.as_deref(), body, at };
        let token = match (keys, headers.bearer()) {
            (Some(keys), Some(bearer)) => {
                Some(token::check(bearer, keys, &options.token, &context)?)
            }
            (Some(_), None) if options.require_token || signed.is_none() => {
                return Err(token::missing());
            }
            _ => None,
        };
        Ok(VerifiedWebhook::new(tenant, headers.id.as_deref(), signed, token, at))
    }

    /// Checks the files of keys now and uses their new content. Returns the events, as
    /// [`Dispatcher::reload`](crate::Dispatcher::reload) does. Blocks.
    pub fn reload(&self) -> Vec<Event> {
        self.reloader.check(CheckReason::OnDemand)
    }

    /// Calls `callback` for every event from now on, as
    /// [`Dispatcher::on_event`](crate::Dispatcher::on_event) does.
    pub fn on_event(&self, callback: impl Fn(&Event) + Send + Sync + 'static) {
        self.reloader.listeners.callback(Box::new(callback));
    }

    /// Returns a queue of every event from now on.
    pub fn events(&self) -> EventQueue {
        self.reloader.listeners.queue()
    }
}
