/* Error fields: number, names, JSON; and the verdict of a retry policy. */

#include "webhook_mtls_testing.h"

#include "check.h"

/* Every kind for which the lab can make an error. The numbers are those of the header. */
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
    {"http_status", WMTLS_HTTP_STATUS},
    {"http_invalid", WMTLS_HTTP_INVALID},
    {"response_too_large", WMTLS_RESPONSE_TOO_LARGE},
    {"deadline_exceeded", WMTLS_DEADLINE_EXCEEDED},
    {"connection_lost", WMTLS_CONNECTION_LOST},
    {"internal", WMTLS_INTERNAL},
};
enum { KIND_COUNT = sizeof KINDS / sizeof *KINDS };

static void a_constant_is_the_number_of_its_kind(void) {
    for (int i = 0; i < KIND_COUNT; i++) {
        wmtls_error *error = wmtls_lab_error(KINDS[i].name);
        CHECK(error != NULL);
        CHECK(wmtls_error_kind(error) == KINDS[i].number);
        CHECK_TEXT(wmtls_kind_name(KINDS[i].number), KINDS[i].name);
        wmtls_error_free(error);
    }
}

static void no_kind_is_missing_here(void) {
    int count = 0;
    for (int32_t number = -1; number < 70000; number++) {
        count += wmtls_kind_name(number) != NULL;
    }
    CHECK(count == KIND_COUNT);
    CHECK(wmtls_kind_name(WMTLS_OK) == NULL);
}

/* Checks that the numbers 1, 2 and so on have these names, that the constants are 1, 2 and so
   on, and that no other number has a name. */
static void check_words(const char *(*name)(int32_t), int count, const int32_t *constants,
                        const char *const *names) {
    CHECK(name(0) == NULL && name(-1) == NULL && name(count + 1) == NULL);
    for (int i = 0; i < count; i++) {
        CHECK(constants[i] == i + 1);
        CHECK_TEXT(name(constants[i]), names[i]);
    }
}

#define CHECK_WORDS(name, constants, names) \
    check_words(name, sizeof(names) / sizeof *(names), constants, names)

static void every_name_has_its_constant(void) {
    const int32_t stages[] = {WMTLS_STAGE_CONFIG,    WMTLS_STAGE_ADMIT,   WMTLS_STAGE_RESOLVE,
                              WMTLS_STAGE_CONNECT,   WMTLS_STAGE_HANDSHAKE, WMTLS_STAGE_REQUEST,
                              WMTLS_STAGE_RESPONSE,  WMTLS_STAGE_VERIFY};
    const char *stage_names[] = {"config",    "admit",   "resolve",  "connect",
                                 "handshake", "request", "response", "verify"};
    CHECK_WORDS(wmtls_stage_name, stages, stage_names);
    const int32_t blames[] = {WMTLS_BLAME_OURS, WMTLS_BLAME_THEIRS, WMTLS_BLAME_PATH,
                              WMTLS_BLAME_CALLER, WMTLS_BLAME_UNKNOWN};
    const char *blame_names[] = {"ours", "theirs", "path", "caller", "unknown"};
    CHECK_WORDS(wmtls_blame_name, blames, blame_names);
    const int32_t scopes[] = {WMTLS_SCOPE_DELIVERY, WMTLS_SCOPE_ENDPOINT, WMTLS_SCOPE_IDENTITY,
                              WMTLS_SCOPE_PROCESS};
    const char *scope_names[] = {"delivery", "endpoint", "identity", "process"};
    CHECK_WORDS(wmtls_scope_name, scopes, scope_names);
    const int32_t sents[] = {WMTLS_SENT_NOTHING, WMTLS_SENT_MAYBE, WMTLS_SENT_ALL};
    const char *sent_names[] = {"nothing", "maybe", "all"};
    CHECK_WORDS(wmtls_sent_name, sents, sent_names);
    const int32_t retries[] = {WMTLS_RETRY_LATER, WMTLS_RETRY_AFTER_REPAIR, WMTLS_RETRY_NEVER};
    const char *retry_names[] = {"later", "after_repair", "never"};
    CHECK_WORDS(wmtls_retry_name, retries, retry_names);
    const int32_t actions[] = {WMTLS_ACTION_RETRY, WMTLS_ACTION_PARK, WMTLS_ACTION_DROP};
    const char *action_names[] = {"retry", "park", "drop"};
    CHECK_WORDS(wmtls_action_name, actions, action_names);
    const int32_t slots[] = {WMTLS_PIN_CURRENT, WMTLS_PIN_NEXT};
    const char *slot_names[] = {"current", "next"};
    CHECK_WORDS(wmtls_pin_name, slots, slot_names);
}

