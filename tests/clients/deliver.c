/* Makes one delivery, described by environment variables, and prints one JSON line: {"receipt":
   ...} or {"error": ...}. Exits with 0 in both cases, and with 2 if arguments are missing. The
   same program exists in Python, Node and Rust. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "webhook_mtls.h"

struct errand {
    const char *url, *cert, *key, *ca, *pin, *body, *min_tls, *proxy, *egress, *allow, *deny, *nat64,
        *hold_payload;
    uint64_t timeout_ms;
};

static const char *or_default(const char *name, const char *value) {
    const char *given = getenv(name);
    return given != NULL ? given : value;
}

static bool errand_read(struct errand *errand) {
    errand->url = getenv("WMTLS_URL");
    errand->cert = getenv("WMTLS_CERT");
    errand->key = getenv("WMTLS_KEY");
    errand->ca = getenv("WMTLS_CA");
    errand->pin = getenv("WMTLS_PIN");
    errand->body = or_default("WMTLS_BODY", "{\"event\":\"ping\"}");
    errand->min_tls = or_default("WMTLS_MIN_TLS", "1.3");
    errand->hold_payload = or_default("WMTLS_HOLD_PAYLOAD", "false");
    errand->proxy = getenv("WMTLS_PROXY");
    errand->egress = or_default("WMTLS_EGRESS", "public");
    errand->allow = or_default("WMTLS_ALLOW", "127.0.0.0/8,::1/128");
    errand->deny = or_default("WMTLS_DENY", "");
    errand->nat64 = or_default("WMTLS_NAT64", "");
    errand->timeout_ms = strtoull(or_default("WMTLS_TIMEOUT_MS", "10000"), NULL, 10);
    return errand->url && errand->cert && errand->key && errand->ca && errand->pin;
}

/* Passes each entry of a comma-separated list. */
static void each_network(wmtls_options *options, const char *list,
                         void (*set)(wmtls_options *, const char *)) {
    while (*list != '\0') {
        char network[64];
        size_t length = strcspn(list, ",");
        snprintf(network, sizeof network, "%.*s", (int)length, list);
        set(options, network);
        list += length + (list[length] == ',');
    }
}

static wmtls_status dispatcher_make(const struct errand *errand, wmtls_dispatcher **out,
                                    wmtls_error **err) {
    wmtls_identity *identity = NULL;
    wmtls_trust *trust = NULL;
    wmtls_status status =
        wmtls_identity_from_files(errand->cert, errand->key, NULL, &identity, err);
    if (status == WMTLS_OK) {
        status = wmtls_trust_from_files(errand->ca, NULL, NULL, &trust, err);
    }
    if (status == WMTLS_OK) {
        wmtls_options *options = wmtls_options_new();
        wmtls_options_identity(options, identity);
        wmtls_options_trust(options, trust);
        wmtls_options_timeout_ms(options, errand->timeout_ms);
        wmtls_options_egress(options, errand->egress);
        each_network(options, errand->allow, wmtls_options_egress_allow);
        each_network(options, errand->deny, wmtls_options_egress_deny);
        each_network(options, errand->nat64, wmtls_options_egress_nat64);
        if (errand->proxy != NULL) {
            wmtls_options_set(options, "proxy", errand->proxy);
        }
        status = wmtls_dispatcher_new(options, out, err);
    }
    wmtls_identity_free(identity);
    wmtls_trust_free(trust);
    return status;
}

static wmtls_status endpoint_make(const struct errand *errand, wmtls_dispatcher *dispatcher,
                                  wmtls_endpoint **out, wmtls_error **err) {
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    if (strcmp(errand->pin, "none") == 0) {
        wmtls_endpoint_options_no_pins(options);
    } else {
        wmtls_endpoint_options_pin(options, errand->pin, WMTLS_PIN_CURRENT);
    }
    wmtls_endpoint_options_set(options, "min_tls", errand->min_tls);
    wmtls_endpoint_options_set(options, "hold_payload", errand->hold_payload);
    return wmtls_dispatcher_endpoint(dispatcher, "consumer", errand->url, options, out, err);
}

int main(void) {
    struct errand errand;
    wmtls_dispatcher *dispatcher = NULL;
    wmtls_endpoint *endpoint = NULL;
    wmtls_receipt *receipt = NULL;
    wmtls_error *error = NULL;
    if (!errand_read(&errand)) {
        fputs("deliver: set WMTLS_URL, WMTLS_CERT, WMTLS_KEY, WMTLS_CA and WMTLS_PIN\n",
              stderr);
        return 2;
    }
    wmtls_status status = dispatcher_make(&errand, &dispatcher, &error);
    if (status == WMTLS_OK) {
        status = endpoint_make(&errand, dispatcher, &endpoint, &error);
    }
    if (status == WMTLS_OK) {
        wmtls_delivery *delivery = wmtls_delivery_new(endpoint, errand.body, strlen(errand.body));
        status = wmtls_deliver(dispatcher, delivery, &receipt, &error);
        wmtls_delivery_free(delivery);
    }
    if (status == WMTLS_OK) {
        printf("{\"receipt\": %s}\n", wmtls_receipt_json(receipt));
    } else {
        printf("{\"error\": %s}\n", wmtls_error_json(error));
    }
    wmtls_error_free(error);
    wmtls_receipt_free(receipt);
    wmtls_endpoint_free(endpoint);
    wmtls_dispatcher_close(dispatcher, 0);
    wmtls_dispatcher_free(dispatcher);
    return 0;
}
