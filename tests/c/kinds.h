/* Every kind with its constant. */

#ifndef KINDS_H
#define KINDS_H

#include "webhook_mtls.h"

/* generated: begin kinds */
static const struct {
    const char *name;
    wmtls_status number;
} KINDS[] = {
    {"option_invalid", WMTLS_OPTION_INVALID},
    {"url_invalid", WMTLS_URL_INVALID},
    {"header_invalid", WMTLS_HEADER_INVALID},
    {"body_too_large", WMTLS_BODY_TOO_LARGE},
    {"pem_invalid", WMTLS_PEM_INVALID},
    {"key_encrypted", WMTLS_KEY_ENCRYPTED},
    {"key_mismatch", WMTLS_KEY_MISMATCH},
    {"identity_unusable", WMTLS_IDENTITY_UNUSABLE},
    {"trust_invalid", WMTLS_TRUST_INVALID},
    {"public_root_in_trust", WMTLS_PUBLIC_ROOT_IN_TRUST},
    {"pin_invalid", WMTLS_PIN_INVALID},
    {"handle_closed", WMTLS_HANDLE_CLOSED},
    {"forked_process", WMTLS_FORKED_PROCESS},
    {"clock_implausible", WMTLS_CLOCK_IMPLAUSIBLE},
    {"identity_in_use", WMTLS_IDENTITY_IN_USE},
    {"circuit_open", WMTLS_CIRCUIT_OPEN},
    {"overloaded", WMTLS_OVERLOADED},
    {"canceled", WMTLS_CANCELED},
    {"host_not_found", WMTLS_HOST_NOT_FOUND},
    {"resolve_failed", WMTLS_RESOLVE_FAILED},
    {"egress_denied", WMTLS_EGRESS_DENIED},
    {"connect_failed", WMTLS_CONNECT_FAILED},
    {"proxy_refused", WMTLS_PROXY_REFUSED},
    {"certificate_expired", WMTLS_CERTIFICATE_EXPIRED},
    {"certificate_not_yet_valid", WMTLS_CERTIFICATE_NOT_YET_VALID},
    {"certificate_revoked", WMTLS_CERTIFICATE_REVOKED},
    {"name_mismatch", WMTLS_NAME_MISMATCH},
    {"issuer_unknown", WMTLS_ISSUER_UNKNOWN},
    {"issuer_rekeyed", WMTLS_ISSUER_REKEYED},
    {"purpose_not_allowed", WMTLS_PURPOSE_NOT_ALLOWED},
    {"certificate_invalid", WMTLS_CERTIFICATE_INVALID},
    {"key_weak", WMTLS_KEY_WEAK},
    {"chain_too_long", WMTLS_CHAIN_TOO_LONG},
    {"crl_unusable", WMTLS_CRL_UNUSABLE},
    {"constraint_violated", WMTLS_CONSTRAINT_VIOLATED},
    {"pin_mismatch", WMTLS_PIN_MISMATCH},
    {"tenant_refused", WMTLS_TENANT_REFUSED},
    {"not_authorized", WMTLS_NOT_AUTHORIZED},
    {"client_auth_not_requested", WMTLS_CLIENT_AUTH_NOT_REQUESTED},
    {"client_certificate_unusable", WMTLS_CLIENT_CERTIFICATE_UNUSABLE},
    {"client_certificate_rejected", WMTLS_CLIENT_CERTIFICATE_REJECTED},
    {"tls_failed", WMTLS_TLS_FAILED},
    {"evidence_missing", WMTLS_EVIDENCE_MISSING},
    {"hop_untrusted", WMTLS_HOP_UNTRUSTED},
    {"issuer_distrusted", WMTLS_ISSUER_DISTRUSTED},
    {"signature_invalid", WMTLS_SIGNATURE_INVALID},
    {"token_invalid", WMTLS_TOKEN_INVALID},
    {"signer_failed", WMTLS_SIGNER_FAILED},
    {"signer_timeout", WMTLS_SIGNER_TIMEOUT},
    {"http_status", WMTLS_HTTP_STATUS},
    {"http_invalid", WMTLS_HTTP_INVALID},
    {"response_too_large", WMTLS_RESPONSE_TOO_LARGE},
    {"deadline_exceeded", WMTLS_DEADLINE_EXCEEDED},
    {"connection_lost", WMTLS_CONNECTION_LOST},
    {"internal", WMTLS_INTERNAL},
};
/* generated: end */

#endif
