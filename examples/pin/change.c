/* Shows the two halves of a change of key: the refusal of an unknown key, and an announced key.
   Needs tls.crt, tls.key and ca.pem in this directory, WMTLS_URL and WMTLS_PIN: the pin that the
   consumer announced. */

#include <stdio.h>
#include <stdlib.h>

#include "webhook_mtls.h"

/* The pin of the key that the consumer had before. */
static const char *const FORMER = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

/* Delivers with these pins. */
static wmtls_status deliver(wmtls_dispatcher *dispatcher, wmtls_endpoint_options *pins,
                            wmtls_receipt **receipt, wmtls_error **error) {
    wmtls_endpoint *acme = NULL;
    wmtls_status status =
        wmtls_dispatcher_endpoint(dispatcher, "acme", getenv("WMTLS_URL"), pins, &acme, error);
    if (status) return status;
    wmtls_delivery *delivery = wmtls_delivery_new(acme, "{\"event\":\"ping\"}", 16);
    wmtls_delivery_id(delivery, "evt_1");
    status = wmtls_deliver(dispatcher, delivery, receipt, error);
    wmtls_delivery_free(delivery);
    wmtls_endpoint_free(acme);
    return status;
}

int main(void) {
    const char *announced = getenv("WMTLS_PIN");
    int code = 1;
    wmtls_identity *identity = NULL;
    wmtls_trust *trust = NULL;
    wmtls_dispatcher *dispatcher = NULL;
    wmtls_endpoint *acme = NULL;
    wmtls_receipt *receipt = NULL;
    wmtls_error *error = NULL;

    if (wmtls_identity_from_files("tls.crt", "tls.key", NULL, &identity, &error)) goto done;
    if (wmtls_trust_from_files("ca.pem", NULL, NULL, &trust, &error)) goto done;
    wmtls_options *options = wmtls_options_new();
    wmtls_options_identity(options, identity);
    wmtls_options_trust(options, trust);
    wmtls_options_egress_allow(options, "127.0.0.0/8"); /* a receiver on this machine */
    if (wmtls_dispatcher_new(options, &dispatcher, &error)) goto done;

    wmtls_endpoint_options *pins = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pin(pins, FORMER, WMTLS_PIN_CURRENT);
    if (deliver(dispatcher, pins, NULL, &error) != WMTLS_PIN_MISMATCH) goto done;
    printf("%s, sent %s, retry %s\n", wmtls_kind_name(wmtls_error_kind(error)),
           wmtls_sent_name(wmtls_error_sent(error)), wmtls_retry_name(wmtls_error_retry(error)));
    printf("expected %s\nobserved %s\n", wmtls_error_context(error, "expected_pins"),
           wmtls_error_context(error, "observed_pin"));
    wmtls_error_free(error);

    /* Before the change: the announced key is accepted beside the former one. */
    pins = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pin(pins, FORMER, WMTLS_PIN_CURRENT);
    wmtls_endpoint_options_pin(pins, announced, WMTLS_PIN_NEXT);
    if (deliver(dispatcher, pins, &receipt, &error)) goto done;
    printf("delivered, with the pin %s\n", wmtls_pin_name(wmtls_receipt_pin(receipt)));
    if (wmtls_receipt_pin(receipt) == WMTLS_PIN_NEXT) {
        /* The change has happened: the announced key is the current one from now on. */
        pins = wmtls_endpoint_options_new();
        wmtls_endpoint_options_pin(pins, announced, WMTLS_PIN_CURRENT);
        const char *url = getenv("WMTLS_URL");
        if (wmtls_dispatcher_endpoint(dispatcher, "acme", url, pins, &acme, &error)) goto done;
    }
    code = 0;

done:
    if (error) fprintf(stderr, "%s\n%s\n", wmtls_error_message(error), wmtls_error_remedy(error));
    else if (code) fprintf(stderr, "the consumer still has its former key\n");
    wmtls_error_free(error);
    wmtls_receipt_free(receipt);
    wmtls_endpoint_free(acme);
    wmtls_dispatcher_free(dispatcher);
    wmtls_trust_free(trust);
    wmtls_identity_free(identity);
    return code;
}
