/* Delivers until the consumer has the event, as wmtls_retry_decide decides.
   Needs tls.crt, tls.key and ca.pem in this directory, WMTLS_URL and WMTLS_PIN. */

#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "webhook_mtls.h"

static void wait_ms(uint64_t ms) {
    struct timespec pause = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

int main(void) {
    const char *body = "{\"event\":\"invoice.paid\"}";
    wmtls_identity *identity = NULL;
    wmtls_trust *trust = NULL;
    wmtls_dispatcher *dispatcher = NULL;
    wmtls_endpoint *acme = NULL;
    wmtls_delivery *delivery = NULL;
    wmtls_receipt *receipt = NULL;
    wmtls_error *error = NULL;
    /* The defaults take more than a day: 60 attempts, from 5 seconds to an hour apart. */
    wmtls_retry_policy *policy = wmtls_retry_policy_new();
    wmtls_retry_policy_set(policy, "attempts", "8");
    wmtls_retry_policy_set(policy, "first", "200");

    if (wmtls_identity_from_files("tls.crt", "tls.key", NULL, &identity, &error)) goto done;
    if (wmtls_trust_from_files("ca.pem", NULL, NULL, &trust, &error)) goto done;
    wmtls_options *options = wmtls_options_new();
    wmtls_options_identity(options, identity);
    wmtls_options_trust(options, trust);
    wmtls_options_egress_allow(options, "127.0.0.0/8"); /* a receiver on this machine */
    if (wmtls_dispatcher_new(options, &dispatcher, &error)) goto done;
    wmtls_endpoint_options *pinned = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pin(pinned, getenv("WMTLS_PIN"), WMTLS_PIN_CURRENT);
    if (wmtls_dispatcher_endpoint(dispatcher, "acme", getenv("WMTLS_URL"), pinned, &acme, &error))
        goto done;
    delivery = wmtls_delivery_new(acme, body, strlen(body));
    wmtls_delivery_id(delivery, "evt_1");

    uint32_t attempt = 1;
    while (wmtls_deliver(dispatcher, delivery, &receipt, &error)) {
        wmtls_decision decision;
        if (wmtls_retry_decide(policy, error, attempt, &decision, NULL)) goto done;
        printf("attempt %u: %s, sent %s: %s\n", (unsigned)attempt,
               wmtls_kind_name(wmtls_error_kind(error)), wmtls_sent_name(wmtls_error_sent(error)),
               wmtls_action_name(decision.action));
        /* WMTLS_ACTION_PARK: hold the deliveries to this consumer. WMTLS_ACTION_DROP: give up. */
        if (decision.action != WMTLS_ACTION_RETRY) goto done;
        wmtls_error_free(error);
        error = NULL;
        wait_ms(decision.delay_ms); /* a queue schedules the next attempt instead */
        attempt += decision.counts;
    }
    printf("delivered with attempt %u, answered with %d\n", (unsigned)attempt,
           wmtls_receipt_status(receipt));

done:
    if (error) fprintf(stderr, "%s\n%s\n", wmtls_error_message(error), wmtls_error_remedy(error));
    int code = error ? 1 : 0;
    wmtls_error_free(error);
    wmtls_receipt_free(receipt);
    wmtls_delivery_free(delivery);
    wmtls_endpoint_free(acme);
    wmtls_dispatcher_free(dispatcher);
    wmtls_trust_free(trust);
    wmtls_identity_free(identity);
    wmtls_retry_policy_free(policy);
    return code;
}
