/* Passes one wrong argument after the other, and prints one JSON line for each: {"case": ...,
   "error": ...}. The same cases, spelled in another way, exist in Node, Python and Rust;
   tests/misconfigurations has what each must say. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "webhook_mtls.h"

static const char *cert, *key, *ca;

static void told(const char *name, wmtls_error *error) {
    printf("{\"case\": \"%s\", \"error\": %s}\n", name, error != NULL ? wmtls_error_json(error) : "null");
    wmtls_error_free(error);
}

static wmtls_options *good(void) {
    wmtls_identity *identity = NULL;
    wmtls_trust *trust = NULL;
    wmtls_options *options = wmtls_options_new();
    if (wmtls_identity_from_files(cert, key, NULL, &identity, NULL) != WMTLS_OK ||
        wmtls_trust_from_files(ca, NULL, NULL, &trust, NULL) != WMTLS_OK) {
        fputs("arguments: WMTLS_CERT, WMTLS_KEY and WMTLS_CA must be good\n", stderr);
        exit(2);
    }
    wmtls_options_identity(options, identity);
    wmtls_options_trust(options, trust);
    wmtls_identity_free(identity);
    wmtls_trust_free(trust);
    return options;
}

static void option(const char *name, const char *option_name, const char *value) {
    wmtls_options *options = good();
    wmtls_dispatcher *dispatcher = NULL;
    wmtls_error *error = NULL;
    wmtls_options_set(options, option_name, value);
    wmtls_dispatcher_new(options, &dispatcher, &error);
    told(name, error);
    wmtls_dispatcher_free(dispatcher);
}

static wmtls_dispatcher *dispatcher_make(void) {
    wmtls_dispatcher *dispatcher = NULL;
    wmtls_dispatcher_new(good(), &dispatcher, NULL);
    return dispatcher;
}

static void endpoint(const char *name, const char *url, const char *pin, const char *min_tls) {
    wmtls_dispatcher *dispatcher = dispatcher_make();
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint *made = NULL;
    wmtls_error *error = NULL;
    if (pin == NULL) {
        wmtls_endpoint_options_no_pins(options);
    } else if (*pin != '\0') {
        wmtls_endpoint_options_pin(options, pin, WMTLS_PIN_CURRENT);
    }
    wmtls_endpoint_options_set(options, "min_tls", min_tls);
    wmtls_dispatcher_endpoint(dispatcher, "acme", url, options, &made, &error);
    told(name, error);
    wmtls_endpoint_free(made);
    wmtls_dispatcher_free(dispatcher);
}

static void identity(const char *name, const char *cert_path) {
    wmtls_identity *made = NULL;
    wmtls_error *error = NULL;
    wmtls_identity_from_files(cert_path, key, NULL, &made, &error);
    told(name, error);
    wmtls_identity_free(made);
}

static void trust_of_path(void) {
    const char *path = "/etc/acme/ca.pem";
    wmtls_trust *made = NULL;
    wmtls_error *error = NULL;
    wmtls_trust_from_pem(path, strlen(path), NULL, 0, NULL, 0, &made, &error);
    told("path as content", error);
    wmtls_trust_free(made);
}

static void header(const char *name, const char *value) {
    wmtls_dispatcher *dispatcher = dispatcher_make();
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint *made = NULL;
    wmtls_receipt *receipt = NULL;
    wmtls_error *error = NULL;
    wmtls_endpoint_options_no_pins(options);
    wmtls_dispatcher_endpoint(dispatcher, "acme", "https://hooks.acme.test/in", options, &made, NULL);
    wmtls_delivery *delivery = wmtls_delivery_new(made, "{}", 2);
    wmtls_delivery_header(delivery, "x-a", value);
    if (strcmp(name, "closed") == 0) {
        wmtls_dispatcher_close(dispatcher, 0);
    }
    wmtls_deliver(dispatcher, delivery, &receipt, &error);
    told(name, error);
    wmtls_receipt_free(receipt);
    wmtls_delivery_free(delivery);
    wmtls_endpoint_free(made);
    wmtls_dispatcher_free(dispatcher);
}

int main(void) {
    cert = getenv("WMTLS_CERT");
    key = getenv("WMTLS_KEY");
    ca = getenv("WMTLS_CA");
    const char *pkcs12 = getenv("WMTLS_PKCS12");
    if (cert == NULL || key == NULL || ca == NULL || pkcs12 == NULL) {
        fputs("arguments: set WMTLS_CERT, WMTLS_KEY, WMTLS_CA and WMTLS_PKCS12\n", stderr);
        return 2;
    }
    const char *hex = "abababababababababababababababababababababababababababababababab";
    option("misspelled", "time_out", "5000");
    option("switch", "verify_peer", "false");
    option("timeout is text", "timeout", "30 seconds");
    option("timeout zero", "timeout", "0");
    option("proxy without port", "proxy", "http://proxy.acme.test");
    endpoint("pins not said", "https://hooks.acme.test/in", "", "1.3");
    endpoint("fingerprint", "https://hooks.acme.test/in", hex, "1.3");
    endpoint("url http", "http://hooks.acme.test/in", NULL, "1.3");
    endpoint("min_tls too old", "https://hooks.acme.test/in", NULL, "1.1");
    identity("file missing", "/nowhere/tls.crt");
    identity("pkcs12 as pem", pkcs12);
    trust_of_path();
    header("line break", "1\r\nx-b: 2");
    header("closed", "1");
    return 0;
}
