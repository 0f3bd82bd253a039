/* Renews our certificate while a dispatcher runs, and retires the previous one.
   Needs tls.crt, tls.key and ca.pem in this directory, the renewed files tls.crt.new and
   tls.key.new, WMTLS_URL and WMTLS_PIN. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "webhook_mtls.h"

static wmtls_status deliver(wmtls_dispatcher *dispatcher, wmtls_endpoint *acme, const char *id,
                            wmtls_error **error) {
    wmtls_delivery *delivery = wmtls_delivery_new(acme, "{\"event\":\"ping\"}", 16);
    wmtls_delivery_id(delivery, id);
    wmtls_status status = wmtls_deliver(dispatcher, delivery, NULL, error);
    wmtls_delivery_free(delivery);
    return status;
}

/* The text lives as long as the process. */
static const char *state(wmtls_dispatcher *dispatcher) {
    wmtls_rotation_status *status = wmtls_dispatcher_rotation_status(dispatcher);
    const char *state = wmtls_rotation_status_of(status, "acme");
    wmtls_rotation_status_free(status);
    return state;
}

int main(void) {
    int code = 1;
    wmtls_identity *previous = NULL;
    wmtls_trust *trust = NULL;
    wmtls_dispatcher *dispatcher = NULL;
    wmtls_endpoint *acme = NULL;
    wmtls_event *event;
    wmtls_error *error = NULL;

    if (wmtls_identity_from_files("tls.crt", "tls.key", NULL, &previous, &error)) goto done;
    if (wmtls_trust_from_files("ca.pem", NULL, NULL, &trust, &error)) goto done;
    wmtls_options *options = wmtls_options_new();
    wmtls_options_identity(options, previous);
    wmtls_options_trust(options, trust);
    wmtls_options_egress_allow(options, "127.0.0.0/8"); /* a receiver on this machine */
    if (wmtls_dispatcher_new(options, &dispatcher, &error)) goto done;
    wmtls_event_fd(dispatcher); /* events are recorded from now on */
    wmtls_endpoint_options *pinned = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pin(pinned, getenv("WMTLS_PIN"), WMTLS_PIN_CURRENT);
    if (wmtls_dispatcher_endpoint(dispatcher, "acme", getenv("WMTLS_URL"), pinned, &acme, &error))
        goto done;

    if (deliver(dispatcher, acme, "evt_1", &error)) goto done;
    printf("before: %s\n", state(dispatcher));

    /* What cert-manager or a script of your CA does. A rename never shows half a file. */
    if (rename("tls.key.new", "tls.key") || rename("tls.crt.new", "tls.crt")) {
        perror("the renewed files");
        goto done;
    }
    /* Without this call, the dispatcher sees the files within the option "reload", 10 seconds. */
    if (wmtls_reload(dispatcher, &error)) goto done;
    while ((event = wmtls_next_event(dispatcher, 0)) != NULL) {
        printf("%s %s\n", wmtls_event_name(event), wmtls_event_field(event, "message"));
        wmtls_event_free(event);
    }
    printf("renewed: %s\n", state(dispatcher));

    if (deliver(dispatcher, acme, "evt_2", &error)) goto done;
    printf("delivered: %s\n", state(dispatcher));
    if (strcmp(state(dispatcher), "current") != 0) {
        fprintf(stderr, "the new certificate is not accepted yet: keep the previous\n");
        goto done;
    }
    /* Every consumer has accepted the new one. From now on the previous is never presented. */
    if (wmtls_retire(dispatcher, previous, false, &error)) goto done;
    code = 0;

done:
    if (error) fprintf(stderr, "%s\n%s\n", wmtls_error_message(error), wmtls_error_remedy(error));
    wmtls_error_free(error);
    wmtls_endpoint_free(acme);
    wmtls_dispatcher_free(dispatcher);
    wmtls_trust_free(trust);
    wmtls_identity_free(previous);
    return code;
}
