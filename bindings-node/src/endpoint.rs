//! Endpoints.

use std::time::Duration;

use napi_derive::napi;
use webhook_mtls::{
    Endpoint, EndpointOptions, Error, Identity, JwtBearer, Pins, StandardWebhooks, Trust,
};

use crate::convert::{CallResult, Handle, guarded};
use crate::options::{Settings, set_all};

/// The options of an endpoint.
///
/// `pins: null` is the decision to rely on the CA alone, and `undefined` is a missing option.
/// `pins` is `None` for both, so `pins_are_set` tells them apart.
#[napi(object, object_to_js = false)]
pub struct EndpointArguments {
    pub pins_are_set: bool,
    pub pins: Option<Handle<Pins>>,
    pub identity: Option<Handle<Identity>>,
    pub trust: Option<Handle<Trust>>,
    pub signing: Option<Handle<StandardWebhooks>>,
    pub jwt_bearer: Option<Handle<JwtBearer>>,
    pub settings: Option<Settings>,
}

impl EndpointArguments {
    pub(crate) fn into_options(self) -> Result<EndpointOptions, Error> {
        let mut options = match (self.pins_are_set, self.pins) {
            (true, pins) => EndpointOptions::new(pins.map(|pins| pins.0)),
            (false, _) => EndpointOptions::default(),
        };
        if let Some(identity) = self.identity {
            options = options.identity(identity.0);
        }
        if let Some(trust) = self.trust {
            options = options.trust(trust.0);
        }
        if let Some(signing) = self.signing {
            options = options.signing(signing.0);
        }
        if let Some(token) = self.jwt_bearer {
            options = options.signing(token.0);
        }
        set_all(self.settings, options)
    }
}

#[napi]
pub fn endpoint_consumer(endpoint: Handle<Endpoint>) -> String {
    endpoint.0.consumer().to_owned()
}

#[napi]
pub fn endpoint_url(endpoint: Handle<Endpoint>) -> String {
    endpoint.0.url()
}

#[napi]
pub fn endpoint_is(endpoint: Handle<Endpoint>, other: Handle<Endpoint>) -> bool {
    endpoint.0 == other.0
}

#[napi]
pub fn endpoint_status(endpoint: Handle<Endpoint>) -> CallResult<String> {
    guarded(|| Ok(endpoint.0.status().to_json().to_string()))
}

#[napi]
pub fn endpoint_reset_circuit(endpoint: Handle<Endpoint>) {
    endpoint.0.reset_circuit();
}

/// Opens the circuit for this many milliseconds.
#[napi]
pub fn endpoint_open_circuit(endpoint: Handle<Endpoint>, duration_ms: f64) -> CallResult<()> {
    guarded(|| {
        let duration = Duration::try_from_secs_f64(duration_ms / 1000.0)
            .map_err(|_| Error::wrong_type("duration", "a duration", "another number"))?;
        endpoint.0.open_circuit(duration)
    })
}
