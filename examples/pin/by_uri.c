/* Identifies a consumer by its CA and a URI, not by its key, because its key changes often.
   Needs tls.crt, tls.key and ca.pem in this directory, WMTLS_URL and WMTLS_SERVER_URI. */

#include <stdio.h>
#include <stdlib.h>

#include "webhook_mtls.h"

int main(void) {
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
    wmtls_options_egress_allow(options, "127.0.0.0/8"); /* a receiver on this machine */
    if (wmtls_dispatcher_new(options, &dispatcher, &error)) goto done;

    wmtls_endpoint_options *named = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(named);      /* a decision: each renewal brings a new key */
    wmtls_endpoint_options_trust(named, trust); /* the consumer's CA, and no other */
    wmtls_endpoint_options_set(named, "server_uri", getenv("WMTLS_SERVER_URI"));
    if (wmtls_dispatcher_endpoint(dispatcher, "acme", getenv("WMTLS_URL"), named, &acme, &error))
        goto done;
    delivery = wmtls_delivery_new(acme, "{\"event\":\"ping\"}", 16);
    wmtls_delivery_id(delivery, "evt_1");
    if (wmtls_deliver(dispatcher, delivery, &receipt, &error)) goto done;
    const wmtls_peer *peer = wmtls_receipt_peer(receipt);
    printf("%d from %s with the key %s\n", wmtls_receipt_status(receipt),
           wmtls_peer_subject(peer), wmtls_peer_spki_pin(peer));

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
    return code;
}
