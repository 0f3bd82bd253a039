/* Every value of the enums: the function of its name, the name, the constant, the number. */

#ifndef WORDS_H
#define WORDS_H

#include "webhook_mtls.h"

/* generated: begin words */
static const struct {
    const char *(*name_of)(int32_t);
    const char *name;
    int32_t constant;
    int32_t number;
} WORDS[] = {
    {wmtls_stage_name, "config", WMTLS_STAGE_CONFIG, 1},
    {wmtls_stage_name, "admit", WMTLS_STAGE_ADMIT, 2},
    {wmtls_stage_name, "resolve", WMTLS_STAGE_RESOLVE, 3},
    {wmtls_stage_name, "connect", WMTLS_STAGE_CONNECT, 4},
    {wmtls_stage_name, "handshake", WMTLS_STAGE_HANDSHAKE, 5},
    {wmtls_stage_name, "request", WMTLS_STAGE_REQUEST, 6},
    {wmtls_stage_name, "response", WMTLS_STAGE_RESPONSE, 7},
    {wmtls_stage_name, "verify", WMTLS_STAGE_VERIFY, 8},
    {wmtls_blame_name, "ours", WMTLS_BLAME_OURS, 1},
    {wmtls_blame_name, "theirs", WMTLS_BLAME_THEIRS, 2},
    {wmtls_blame_name, "path", WMTLS_BLAME_PATH, 3},
    {wmtls_blame_name, "caller", WMTLS_BLAME_CALLER, 4},
    {wmtls_blame_name, "unknown", WMTLS_BLAME_UNKNOWN, 5},
    {wmtls_scope_name, "delivery", WMTLS_SCOPE_DELIVERY, 1},
    {wmtls_scope_name, "endpoint", WMTLS_SCOPE_ENDPOINT, 2},
    {wmtls_scope_name, "identity", WMTLS_SCOPE_IDENTITY, 3},
    {wmtls_scope_name, "process", WMTLS_SCOPE_PROCESS, 4},
    {wmtls_sent_name, "nothing", WMTLS_SENT_NOTHING, 1},
    {wmtls_sent_name, "maybe", WMTLS_SENT_MAYBE, 2},
    {wmtls_sent_name, "all", WMTLS_SENT_ALL, 3},
    {wmtls_retry_name, "later", WMTLS_RETRY_LATER, 1},
    {wmtls_retry_name, "after_repair", WMTLS_RETRY_AFTER_REPAIR, 2},
    {wmtls_retry_name, "never", WMTLS_RETRY_NEVER, 3},
    {wmtls_action_name, "retry", WMTLS_ACTION_RETRY, 1},
    {wmtls_action_name, "park", WMTLS_ACTION_PARK, 2},
    {wmtls_action_name, "drop", WMTLS_ACTION_DROP, 3},
    {wmtls_pin_name, "current", WMTLS_PIN_CURRENT, 1},
    {wmtls_pin_name, "next", WMTLS_PIN_NEXT, 2},
    {wmtls_circuit_state_name, "closed", WMTLS_CIRCUIT_STATE_CLOSED, 1},
    {wmtls_circuit_state_name, "open", WMTLS_CIRCUIT_STATE_OPEN, 2},
    {wmtls_circuit_state_name, "half_open", WMTLS_CIRCUIT_STATE_HALF_OPEN, 3},
    {wmtls_log_level_name, "info", WMTLS_LOG_LEVEL_INFO, 1},
    {wmtls_log_level_name, "warning", WMTLS_LOG_LEVEL_WARNING, 2},
    {wmtls_log_level_name, "error", WMTLS_LOG_LEVEL_ERROR, 3},
    {wmtls_metrics_format_name, "prometheus", WMTLS_METRICS_FORMAT_PROMETHEUS, 1},
    {wmtls_metrics_format_name, "openmetrics", WMTLS_METRICS_FORMAT_OPENMETRICS, 2},
    {wmtls_diagnosis_request_name, "head", WMTLS_DIAGNOSIS_REQUEST_HEAD, 1},
    {wmtls_diagnosis_request_name, "options", WMTLS_DIAGNOSIS_REQUEST_OPTIONS, 2},
    {wmtls_addressee_name, "nobody", WMTLS_ADDRESSEE_NOBODY, 1},
    {wmtls_addressee_name, "us", WMTLS_ADDRESSEE_US, 2},
    {wmtls_addressee_name, "consumer", WMTLS_ADDRESSEE_CONSUMER, 3},
    {wmtls_addressee_name, "network", WMTLS_ADDRESSEE_NETWORK, 4},
    {wmtls_addressee_name, "proxy", WMTLS_ADDRESSEE_PROXY, 5},
    {wmtls_signature_scheme_name, "rsa_pkcs1_sha256", WMTLS_SIGNATURE_SCHEME_RSA_PKCS1_SHA256, 1025},
    {wmtls_signature_scheme_name, "ecdsa_secp256r1_sha256", WMTLS_SIGNATURE_SCHEME_ECDSA_SECP256R1_SHA256, 1027},
    {wmtls_signature_scheme_name, "rsa_pkcs1_sha384", WMTLS_SIGNATURE_SCHEME_RSA_PKCS1_SHA384, 1281},
    {wmtls_signature_scheme_name, "ecdsa_secp384r1_sha384", WMTLS_SIGNATURE_SCHEME_ECDSA_SECP384R1_SHA384, 1283},
    {wmtls_signature_scheme_name, "rsa_pkcs1_sha512", WMTLS_SIGNATURE_SCHEME_RSA_PKCS1_SHA512, 1537},
    {wmtls_signature_scheme_name, "ecdsa_secp521r1_sha512", WMTLS_SIGNATURE_SCHEME_ECDSA_SECP521R1_SHA512, 1539},
    {wmtls_signature_scheme_name, "rsa_pss_rsae_sha256", WMTLS_SIGNATURE_SCHEME_RSA_PSS_RSAE_SHA256, 2052},
    {wmtls_signature_scheme_name, "rsa_pss_rsae_sha384", WMTLS_SIGNATURE_SCHEME_RSA_PSS_RSAE_SHA384, 2053},
    {wmtls_signature_scheme_name, "rsa_pss_rsae_sha512", WMTLS_SIGNATURE_SCHEME_RSA_PSS_RSAE_SHA512, 2054},
    {wmtls_signature_scheme_name, "ed25519", WMTLS_SIGNATURE_SCHEME_ED25519, 2055},
    {wmtls_signature_scheme_name, "mldsa44", WMTLS_SIGNATURE_SCHEME_MLDSA44, 2308},
    {wmtls_signature_scheme_name, "mldsa65", WMTLS_SIGNATURE_SCHEME_MLDSA65, 2309},
    {wmtls_signature_scheme_name, "mldsa87", WMTLS_SIGNATURE_SCHEME_MLDSA87, 2310},
};
/* generated: end */

#endif
