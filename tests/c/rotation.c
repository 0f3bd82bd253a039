/* File rotation during deliveries, its events, and the expiry list. */

/* mkdtemp */
#define _POSIX_C_SOURCE 200809L

#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "webhook_mtls_testing.h"

#include "check.h"
#include "patient.h"

static const char OTHER_PIN[] = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

static char directory[] = "/tmp/webhook-mtls-rotation-XXXXXX";
static wmtls_lab *lab;
static wmtls_lab_authority *ca;
static wmtls_lab_consumer *acme;
static wmtls_dispatcher *dispatcher;
static wmtls_endpoint *endpoint;

static const char *path(const char *name) {
    static char paths[8][256];
    static int turn;
    char *made = paths[turn = (turn + 1) % 8];
    snprintf(made, sizeof paths[0], "%s/%s", directory, name);
    return made;
}

static void put(const char *name, const char *text) {
    FILE *file = fopen(path(name), "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static wmtls_status deliver(wmtls_error **error) {
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
    wmtls_status status = wmtls_deliver(dispatcher, delivery, NULL, error);
    wmtls_delivery_free(delivery);
    return status;
}

static wmtls_trust *trust_of_files(void) {
    wmtls_trust *trust;
    wmtls_error *error;
    CHECK_STATUS(
        wmtls_trust_from_files(path("ca.pem"), NULL, path("crl.pem"), &trust, &error), WMTLS_OK,
        error);
    return trust;
}

/* Checks the name of the next event, and one field if `field` is set. */
static void check_event(const char *name, const char *field, const char *says) {
    wmtls_event *event = wmtls_next_event(dispatcher, 0);
    CHECK(event != NULL);
    CHECK_TEXT(wmtls_event_name(event), name);
    if (field != NULL) CHECK_TEXT(wmtls_event_field(event, field), says);
    CHECK(strstr(wmtls_event_json(event), name) != NULL);
    wmtls_event_free(event);
}

static void an_identity_rotates_once_it_is_whole(void) {
    wmtls_error *error;
    wmtls_lab_issued *issued;
    CHECK_STATUS(wmtls_lab_authority_issue(ca, "second", WMTLS_ROLE_CLIENT, -1, -1, &issued, &error), WMTLS_OK, error);
    put("tls.crt", wmtls_lab_issued_cert_pem(issued));
    CHECK_STATUS(wmtls_reload(dispatcher, &error), WMTLS_KEY_MISMATCH, error);
    check_event("rotation_failed", "kind", "key_mismatch");
    /* Each reload says it. */
    CHECK_STATUS(wmtls_reload(dispatcher, &error), WMTLS_KEY_MISMATCH, error);
    check_event("rotation_failed", "kind", "key_mismatch");
    CHECK_STATUS(deliver(&error), WMTLS_OK, error);
    put("tls.key", wmtls_lab_issued_key_pem(issued));
    CHECK_STATUS(wmtls_reload(dispatcher, &error), WMTLS_OK, error);
    check_event("rotated", "what", "identity");
    CHECK(wmtls_next_event(dispatcher, 0) == NULL);
    CHECK_STATUS(deliver(&error), WMTLS_OK, error);
    wmtls_lab_request *request =
        wmtls_lab_consumer_request(acme, wmtls_lab_consumer_received(acme) - 1);
    CHECK_TEXT(wmtls_lab_request_tenant(request), "second");
    wmtls_lab_request_free(request);
    wmtls_lab_issued_free(issued);
}

static void an_old_pin_is_refused_within_a_reload(void) {
    wmtls_error *error;
    CHECK_STATUS(deliver(&error), WMTLS_OK, error);
    put("pins", OTHER_PIN);
    CHECK_STATUS(wmtls_reload(dispatcher, &error), WMTLS_OK, error);
    wmtls_event *event = wmtls_next_event(dispatcher, 0);
    char pid[32];
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    CHECK_TEXT(wmtls_event_consumer(event), "acme");
    CHECK_TEXT(wmtls_event_field(event, "pid"), pid);
    CHECK_TEXT(wmtls_event_field(event, "generation"), "2");
    wmtls_event_free(event);
    CHECK_STATUS(deliver(&error), WMTLS_PIN_MISMATCH, error);
    put("pins", wmtls_lab_consumer_pin(acme));
    CHECK_STATUS(wmtls_reload(dispatcher, &error), WMTLS_OK, error);
    check_event("rotated", "what", "pins");
    CHECK_STATUS(deliver(&error), WMTLS_OK, error);
}

static void the_endpoint_status_reflects_deliveries(void) {
    wmtls_error *error;
    wmtls_endpoint_status *status = wmtls_endpoint_status_new(endpoint);
    CHECK(wmtls_endpoint_status_pin_seen(status) == NULL);
    CHECK_TEXT(wmtls_endpoint_status_pin_never_seen(status, 0), wmtls_lab_consumer_pin(acme));
    CHECK(wmtls_endpoint_status_pin_never_seen(status, 1) == NULL);
    CHECK(wmtls_endpoint_status_peer_not_after(status) == 0);
    CHECK(wmtls_endpoint_status_identity_accepted(status) == NULL);
    wmtls_endpoint_status_free(status);

    CHECK_STATUS(deliver(&error), WMTLS_OK, error);
    status = wmtls_endpoint_status_new(endpoint);
    CHECK_TEXT(wmtls_endpoint_status_pin_seen(status), wmtls_lab_consumer_pin(acme));
    CHECK(wmtls_endpoint_status_pin_never_seen(status, 0) == NULL);
    CHECK(wmtls_endpoint_status_peer_not_after(status) > (int64_t)time(NULL));
    CHECK(strncmp(wmtls_endpoint_status_identity_accepted(status), "cert-sha256/", 12) == 0);
    CHECK(strstr(wmtls_endpoint_status_json(status), "peer_not_after_ms") != NULL);
    wmtls_endpoint_status_free(status);

    CHECK(wmtls_endpoint_status_new(NULL) == NULL);
    CHECK(wmtls_endpoint_status_json(NULL) == NULL);
    wmtls_endpoint_status_free(NULL);
}

static void a_circuit_is_opened_and_reset(void) {
    wmtls_error *error;
    CHECK_STATUS(wmtls_endpoint_open_circuit(endpoint, 0, &error), WMTLS_OPTION_INVALID, error);
    CHECK_STATUS(wmtls_endpoint_open_circuit(NULL, 1, &error), WMTLS_OPTION_INVALID, error);
    CHECK_STATUS(wmtls_endpoint_open_circuit(endpoint, 60000, &error), WMTLS_OK, error);
    wmtls_endpoint_status *status = wmtls_endpoint_status_new(endpoint);
    CHECK(wmtls_endpoint_status_circuit(status) == WMTLS_CIRCUIT_STATE_OPEN);
    CHECK(wmtls_endpoint_status_circuit_open_until(status) > (int64_t)time(NULL) + 50);
    wmtls_endpoint_status_free(status);
    CHECK_STATUS(deliver(&error), WMTLS_CIRCUIT_OPEN, error);

    wmtls_endpoint_reset_circuit(endpoint);
    status = wmtls_endpoint_status_new(endpoint);
    CHECK(wmtls_endpoint_status_circuit(status) == WMTLS_CIRCUIT_STATE_HALF_OPEN);
    CHECK(wmtls_endpoint_status_circuit_open_until(status) == 0);
    wmtls_endpoint_status_free(status);
    CHECK_STATUS(deliver(&error), WMTLS_OK, error);
    check_event("circuit_closed", NULL, NULL);

    wmtls_endpoint_reset_circuit(NULL);
    CHECK(wmtls_endpoint_status_circuit(NULL) == 0);
    CHECK(wmtls_endpoint_status_circuit_open_until(NULL) == 0);
    CHECK(wmtls_circuit_state_name(99) == NULL);
}

static void a_revoked_consumer_is_refused_within_a_reload(void) {
    wmtls_error *error;
    wmtls_lab_issued *shown = wmtls_lab_consumer_issued(acme);
    put("crl.pem", wmtls_lab_authority_crl(ca, shown));
    CHECK_STATUS(wmtls_reload(dispatcher, &error), WMTLS_OK, error);
    check_event("rotated", "what", "trust");
    CHECK_STATUS(deliver(&error), WMTLS_CERTIFICATE_REVOKED, error);
    put("crl.pem", wmtls_lab_authority_crl(ca, NULL));
    CHECK_STATUS(wmtls_reload(dispatcher, &error), WMTLS_OK, error);
    check_event("rotated", "what", "trust");
    CHECK_STATUS(deliver(&error), WMTLS_OK, error);
    wmtls_lab_issued_free(shown);
}

static void a_consumer_without_the_new_ca_gets_the_previous_identity(void) {
    wmtls_error *error;
    wmtls_lab_authority *next;
    wmtls_lab_issued *issued;
    wmtls_identity *previous;
    CHECK_STATUS(
        wmtls_identity_from_files(path("tls.crt"), path("tls.key"), NULL, &previous, &error),
        WMTLS_OK, error);
    CHECK_STATUS(wmtls_lab_authority_new("next", &next, &error), WMTLS_OK, error);
    CHECK_STATUS(
        wmtls_lab_authority_issue(next, "third", WMTLS_ROLE_CLIENT, -1, -1, &issued, &error),
        WMTLS_OK, error);
    put("tls.crt", wmtls_lab_issued_cert_pem(issued));
    put("tls.key", wmtls_lab_issued_key_pem(issued));
    CHECK_STATUS(wmtls_reload(dispatcher, &error), WMTLS_OK, error);
    check_event("rotated", "what", "identity");
    CHECK_STATUS(deliver(&error), WMTLS_OK, error);
    check_event("rotated_but_undistributed", "via", "alert");
    wmtls_rotation_status *status = wmtls_dispatcher_rotation_status(dispatcher);
    CHECK_TEXT(wmtls_rotation_status_of(status, "acme"), "previous");
    CHECK_TEXT(wmtls_rotation_status_of(status, "nobody"), NULL);
    CHECK(strstr(wmtls_rotation_status_json(status), "\"acme\"") != NULL);
    wmtls_rotation_status_free(status);
    CHECK(wmtls_retire(dispatcher, previous, false, &error) == WMTLS_IDENTITY_IN_USE);
    CHECK_TEXT(wmtls_error_context(error, "consumers"), "[\"acme\"]");
    wmtls_error_free(error);
    wmtls_lab_consumer_accept(acme, next);
    CHECK_STATUS(wmtls_retire(dispatcher, previous, true, &error), WMTLS_OK, error);
    CHECK_STATUS(deliver(&error), WMTLS_OK, error);
    status = wmtls_dispatcher_rotation_status(dispatcher);
    CHECK_TEXT(wmtls_rotation_status_of(status, "acme"), "current");
    wmtls_rotation_status_free(status);
    wmtls_identity_free(previous);
    wmtls_lab_issued_free(issued);
    wmtls_lab_authority_free(next);
}

static bool is_readable(int descriptor) {
    struct pollfd wanted = {.fd = descriptor, .events = POLLIN, .revents = 0};
    return poll(&wanted, 1, 0) == 1;
}

static void a_verifier_rotates_with_its_files(void) {
    wmtls_error *error;
    wmtls_trust *trust = trust_of_files();
    wmtls_verifier_options *options = wmtls_verifier_options_new(WMTLS_ROLE_CLIENT, trust);
    wmtls_verifier *verifier;
    wmtls_lab_issued *issued;
    wmtls_expiries *expiries;
    CHECK_STATUS(wmtls_lab_authority_issue(ca, "peer", WMTLS_ROLE_CLIENT, -1, -1, &issued, &error), WMTLS_OK, error);
    const char *chain = wmtls_lab_issued_cert_pem(issued);
    put("peer-pins", wmtls_lab_issued_pin(issued));
    wmtls_verifier_options_authorize_ca_members(options);
    wmtls_verifier_options_pins_file(options, path("peer-pins"));
    wmtls_verifier_options_set(options, "reload", "0");
    CHECK_STATUS(wmtls_verifier_new(options, &verifier, &error), WMTLS_OK, error);
    int descriptor = wmtls_verifier_event_fd(verifier);
    CHECK(wmtls_verifier_next_event(verifier, 0) == NULL && !is_readable(descriptor));
    CHECK_STATUS(
        wmtls_verify_peer(verifier, chain, strlen(chain), NULL, WMTLS_NOW, NULL, &error), WMTLS_OK,
        error);
    put("peer-pins", "");
    CHECK_STATUS(wmtls_verifier_reload(verifier, &error), WMTLS_PIN_INVALID, error);
    CHECK_STATUS(
        wmtls_verify_peer(verifier, chain, strlen(chain), NULL, WMTLS_NOW, NULL, &error), WMTLS_OK,
        error);
    put("peer-pins", OTHER_PIN);
    CHECK_STATUS(wmtls_verifier_reload(verifier, &error), WMTLS_OK, error);
    CHECK_STATUS(
        wmtls_verify_peer(verifier, chain, strlen(chain), NULL, WMTLS_NOW, NULL, &error),
        WMTLS_PIN_MISMATCH, error);
    CHECK(is_readable(descriptor));
    wmtls_event *event = wmtls_verifier_next_event(verifier, 0);
    CHECK_TEXT(wmtls_event_name(event), "rotation_failed");
    wmtls_event_free(event);
    CHECK_STATUS(wmtls_verifier_expiries(verifier, &expiries, &error), WMTLS_OK, error);
    CHECK(wmtls_expiries_count(expiries) == 2);
    wmtls_expiries_free(expiries);
    wmtls_lab_issued_free(issued);
    wmtls_verifier_free(verifier);
    wmtls_trust_free(trust);
}

static void the_descriptor_is_readable_while_an_event_waits(void) {
    wmtls_error *error;
    wmtls_event *event;
    int descriptor = wmtls_event_fd(dispatcher);
    CHECK(descriptor >= 0 && wmtls_event_fd(dispatcher) == descriptor);
    while ((event = wmtls_next_event(dispatcher, 0)) != NULL) wmtls_event_free(event);
    for (int round = 0; round < 3; round++) {
        CHECK(!is_readable(descriptor));
        put("pins", "");
        CHECK_STATUS(wmtls_reload(dispatcher, &error), WMTLS_PIN_INVALID, error);
        CHECK(is_readable(descriptor));
        event = wmtls_next_event(dispatcher, 0);
        CHECK_TEXT(wmtls_event_name(event), "rotation_failed");
        wmtls_event_free(event);
        put("pins", wmtls_lab_consumer_pin(acme));
        CHECK_STATUS(wmtls_reload(dispatcher, &error), WMTLS_OK, error);
        while ((event = wmtls_next_event(dispatcher, 0)) != NULL) wmtls_event_free(event);
    }
    CHECK(wmtls_event_fd(NULL) == -1 && wmtls_verifier_event_fd(NULL) == -1);
}

/* Without a delivery and without files, for each way to hear of an event. */
static void the_first_listener_starts_the_events(void) {
    wmtls_error *error;
    wmtls_lab_issued *issued;
    wmtls_identity *identity;
    time_t now = time(NULL);
    CHECK_STATUS(
        wmtls_lab_authority_issue(ca, "us", WMTLS_ROLE_CLIENT, now - 99 * 3600, now + 3600, &issued,
                                  &error),
        WMTLS_OK, error);
    const char *chain = wmtls_lab_issued_cert_pem(issued), *key = wmtls_lab_issued_key_pem(issued);
    CHECK_STATUS(
        wmtls_identity_from_pem(chain, strlen(chain), key, strlen(key), NULL, &identity, &error),
        WMTLS_OK, error);
    for (int by_descriptor = 0; by_descriptor < 2; by_descriptor++) {
        wmtls_dispatcher *quiet;
        wmtls_options *options = wmtls_lab_options(lab);
        wmtls_options_identity(options, identity);
        wmtls_options_set(options, "reload", "20");
        CHECK_STATUS(wmtls_dispatcher_new(options, &quiet, &error), WMTLS_OK, error);
        if (by_descriptor) {
            struct pollfd wanted = {.fd = wmtls_event_fd(quiet), .events = POLLIN, .revents = 0};
            CHECK(poll(&wanted, 1, 20000) == 1);
        }
        wmtls_event *event = wmtls_next_event(quiet, by_descriptor ? 0 : 20000);
        CHECK(event != NULL);
        CHECK_TEXT(wmtls_event_name(event), "expiry");
        CHECK_TEXT(wmtls_event_field(event, "name"), "CN=us");
        CHECK_TEXT(wmtls_event_field(event, "threshold"), "0.05");
        wmtls_event_free(event);
        wmtls_dispatcher_free(quiet);
    }
    wmtls_identity_free(identity);
    wmtls_lab_issued_free(issued);
}

static void each_expiry_has_a_remaining_lifetime(void) {
    wmtls_error *error;
    wmtls_expiries *expiries;
    const char *what = NULL;
    CHECK_STATUS(wmtls_dispatcher_expiries(dispatcher, &expiries, &error), WMTLS_OK, error);
    size_t count = wmtls_expiries_count(expiries);
    CHECK(count == 5); /* leaf, intermediate, anchor, CRL, consumer */
    for (size_t at = 0; at < count; at++) {
        CHECK(wmtls_expiries_name(expiries, at) != NULL && wmtls_expiries_what(expiries, at) != NULL);
        CHECK(wmtls_expiries_not_after(expiries, at) > time(NULL));
        CHECK(wmtls_expiries_fraction_left(expiries, at) > 0.9);
    }
    CHECK(wmtls_expiries_name(expiries, count) == NULL);
    CHECK(wmtls_expiries_fraction_left(expiries, count) == 0.0);
    wmtls_expiries_free(expiries);
    wmtls_lab_set_clock(time(NULL) + 23 * 3600);
    CHECK(wmtls_least_lifetime_left(dispatcher, &what) < 0.05);
    CHECK(what != NULL && strchr(what, ' ') != NULL);
    CHECK_STATUS(wmtls_reload(dispatcher, &error), WMTLS_OK, error);
    check_event("expiry", "threshold", "0.05");
    while (1) {
        wmtls_event *event = wmtls_next_event(dispatcher, 0);
        if (event == NULL) break;
        wmtls_event_free(event);
    }
    wmtls_lab_set_clock(600);
    CHECK(isnan(wmtls_least_lifetime_left(dispatcher, &what)));
    CHECK_TEXT(what, "clock_implausible");
    CHECK_STATUS(
        wmtls_dispatcher_expiries(dispatcher, NULL, &error), WMTLS_CLOCK_IMPLAUSIBLE, error);
    CHECK_STATUS(wmtls_reload(dispatcher, &error), WMTLS_OK, error);
    check_event("clock_implausible", NULL, NULL);
    wmtls_lab_set_clock(WMTLS_NOW);
    CHECK(wmtls_least_lifetime_left(dispatcher, NULL) > 0.9);
    CHECK(isnan(wmtls_least_lifetime_left(NULL, NULL)));
}

int main(void) {
    wmtls_error *error;
    wmtls_identity *identity;
    CHECK(mkdtemp(directory) != NULL);
    CHECK_STATUS(wmtls_lab_start(&lab, &error), WMTLS_OK, error);
    CHECK_STATUS(wmtls_lab_write_files(lab, directory, &error), WMTLS_OK, error);
    CHECK_STATUS(wmtls_lab_consumer_new(lab, "acme", &acme, &error), WMTLS_OK, error);
    ca = wmtls_lab_authority_of(lab);
    put("crl.pem", wmtls_lab_authority_crl(ca, NULL));
    put("pins", wmtls_lab_consumer_pin(acme));
    CHECK_STATUS(
        wmtls_identity_from_files(path("tls.crt"), path("tls.key"), NULL, &identity, &error),
        WMTLS_OK, error);
    wmtls_trust *trust = trust_of_files();
    wmtls_options *options = patient_options(lab);
    wmtls_options_identity(options, identity);
    wmtls_options_trust(options, trust);
    wmtls_options_set(options, "reload", "0");
    CHECK_STATUS(wmtls_dispatcher_new(options, &dispatcher, &error), WMTLS_OK, error);
    wmtls_endpoint_options *chosen = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pins_file(chosen, path("pins"));
    CHECK_STATUS(
        wmtls_dispatcher_endpoint(dispatcher, "acme", wmtls_lab_consumer_url(acme), chosen,
                                  &endpoint, &error),
        WMTLS_OK, error);
    CHECK(wmtls_next_event(dispatcher, 0) == NULL);

    RUN(the_endpoint_status_reflects_deliveries);
    RUN(a_circuit_is_opened_and_reset);
    RUN(an_identity_rotates_once_it_is_whole);
    RUN(an_old_pin_is_refused_within_a_reload);
    RUN(a_revoked_consumer_is_refused_within_a_reload);
    RUN(a_consumer_without_the_new_ca_gets_the_previous_identity);
    RUN(a_verifier_rotates_with_its_files);
    RUN(the_descriptor_is_readable_while_an_event_waits);
    RUN(the_first_listener_starts_the_events);
    RUN(each_expiry_has_a_remaining_lifetime);

    const char *files[] = {"tls.crt", "tls.key", "ca.pem", "crl.pem", "pins", "peer-pins"};
    for (size_t at = 0; at < sizeof files / sizeof *files; at++) CHECK(unlink(path(files[at])) == 0);
    CHECK(rmdir(directory) == 0);
    wmtls_endpoint_free(endpoint);
    wmtls_dispatcher_free(dispatcher);
    wmtls_trust_free(trust);
    wmtls_identity_free(identity);
    wmtls_lab_authority_free(ca);
    wmtls_lab_consumer_free(acme);
    wmtls_lab_free(lab);
    return 0;
}
