/* The rate of an endpoint. No test waits for a token: the next one is due in a thousand seconds. */

#include "webhook_mtls_testing.h"

#include "check.h"
#include "patient.h"

static const char *const seldom = "0.001";
static const char *const day_ms = "86400000";
static const uint64_t long_ms = 120000;

static wmtls_lab *lab;
static wmtls_lab_consumer *acme;
static wmtls_dispatcher *dispatcher;

static void start(void) {
    CHECK(wmtls_lab_start(&lab, NULL) == WMTLS_OK);
    CHECK(wmtls_lab_consumer_new(lab, "acme", &acme, NULL) == WMTLS_OK);
    dispatcher = patient_dispatcher(lab);
}

static void end(void) {
    wmtls_dispatcher_free(dispatcher);
    wmtls_lab_consumer_free(acme);
    wmtls_lab_free(lab);
}

static wmtls_status set_rate(const char *rate, wmtls_endpoint **endpoint, wmtls_error **error) {
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(options);
    wmtls_endpoint_options_set(options, "rate", rate);
    return wmtls_dispatcher_endpoint(dispatcher, "acme", wmtls_lab_consumer_url(acme), options,
                                     endpoint, error);
}

static wmtls_endpoint *limited(const char *rate) {
    wmtls_endpoint *endpoint;
    wmtls_error *error;
    CHECK_STATUS(set_rate(rate, &endpoint, &error), WMTLS_OK, error);
    return endpoint;
}

static void a_rate_out_of_range_is_refused(void) {
    static const char *const wrong[] = {"0", "-1", "nan", "inf", "1000001", "ten", ""};
    start();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        wmtls_endpoint *endpoint;
        wmtls_error *error = NULL;
        CHECK(set_rate(wrong[i], &endpoint, &error) == WMTLS_OPTION_INVALID);
        CHECK_TEXT(wmtls_error_context(error, "option"), "rate");
        wmtls_error_free(error);
    }
    end();
}

static void a_delivery_that_would_start_after_its_deadline_is_refused_at_once(void) {
    wmtls_receipt *receipt;
    wmtls_error *error = NULL;
    start();
    wmtls_endpoint *endpoint = limited(seldom);
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
    CHECK_STATUS(wmtls_deliver(dispatcher, delivery, &receipt, &error), WMTLS_OK, error);
    wmtls_receipt_free(receipt);
    CHECK(wmtls_deliver(dispatcher, delivery, &receipt, &error) == WMTLS_OVERLOADED);
    CHECK(wmtls_error_stage(error) == WMTLS_STAGE_ADMIT);
    CHECK(wmtls_error_sent(error) == WMTLS_SENT_NOTHING);
    CHECK_TEXT(wmtls_error_context(error, "cause"), "rate_awaited");
    CHECK(wmtls_error_retry_after_ms(error) > 500000);
    CHECK(wmtls_error_retry_after_ms(error) <= 1000000);
    wmtls_error_free(error);
    CHECK(wmtls_lab_consumer_received(acme) == 1);
    wmtls_delivery_free(delivery);
    wmtls_endpoint_free(endpoint);
    end();
}

static void a_waiting_delivery_starts_when_the_rate_is_raised(void) {
    wmtls_error *error = NULL;
    start();
    wmtls_endpoint *endpoint = limited(seldom);
    for (int i = 0; i < 3; i++) {
        wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
        wmtls_delivery_set(delivery, "timeout", day_ms);
        CHECK_STATUS(wmtls_submit(dispatcher, delivery, &error), WMTLS_OK, error);
    }
    wmtls_outcome *outcome = wmtls_next_outcome(dispatcher, long_ms);
    CHECK(outcome != NULL && wmtls_outcome_error(outcome) == NULL);
    wmtls_outcome_free(outcome);
    CHECK(wmtls_next_outcome(dispatcher, 0) == NULL);
    CHECK(wmtls_lab_consumer_received(acme) == 1);
    wmtls_endpoint_free(limited("1000"));
    for (int i = 0; i < 2; i++) {
        outcome = wmtls_next_outcome(dispatcher, long_ms);
        CHECK(outcome != NULL && wmtls_outcome_error(outcome) == NULL);
        wmtls_outcome_free(outcome);
    }
    wmtls_endpoint_free(endpoint);
    end();
}

int main(void) {
    RUN(a_rate_out_of_range_is_refused);
    RUN(a_delivery_that_would_start_after_its_deadline_is_refused_at_once);
    RUN(a_waiting_delivery_starts_when_the_rate_is_raised);
    return 0;
}
