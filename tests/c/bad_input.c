/* Invalid input gets a typed error that names the argument, and nothing is sent. */
/* mkdtemp */
#define _POSIX_C_SOURCE 200809L

#include "webhook_mtls_testing.h"

#include "check.h"

static const char UNUSED_PIN[] = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
static const char NOT_UTF8[] = "acme\xff";

static wmtls_lab *lab;
static wmtls_lab_consumer *acme;
static wmtls_dispatcher *dispatcher;

/* The files of the lab's identity and trust. */
static char cert[16384], key[16384], ca[16384];
static char other_key[16384];

/* Checks that the error is option_invalid and names this option or argument; frees it. */
static void check_named(wmtls_status status, wmtls_error *error, const char *option) {
    CHECK(status == WMTLS_OPTION_INVALID);
    CHECK(wmtls_error_kind(error) == WMTLS_OPTION_INVALID);
    CHECK(wmtls_error_stage(error) == WMTLS_STAGE_CONFIG);
    CHECK(wmtls_error_sent(error) == WMTLS_SENT_NOTHING);
    CHECK_TEXT(wmtls_error_context(error, "option"), option);
    wmtls_error_free(error);
}

/* Two steps, because a call among the arguments may run after `error` was read. */
#define CHECK_OPTION(call, option)                   \
    do {                                             \
        wmtls_status status_of_call = (call);        \
        check_named(status_of_call, error, (option)); \
    } while (0)

static wmtls_endpoint_options *unpinned(void) {
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(options);
    return options;
}

static wmtls_endpoint *endpoint_make(void) {
    wmtls_endpoint *endpoint;
    wmtls_error *error;
    wmtls_status status = wmtls_dispatcher_endpoint(
        dispatcher, "acme", wmtls_lab_consumer_url(acme), unpinned(), &endpoint, &error);
    CHECK_STATUS(status, WMTLS_OK, error);
    return endpoint;
}

static void a_bad_url_is_refused(void) {
    static const char *const URLS[] = {
        "",
        "acme",
        "http://acme.example/in",
        "https://user:word@acme.example/in",
        "https://acme.example:0/in",
        "https://acme.example/\r\nx-evil: 1",
    };
    for (size_t i = 0; i < sizeof URLS / sizeof *URLS; i++) {
        wmtls_endpoint *endpoint;
        wmtls_error *error;
        wmtls_status status =
            wmtls_dispatcher_endpoint(dispatcher, "acme", URLS[i], unpinned(), &endpoint, &error);
        CHECK_TEXT(wmtls_error_consumer(error), "acme");
        CHECK_STATUS(status, WMTLS_URL_INVALID, error);
        CHECK(endpoint == NULL);
    }
}

static void a_line_break_in_a_header_is_refused(void) {
    static const char *const HEADERS[][2] = {
        {"x-event", "a\r\nx-evil: b"}, {"x-event", "a\n"}, {"x-event\r", "a"}, {"", "a"},
    };
    wmtls_endpoint *endpoint = endpoint_make();
    for (size_t i = 0; i < sizeof HEADERS / sizeof *HEADERS; i++) {
        wmtls_error *error;
        wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
        wmtls_delivery_header(delivery, HEADERS[i][0], HEADERS[i][1]);
        wmtls_status status = wmtls_deliver(dispatcher, delivery, NULL, &error);
        CHECK_STATUS(status, WMTLS_HEADER_INVALID, error);
        wmtls_delivery_free(delivery);
    }
    wmtls_error *error;
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
    wmtls_delivery_id(delivery, "evt\n1");
    CHECK_STATUS(wmtls_deliver(dispatcher, delivery, NULL, &error), WMTLS_HEADER_INVALID, error);
    wmtls_delivery_free(delivery);
    wmtls_endpoint_free(endpoint);
    CHECK(wmtls_lab_consumer_connections(acme) == 0);
}

