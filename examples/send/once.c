/* Delivers one event over a connection of its own, for small programs.
   Needs tls.crt, tls.key and ca.pem in this directory, WMTLS_URL and WMTLS_PIN. */

#include <stdio.h>
#include <stdlib.h>

#include "webhook_mtls.h"

int main(void) {
    wmtls_identity *identity = NULL;
    wmtls_trust *trust = NULL;
    wmtls_receipt *receipt = NULL;
    wmtls_error *error = NULL;

    if (wmtls_identity_from_files("tls.crt", "tls.key", NULL, &identity, &error)) goto done;
    if (wmtls_trust_from_files("ca.pem", NULL, NULL, &trust, &error)) goto done;
    wmtls_options *options = wmtls_options_new();
    wmtls_options_identity(options, identity);
    wmtls_options_trust(options, trust);
    wmtls_options_egress_allow(options, "127.0.0.0/8"); /* a receiver on this machine */
    wmtls_endpoint_options *pinned = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pin(pinned, getenv("WMTLS_PIN"), WMTLS_PIN_CURRENT);
    if (wmtls_deliver_once(getenv("WMTLS_URL"), "{\"event\":\"ping\"}", 16, options, pinned,
                           &receipt, &error))
        goto done;
    printf("%d from %s\n", wmtls_receipt_status(receipt), wmtls_receipt_consumer(receipt));

done:
    if (error) fprintf(stderr, "%s\n%s\n", wmtls_error_message(error), wmtls_error_remedy(error));
    int code = error ? 1 : 0;
    wmtls_error_free(error);
    wmtls_receipt_free(receipt);
    wmtls_trust_free(trust);
    wmtls_identity_free(identity);
    return code;
}
