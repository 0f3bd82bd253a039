"""The enums of errors. `cargo xtask generate` writes them from the core's tables."""

from typing import Literal

# generated: begin words stage blame scope sent retry
Stage = Literal[
    "config", "admit", "resolve", "connect", "handshake", "request", "response", "verify"
]
"""The step that failed. Exhaustive: a new stage is a new major version."""

Blame = Literal["ours", "theirs", "path", "caller", "unknown"]
"""Whose fault it is, as far as the library can tell. Exhaustive: an alert has one addressee for
each.
"""

Scope = Literal["delivery", "endpoint", "identity", "process"]
"""What the failure stops. Exhaustive: a queue must stop the right deliveries for each."""

Sent = Literal["nothing", "maybe", "all"]
"""How much of the request left. Exhaustive: a caller must decide for each whether a duplicate is
possible.
"""

Retry = Literal["later", "after_repair", "never"]
"""Whether a retry helps. Exhaustive: a queue must act on each."""
# generated: end

# generated: begin kinds
Kind = Literal[
    "option_invalid",
    "url_invalid",
    "header_invalid",
    "body_too_large",
    "pem_invalid",
    "key_encrypted",
    "key_mismatch",
    "identity_unusable",
    "trust_invalid",
    "public_root_in_trust",
    "pin_invalid",
    "handle_closed",
    "forked_process",
    "clock_implausible",
    "identity_in_use",
    "circuit_open",
    "overloaded",
    "canceled",
    "host_not_found",
    "resolve_failed",
    "egress_denied",
    "connect_failed",
    "proxy_refused",
    "certificate_expired",
    "certificate_not_yet_valid",
    "certificate_revoked",
    "name_mismatch",
    "issuer_unknown",
    "issuer_rekeyed",
    "purpose_not_allowed",
    "certificate_invalid",
    "key_weak",
    "chain_too_long",
    "crl_unusable",
    "constraint_violated",
    "pin_mismatch",
    "tenant_refused",
    "not_authorized",
    "client_auth_not_requested",
    "client_certificate_unusable",
    "client_certificate_rejected",
    "tls_failed",
    "evidence_missing",
    "hop_untrusted",
    "issuer_distrusted",
    "signature_invalid",
    "token_invalid",
    "signer_failed",
    "signer_timeout",
    "http_status",
    "http_invalid",
    "response_too_large",
    "deadline_exceeded",
    "connection_lost",
    "internal",
]
"""The kind of failure. Later versions may add kinds."""
# generated: end