static void invalid_pem_is_refused(void) {
    wmtls_identity *identity;
    wmtls_trust *trust;
    wmtls_error *error;
    wmtls_status status;
    status = wmtls_identity_from_pem(NULL, 0, key, strlen(key), NULL, &identity, &error);
    CHECK_STATUS(status, WMTLS_PEM_INVALID, error);
    status = wmtls_identity_from_pem("garbled", 7, key, strlen(key), NULL, &identity, &error);
    CHECK_STATUS(status, WMTLS_PEM_INVALID, error);
    status =
        wmtls_identity_from_pem(cert, strlen(cert), cert, strlen(cert), NULL, &identity, &error);
    CHECK_STATUS(status, WMTLS_PEM_INVALID, error);
    status = wmtls_identity_from_pkcs12(cert, strlen(cert), "", &identity, &error);
    CHECK_STATUS(status, WMTLS_PEM_INVALID, error);
    CHECK(identity == NULL);
    status = wmtls_trust_from_pem("garbled", 7, NULL, 0, NULL, 0, &trust, &error);
    CHECK_STATUS(status, WMTLS_PEM_INVALID, error);
    status = wmtls_trust_from_pem(ca, strlen(ca), NULL, 0, "garbled", 7, &trust, &error);
    CHECK(status != WMTLS_OK);
    CHECK_STATUS(status, status, error);
    status = wmtls_identity_from_files("/no/such/file", "/no/such/file", NULL, &identity, &error);
    CHECK_STATUS(status, WMTLS_PEM_INVALID, error);
    char pin[WMTLS_PIN_SIZE];
    CHECK_STATUS(wmtls_pin_of("garbled", 7, pin, &error), WMTLS_PEM_INVALID, error);
    CHECK_TEXT(pin, "");
}

static void the_key_of_another_certificate_is_refused(void) {
    wmtls_identity *identity;
    wmtls_error *error;
    wmtls_status status = wmtls_identity_from_pem(cert, strlen(cert), other_key, strlen(other_key),
                                                  NULL, &identity, &error);
    CHECK_STATUS(status, WMTLS_KEY_MISMATCH, error);
    CHECK(identity == NULL);
}

static void an_empty_bundle_is_refused(void) {
    wmtls_trust *trust;
    wmtls_error *error;
    wmtls_status status = wmtls_trust_from_pem("\n", 1, NULL, 0, NULL, 0, &trust, &error);
    CHECK_STATUS(status, WMTLS_TRUST_INVALID, error);
    CHECK_STATUS(wmtls_trust_from_pem(NULL, 0, NULL, 0, NULL, 0, &trust, &error),
                 WMTLS_TRUST_INVALID, error);
}

static wmtls_status endpoint_status(wmtls_endpoint_options *options, wmtls_error **error) {
    return wmtls_dispatcher_endpoint(dispatcher, "acme", wmtls_lab_consumer_url(acme), options,
                                     NULL, error);
}

static void pins_are_required_and_checked(void) {
    wmtls_error *error;
    wmtls_status status = endpoint_status(wmtls_endpoint_options_new(), &error);
    CHECK_OPTION(status, "pins");

    wmtls_endpoint_options *empty = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pins(empty, NULL, 0, WMTLS_PIN_CURRENT);
    CHECK_STATUS(endpoint_status(empty, &error), WMTLS_PIN_INVALID, error);

    wmtls_endpoint_options *only_next = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pin(only_next, UNUSED_PIN, WMTLS_PIN_NEXT);
    CHECK_STATUS(endpoint_status(only_next, &error), WMTLS_PIN_INVALID, error);

    wmtls_endpoint_options *no_pin = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pin(no_pin, "AA:BB", WMTLS_PIN_CURRENT);
    CHECK_STATUS(endpoint_status(no_pin, &error), WMTLS_PIN_INVALID, error);

    wmtls_endpoint_options *no_slot = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pin(no_slot, UNUSED_PIN, 3);
    status = endpoint_status(no_slot, &error);
    CHECK_OPTION(status, "slot");
}

