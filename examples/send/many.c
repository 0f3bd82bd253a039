/* Delivers a hundred events and takes the outcomes as they come. docs/c.md shows how an event loop
   does it. Needs tls.crt, tls.key and ca.pem in this directory, WMTLS_URL and WMTLS_PIN. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "webhook_mtls.h"

int main(void) {
    const char *text = "{\"event\":\"invoice.paid\"}";
    int delivered = 0, failed = 0;
    wmtls_identity *identity = NULL;
    wmtls_trust *trust = NULL;
    wmtls_dispatcher *dispatcher = NULL;
    wmtls_endpoint *acme = NULL;
    wmtls_error *error = NULL;
    wmtls_body *body = wmtls_body_new(text, strlen(text)); /* copied once, for all deliveries */

    if (wmtls_identity_from_files("tls.crt", "tls.key", NULL, &identity, &error)) goto done;
    if (wmtls_trust_from_files("ca.pem", NULL, NULL, &trust, &error)) goto done;
    wmtls_options *options = wmtls_options_new();
    wmtls_options_identity(options, identity);
    wmtls_options_trust(options, trust);
    wmtls_options_egress_allow(options, "127.0.0.0/8"); /* a receiver on this machine */
    if (wmtls_dispatcher_new(options, &dispatcher, &error)) goto done;
    wmtls_endpoint_options *pinned = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pin(pinned, getenv("WMTLS_PIN"), WMTLS_PIN_CURRENT);
    wmtls_endpoint_options_set(pinned, "concurrency", "8");
    if (wmtls_dispatcher_endpoint(dispatcher, "acme", getenv("WMTLS_URL"), pinned, &acme, &error))
        goto done;

    for (int row = 0; row < 100; row++) { /* the rows of a table, or the messages of a queue */
        char id[16];
        snprintf(id, sizeof id, "evt_%d", row);
        wmtls_delivery *delivery = wmtls_delivery_of_body(acme, body);
        wmtls_delivery_id(delivery, id);
        if (wmtls_submit(dispatcher, delivery, &error)) goto done;
    }
    wmtls_outcome *outcome;
    while ((outcome = wmtls_next_outcome(dispatcher, -1)) != NULL) {
        const wmtls_error *why = wmtls_outcome_error(outcome);
        if (why) {
            failed++; /* for wmtls_retry_decide; the error has the id */
            fprintf(stderr, "%s: %s\n", wmtls_error_id(why), wmtls_error_message(why));
        } else {
            delivered++;
        }
        wmtls_outcome_free(outcome);
    }
    printf("%d delivered, %d failed\n", delivered, failed);

done:
    if (error) fprintf(stderr, "%s\n%s\n", wmtls_error_message(error), wmtls_error_remedy(error));
    int code = error || failed ? 1 : 0;
    wmtls_error_free(error);
    wmtls_body_free(body);
    wmtls_endpoint_free(acme);
    wmtls_dispatcher_free(dispatcher);
    wmtls_trust_free(trust);
    wmtls_identity_free(identity);
    return code;
}
