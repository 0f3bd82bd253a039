/* Delivers one webhook over mutual TLS. Run it in the directory of tls.crt, tls.key and ca.pem. */

#include <stdio.h>
#include <stdlib.h>

#include "webhook_mtls.h"

int main(void) {
    const char *url = getenv("WMTLS_URL"); /* https://hooks.acme.example/in */
    const char *pin = getenv("WMTLS_PIN"); /* sha256/..., the consumer's key */
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
    /* Allows a receiver on this machine. By default only public addresses are allowed. */
    wmtls_options_egress_allow(options, "127.0.0.0/8");
    if (wmtls_dispatcher_new(options, &dispatcher, &error)) goto done;

    wmtls_endpoint_options *pinned = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pin(pinned, pin, WMTLS_PIN_CURRENT);
    if (wmtls_dispatcher_endpoint(dispatcher, "acme", url, pinned, &acme, &error)) goto done;

    delivery = wmtls_delivery_new(acme, "{\"event\":\"ping\"}", 16);
    wmtls_delivery_id(delivery, "evt_1");
    if (wmtls_deliver(dispatcher, delivery, &receipt, &error)) goto done;
    printf("%d from %s\n", wmtls_receipt_status(receipt),
           wmtls_peer_subject(wmtls_receipt_peer(receipt)));

done:
    if (error) {
        fprintf(stderr, "%s: %s\nblame: %s, sent: %s, retry: %s\n%s\n",
                wmtls_kind_name(wmtls_error_kind(error)), wmtls_error_message(error),
                wmtls_blame_name(wmtls_error_blame(error)),
                wmtls_sent_name(wmtls_error_sent(error)),
                wmtls_retry_name(wmtls_error_retry(error)), wmtls_error_remedy(error));
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
