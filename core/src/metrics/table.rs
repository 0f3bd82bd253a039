//! The table of metrics: the only place that has a metric's name, type, unit, labels and meaning.

use crate::error::words;

words! {
    /// The type of a metric.
    #[non_exhaustive]
    MetricType {
        /// A number that only grows, until the process ends.
        Counter = 1 "counter",
        /// A number that grows and falls.
        Gauge = 2 "gauge",
        /// Durations, counted by their size.
        Histogram = 3 "histogram",
        /// Labels that do not change. Its value is 1.
        Info = 4 "info",
    }
}

words! {
    /// How the values of several processes are combined. Exhaustive: there is no other way.
    Combine {
        /// They are added.
        Sum = 1 "sum",
        /// The smallest one is taken.
        Min = 2 "min",
        /// The greatest one is taken.
        Max = 3 "max",
    }
}

words! {
    /// What has a metric. Exhaustive: nothing else is measured.
    Owner {
        /// A dispatcher.
        Dispatcher = 1 "dispatcher",
        /// A verifier.
        Verifier = 2 "verifier",
        /// A dispatcher and a verifier.
        Both = 3 "both",
        /// The process: every dispatcher and verifier shows the same values.
        Process = 4 "process",
    }
}

/// A row of the table, by its position.
#[derive(Clone, Copy)]
pub(crate) struct Row(usize);

impl Row {
    pub(super) fn at(self) -> usize {
        self.0
    }

    pub(super) fn spec(self) -> &'static Spec {
        &ALL[self.0]
    }
}

/// The contents of a row.
pub(crate) struct Spec {
    /// The name in the text of Prometheus.
    pub(super) name: &'static str,
    pub(super) metric_type: MetricType,
    /// The unit, with which the name ends. Empty for counts.
    pub(super) unit: &'static str,
    labels: &'static str,
    pub(super) of: Owner,
    pub(super) combine: Combine,
    pub(super) doc: &'static str,
}

impl Spec {
    pub(super) fn labels(&self) -> impl Iterator<Item = &'static str> {
        self.labels.split_whitespace()
    }

    /// How the values of several dispatchers and verifiers of one process are combined.
    pub(super) fn within_process(&self) -> Combine {
        if self.of == Owner::Process { Combine::Max } else { self.combine }
    }
}

