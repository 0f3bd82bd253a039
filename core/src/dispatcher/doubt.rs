//! Doubt whether a consumer accepts our certificate: the wait for its verdict before a request, and the
//! meaning of a connection that ends in that wait.

use super::Inner;
use crate::admission::Needs;
use crate::connection::{Connection, Heard};
use crate::endpoint::identity_rollout::may_be_refusal;
use crate::endpoint::{Endpoint, Generation};
use crate::error::{Error, key};
use crate::tls;

impl Inner {
    /// Waits for the verdict on our certificate if the identity is in doubt on this fresh connection. Does
    /// not wait for a consumer that is known to send nothing. Returns what the connection has shown so far.
    /// Fails as [`Connection::hear_verdict`] does.
    ///
    /// * `tries`: the identity is in doubt, because the delivery tries whether it is accepted again.
    pub(super) async fn hear_verdict_in_doubt(
        &self,
        endpoint: &Endpoint,
        generation: &Generation,
        connection: &mut Connection,
        tries: bool,
    ) -> Result<Needs, Error> {
        let excluded = connection.excludes_our_issuer();
        let in_doubt = tries || endpoint.is_in_doubt(generation, true, excluded);
        if !in_doubt || endpoint.rollout().is_silent() {
            return Ok(Needs::Handshake);
        }
        if connection.hear_verdict().await? == Heard::Silence {
            endpoint.rollout().set_silent(true);
        }
        Ok(Needs::Verdict)
    }

    /// Decides whether a connection that ended before its request was refused: the consumer accepted
    /// another identity of ours, or named its CAs and none of them issued this one. Returns any other
    /// error unchanged.
    pub(super) fn judge_close(
        &self,
        endpoint: &Endpoint,
        generation: &Generation,
        error: Error,
        now: i64,
    ) -> Error {
        if !may_be_refusal(&error) {
            return error;
        }
        let (rollout, identity) = (endpoint.rollout(), generation.identity());
        rollout.set_lost(generation.mark());
        let former = rollout.last().map(|(accepted, _)| accepted);
        let former = former.filter(|accepted| accepted != identity);
        if former.is_none() && error.fact(key::ISSUER_LISTED) != Some(&false) {
            return error;
        }
        self.record_refused(endpoint, generation, false, now);
        tls::refused_by_close(&error, identity, former.as_ref())
    }
}