static void an_unknown_option_is_refused_by_every_noun(void) {
    wmtls_error *error;
    wmtls_options *options = wmtls_options_new();
    wmtls_options_set(options, "timeuot", "2500");
    wmtls_status status = wmtls_dispatcher_new(options, NULL, &error);
    CHECK_OPTION(status, "timeuot");

    wmtls_endpoint_options *endpoint_options = unpinned();
    wmtls_endpoint_options_set(endpoint_options, "min_tsl", "1.2");
    status = endpoint_status(endpoint_options, &error);
    CHECK_OPTION(status, "min_tsl");

    wmtls_endpoint *endpoint = endpoint_make();
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
    wmtls_delivery_set(delivery, "idd", "1");
    status = wmtls_deliver(dispatcher, delivery, NULL, &error);
    CHECK_OPTION(status, "idd");
    wmtls_delivery_free(delivery);
    wmtls_endpoint_free(endpoint);

    wmtls_trust *trust = wmtls_lab_trust(lab);
    wmtls_verifier_options *verifier_options =
        wmtls_verifier_options_new(WMTLS_ROLE_SERVER, trust);
    wmtls_verifier_options_set(verifier_options, "strict", "true");
    status = wmtls_verifier_new(verifier_options, NULL, &error);
    CHECK_OPTION(status, "strict");
    wmtls_trust_free(trust);

    wmtls_retry_policy *policy = wmtls_retry_policy_new();
    wmtls_error *canceled = wmtls_lab_error("canceled");
    wmtls_retry_policy_set(policy, "tries", "3");
    status = wmtls_retry_decide(policy, canceled, 1, NULL, &error);
    CHECK_OPTION(status, "tries");
    wmtls_error_free(canceled);
    wmtls_retry_policy_free(policy);
}

