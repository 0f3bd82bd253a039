/* Delivers one event and reads its receipt, or its error.
   Needs tls.crt, tls.key and ca.pem in this directory, WMTLS_URL and WMTLS_PIN. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "webhook_mtls.h"

int main(void) {
    const char *body = "{\"event\":\"invoice.paid\"}";
    wmtls_identity *identity = NULL;
    wmtls_trust *trust = NULL;
    wmtls_dispatcher *dispatcher = NULL;
    wmtls_endpoint *acme = NULL;
    wmtls_delivery *delivery = NULL;
    wmtls_receipt *receipt = NULL;
    wmtls_error *error = NULL;

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
    wmtls_delivery_header(delivery, "x-event", "invoice.paid");
    wmtls_delivery_timeout_ms(delivery, 10000);
    if (wmtls_deliver(dispatcher, delivery, &receipt, &error)) goto done;
    printf("%s was answered with %d in %.1f ms\n", wmtls_receipt_id(receipt),
           wmtls_receipt_status(receipt), wmtls_receipt_elapsed_ms(receipt));
    printf("by %s over %s with the pin %s\n", wmtls_peer_subject(wmtls_receipt_peer(receipt)),
           wmtls_receipt_tls_version(receipt), wmtls_pin_name(wmtls_receipt_pin(receipt)));
    printf("attempts: %u all: %s\n", (unsigned)wmtls_receipt_attempts(receipt),
           wmtls_receipt_json(receipt));

done:
    if (error) {
        fprintf(stderr, "%s\n%s\n%s\n", wmtls_error_message(error), wmtls_error_remedy(error),
                wmtls_error_help(error));
        if (wmtls_error_sent(error) == WMTLS_SENT_NOTHING)
            fprintf(stderr, "the consumer does not have the event\n");
        else
            fprintf(stderr, "the consumer may have the event: send it again with the same id\n");
    }
    int code = error ? 1 : 0;
    wmtls_error_free(error);
    wmtls_receipt_free(receipt);
    wmtls_delivery_free(delivery);
    wmtls_endpoint_free(acme);
    wmtls_dispatcher_free(dispatcher);
    wmtls_trust_free(trust);
    wmtls_identity_free(identity);
    return code;
}