macro_rules! metrics {
    ($($row:ident $name:literal $type:ident $unit:literal $labels:literal $of:ident $combine:ident $doc:literal;)*) => {
        /// The rows, for the rooms that fill a snapshot.
        pub(crate) mod row {
            use super::Row;

            #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "named as the rows")]
            enum At { $($row,)* }

            $(#[doc = $doc] pub(crate) const $row: Row = Row(At::$row as usize);)*
        }

        /// Every metric, in the order of the reference page.
        pub(crate) const ALL: &[Spec] = &[$(Spec {
            name: concat!("webhook_mtls_", $name),
            metric_type: MetricType::$type,
            unit: $unit,
            labels: $labels,
            of: Owner::$of,
            combine: Combine::$combine,
            doc: $doc,
        },)*];
    };
}

metrics! {
    DELIVERIES "deliveries_total" Counter "" "kind stage blame status_class" Dispatcher Sum
        "Deliveries that have ended. Kind, stage and blame are those of the failure, and empty after a success. A delivery that its caller dropped has kind canceled. The class of the status is 2xx to 5xx, or empty without a response.";
    DELIVERY_DURATION "delivery_duration_seconds" Histogram "seconds" "kind stage status_class" Dispatcher Sum
        "How long deliveries took, with all attempts and the wait for a turn.";
    PROBES "probes_total" Counter "" "kind stage blame" Dispatcher Sum
        "Probes that have ended, labeled as deliveries are.";
    PHASES "phase_duration_seconds" Histogram "seconds" "phase" Dispatcher Sum
        "How long the phases of attempts took: resolve, connect, handshake, request and response. An attempt on an idle connection has only the last two. A phase that failed counts until its failure.";
    HANDSHAKES "handshakes_total" Counter "" "outcome kind alert tls_version" Dispatcher Sum
        "Handshakes that have ended: completed, failed, rejected (the consumer refused our certificate after the handshake, as on TLS 1.3) or abandoned. Kind is that of the failure, and alert the one that the consumer sent. The version is empty if the consumer chose none.";
    HANDSHAKE_DURATION "handshake_duration_seconds" Histogram "seconds" "kind tls_version" Dispatcher Sum
        "How long handshakes took.";
    SIGNATURES "signatures_total" Counter "" "outcome" Dispatcher Sum
        "Signatures of handshakes that an external signer was needed for: made, failed, wrong (the signature does not verify with our certificate), timeout, or abandoned (the delivery ended first).";
    SIGNATURE_DURATION "signature_duration_seconds" Histogram "seconds" "outcome" Dispatcher Sum
        "How long these signatures took, until the answer, the failure or the deadline.";
    REUSE "connection_reuse_total" Counter "" "" Dispatcher Sum
        "Attempts on an idle connection, without a handshake.";
    CONNECTIONS "connections" Gauge "" "state" Dispatcher Sum
        "Open sockets: idle, or active, which includes those being opened.";
    IN_FLIGHT "deliveries_in_flight" Gauge "" "" Dispatcher Sum
        "Deliveries and probes that have begun and not ended, with those that wait.";
    WAITING "deliveries_waiting" Gauge "" "" Dispatcher Sum
        "Deliveries that wait for a turn of their endpoint or for a connection. The option max_waiting limits them.";
    ENDPOINTS "endpoints" Gauge "" "" Dispatcher Sum
        "Endpoints of the dispatcher.";
    CIRCUITS_OPEN "circuits_open" Gauge "" "" Dispatcher Sum
        "Endpoints whose circuit is open or half open: deliveries to them are paused. Each process has its own circuits, so take the maximum over processes to count consumers.";
    CIRCUIT_TRANSITIONS "circuit_transitions_total" Counter "" "to" Dispatcher Sum
        "Circuits that have opened after failures, and closed since.";
    UNDISTRIBUTED "identity_undistributed" Gauge "" "endpoint" Dispatcher Max
        "1 for a consumer that refuses our new certificate and gets the previous one. At most 64 consumers are named; the value of other is the number of all others.";
    ENDPOINT_DELIVERIES "endpoint_deliveries_total" Counter "" "endpoint outcome" Dispatcher Sum
        "Deliveries of one endpoint that succeeded and failed, for the first endpoints, as many as the option metrics_endpoints says. The value of other is for all others. Absent if the option is 0.";
    ENDPOINT_CIRCUIT "endpoint_circuit_open" Gauge "" "endpoint" Dispatcher Max
        "1 if the circuit of the endpoint is open or half open, for the endpoints that metrics_endpoints names.";
    EXPIRATION "certificate_expiration_timestamp_seconds" Gauge "seconds" "owner name" Both Min
        "When a certificate or CRL expires, in Unix seconds. The owner is identity, anchor, intermediate, crl or consumer; the name is a subject, or the issuer of a CRL. The 64 with the least remaining lifetime of each owner are shown. Consumers are named if metrics_endpoints is above 0; otherwise one value with an empty name stands for the earliest.";
    LIFETIME_LEFT "certificate_lifetime_left_ratio" Gauge "ratio" "owner name" Both Min
        "The share of the lifetime that is left: 1 at the first instant, 0 after expiry. For the same certificates and CRLs.";
    ROTATIONS "rotations_total" Counter "" "what outcome" Both Sum
        "Changes of watched files: used, failed (the former material stays in use), or waiting for the new certificate to become valid.";
    EVENTS "events_total" Counter "" "event" Both Sum
        "Events by name, with or without a listener.";
    EVENTS_LOST "events_lost_total" Counter "" "" Both Sum
        "Events that were dropped because a listener was too slow.";
    VERIFICATIONS "verifications_total" Counter "" "result reason kind" Verifier Sum
        "Verifications. Result and reason are what nginx puts into $ssl_client_verify: SUCCESS, FAILED with the text of OpenSSL, or NONE without a certificate. Kind is that of the failure.";
    REFUSED_REQUESTS "refused_requests_total" Counter "" "kind" Verifier Sum
        "Requests that the middleware of Python or Node has refused, by the kind of the error: of the peer, of the webhook, or of the size of the body. Requests to excluded paths are not counted.";
    DISTRUSTED "distrusted_issuer_refusals_total" Counter "" "issuer" Both Sum
        "Peers that were refused because their path contains a distrusted CA, by the pin of that CA. At most 64 are named.";
    SIGNATURE_CACHE "signature_cache_lookups_total" Counter "" "result" Process Sum
        "Signatures of certificates and CRLs that were found in the cache (hit), or had to be verified (miss).";
    PUBLIC_ROOTS "public_roots_refused_total" Counter "" "" Process Sum
        "Trust bundles that were refused because they contain a public web root.";
    BUILD "build_info" Info "" "version rustls aws_lc_rs" Process Max
        "The version of this library, and the versions of rustls and aws-lc-rs that it is released with.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        for (at, row) in ALL.iter().enumerate() {
            let name = row.name;
            assert!(ALL[..at].iter().all(|other| other.name != name), "{name} twice");
            assert_eq!(name.ends_with("_total"), row.metric_type == MetricType::Counter, "{name}");
            assert_eq!(name.ends_with("_info"), row.metric_type == MetricType::Info, "{name}");
            assert!(row.unit.is_empty() || name.ends_with(&format!("_{}", row.unit)), "{name}");
            // Help texts are written without escapes.
            assert!(row.doc.ends_with('.') && !row.doc.contains(['\\', '"', '\n']), "{name}");
            let labels: Vec<&str> = row.labels().collect();
            assert!(labels.iter().all(|label| *label != "le" && !label.starts_with('_')), "{name}");
        }
    }
}
