/* Lets a consumer change its CA: the trust has two anchors meanwhile.
   Needs tls.crt, tls.key and ca.pem in this directory, the root of the consumer's new CA in
   new-ca.pem, WMTLS_URL and WMTLS_PIN of a consumer whose certificate is of the new CA. */

#include <stdio.h>
#include <stdlib.h>

#include "webhook_mtls.h"

static wmtls_status deliver(wmtls_dispatcher *dispatcher, wmtls_endpoint *acme,
                            wmtls_error **error) {
    wmtls_delivery *delivery = wmtls_delivery_new(acme, "{\"event\":\"ping\"}", 16);
    wmtls_delivery_id(delivery, "evt_1");
    wmtls_status status = wmtls_deliver(dispatcher, delivery, NULL, error);
    wmtls_delivery_free(delivery);
    return status;
}

/* Appends a file to another one. Returns 0, or -1 after a fault. */
static int append(const char *from, FILE *to) {
    FILE *source = fopen(from, "rb");
    int byte;
    if (!source) return -1;
    while ((byte = getc(source)) != EOF) putc(byte, to);
    fclose(source);
    return ferror(to) ? -1 : 0;
}

/* Puts both anchors into one file that is replaced at once. Do this before the consumer changes. */
static int trust_both(void) {
    FILE *both = fopen("both.pem", "wb");
    if (!both) return -1;
    int failed = append("ca.pem", both) || append("new-ca.pem", both);
    if (fclose(both) || failed) return -1;
    return rename("both.pem", "ca.pem");
}

int main(void) {
    int code = 1;
    wmtls_identity *identity = NULL;
    wmtls_trust *trust = NULL;
    wmtls_dispatcher *dispatcher = NULL;
    wmtls_endpoint *acme = NULL;
    wmtls_expiries *expiries = NULL;
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

    wmtls_status status = deliver(dispatcher, acme, &error);
    if (status == WMTLS_OK) fprintf(stderr, "its certificate is still of the former CA\n");
    if (status != WMTLS_ISSUER_UNKNOWN) goto done;
    printf("%s, sent %s: %s\n", wmtls_kind_name(wmtls_error_kind(error)),
           wmtls_sent_name(wmtls_error_sent(error)), wmtls_error_remedy(error));
    wmtls_error_free(error);
    error = NULL;

    if (trust_both()) {
        perror("both anchors");
        goto done;
    }
    if (wmtls_reload(dispatcher, &error)) goto done;
    if (deliver(dispatcher, acme, &error)) goto done;
    printf("delivered\n");
    if (wmtls_dispatcher_expiries(dispatcher, &expiries, &error)) goto done;
    for (size_t i = 0; i < wmtls_expiries_count(expiries); i++)
        printf("%s %s: %.0f%% of its lifetime left\n", wmtls_expiries_what(expiries, i),
               wmtls_expiries_name(expiries, i), 100 * wmtls_expiries_fraction_left(expiries, i));
    code = 0;

done:
    if (error) fprintf(stderr, "%s\n%s\n", wmtls_error_message(error), wmtls_error_remedy(error));
    wmtls_error_free(error);
    wmtls_expiries_free(expiries);
    wmtls_endpoint_free(acme);
    wmtls_dispatcher_free(dispatcher);
    wmtls_trust_free(trust);
    wmtls_identity_free(identity);
    return code;
}
