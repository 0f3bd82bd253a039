/* Tests code that sends webhooks against a consumer of the testing kit.
   Link it with webhook_mtls_testing instead of webhook_mtls. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "webhook_mtls_testing.h"

/* The code under test: sends an invoice, and returns what the queue is to do; 0 if it is done. */
static int32_t send_invoice(wmtls_dispatcher *dispatcher, wmtls_endpoint *endpoint, int number) {
    char id[32];
    wmtls_error *error = NULL;
    wmtls_decision decision = {0};
    snprintf(id, sizeof id, "invoice_%d", number);
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{\"paid\":true}", 13);
    wmtls_delivery_id(delivery, id);
    if (wmtls_deliver(dispatcher, delivery, NULL, &error))
        wmtls_retry_decide(NULL, error, 1, &decision, NULL);
    wmtls_delivery_free(delivery);
    wmtls_error_free(error);
    return decision.action;
}

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

static void an_invoice_arrives(wmtls_dispatcher *with, wmtls_endpoint *to,
                               wmtls_lab_consumer *acme) {
    size_t length = 0;
    CHECK(send_invoice(with, to, 7) == 0);
    wmtls_lab_request *request = wmtls_lab_consumer_request(acme, 0);
    CHECK(strcmp(wmtls_lab_request_header(request, "webhook-id"), "invoice_7") == 0);
    CHECK(memcmp(wmtls_lab_request_body(request, &length), "{\"paid\":true}", 13) == 0);
    CHECK(length == 13);
    /* who we are, for the consumer */
    CHECK(strcmp(wmtls_lab_request_tenant(request), "dispatcher") == 0);
    wmtls_lab_request_free(request);
}

static void a_busy_consumer_is_called_again(wmtls_dispatcher *with, wmtls_endpoint *to,
                                            wmtls_lab_consumer *acme) {
    CHECK(wmtls_lab_consumer_respond(acme, 503, 30, 1, NULL) == WMTLS_OK);
    CHECK(send_invoice(with, to, 7) == WMTLS_ACTION_RETRY);
}

static void a_lost_answer_makes_a_duplicate(wmtls_dispatcher *with, wmtls_endpoint *to,
                                            wmtls_lab_consumer *acme) {
    CHECK(wmtls_lab_consumer_misbehave(acme, "reset_after_body", 1, NULL) == WMTLS_OK);
    CHECK(send_invoice(with, to, 7) == WMTLS_ACTION_RETRY);
    CHECK(send_invoice(with, to, 7) == 0);
    CHECK(wmtls_lab_consumer_received(acme) == 2);
}

static void an_unknown_key_gets_nothing(wmtls_dispatcher *with, wmtls_endpoint *to,
                                        wmtls_lab_consumer *acme) {
    CHECK(wmtls_lab_consumer_renew(acme, true, NULL) == WMTLS_OK);
    CHECK(send_invoice(with, to, 7) == WMTLS_ACTION_PARK);
    CHECK(wmtls_lab_consumer_received(acme) == 0);
}

/* Runs a test with a CA and a consumer of its own. */
static void run(const char *name, void (*test)(wmtls_dispatcher *, wmtls_endpoint *,
                                               wmtls_lab_consumer *)) {
    wmtls_lab *lab = NULL;
    wmtls_lab_consumer *acme = NULL;
    wmtls_endpoint *endpoint = NULL;
    CHECK(wmtls_lab_start(&lab, NULL) == WMTLS_OK); /* a private CA, in this process */
    /* a server on 127.0.0.1 that requires our certificate */
    CHECK(wmtls_lab_consumer_new(lab, "acme", &acme, NULL) == WMTLS_OK);
    /* has an identity of the lab, and trusts only its CA */
    wmtls_dispatcher *dispatcher = wmtls_lab_dispatcher(lab);
    wmtls_endpoint_options *pinned = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pin(pinned, wmtls_lab_consumer_pin(acme), WMTLS_PIN_CURRENT);
    CHECK(wmtls_dispatcher_endpoint(dispatcher, "acme", wmtls_lab_consumer_url(acme), pinned,
                                    &endpoint, NULL) == WMTLS_OK);
    test(dispatcher, endpoint, acme);
    printf("ok: %s\n", name);
    wmtls_endpoint_free(endpoint);
    wmtls_dispatcher_free(dispatcher);
    wmtls_lab_consumer_free(acme);
    wmtls_lab_free(lab);
}

int main(void) {
    run("an invoice arrives", an_invoice_arrives);
    run("a busy consumer is called again", a_busy_consumer_is_called_again);
    run("a lost answer makes a duplicate", a_lost_answer_makes_a_duplicate);
    run("an unknown key gets nothing", an_unknown_key_gets_nothing);

    /* without a network */
    wmtls_decision decision = {0};
    wmtls_error *error = wmtls_lab_error("client_certificate_rejected");
    CHECK(wmtls_retry_decide(NULL, error, 1, &decision, NULL) == WMTLS_OK);
    CHECK(decision.action == WMTLS_ACTION_PARK);
    wmtls_error_free(error);
    return 0;
}
