//! Verification of the peer of a TLS socket.

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use webhook_mtls::bindings::Handshake;
use webhook_mtls::bindings::limits::Limit;
use webhook_mtls::{Role, Verifier};

use crate::convert::{CallResult, Handle, guarded};

/// The facts that a `TLSSocket` reports about its handshake.
#[napi(object, object_to_js = false)]
pub struct HandshakeFacts {
    pub is_complete: bool,
    pub is_server_side: bool,
    pub chain: Vec<Uint8Array>,
    pub is_chain_whole: bool,
    pub server_name: Option<String>,
}

/// Verifies the peer of a connection and returns its JSON.
#[napi]
pub fn verify_handshake(verifier: Handle<Verifier>, facts: HandshakeFacts) -> CallResult<String> {
    guarded(|| {
        let handshake = Handshake {
            complete: facts.is_complete,
            peer: if facts.is_server_side { Role::Client } else { Role::Server },
            chain: facts
                .chain
                .iter()
                .map(|certificate| Limit::chain().copied(certificate))
                .collect::<Result<_, _>>()?,
            chain_is_whole: facts.is_chain_whole,
            server_name: facts.server_name,
        };
        Ok(verifier.0.verify_handshake(&handshake)?.to_json().to_string())
    })
}
