//! The table of events: the only place that has an event's name, its fields, and what it says.
//!
//! A message and a remedy have names of fields in braces, and `{consumer}`.

macro_rules! events {
    ($($variant:ident $name:literal $fields:literal $doc:literal, $message:literal, $remedy:literal;)*) => {
        /// The name of an event. Later versions add names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum EventName { $(#[doc = $doc] $variant,)* }

        impl EventName {
            /// Every name, in the order of the reference page.
            pub const ALL: &'static [EventName] = &[$(EventName::$variant,)*];

            /// Returns the word, equal in every language.
            pub const fn name(self) -> &'static str {
                match self { $(EventName::$variant => $name,)* }
            }

            /// Returns what the event means and what to do.
            pub const fn doc(self) -> &'static str {
                match self { $(EventName::$variant => $doc,)* }
            }

            /// Returns the names of its fields, separated by spaces, without `message` and `remedy`.
            pub const fn fields(self) -> &'static str {
                match self { $(EventName::$variant => $fields,)* }
            }

            /// Returns what happened, and what to do, with the names of fields in braces.
            pub(super) const fn texts(self) -> (&'static str, &'static str) {
                match self { $(EventName::$variant => ($message, $remedy),)* }
            }
        }
    };
}

events! {
    Rotated "rotated" "what files endpoints name not_after_ms pid generation"
        "Watched files changed, and their new content is in use in the process pid. The generation counts \
         the contents of these files in that process, and is 1 before the first change. Several worker \
         processes each raise this event.",
        "the {what} in {files} changed, and its new content is in use",
        "Nothing is to be done.";
    RotationFailed "rotation_failed" "what files kind"
        "The content of watched files is not usable. The former material stays in use. Repair the files.",
        "the new content of {files} is not usable",
        "Repair the files. The former material stays in use.";
    RotationWaiting "rotation_waiting" "what files name not_before_ms"
        "A new certificate is not valid yet. The former one stays in use until it is.",
        "the new certificate {name} in {files} is valid from {not_before_ms}",
        "Nothing is to be done: the former certificate stays in use until then. If the date is \
         past, check the clock of this machine (timedatectl).";
    FileStale "file_stale" "what files name not_after_ms fraction_left"
        "The certificate will expire soon, and its file has never changed while it was watched. Check \
         how it is renewed, and how it is mounted: a Kubernetes subPath mount never changes.",
        "the {what} {name} ends on {not_after_ms}, and {files} has never changed while it was \
         watched",
        "Check how the file is renewed and mounted. A Kubernetes subPath mount never changes: \
         mount the whole secret, or restart this process after each renewal.";
    Expiry "expiry" "what name not_after_ms fraction_left threshold"
        "The remaining lifetime of a certificate or CRL is below the threshold. At threshold 0 it has \
         expired.",
        "the {what} {name} ends on {not_after_ms}",
        "Renew it, or ask its owner to renew it.";
    AnchorExpired "anchor_expired" "name not_after_ms"
        "A trust anchor has expired and is no longer used. Remove it from the bundle.",
        "the trust anchor {name} ended on {not_after_ms}, and is not used any more",
        "Remove it from the bundle.";
    ClockImplausible "clock_implausible" "clock_ms"
        "The clock shows a time before this library existed, so no certificate can be verified. Set the \
         clock.",
        "the clock shows {clock_ms}, a time before this library existed",
        "Set the clock of this machine (timedatectl). No certificate can be verified before.";
    KeyReadable "key_readable" "file mode"
        "Every user of this machine can read the file of our private key. Restrict its mode.",
        "every user of this machine can read {file}, which has our private key (mode {mode})",
        "Restrict its mode: chmod 600 {file}. In Kubernetes, set defaultMode of the volume to \
         0400.";
    RotatedButUndistributed "rotated_but_undistributed" "identity issuer previous previous_issuer not_after_ms via"
        "A consumer refuses our new certificate and accepts the previous one, which is used for this \
         consumer. Give it our new certificate or its CA (issuer) before the previous one expires.",
        "{consumer} refuses our new certificate {identity} of {issuer}, and accepts the \
         previous one of {previous_issuer}, which is used until {not_after_ms}",
        "Give {consumer} the certificate of the CA {issuer}, or our new certificate if it \
         trusts single ones, before {not_after_ms}.";
    PinSingle "pin_single" "pin not_after_ms"
        "An endpoint has only one pin, and the consumer's certificate will expire soon. A new key would \
         stop deliveries. Ask the consumer for its next pin.",
        "{pin} is the only pin of {consumer}, whose certificate ends on {not_after_ms}",
        "Ask {consumer} for its next pin, and set it as the next one. A new key stops \
         deliveries otherwise.";
    PinNextUnseen "pin_next_unseen" "pin not_after_ms"
        "The consumer's certificate will expire soon, and no connection has shown the key that was \
         pinned as the next one.",
        "the certificate of {consumer} ends on {not_after_ms}, and no connection has shown the \
         next pin {pin}",
        "Ask {consumer} whether its next key is still {pin}.";
    PinPreviousUsed "pin_previous_used" "pin next"
        "A consumer that has shown its next key shows the former key again: some of its servers have not \
         changed.",
        "{consumer} has shown its next pin {next}, and shows the former one {pin} again",
        "Keep both pins, and ask {consumer} to change the key of all its servers.";
    ConsumerRekeys "consumer_rekeys" "pin previous"
        "A consumer has changed its key at two consecutive renewals. A pin of its key will fail at the \
         next renewal. Ask it to keep its key, or identify it by server_uri and its CA.",
        "{consumer} has changed its key at two consecutive renewals, from {previous} to {pin}",
        "Ask {consumer} to keep its key, or identify it by `server_uri` and its CA. A pin of \
         its key fails at the next renewal.";
    CircuitOpened "circuit_opened" "kind failures open_until_ms why cure"
        "Deliveries to a consumer failed several times in a row before they had a request, so deliveries \
         to it fail with circuit_open until open_until_ms. The fields why and cure are those of the last \
         failure.",
        "deliveries to {consumer} are paused until {open_until_ms} after {failures} failures in a row, the \
         last with {kind}: {why}",
        "{cure}";
    CircuitClosed "circuit_closed" "kind"
        "A consumer whose circuit was open is well again. The kind is that of the failure that opened it; \
         it is absent if the application opened it.",
        "deliveries to {consumer} are admitted again",
        "Nothing is to be done.";
    NetworkFailing "network_failing" "tried failing kind"
        "At least five endpoints were tried lately, and more than half of them fail while their name is \
         looked up or while they are connected to. The fault is probably of this machine, its name server or \
         its network. These failures open no circuit.",
        "{failing} of {tried} endpoints tried lately cannot be reached, the last with {kind}",
        "Check the name server, the network and the firewall of this machine. Deliveries go on when they \
         work again.";
    CrlUnused "crl_unused" "name position why"
        "A CRL was not used for a verified peer: another key signed it (another_key), its thisUpdate is \
         in the future (not_yet_valid), no CRL of the issuer covers the peer's certificate \
         (other_scope), or neither the trust nor the peer has its issuer (unknown_issuer). Supply the \
         issuer's current CRL.",
        "CRL {position}, of {name}, was not used: {why}",
        "Supply the issuer's current CRL.";
    ConnectionsThrashed "connections_thrashed" "closed max_connections"
        "Within a minute, at least as many idle connections were closed to make room for other endpoints          as may be open at once. Deliveries then open a connection each, which costs ten times as much          as a delivery. Raised at most once an hour.",
        "{closed} idle connections were closed within a minute to make room for other endpoints, and          {max_connections} may be open at once",
        "Raise `max_connections` to the number of endpoints that deliveries go to at the same time.          Check that this process may open as many files (ulimit -n).";
    EventsLost "events_lost" "count"
        "This listener was too slow, and events before this one were dropped.",
        "{count} events before this one were dropped, because this listener was too slow",
        "Return from the callback at once, or take events more often.";
}
