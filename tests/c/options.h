/* Every option: its noun, name and type, and a possible value if it takes a word. */

#ifndef OPTIONS_H
#define OPTIONS_H

#include "webhook_mtls.h"

/* generated: begin options */
static const struct {
    const char *of;
    const char *name;
    const char *kind;
    const char *word;
} OPTIONS[] = {
    {"dispatcher", "identity", "identity", ""},
    {"dispatcher", "trust", "trust", ""},
    {"dispatcher", "crl_policy", "text", "if_present"},
    {"dispatcher", "egress", "egress", "public"},
    {"dispatcher", "proxy", "text", ""},
    {"dispatcher", "proxy_credentials", "text", ""},
    {"dispatcher", "proxy_by_name", "flag", ""},
    {"dispatcher", "timeout", "duration", ""},
    {"dispatcher", "connect_timeout", "duration", ""},
    {"dispatcher", "handshake_timeout", "duration", ""},
    {"dispatcher", "write_timeout", "duration", ""},
    {"dispatcher", "response_timeout", "duration", ""},
    {"dispatcher", "max_connections", "integer", ""},
    {"dispatcher", "max_waiting", "integer", ""},
    {"dispatcher", "circuit_failures", "integer", ""},
    {"dispatcher", "circuit_open", "duration", ""},
    {"dispatcher", "circuit_ceiling", "duration", ""},
    {"dispatcher", "metrics_endpoints", "integer", ""},
    {"dispatcher", "status_retry", "pairs", "later"},
    {"dispatcher", "reload", "duration", ""},
    {"dispatcher", "expiry_warning", "number", ""},
    {"endpoint", "pins", "pins", ""},
    {"endpoint", "identity", "identity", ""},
    {"endpoint", "trust", "trust", ""},
    {"endpoint", "crl_policy", "text", "if_present"},
    {"endpoint", "min_tls", "text", "1.2"},
    {"endpoint", "post_quantum", "flag", ""},
    {"endpoint", "server_name", "text", ""},
    {"endpoint", "server_uri", "text", ""},
    {"endpoint", "hold_payload", "flag", ""},
    {"endpoint", "response_excerpt", "integer", ""},
    {"endpoint", "signing", "signing", ""},
    {"endpoint", "concurrency", "integer", ""},
    {"endpoint", "rate", "number", ""},
    {"endpoint", "owner", "text", ""},
    {"endpoint", "status_retry", "pairs", "later"},
    {"jwt_bearer", "key_id", "text", ""},
    {"jwt_bearer", "issuer", "text", ""},
    {"jwt_bearer", "subject", "text", ""},
    {"jwt_bearer", "audience", "text", ""},
    {"jwt_bearer", "lifetime", "duration", ""},
    {"jwt_bearer", "claims", "json", ""},
    {"jwt_bearer", "content_digest", "flag", ""},
    {"deliver", "id", "text", ""},
    {"deliver", "content_type", "text", ""},
    {"deliver", "headers", "pairs", ""},
    {"deliver", "timeout", "duration", ""},
    {"probe", "timeout", "duration", ""},
    {"diagnosis", "timeout", "duration", ""},
    {"diagnosis", "request", "text", "head"},
    {"verifier", "role", "role", "client"},
    {"verifier", "trust", "trust", ""},
    {"verifier", "pins", "pins", ""},
    {"verifier", "tenant", "tenant_rule", ""},
    {"verifier", "authorization", "authorization", ""},
    {"verifier", "server_uri", "text", ""},
    {"verifier", "strict_purpose", "flag", ""},
    {"verifier", "crl_policy", "text", "if_present"},
    {"verifier", "reload", "duration", ""},
    {"verifier", "expiry_warning", "number", ""},
    {"webhook_verifier", "secrets", "secrets", ""},
    {"webhook_verifier", "keys", "keys", ""},
    {"webhook_verifier", "audience", "text", ""},
    {"webhook_verifier", "issuer", "text", ""},
    {"webhook_verifier", "tenant_claim", "text", ""},
    {"webhook_verifier", "require_signature", "flag", ""},
    {"webhook_verifier", "require_token", "flag", ""},
    {"webhook_verifier", "content_digest", "flag", ""},
    {"webhook_verifier", "timestamp_tolerance", "duration", ""},
    {"webhook_verifier", "token_tolerance", "duration", ""},
    {"webhook_verifier", "reload", "duration", ""},
    {"retry_policy", "attempts", "integer", ""},
    {"retry_policy", "first", "duration", ""},
    {"retry_policy", "ceiling", "duration", ""},
    {"retry_policy", "seed", "integer", ""},
};
/* generated: end */

#endif