static void a_value_of_another_type_is_refused(void) {
    static const char *const ROWS[][2] = {
        {"timeout", "soon"}, {"timeout", "0"},          {"timeout", ""},
        {"timeout", "inf"},  {"connect_timeout", "-1"}, {"egress", "everywhere"},
        {"identity", "me"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        wmtls_error *error;
        wmtls_options *options = wmtls_options_new();
        wmtls_options_set(options, ROWS[i][0], ROWS[i][1]);
        wmtls_status status = wmtls_dispatcher_new(options, NULL, &error);
        CHECK_OPTION(status, ROWS[i][0]);
    }
    wmtls_error *error;
    wmtls_options *options = wmtls_options_new();
    wmtls_options_timeout_ms(options, 0);
    CHECK_OPTION(wmtls_dispatcher_new(options, NULL, &error), "timeout");
    options = wmtls_options_new();
    wmtls_options_egress_allow(options, "10.0.0.0/33");
    CHECK_STATUS(wmtls_dispatcher_new(options, NULL, &error), WMTLS_OPTION_INVALID, error);
}

static void the_first_fault_of_a_builder_is_reported(void) {
    wmtls_error *error;
    wmtls_options *options = wmtls_options_new();
    wmtls_options_set(options, "first", "1");
    wmtls_options_set(options, "second", "2");
    wmtls_options_timeout_ms(options, 1000);
    CHECK_OPTION(wmtls_dispatcher_new(options, NULL, &error), "first");
}

static void a_closed_dispatcher_does_nothing(void) {
    wmtls_error *error;
    wmtls_endpoint *endpoint;
    wmtls_dispatcher *closed = wmtls_lab_dispatcher(lab);
    CHECK(wmtls_dispatcher_endpoint(closed, "acme", wmtls_lab_consumer_url(acme), unpinned(),
                                    &endpoint, NULL) == WMTLS_OK);
    wmtls_dispatcher_close(closed, 0);
    wmtls_dispatcher_close(closed, 0);
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
    CHECK_STATUS(wmtls_deliver(closed, delivery, NULL, &error), WMTLS_HANDLE_CLOSED, error);
    CHECK_STATUS(wmtls_dispatcher_endpoint(closed, "b", "https://b.example/", unpinned(), NULL,
                                           &error),
                 WMTLS_HANDLE_CLOSED, error);
    wmtls_delivery_free(delivery);
    wmtls_endpoint_free(endpoint);
    wmtls_dispatcher_free(closed);
}

static void an_endpoint_of_another_dispatcher_is_refused(void) {
    wmtls_error *error;
    wmtls_endpoint *endpoint = endpoint_make();
    wmtls_dispatcher *other = wmtls_lab_dispatcher(lab);
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
    CHECK_OPTION(wmtls_deliver(other, delivery, NULL, &error), "endpoint");
    wmtls_delivery_free(delivery);
    wmtls_endpoint_free(endpoint);
    wmtls_dispatcher_free(other);
}

static void null_is_named(void) {
    wmtls_error *error;
    wmtls_trust *trust = wmtls_lab_trust(lab);
    wmtls_endpoint *endpoint = endpoint_make();
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
    char pin[WMTLS_PIN_SIZE];
    const char *url = wmtls_lab_consumer_url(acme);

    CHECK_OPTION(wmtls_identity_from_files(NULL, "k", NULL, NULL, &error), "cert");
    CHECK_OPTION(wmtls_identity_from_files("c", NULL, NULL, NULL, &error), "key");
    CHECK_OPTION(wmtls_identity_from_pem(NULL, 1, key, 1, NULL, NULL, &error), "cert");
    CHECK_OPTION(wmtls_identity_from_pem(cert, 1, NULL, 1, NULL, NULL, &error), "key");
    CHECK_OPTION(wmtls_trust_from_files(NULL, NULL, NULL, NULL, &error), "anchors");
    CHECK_OPTION(wmtls_trust_from_pem(NULL, 1, NULL, 0, NULL, 0, NULL, &error), "anchors");
    CHECK_OPTION(wmtls_trust_from_pem(ca, 1, NULL, 1, NULL, 0, NULL, &error), "intermediates");
    CHECK_OPTION(wmtls_trust_from_pem(ca, 1, NULL, 0, NULL, 1, NULL, &error), "crls");
    CHECK_OPTION(wmtls_identity_from_pkcs12(NULL, 1, "", NULL, &error), "data");
    CHECK_OPTION(wmtls_identity_from_pkcs12(cert, 1, NULL, NULL, &error), "passphrase");
    CHECK_OPTION(wmtls_trust_dangerous_public(NULL, 1, NULL, 0, NULL, 0, NULL, &error), "anchors");
    CHECK_OPTION(wmtls_trust_exact(NULL, 1, NULL, &error), "certificate");
    CHECK_OPTION(wmtls_trust_exact_from_file(NULL, NULL, &error), "path");
    CHECK_OPTION(wmtls_trust_distrusting(NULL, NULL, 0, NULL, &error), "trust");
    CHECK_OPTION(wmtls_trust_distrusting(trust, NULL, 1, NULL, &error), "issuers");
    CHECK_TEXT(wmtls_trust_note(NULL, 0), NULL);
    CHECK_OPTION(wmtls_pin_of(NULL, 1, pin, &error), "cert");
    CHECK_OPTION(wmtls_pin_of(cert, strlen(cert), NULL, &error), "pin");
    CHECK_OPTION(wmtls_dispatcher_new(NULL, NULL, &error), "options");
    CHECK_OPTION(wmtls_dispatcher_endpoint(NULL, "a", url, unpinned(), NULL, &error), "dispatcher");
    CHECK_OPTION(wmtls_dispatcher_endpoint(dispatcher, NULL, url, unpinned(), NULL, &error),
                 "consumer");
    CHECK_OPTION(wmtls_dispatcher_endpoint(dispatcher, "a", NULL, unpinned(), NULL, &error), "url");
    CHECK_OPTION(wmtls_dispatcher_endpoint(dispatcher, "a", url, NULL, NULL, &error), "options");
    CHECK_OPTION(wmtls_deliver(NULL, delivery, NULL, &error), "dispatcher");
    CHECK_OPTION(wmtls_deliver(dispatcher, NULL, NULL, &error), "delivery");
    CHECK_OPTION(wmtls_deliver_once(NULL, "", 0, wmtls_options_new(), unpinned(), NULL, &error),
                 "url");
    CHECK_OPTION(wmtls_deliver_once(url, NULL, 1, wmtls_options_new(), unpinned(), NULL, &error),
                 "body");
    CHECK_OPTION(wmtls_verifier_new(NULL, NULL, &error), "options");
    CHECK_OPTION(wmtls_verifier_new(wmtls_verifier_options_new(WMTLS_ROLE_SERVER, NULL), NULL,
                                    &error), "trust");
    CHECK_OPTION(wmtls_verifier_new(wmtls_verifier_options_new(3, trust), NULL, &error), "role");
    CHECK_OPTION(wmtls_verify_peer(NULL, "", 0, NULL, 0, NULL, &error), "verifier");
    CHECK_OPTION(wmtls_retry_decide(NULL, NULL, 1, NULL, &error), "error");
    wmtls_delivery_free(delivery);

    delivery = wmtls_delivery_new(NULL, "{}", 2);
    CHECK_OPTION(wmtls_deliver(dispatcher, delivery, NULL, &error), "endpoint");
    wmtls_delivery_free(delivery);
    delivery = wmtls_delivery_new(endpoint, NULL, 2);
    CHECK_OPTION(wmtls_deliver(dispatcher, delivery, NULL, &error), "body");
    wmtls_delivery_free(delivery);

    wmtls_options *options = wmtls_options_new();
    wmtls_options_identity(options, NULL);
    CHECK_OPTION(wmtls_dispatcher_new(options, NULL, &error), "identity");
    options = wmtls_options_new();
    wmtls_options_trust(options, NULL);
    CHECK_OPTION(wmtls_dispatcher_new(options, NULL, &error), "trust");
    wmtls_endpoint_options *pinned = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pins(pinned, NULL, 1, WMTLS_PIN_CURRENT);
    CHECK_OPTION(endpoint_status(pinned, &error), "pins");
    CHECK_OPTION(wmtls_deliver_once(url, "", 0, wmtls_options_new(), NULL, NULL, &error),
                 "endpoint_options");
    options = wmtls_options_new();
    wmtls_options_egress(options, NULL);
    CHECK_OPTION(wmtls_dispatcher_new(options, NULL, &error), "preset");
    wmtls_verifier_options *builder = wmtls_verifier_options_new(WMTLS_ROLE_SERVER, trust);
    wmtls_verifier_options_tenant_san_uri(builder, NULL);
    CHECK_OPTION(wmtls_verifier_new(builder, NULL, &error), "uri_template");
    builder = wmtls_verifier_options_new(WMTLS_ROLE_SERVER, trust);
    wmtls_verifier_options_tenant_san_dns_suffix(builder, NULL);
    CHECK_OPTION(wmtls_verifier_new(builder, NULL, &error), "suffix");
    builder = wmtls_verifier_options_new(WMTLS_ROLE_SERVER, trust);
    wmtls_verifier_options_authorize_san_uris(builder, NULL, 1);
    CHECK_OPTION(wmtls_verifier_new(builder, NULL, &error), "uris");
    builder = wmtls_verifier_options_new(WMTLS_ROLE_SERVER, trust);
    wmtls_verifier_options_authorize_trust_domain(builder, NULL);
    CHECK_OPTION(wmtls_verifier_new(builder, NULL, &error), "domain");
    wmtls_trust_free(trust);
    wmtls_endpoint_free(endpoint);
}

static void text_that_is_not_utf8_is_named(void) {
    wmtls_error *error;
    const char *list[] = {UNUSED_PIN, NOT_UTF8};
    CHECK_OPTION(wmtls_identity_from_files(NOT_UTF8, "k", NULL, NULL, &error), "cert");
    CHECK_OPTION(wmtls_dispatcher_endpoint(dispatcher, NOT_UTF8, "https://a.example/", unpinned(),
                                           NULL, &error), "consumer");
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pins(options, list, 2, WMTLS_PIN_CURRENT);
    CHECK_OPTION(endpoint_status(options, &error), "pins");
    wmtls_endpoint *endpoint = endpoint_make();
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
    wmtls_delivery_header(delivery, "x-event", NOT_UTF8);
    CHECK_OPTION(wmtls_deliver(dispatcher, delivery, NULL, &error), "value");
    wmtls_delivery_free(delivery);
    wmtls_endpoint_free(endpoint);
}

/* Calls every function without a status result with NULL for all arguments. */
static void functions_without_status_accept_null(void) {
    size_t length = 7;
    CHECK(wmtls_error_kind(NULL) == 0 && wmtls_error_stage(NULL) == 0);
    CHECK(wmtls_error_blame(NULL) == 0 && wmtls_error_scope(NULL) == 0);
    CHECK(wmtls_error_sent(NULL) == 0 && wmtls_error_retry(NULL) == 0);
    CHECK(wmtls_error_retry_after_ms(NULL) == -1);
    CHECK(!wmtls_error_id(NULL) && wmtls_error_attempts(NULL) == -1);
    CHECK(wmtls_error_elapsed_ms(NULL) < 0);
    CHECK(!wmtls_error_consumer(NULL) && !wmtls_error_message(NULL) && !wmtls_error_remedy(NULL));
    CHECK(!wmtls_error_json(NULL) && !wmtls_error_public_json(NULL));
    CHECK(!wmtls_error_context(NULL, "option") && !wmtls_error_context(NULL, NULL));
    CHECK(wmtls_receipt_status(NULL) == 0 && wmtls_receipt_pin(NULL) == 0);
    CHECK(wmtls_receipt_attempts(NULL) == 0 && !(wmtls_receipt_elapsed_ms(NULL) > 0));
    CHECK(!wmtls_receipt_peer(NULL) && !wmtls_receipt_json(NULL) && !wmtls_receipt_id(NULL));
    CHECK(!wmtls_receipt_consumer(NULL) && !wmtls_receipt_tls_version(NULL));
    CHECK(!wmtls_peer_tenant(NULL) && !wmtls_peer_subject(NULL) && !wmtls_peer_json(NULL));
    CHECK(!wmtls_peer_spki_pin(NULL) && !wmtls_peer_matched_pin(NULL));
    CHECK(wmtls_peer_not_before(NULL) == 0 && wmtls_peer_not_after(NULL) == 0);
    CHECK(!wmtls_endpoint_consumer(NULL) && !wmtls_endpoint_url(NULL));
    CHECK(!wmtls_dispatcher_remove(NULL, "acme") && !wmtls_dispatcher_remove(dispatcher, NULL));
    wmtls_dispatcher_close(NULL, 0);
    wmtls_cancel_token_cancel(NULL);
    wmtls_options_identity(NULL, NULL);
    wmtls_options_trust(NULL, NULL);
    wmtls_options_egress(NULL, NULL);
    wmtls_options_egress_allow(NULL, NULL);
    wmtls_options_egress_deny(NULL, NULL);
    wmtls_options_egress_nat64(NULL, NULL);
    wmtls_options_timeout_ms(NULL, 0);
    wmtls_options_set(NULL, NULL, NULL);
    wmtls_endpoint_options_pin(NULL, NULL, 0);
    wmtls_endpoint_options_pins(NULL, NULL, 1, 0);
    wmtls_endpoint_options_no_pins(NULL);
    wmtls_endpoint_options_trust(NULL, NULL);
    wmtls_endpoint_options_identity(NULL, NULL);
    wmtls_endpoint_options_set(NULL, NULL, NULL);
    wmtls_delivery_id(NULL, NULL);
    wmtls_delivery_content_type(NULL, NULL);
    wmtls_delivery_header(NULL, NULL, NULL);
    wmtls_delivery_timeout_ms(NULL, 0);
    wmtls_delivery_cancel_token(NULL, NULL);
    wmtls_delivery_set(NULL, NULL, NULL);
    wmtls_retry_policy_set(NULL, NULL, NULL);
    wmtls_verifier_options_pin(NULL, NULL, 0);
    wmtls_verifier_options_pins(NULL, NULL, 1, 0);
    wmtls_verifier_options_tenant_san_uri(NULL, NULL);
    wmtls_verifier_options_tenant_san_dns_suffix(NULL, NULL);
    wmtls_verifier_options_tenant_subject_cn(NULL);
    wmtls_verifier_options_authorize_san_uris(NULL, NULL, 1);
    wmtls_verifier_options_authorize_trust_domain(NULL, NULL);
    wmtls_verifier_options_authorize_ca_members(NULL);
    wmtls_verifier_options_set(NULL, NULL, NULL);
    wmtls_error_free(NULL);
    wmtls_identity_free(NULL);
    wmtls_trust_free(NULL);
    wmtls_options_free(NULL);
    wmtls_dispatcher_free(NULL);
    wmtls_endpoint_options_free(NULL);
    wmtls_endpoint_free(NULL);
    wmtls_cancel_token_free(NULL);
    wmtls_delivery_free(NULL);
    wmtls_receipt_free(NULL);
    wmtls_retry_policy_free(NULL);
    wmtls_peer_free(NULL);
    wmtls_verifier_options_free(NULL);
    wmtls_verifier_free(NULL);
    CHECK(!wmtls_lab_dispatcher(NULL) && !wmtls_lab_options(NULL) && !wmtls_lab_identity(NULL));
    CHECK(!wmtls_lab_trust(NULL) && !wmtls_lab_error(NULL) && !wmtls_lab_error("no such kind"));
    CHECK(!wmtls_lab_consumer_url(NULL) && !wmtls_lab_consumer_request(NULL, 0));
    CHECK(!wmtls_lab_request_body(NULL, &length) && length == 0);
    wmtls_lab_request_free(NULL);
    wmtls_lab_consumer_free(NULL);
    wmtls_lab_free(NULL);
}

static void unconsumed_builders_can_be_freed(void) {
    wmtls_trust *trust = wmtls_lab_trust(lab);
    wmtls_options_free(wmtls_lab_options(lab));
    wmtls_endpoint_options_free(unpinned());
    wmtls_verifier_options_free(wmtls_verifier_options_new(WMTLS_ROLE_CLIENT, trust));
    wmtls_trust_free(trust);
}

static void read_file(const char *directory, const char *name, char *into, size_t size) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    into[fread(into, 1, size - 1, file)] = '\0';
    fclose(file);
    CHECK(remove(path) == 0);
}