static void the_json_has_all_fields(void) {
    wmtls_error *error = wmtls_lab_error("pin_mismatch");
    const char *json = wmtls_error_json(error);
    CHECK(strstr(json, "\"kind\":\"pin_mismatch\"") != NULL);
    CHECK(strstr(json, "\"stage\":\"handshake\"") != NULL);
    CHECK(strstr(json, "\"sent\":\"nothing\"") != NULL);
    CHECK(strstr(json, wmtls_error_message(error)) != NULL);
    CHECK(strstr(json, wmtls_error_remedy(error)) != NULL);
    CHECK(wmtls_error_json(error) == json);
    CHECK_TEXT(wmtls_error_consumer(error), NULL);
    CHECK_TEXT(wmtls_error_context(error, "observed_pin"), NULL);
    CHECK(wmtls_error_retry_after_ms(error) == -1);
    wmtls_error_free(error);
}

static void the_public_json_has_fewer_fields(void) {
    wmtls_error *error = NULL;
    wmtls_options *options = wmtls_options_new();
    wmtls_options_egress_allow(options, "10.1.2.3/8");
    CHECK(wmtls_dispatcher_new(options, NULL, &error) == WMTLS_OPTION_INVALID);
    CHECK(strstr(wmtls_error_json(error), "10.1.2.3") != NULL);
    CHECK(strstr(wmtls_error_public_json(error), "10.1.2.3") == NULL);
    CHECK(strstr(wmtls_error_public_json(error), "\"kind\":\"option_invalid\"") != NULL);
    wmtls_error_free(error);
}

static void an_error_is_written_on_failure_and_cleared_on_success(void) {
    wmtls_dispatcher *dispatcher = (wmtls_dispatcher *)"not initialised";
    wmtls_error *error = (wmtls_error *)"not initialised";
    CHECK(wmtls_dispatcher_new(NULL, &dispatcher, &error) == WMTLS_OPTION_INVALID);
    CHECK(dispatcher == NULL);
    wmtls_error_free(error);
    CHECK(wmtls_dispatcher_new(wmtls_options_new(), &dispatcher, &error) == WMTLS_OK);
    CHECK(dispatcher != NULL && error == NULL);
    wmtls_dispatcher_free(dispatcher);
}

static wmtls_decision decide(const wmtls_retry_policy *policy, const char *kind,
                             uint32_t attempt) {
    wmtls_decision decision;
    wmtls_error *error = wmtls_lab_error(kind);
    CHECK(wmtls_retry_decide(policy, error, attempt, &decision, NULL) == WMTLS_OK);
    wmtls_error_free(error);
    return decision;
}

static void a_retry_policy_decides(void) {
    wmtls_decision decision = decide(NULL, "connect_failed", 2);
    CHECK(decision.action == WMTLS_ACTION_RETRY && decision.delay_ms == 10000);
    CHECK(decision.counts && strlen(decision.reason) > 0);
    CHECK(decide(NULL, "connect_failed", 8).action == WMTLS_ACTION_DROP);
    CHECK(decide(NULL, "pin_mismatch", 8).action == WMTLS_ACTION_PARK);
    CHECK(decide(NULL, "header_invalid", 1).action == WMTLS_ACTION_DROP);
    CHECK(!decide(NULL, "overloaded", 1).counts);

    wmtls_retry_policy *policy = wmtls_retry_policy_new();
    wmtls_retry_policy_set(policy, "attempts", "3");
    wmtls_retry_policy_set(policy, "first", "100");
    wmtls_retry_policy_set(policy, "ceiling", "150");
    CHECK(decide(policy, "connect_failed", 1).delay_ms == 100);
    CHECK(decide(policy, "connect_failed", 2).delay_ms == 150);
    CHECK(decide(policy, "connect_failed", 3).action == WMTLS_ACTION_DROP);
    wmtls_retry_policy_free(policy);
}

static void the_version_has_three_numbers(void) {
    unsigned major, minor, patch;
    CHECK(sscanf(wmtls_version(), "%u.%u.%u", &major, &minor, &patch) == 3);
}

int main(void) {
    RUN(a_constant_is_the_number_of_its_kind);
    RUN(no_kind_is_missing_here);
    RUN(every_name_has_its_constant);
    RUN(the_json_has_all_fields);
    RUN(the_public_json_has_fewer_fields);
    RUN(an_error_is_written_on_failure_and_cleared_on_success);
    RUN(a_retry_policy_decides);
    RUN(the_version_has_three_numbers);
    return 0;
}
