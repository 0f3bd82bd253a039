/* Delivers every 100 ms with files that are renewed, until the standard input ends.

   Prints a line for each event ({"event": ...}) and each failed delivery ({"failed": ...}), and at
   the end {"delivered": ...}. WMTLS_ENDPOINT_IDENTITY=1 gives the files to the endpoint instead of
   the dispatcher, WMTLS_SERVER_URI is the consumer's SAN URI, instead of its name. The same program
   exists in Python, Node and Rust. */

#define _POSIX_C_SOURCE 200809L

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "webhook_mtls.h"

static void give_up(const char *what, const wmtls_error *error) {
    fprintf(stderr, "issued: %s: %s\n", what, error ? wmtls_error_message(error) : "no error");
    exit(2);
}

static const char *given(const char *name) {
    const char *value = getenv(name);
    if (value == NULL) {
        give_up(name, NULL);
    }
    return value;
}

static void report(const char *name, const char *json) {
    printf("{\"%s\": %s}\n", name, json);
    fflush(stdout);
}

static void report_events(const wmtls_dispatcher *dispatcher) {
    wmtls_event *event;
    while ((event = wmtls_next_event(dispatcher, 0)) != NULL) {
        report("event", wmtls_event_json(event));
        wmtls_event_free(event);
    }
}

static int deliver(const wmtls_dispatcher *dispatcher, const wmtls_endpoint *to) {
    wmtls_receipt *receipt = NULL;
    wmtls_error *error = NULL;
    wmtls_delivery *delivery = wmtls_delivery_new(to, "{}", 2);
    int is_delivered = wmtls_deliver(dispatcher, delivery, &receipt, &error) == WMTLS_OK;
    if (!is_delivered) {
        report("failed", wmtls_error_json(error));
    }
    wmtls_receipt_free(receipt);
    wmtls_error_free(error);
    wmtls_delivery_free(delivery);
    return is_delivered;
}

int main(void) {
    wmtls_identity *identity;
    wmtls_trust *trust;
    wmtls_dispatcher *dispatcher;
    wmtls_endpoint *endpoint;
    wmtls_error *error = NULL;
    if (wmtls_identity_from_files(given("WMTLS_CERT"), given("WMTLS_KEY"), NULL, &identity,
                                  &error) != WMTLS_OK ||
        wmtls_trust_from_files(given("WMTLS_CA"), NULL, NULL, &trust, &error) != WMTLS_OK) {
        give_up("material", error);
    }
    wmtls_options *options = wmtls_options_new();
    wmtls_endpoint_options *own = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(own);
    if (getenv("WMTLS_SERVER_URI") != NULL) {
        wmtls_endpoint_options_set(own, "server_uri", given("WMTLS_SERVER_URI"));
    }
    if (getenv("WMTLS_ENDPOINT_IDENTITY") != NULL) {
        wmtls_endpoint_options_identity(own, identity);
    } else {
        wmtls_options_identity(options, identity);
    }
    wmtls_options_trust(options, trust);
    wmtls_options_egress_allow(options, "127.0.0.0/8");
    wmtls_options_set(options, "reload", given("WMTLS_RELOAD_MS"));
    if (wmtls_dispatcher_new(options, &dispatcher, &error) != WMTLS_OK ||
        wmtls_dispatcher_endpoint(dispatcher, "receiver", given("WMTLS_URL"), own, &endpoint,
                                  &error) != WMTLS_OK) {
        give_up("dispatcher", error);
    }
    wmtls_identity_free(identity);
    wmtls_trust_free(trust);
    long delivered = 0;
    struct pollfd input = {.fd = 0, .events = POLLIN};
    while (poll(&input, 1, 100) == 0) {
        report_events(dispatcher);
        delivered += deliver(dispatcher, endpoint);
    }
    report_events(dispatcher);
    printf("{\"delivered\": %ld}\n", delivered);
    wmtls_endpoint_free(endpoint);
    wmtls_dispatcher_close(dispatcher, 0);
    wmtls_dispatcher_free(dispatcher);
    return 0;
}
