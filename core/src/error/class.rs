//! The words that classify a failure: stage, blame, scope, sent, retry and family. They are the same
//! in every language.

/// Concatenates the doc comments among some attributes.
macro_rules! docs {
    (#[doc = $line:literal] $($rest:tt)*) => {
        concat!($line, $crate::error::docs!($($rest)*))
    };
    (#[$($other:tt)*] $($rest:tt)*) => { $crate::error::docs!($($rest)*) };
    () => { "" };
}
pub(crate) use docs;

macro_rules! words {
    ($(#[$($meta:tt)*])* $type:ident { $($(#[$($variant_meta:tt)*])* $variant:ident = $number:literal $name:literal,)* }) => {
        $(#[$($meta)*])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $type { $($(#[$($variant_meta)*])* $variant = $number,)* }

        impl $type {
            /// Every value.
            pub const ALL: &'static [$type] = &[$($type::$variant,)*];

            /// Returns the word, equal in every language.
            pub const fn name(self) -> &'static str {
                match self { $($type::$variant => $name,)* }
            }

            /// The meaning of the type, as its doc comment has it.
            pub(crate) const DOC: &'static str = $crate::error::docs!($(#[$($meta)*])*);

            /// Returns the meaning of the value, as its doc comment has it.
            pub(crate) const fn doc(self) -> &'static str {
                match self { $($type::$variant => $crate::error::docs!($(#[$($variant_meta)*])*),)* }
            }

            /// Returns the value with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name)
            }
        }
    };
}
pub(crate) use words;

words! {
    /// The step that failed. Exhaustive: a new stage is a new major version.
    Stage {
        /// Options, material and arguments.
        Config = 1 "config",
        /// Whether the delivery may start: the dispatcher is open, nothing is canceled or overloaded.
        Admit = 2 "admit",
        /// The DNS lookup, and the egress policy.
        Resolve = 3 "resolve",
        /// TCP, and the proxy if there is one.
        Connect = 4 "connect",
        /// The TLS handshake.
        Handshake = 5 "handshake",
        /// The request is being written.
        Request = 6 "request",
        /// The response is awaited or read.
        Response = 7 "response",
        /// A verifier checks a chain outside any connection.
        Verify = 8 "verify",
    }
}

words! {
    /// Whose fault it is, as far as the library can tell. Exhaustive: an alert has one addressee for each.
    Blame {
        /// Ours: found locally, or reported by at least three consumers.
        Ours = 1 "ours",
        /// The peer's.
        Theirs = 2 "theirs",
        /// The network or a proxy between us and the peer.
        Path = 3 "path",
        /// The caller canceled.
        Caller = 4 "caller",
        /// The library cannot tell.
        Unknown = 5 "unknown",
    }
}

words! {
    /// What the failure stops. Exhaustive: a queue must stop the right
    /// deliveries for each.
    Scope {
        /// This payload only.
        Delivery = 1 "delivery",
        /// Everything for this endpoint.
        Endpoint = 2 "endpoint",
        /// Everything that uses the same identity.
        Identity = 3 "identity",
        /// Everything in this process.
        Process = 4 "process",
    }
}

words! {
    /// How much of the request left. Exhaustive: a caller must decide for each whether a
    /// duplicate is possible.
    Sent {
        /// No byte of the request entered TLS, or the peer provably refused us before it read any.
        Nothing = 1 "nothing",
        /// Part of the request may have reached the peer.
        Maybe = 2 "maybe",
        /// The last byte was written to the kernel: the peer may have the payload.
        All = 3 "all",
    }
}

words! {
    /// Whether a retry helps. Exhaustive: a queue must act on each.
    Retry {
        /// Try again later, after `retry_after` if it is known.
        Later = 1 "later",
        /// Park the delivery until a person or a rotation has repaired the cause.
        AfterRepair = 2 "after_repair",
        /// Do not try again.
        Never = 3 "never",
    }
}

words! {
    /// The class of exception that a binding raises. Exhaustive: each has an exception class in every
    /// language.
    Family {
        /// Options, material or arguments are invalid.
        Config = 1 "config",
        /// A delivery failed.
        Delivery = 2 "delivery",
        /// A verifier refused a peer.
        Peer = 3 "peer",
    }
}