static void read_material(void) {
    char directory[] = "/tmp/webhook-mtls-XXXXXX";
    wmtls_lab *other;
    CHECK(mkdtemp(directory) != NULL);
    CHECK(wmtls_lab_start(&other, NULL) == WMTLS_OK);
    CHECK(wmtls_lab_write_files(other, directory, NULL) == WMTLS_OK);
    read_file(directory, "tls.key", other_key, sizeof other_key);
    CHECK(wmtls_lab_write_files(lab, directory, NULL) == WMTLS_OK);
    read_file(directory, "tls.crt", cert, sizeof cert);
    read_file(directory, "tls.key", key, sizeof key);
    read_file(directory, "ca.pem", ca, sizeof ca);
    CHECK(remove(directory) == 0);
    wmtls_lab_free(other);
}

int main(void) {
    CHECK(wmtls_lab_start(&lab, NULL) == WMTLS_OK);
    CHECK(wmtls_lab_consumer_new(lab, "acme", &acme, NULL) == WMTLS_OK);
    dispatcher = wmtls_lab_dispatcher(lab);
    read_material();
    RUN(a_bad_url_is_refused);
    RUN(a_line_break_in_a_header_is_refused);
    RUN(invalid_pem_is_refused);
    RUN(the_key_of_another_certificate_is_refused);
    RUN(an_empty_bundle_is_refused);
    RUN(pins_are_required_and_checked);
    RUN(an_unknown_option_is_refused_by_every_noun);
    RUN(a_value_of_another_type_is_refused);
    RUN(the_first_fault_of_a_builder_is_reported);
    RUN(a_closed_dispatcher_does_nothing);
    RUN(an_endpoint_of_another_dispatcher_is_refused);
    RUN(null_is_named);
    RUN(text_that_is_not_utf8_is_named);
    RUN(functions_without_status_accept_null);
    RUN(unconsumed_builders_can_be_freed);
    CHECK(wmtls_lab_consumer_connections(acme) == 0);
    wmtls_dispatcher_free(dispatcher);
    wmtls_lab_consumer_free(acme);
    wmtls_lab_free(lab);
    return 0;
}
