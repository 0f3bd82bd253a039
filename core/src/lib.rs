//! Delivers webhooks over mutual TLS to consumers of a private CA, and verifies peers.
//!
//! A [`Dispatcher`] presents our [`Identity`] and delivers to [`Endpoint`]s, each with its own
//! [`Pins`] and, if it differs, its own [`Trust`] and identity. Before a byte of payload leaves, the
//! handshake verifies the consumer's chain, dates, purpose, name, revocation and pins, and the
//! consumer must have requested our certificate. A [`Receipt`] is a success. An [`Error`] says what
//! failed, whose fault it is, what it stops and how much was sent.
//!
//! A [`Verifier`] verifies peers whose TLS connection ends elsewhere, with the same function as the
//! handshake.
//!
//! ```no_run
//! use webhook_mtls::*;
//!
//! # async fn example() -> Result<(), Error> {
//! let dispatcher = Dispatcher::new(
//!     DispatcherOptions::new()
//!         .identity(Identity::from_files("tls.crt", "tls.key", None)?)
//!         .trust(Trust::from_files("acme-ca.pem", None, None)?),
//! )?;
//! let pins = Pins::new(["sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="])?;
//! let acme = dispatcher.endpoint(
//!     "acme",
//!     "https://hooks.acme.example/in",
//!     EndpointOptions::new(Some(pins)),
//! )?;
//! let receipt = dispatcher.deliver(&acme, r#"{"event":"ping"}"#, DeliverOptions::new()).await?;
//! println!("{} over {}", receipt.status(), receipt.tls().version);
//! # Ok(())
//! # }
//! ```
//!
//! The root has the names of daily use. The modules have all names of their topic: [`dispatcher`],
//! [`endpoint`], [`diagnosis`], [`material`] (identity, trust, pins, signing), [`verify`], [`forwarded`]
//! (receivers behind a proxy), [`webhook`] (received webhooks), [`retry`], [`event`] and [`error`].
//!
//! # Options
//!
//! Each option has a typed setter. A setter that can refuse its value returns a `Result`, so that the
//! error names the option where it was set.
//!
//! # Features
//!
//! By default none is on. `tracing` makes a span of each delivery and probe, and an event of each log
//! record. `testing` adds the module `testing`: a private CA and receivers for your own
//! tests, also ones that misbehave.
//!
//! # Compatibility
//!
//! An enum is marked `#[non_exhaustive]` if a minor version may add a variant. The documentation of any
//! other enum says "Exhaustive", and for what reason.

// Rooms import only rooms below them; `docs/architecture.md` lists them from top to bottom.

// A lock that a forked child inherits might be held. `clippy.toml` lists the refused types.
#![cfg_attr(not(test), deny(clippy::disallowed_types))]
// On docs.rs, an item shows the feature that it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(clippy::missing_errors_doc)]

/// The programs of the crate's page are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod admission;
mod clock;
mod connection;
pub mod diagnosis;
pub mod dispatcher;
pub mod endpoint;
pub mod error;
pub mod event;
pub mod forwarded;
mod http;
mod inspection;
mod jose;
mod keystore;
mod limits;
mod log;
pub mod material;
mod metrics;
mod net;
mod options;
mod process;
mod recipe;
pub mod retry;
mod runtime;
mod tables;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
mod tls;
pub mod verify;
pub mod webhook;
mod x509;

#[doc(inline)]
pub use dispatcher::{
    CancelToken, DeliverOptions, Delivery, Dispatcher, DispatcherOptions, Fanout, Outcome, Probe,
    ProbeOptions, Receipt, deliver,
};
#[doc(inline)]
pub use endpoint::{Endpoint, EndpointOptions};
#[doc(inline)]
pub use error::{Error, Kind, Retry, Sent};
#[doc(inline)]
pub use event::{Event, EventQueue};
#[doc(inline)]
pub use material::{Identity, JwtBearer, Pins, StandardWebhooks, Trust};
pub use net::{Egress, Proxy};
#[doc(inline)]
pub use retry::RetryPolicy;
pub use tls::MinTls;
#[doc(inline)]
pub use verify::{Authorization, Role, TenantRule, Verifier, VerifierOptions};

/// What only the bindings need. No compatibility is promised.
#[doc(hidden)]
pub mod bindings {
    pub use crate::options::{SetByName, Setting};
    pub use crate::recipe::{Argument, Rebuild, Recipe};
    pub use crate::verify::handshake::Handshake;

    pub mod fleet {
        pub use crate::clock::now_millis;
        pub use crate::endpoint::fleet::{By, FleetConsumer, FleetIdentity, FleetStatus};
    }

    pub mod inspection {
        pub use crate::clock::utc_text;
        pub use crate::inspection::*;
    }

    pub mod language {
        pub use crate::error::spelling::{Language, set_language};
    }

    pub mod limits {
        pub use crate::limits::*;
    }

    pub mod observer {
        pub use crate::connection::observer::{
            AttemptEnd, AttemptOutcome, End, HandshakeEnd, Observer, OperationKind, Outcome,
            Repeat, Subject,
        };
    }

    pub mod options {
        pub use crate::options::{ALL, OptionSpec};
    }

    pub mod process {
        pub use crate::process::{Lock, Locked, Once, id};
    }

    pub mod runtime {
        pub use crate::runtime::{EventLoop, afterwards, drive, spawn, undriven};
    }

    pub mod signer {
        pub use crate::material::signer::DEFAULT_CONCURRENCY;
    }

    pub mod tables {
        pub use crate::tables::{Preset, all};
    }

    pub mod text {
        pub use crate::diagnosis::text::wrapped;
    }

    pub mod trace {
        pub use crate::dispatcher::{Trace, TraceQueue};
    }

    /// What a testing kit in another module needs of this one.
    #[cfg(feature = "test-hooks")]
    pub mod test_hooks {
        pub use crate::clock::set as set_clock;
        pub use crate::x509::algorithms::signatures_checked;
    }
}
