/* Our C client: many in flight, and the fleet, use wmtls_submit. The same program exists in
 * Rust, Python and Node. */

#define _POSIX_C_SOURCE 200809L

#include "webhook_mtls.h"

#include "measure.h"

static wmtls_dispatcher *dispatcher;
static wmtls_endpoint *endpoints[FLEET];

static void give_up(const char *what, wmtls_error *error) {
    fprintf(stderr, "%s: %s\n", what, error ? wmtls_error_message(error) : "no error");
    exit(1);
}

static void start(void) {
    wmtls_error *error = NULL;
    wmtls_identity *identity;
    wmtls_trust *trust;
    if (wmtls_identity_from_files(file("tls.crt"), file("tls.key"), NULL, &identity, &error) ||
        wmtls_trust_from_files(file("ca.pem"), NULL, NULL, &trust, &error)) {
        give_up("material", error);
    }
    wmtls_options *options = wmtls_options_new();
    wmtls_options_identity(options, identity);
    wmtls_options_trust(options, trust);
    wmtls_options_egress_allow(options, "127.0.0.0/8");
    wmtls_options_set(options, "max_connections", "600");
    if (wmtls_dispatcher_new(options, &dispatcher, &error)) {
        give_up("dispatcher", error);
    }
    for (size_t at = 0; at < url_count(); at++) {
        char consumer[32];
        snprintf(consumer, sizeof consumer, "bench-%zu", at);
        wmtls_endpoint_options *pinned = wmtls_endpoint_options_new();
        wmtls_endpoint_options_pin(pinned, given.pin, WMTLS_PIN_CURRENT);
        wmtls_endpoint_options_set(pinned, "concurrency", "32");
        if (wmtls_dispatcher_endpoint(dispatcher, consumer, url(at), pinned, &endpoints[at],
                                      &error)) {
            give_up("endpoint", error);
        }
    }
    wmtls_identity_free(identity);
    wmtls_trust_free(trust);
}

static wmtls_delivery *delivery_in_turn(void) {
    static size_t next;
    return wmtls_delivery_new(endpoints[next++ % url_count()], body, sizeof body);
}

static size_t one_by_one(size_t n) {
    size_t errors = 0;
    for (size_t i = 0; i < n; i++) {
        wmtls_receipt *receipt = NULL;
        wmtls_delivery *delivery = delivery_in_turn();
        errors += wmtls_deliver(dispatcher, delivery, &receipt, NULL) != WMTLS_OK;
        wmtls_receipt_free(receipt);
        wmtls_delivery_free(delivery);
    }
    return errors;
}

static size_t submit(void) {
    wmtls_delivery *delivery = delivery_in_turn();
    return wmtls_submit(dispatcher, delivery, NULL) != WMTLS_OK;
}

static size_t in_flight(size_t n) {
    size_t errors = 0, started = 0;
    while (started < IN_FLIGHT && started < n) {
        errors += submit();
        started++;
    }
    for (size_t done = 0; done < n; done++) {
        wmtls_outcome *outcome = wmtls_next_outcome(dispatcher, -1);
        errors += wmtls_outcome_receipt(outcome) == NULL;
        wmtls_outcome_free(outcome);
        if (started < n) {
            errors += submit();
            started++;
        }
    }
    return errors;
}

int main(int argc, char **argv) {
    read_arguments(argc, argv);
    start();
    wmtls_remember_signatures(!is_mode("cold_unremembered"));
    measured("c", is_mode("flight") || has_fleet() ? in_flight : one_by_one);
    for (size_t at = 0; at < url_count(); at++) {
        wmtls_endpoint_free(endpoints[at]);
    }
    wmtls_dispatcher_free(dispatcher);
    return 0;
}
