/* Error fields: number, names, JSON; and the verdict of a retry policy. */

#include "webhook_mtls_testing.h"

#include "check.h"
#include "kinds.h"
#include "words.h"

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

static void every_name_has_its_constant(void) {
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        CHECK(WORDS[i].constant == WORDS[i].number);
        CHECK_TEXT(WORDS[i].name_of(WORDS[i].constant), WORDS[i].name);
        CHECK(WORDS[i].name_of(0) == NULL && WORDS[i].name_of(-1) == NULL);
        CHECK(WORDS[i].name_of(99) == NULL);
    }
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
    CHECK(wmtls_error_attempts(error) == -1 && wmtls_error_elapsed_ms(error) < 0);
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
    CHECK(decision.action == WMTLS_ACTION_RETRY);
    CHECK(decision.delay_ms >= 5000 && decision.delay_ms <= 10000);
    CHECK(decision.counts && strlen(decision.reason) > 0);
    CHECK(decide(NULL, "connect_failed", 59).action == WMTLS_ACTION_RETRY);
    CHECK(decide(NULL, "connect_failed", 60).action == WMTLS_ACTION_DROP);
    CHECK(decide(NULL, "handle_closed", 60).action == WMTLS_ACTION_RETRY);
    CHECK(decide(NULL, "pin_mismatch", 60).action == WMTLS_ACTION_PARK);
    CHECK(decide(NULL, "header_invalid", 1).action == WMTLS_ACTION_DROP);
    CHECK(!decide(NULL, "overloaded", 1).counts);

    wmtls_retry_policy *policy = wmtls_retry_policy_new();
    wmtls_retry_policy_set(policy, "attempts", "3");
    wmtls_retry_policy_set(policy, "first", "100");
    wmtls_retry_policy_set(policy, "ceiling", "150");
    wmtls_retry_policy_set(policy, "seed", "7");
    uint64_t first = decide(policy, "connect_failed", 1).delay_ms;
    CHECK(first >= 50 && first <= 100);
    CHECK(decide(policy, "connect_failed", 1).delay_ms == first);
    uint64_t second = decide(policy, "connect_failed", 2).delay_ms;
    CHECK(second >= 75 && second <= 150);
    wmtls_error *lost = wmtls_lab_error("connect_failed"), *zero;
    CHECK(wmtls_retry_decide(policy, lost, 0, &decision, &zero) == WMTLS_OPTION_INVALID);
    wmtls_error_free(zero);
    wmtls_error_free(lost);
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
