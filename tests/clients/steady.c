/* Delivers many times, and prints the memory and descriptors of the process after a fifth of the
   deliveries and at the end: {"early": {"rss_kib": ..., "descriptors": ...}, "late": {...}}. The
   environment is that of `deliver.c`, and WMTLS_COUNT is the number of deliveries. Each tenth
   delivery goes to WMTLS_REFUSING_URL, where our certificate is refused. The same program exists
   in Python, Node and Rust. */

#define _POSIX_C_SOURCE 200809L

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "webhook_mtls.h"

static const char BODY[] = "{\"event\":\"ping\"}";

struct held {
    long rss_kib;
    long descriptors;
};

static void give_up(const char *what, const wmtls_error *error) {
    fprintf(stderr, "steady: %s: %s\n", what, error ? wmtls_error_message(error) : "no error");
    exit(2);
}

static const char *given(const char *name) {
    const char *value = getenv(name);
    if (value == NULL) {
        give_up(name, NULL);
    }
    return value;
}

/* The kernel's figures. The directory that is read here is itself one of the descriptors. */
static struct held held_now(void) {
    struct held held = {0, 0};
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0) {
            held.rss_kib = strtol(line + 6, NULL, 10);
        }
    }
    if (status != NULL) {
        fclose(status);
    }
    DIR *open_files = opendir("/proc/self/fd");
    const struct dirent *entry;
    while (open_files != NULL && (entry = readdir(open_files)) != NULL) {
        held.descriptors += entry->d_name[0] != '.';
    }
    if (open_files != NULL) {
        closedir(open_files);
    }
    if (held.rss_kib == 0 || held.descriptors == 0) {
        give_up("/proc/self", NULL);
    }
    return held;
}

static wmtls_dispatcher *dispatcher_make(void) {
    wmtls_identity *identity;
    wmtls_trust *trust;
    wmtls_dispatcher *dispatcher;
    wmtls_error *error = NULL;
    if (wmtls_identity_from_files(given("WMTLS_CERT"), given("WMTLS_KEY"), NULL, &identity,
                                  &error) != WMTLS_OK ||
        wmtls_trust_from_files(given("WMTLS_CA"), NULL, NULL, &trust, &error) != WMTLS_OK) {
        give_up("material", error);
    }
    wmtls_options *options = wmtls_options_new();
    wmtls_options_identity(options, identity);
    wmtls_options_trust(options, trust);
    wmtls_options_egress_allow(options, "127.0.0.0/8");
    if (wmtls_dispatcher_new(options, &dispatcher, &error) != WMTLS_OK) {
        give_up("dispatcher", error);
    }
    wmtls_identity_free(identity);
    wmtls_trust_free(trust);
    return dispatcher;
}

static wmtls_endpoint *endpoint_make(wmtls_dispatcher *dispatcher, const char *name,
                                     const char *url) {
    wmtls_endpoint *endpoint;
    wmtls_error *error = NULL;
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(options);
    if (wmtls_dispatcher_endpoint(dispatcher, name, given(url), options, &endpoint, &error) !=
        WMTLS_OK) {
        give_up(name, error);
    }
    return endpoint;
}

static void deliver(const wmtls_dispatcher *dispatcher, const wmtls_endpoint *to,
                    wmtls_status wanted) {
    wmtls_receipt *receipt = NULL;
    wmtls_error *error = NULL;
    wmtls_delivery *delivery = wmtls_delivery_new(to, BODY, sizeof BODY - 1);
    if (wmtls_deliver(dispatcher, delivery, &receipt, &error) != wanted) {
        give_up("another outcome", error);
    }
    wmtls_receipt_free(receipt);
    wmtls_error_free(error);
    wmtls_delivery_free(delivery);
}

/* Starts and cancels a delivery. It must free its resources at any point of its progress. */
static void deliver_and_cancel(const wmtls_dispatcher *dispatcher, const wmtls_endpoint *to) {
    wmtls_error *error = NULL;
    wmtls_cancel_token *token = wmtls_cancel_token_new();
    wmtls_delivery *delivery = wmtls_delivery_new(to, BODY, sizeof BODY - 1);
    wmtls_delivery_cancel_token(delivery, token);
    if (wmtls_submit(dispatcher, delivery, &error) != WMTLS_OK) {
        give_up("submit", error);
    }
    wmtls_cancel_token_cancel(token);
    wmtls_cancel_token_free(token);
    wmtls_outcome *outcome = wmtls_next_outcome(dispatcher, -1);
    const wmtls_error *told = wmtls_outcome_error(outcome);
    if (outcome == NULL || (told != NULL && wmtls_error_kind(told) != WMTLS_CANCELED)) {
        give_up("another outcome", told);
    }
    wmtls_outcome_free(outcome);
}

int main(void) {
    wmtls_dispatcher *dispatcher = dispatcher_make();
    wmtls_endpoint *good = endpoint_make(dispatcher, "good", "WMTLS_URL");
    wmtls_endpoint *refusing = endpoint_make(dispatcher, "refusing", "WMTLS_REFUSING_URL");
    long count = strtol(given("WMTLS_COUNT"), NULL, 10);
    struct held early = {0, 0};
    for (long number = 1; number <= count; number++) {
        if (number % 10 == 0) {
            deliver(dispatcher, refusing, WMTLS_CLIENT_CERTIFICATE_REJECTED);
        } else {
            deliver(dispatcher, good, WMTLS_OK);
        }
        if (number % 50 == 0) {
            deliver_and_cancel(dispatcher, good);
        }
        if (number == count / 5) {
            early = held_now();
        }
    }
    struct held late = held_now();
    printf("{\"early\": {\"rss_kib\": %ld, \"descriptors\": %ld}, ", early.rss_kib,
           early.descriptors);
    printf("\"late\": {\"rss_kib\": %ld, \"descriptors\": %ld}}\n", late.rss_kib,
           late.descriptors);
    wmtls_endpoint_free(refusing);
    wmtls_endpoint_free(good);
    wmtls_dispatcher_close(dispatcher, 0);
    wmtls_dispatcher_free(dispatcher);
    return 0;
}
