/* Deliveries over real mutual TLS to receivers of the lab. */

/* mkdtemp */
#define _POSIX_C_SOURCE 200809L

#include "webhook_mtls_testing.h"

#include "check.h"
#include "patient.h"

static const char BODY[] = "{\"event\":\"ping\"}";
static const char UNUSED_PIN[] = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/* A lab with one consumer, and an endpoint for it with these pins. NULL declines pins. */
struct scene {
    wmtls_lab *lab;
    wmtls_lab_consumer *acme;
    wmtls_dispatcher *dispatcher;
    wmtls_endpoint *endpoint;
};

static wmtls_endpoint *endpoint_of(struct scene *scene, const char *current, const char *next) {
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint *endpoint = NULL;
    wmtls_error *error = NULL;
    if (current == NULL) {
        wmtls_endpoint_options_no_pins(options);
    } else {
        wmtls_endpoint_options_pin(options, current, WMTLS_PIN_CURRENT);
    }
    if (next != NULL) {
        wmtls_endpoint_options_pin(options, next, WMTLS_PIN_NEXT);
    }
    wmtls_status status =
        wmtls_dispatcher_endpoint(scene->dispatcher, "acme", wmtls_lab_consumer_url(scene->acme),
                                  options, &endpoint, &error);
    CHECK_STATUS(status, WMTLS_OK, error);
    return endpoint;
}

static struct scene scene_start(void) {
    struct scene scene = {NULL, NULL, NULL, NULL};
    CHECK(wmtls_lab_start(&scene.lab, NULL) == WMTLS_OK);
    CHECK(wmtls_lab_consumer_new(scene.lab, "acme", &scene.acme, NULL) == WMTLS_OK);
    scene.dispatcher = patient_dispatcher(scene.lab);
    scene.endpoint = endpoint_of(&scene, wmtls_lab_consumer_pin(scene.acme), NULL);
    return scene;
}

static void scene_end(struct scene *scene) {
    wmtls_endpoint_free(scene->endpoint);
    wmtls_dispatcher_close(scene->dispatcher, 0);
    wmtls_dispatcher_free(scene->dispatcher);
    wmtls_lab_consumer_free(scene->acme);
    wmtls_lab_free(scene->lab);
}

static wmtls_status deliver(struct scene *scene, wmtls_endpoint *endpoint, wmtls_receipt **receipt,
                            wmtls_error **error) {
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, BODY, strlen(BODY));
    wmtls_status status = wmtls_deliver(scene->dispatcher, delivery, receipt, error);
    wmtls_delivery_free(delivery);
    return status;
}

static void an_endpoint_signs_with_each_secret(void) {
    static const char *const SECRETS[] = {
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=",
    };
    struct scene scene = scene_start();
    wmtls_error *error;
    wmtls_endpoint *endpoint;
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(options);
    wmtls_endpoint_options_signing(options, SECRETS, 2);
    wmtls_status status = wmtls_dispatcher_endpoint(
        scene.dispatcher, "acme", wmtls_lab_consumer_url(scene.acme), options, &endpoint, &error);
    CHECK_STATUS(status, WMTLS_OK, error);
    status = deliver(&scene, endpoint, NULL, &error);
    CHECK_TEXT(wmtls_error_context(error, "option"), "id");
    CHECK_STATUS(status, WMTLS_OPTION_INVALID, error);

    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, BODY, strlen(BODY));
    wmtls_delivery_id(delivery, "evt_1");
    status = wmtls_deliver(scene.dispatcher, delivery, NULL, &error);
    CHECK_STATUS(status, WMTLS_OK, error);
    wmtls_delivery_free(delivery);
    wmtls_lab_request *request = wmtls_lab_consumer_request(scene.acme, 0);
    const char *signature = wmtls_lab_request_header(request, "webhook-signature");
    CHECK(signature != NULL && strncmp(signature, "v1,", 3) == 0);
    CHECK(strstr(signature, " v1a,") != NULL);
    CHECK(wmtls_lab_request_header(request, "webhook-timestamp") != NULL);
    wmtls_lab_request_free(request);
    wmtls_endpoint_free(endpoint);
    scene_end(&scene);
}

static void a_payload_is_held_until_100_continue(void) {
    struct scene scene = scene_start();
    wmtls_receipt *receipt;
    wmtls_error *error;
    wmtls_endpoint *endpoint;
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(options);
    wmtls_endpoint_options_set(options, "hold_payload", "true");
    wmtls_status status = wmtls_dispatcher_endpoint(
        scene.dispatcher, "held", wmtls_lab_consumer_url(scene.acme), options, &endpoint, &error);
    CHECK_STATUS(status, WMTLS_OK, error);
    status = deliver(&scene, endpoint, &receipt, &error);
    CHECK_STATUS(status, WMTLS_OK, error);
    CHECK(wmtls_receipt_hold_honored(receipt) == 1);
    wmtls_receipt_free(receipt);
    status = deliver(&scene, scene.endpoint, &receipt, &error);
    CHECK_STATUS(status, WMTLS_OK, error);
    CHECK(wmtls_receipt_hold_honored(receipt) == -1 && wmtls_receipt_hold_honored(NULL) == -1);
    wmtls_receipt_free(receipt);
    wmtls_endpoint_free(endpoint);
    scene_end(&scene);
}

static void a_probe_shows_the_consumer_and_sends_nothing(void) {
    struct scene scene = scene_start();
    wmtls_probe *probe;
    wmtls_error *error;
    wmtls_status status =
        wmtls_dispatcher_probe(scene.dispatcher, scene.endpoint, 20000, &probe, &error);
    CHECK_STATUS(status, WMTLS_OK, error);
    CHECK(wmtls_probe_pin(probe) == WMTLS_PIN_CURRENT);
    CHECK_TEXT(wmtls_probe_tls_version(probe), "TLSv1.3");
    CHECK(strstr(wmtls_lab_consumer_url(scene.acme), wmtls_probe_address(probe)) != NULL);
    const wmtls_peer *peer = wmtls_probe_peer(probe);
    CHECK_TEXT(wmtls_peer_spki_pin(peer), wmtls_lab_consumer_pin(scene.acme));
    CHECK(wmtls_peer_not_before(peer) < wmtls_peer_not_after(peer));
    CHECK(strstr(wmtls_probe_json(probe), "\"not_after_ms\"") != NULL);
    wmtls_probe_free(probe);

    wmtls_lab_consumer_misbehave(scene.acme, "never_ask", 1, NULL);
    status = wmtls_dispatcher_probe(scene.dispatcher, scene.endpoint, 0, &probe, &error);
    CHECK_STATUS(status, WMTLS_CLIENT_AUTH_NOT_REQUESTED, error);
    CHECK(probe == NULL);
    CHECK(wmtls_lab_consumer_received(scene.acme) == 0);

    CHECK(wmtls_dispatcher_probe(NULL, scene.endpoint, 0, NULL, NULL) == WMTLS_OPTION_INVALID);
    CHECK(wmtls_dispatcher_probe(scene.dispatcher, NULL, 0, NULL, NULL) == WMTLS_OPTION_INVALID);
    CHECK(wmtls_probe_peer(NULL) == NULL && wmtls_probe_json(NULL) == NULL);
    CHECK(wmtls_probe_pin(NULL) == 0 && wmtls_probe_address(NULL) == NULL);
    wmtls_probe_free(NULL);
    scene_end(&scene);
}

/* The cases of tests/diagnosis/cases.json; the Rust test compares this table with them. */
static const struct {
    const char *how;
    const char *check;
    int32_t kind;
    int32_t tell;
} DIAGNOSES[] = {
    {NULL, NULL, 0, WMTLS_ADDRESSEE_NOBODY},
    {"never_ask", "handshake_requested", WMTLS_CLIENT_AUTH_NOT_REQUESTED, WMTLS_ADDRESSEE_CONSUMER},
    {"expired", "handshake_dates", WMTLS_CERTIFICATE_EXPIRED, WMTLS_ADDRESSEE_CONSUMER},
    {"wrong_name", "handshake_name", WMTLS_NAME_MISMATCH, WMTLS_ADDRESSEE_CONSUMER},
    {"other_ca", "handshake_chain", WMTLS_ISSUER_UNKNOWN, WMTLS_ADDRESSEE_CONSUMER},
    {"tls_1_2", "handshake_tls", WMTLS_TLS_FAILED, WMTLS_ADDRESSEE_CONSUMER},
    {"reject_certificate", "verdict_certificate", WMTLS_CLIENT_CERTIFICATE_REJECTED,
     WMTLS_ADDRESSEE_CONSUMER},
    {"reject_by_close", "verdict_certificate", WMTLS_CLIENT_CERTIFICATE_REJECTED,
     WMTLS_ADDRESSEE_CONSUMER},
    {"close_after_handshake", "verdict_certificate", WMTLS_CONNECTION_LOST,
     WMTLS_ADDRESSEE_CONSUMER},
};

static void a_diagnosis_names_the_fault_and_whom_to_tell(void) {
    struct scene scene = scene_start();
    wmtls_report *report;
    wmtls_error *error;
    wmtls_status status;
    for (size_t at = 0; at < sizeof DIAGNOSES / sizeof *DIAGNOSES; at++) {
        if (DIAGNOSES[at].how != NULL) {
            wmtls_lab_consumer_misbehave(scene.acme, DIAGNOSES[at].how, 1, NULL);
        }
        status =
            wmtls_dispatcher_diagnose(scene.dispatcher, scene.endpoint, 20000, 0, &report, &error);
        CHECK_STATUS(status, WMTLS_OK, error);
        CHECK(wmtls_report_kind(report) == DIAGNOSES[at].kind);
        CHECK(wmtls_report_tell(report) == DIAGNOSES[at].tell);
        CHECK(wmtls_report_ok(report) == (DIAGNOSES[at].kind == 0));
        CHECK((wmtls_report_message_to_consumer(report) == NULL) == (DIAGNOSES[at].kind == 0));
        CHECK(strstr(wmtls_report_text(report), "Their verdict on us") != NULL);
        if (DIAGNOSES[at].check != NULL) {
            char check[64];
            snprintf(check, sizeof check, "\"check\":\"%s\"", DIAGNOSES[at].check);
            CHECK(strstr(wmtls_report_json(report), check) != NULL);
        }
        wmtls_report_free(report);
    }
    CHECK(wmtls_lab_consumer_received(scene.acme) == 0);
    status = wmtls_dispatcher_diagnose(scene.dispatcher, scene.endpoint, 0,
                                       WMTLS_DIAGNOSIS_REQUEST_HEAD, &report, &error);
    CHECK_STATUS(status, WMTLS_OK, error);
    CHECK(wmtls_report_ok(report));
    wmtls_report_free(report);
    status = wmtls_dispatcher_diagnose(scene.dispatcher, scene.endpoint, 0, 7, &report, &error);
    CHECK_STATUS(status, WMTLS_OPTION_INVALID, error);
    CHECK(wmtls_dispatcher_diagnose(NULL, NULL, 0, 0, NULL, NULL) == WMTLS_OPTION_INVALID);
    CHECK(wmtls_report_text(NULL) == NULL && wmtls_report_json(NULL) == NULL);
    CHECK(!wmtls_report_ok(NULL) && wmtls_report_kind(NULL) == 0 && wmtls_report_tell(NULL) == 0);
    wmtls_report_free(NULL);
    scene_end(&scene);
}

/* The part `leads` of tests/diagnosis/cases.json. */
static void an_error_names_the_command_that_shows_more(void) {
    struct scene scene = scene_start();
    wmtls_receipt *receipt;
    wmtls_error *error;
    const char *url = wmtls_lab_consumer_url(scene.acme);
    char line[512];
    snprintf(line, sizeof line,
             " This shows more: webhook-mtls diagnose %.*s/ --cert OUR-CERT.pem --key OUR-KEY.pem "
             "--ca THEIR-CA.pem --pin %s --allow 127.0.0.0/8 --allow ::1/128",
             (int)(strlen(url) - strlen("/webhooks/acme")), url,
             wmtls_lab_consumer_pin(scene.acme));
    wmtls_lab_consumer_misbehave(scene.acme, "other_ca", 1, NULL);
    CHECK(deliver(&scene, scene.endpoint, &receipt, &error) == WMTLS_ISSUER_UNKNOWN);
    const char *remedy = wmtls_error_remedy(error);
    CHECK(strlen(remedy) > strlen(line));
    CHECK_TEXT(remedy + strlen(remedy) - strlen(line), line);
    CHECK(strstr(wmtls_error_json(error), "\"diagnose\":\"webhook-mtls diagnose ") != NULL);
    CHECK(strstr(wmtls_error_public_json(error), "diagnose") == NULL);
    wmtls_error_free(error);
    scene_end(&scene);
}

static void a_bad_secret_is_refused_and_not_shown(void) {
    static const char *const SECRETS[] = {"whsec_hunter2hunter2"};
    struct scene scene = scene_start();
    wmtls_error *error;
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(options);
    wmtls_endpoint_options_signing(options, SECRETS, 1);
    wmtls_status status = wmtls_dispatcher_endpoint(scene.dispatcher, "acme",
                                                    "https://acme.example/", options, NULL, &error);
    CHECK(strstr(wmtls_error_json(error), "hunter2") == NULL);
    CHECK_STATUS(status, WMTLS_OPTION_INVALID, error);
    options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(options);
    wmtls_endpoint_options_signing(options, NULL, 1);
    status = wmtls_dispatcher_endpoint(scene.dispatcher, "acme", "https://acme.example/", options,
                                       NULL, &error);
    CHECK_STATUS(status, WMTLS_OPTION_INVALID, error);
    scene_end(&scene);
}

static void a_receipt_describes_the_delivery(void) {
    struct scene scene = scene_start();
    wmtls_receipt *receipt;
    wmtls_error *error;
    wmtls_delivery *delivery = wmtls_delivery_new(scene.endpoint, BODY, strlen(BODY));
    wmtls_delivery_id(delivery, "evt_1");
    wmtls_delivery_content_type(delivery, "application/cloudevents+json");
    wmtls_delivery_header(delivery, "X-Event", "ping");
    wmtls_delivery_header(delivery, "X-Shard", "7");
    wmtls_delivery_timeout_ms(delivery, 20000);
    wmtls_status status = wmtls_deliver(scene.dispatcher, delivery, &receipt, &error);
    CHECK_STATUS(status, WMTLS_OK, error);
    wmtls_delivery_free(delivery);

    CHECK(wmtls_receipt_status(receipt) == 200);
    CHECK(wmtls_receipt_pin(receipt) == WMTLS_PIN_CURRENT);
    CHECK(wmtls_receipt_attempts(receipt) == 1);
    CHECK(wmtls_receipt_elapsed_ms(receipt) > 0);
    CHECK_TEXT(wmtls_receipt_consumer(receipt), "acme");
    CHECK_TEXT(wmtls_receipt_id(receipt), "evt_1");
    CHECK_TEXT(wmtls_receipt_tls_version(receipt), "TLSv1.3");
    CHECK(strstr(wmtls_receipt_json(receipt), "\"client_auth_requested\":true") != NULL);
    CHECK(wmtls_receipt_json(receipt) == wmtls_receipt_json(receipt));
    const wmtls_peer *peer = wmtls_receipt_peer(receipt);
    CHECK_TEXT(wmtls_peer_tenant(peer), "spiffe://lab.test/tenant/acme");
    CHECK_TEXT(wmtls_peer_spki_pin(peer), wmtls_lab_consumer_pin(scene.acme));
    CHECK_TEXT(wmtls_peer_matched_pin(peer), wmtls_lab_consumer_pin(scene.acme));
    CHECK(wmtls_peer_not_before(peer) < wmtls_peer_not_after(peer));
    wmtls_receipt_free(receipt);

    CHECK(wmtls_lab_consumer_received(scene.acme) == 1);
    wmtls_lab_request *request = wmtls_lab_consumer_request(scene.acme, 0);
    size_t length;
    const void *body = wmtls_lab_request_body(request, &length);
    CHECK(length == strlen(BODY) && memcmp(body, BODY, length) == 0);
    CHECK_TEXT(wmtls_lab_request_header(request, "Webhook-Id"), "evt_1");
    CHECK_TEXT(wmtls_lab_request_header(request, "content-type"), "application/cloudevents+json");
    CHECK_TEXT(wmtls_lab_request_header(request, "x-event"), "ping");
    CHECK_TEXT(wmtls_lab_request_header(request, "x-shard"), "7");
    CHECK_TEXT(wmtls_lab_request_header(request, "x-other"), NULL);
    CHECK_TEXT(wmtls_lab_request_tenant(request), "dispatcher");
    CHECK_TEXT(wmtls_lab_request_path(request), "/webhooks/acme");
    wmtls_lab_request_free(request);
    CHECK(wmtls_lab_consumer_request(scene.acme, 1) == NULL);
    scene_end(&scene);
}

static void deliveries_share_a_connection(void) {
    struct scene scene = scene_start();
    wmtls_delivery *delivery = wmtls_delivery_new(scene.endpoint, BODY, strlen(BODY));
    for (int i = 0; i < 5; i++) {
        CHECK(wmtls_deliver(scene.dispatcher, delivery, NULL, NULL) == WMTLS_OK);
    }
    wmtls_delivery_free(delivery);
    CHECK(wmtls_lab_consumer_received(scene.acme) == 5);
    CHECK(wmtls_lab_consumer_connections(scene.acme) == 1);
    scene_end(&scene);
}

static void a_wrong_pin_sends_nothing(void) {
    struct scene scene = scene_start();
    wmtls_receipt *receipt;
    wmtls_error *error;
    wmtls_endpoint *wrong = endpoint_of(&scene, UNUSED_PIN, NULL);
    CHECK(deliver(&scene, wrong, &receipt, &error) == WMTLS_PIN_MISMATCH);
    CHECK(receipt == NULL);
    CHECK(wmtls_error_stage(error) == WMTLS_STAGE_HANDSHAKE);
    CHECK(wmtls_error_blame(error) == WMTLS_BLAME_THEIRS);
    CHECK(wmtls_error_scope(error) == WMTLS_SCOPE_ENDPOINT);
    CHECK(wmtls_error_sent(error) == WMTLS_SENT_NOTHING);
    CHECK(wmtls_error_retry(error) == WMTLS_RETRY_AFTER_REPAIR);
    CHECK_TEXT(wmtls_error_consumer(error), "acme");
    CHECK_TEXT(wmtls_error_id(error), NULL);
    CHECK(wmtls_error_attempts(error) == 1);
    CHECK(wmtls_error_elapsed_ms(error) > 0);
    CHECK_TEXT(wmtls_error_context(error, "observed_pin"), wmtls_lab_consumer_pin(scene.acme));
    CHECK(wmtls_lab_consumer_received(scene.acme) == 0);
    wmtls_error_free(error);
    wmtls_endpoint_free(wrong);
    scene_end(&scene);
}

static void an_announced_key_passes_as_the_next_pin(void) {
    struct scene scene = scene_start();
    wmtls_receipt *receipt;
    wmtls_error *error;
    wmtls_endpoint *endpoint =
        endpoint_of(&scene, UNUSED_PIN, wmtls_lab_consumer_pin(scene.acme));
    CHECK_STATUS(deliver(&scene, endpoint, &receipt, &error), WMTLS_OK, error);
    CHECK(wmtls_receipt_pin(receipt) == WMTLS_PIN_NEXT);
    wmtls_receipt_free(receipt);
    wmtls_endpoint_free(endpoint);
    scene_end(&scene);
}

static void an_unannounced_key_is_refused(void) {
    struct scene scene = scene_start();
    wmtls_error *error;
    CHECK(deliver(&scene, scene.endpoint, NULL, NULL) == WMTLS_OK);
    CHECK(wmtls_lab_consumer_renew(scene.acme, false, NULL) == WMTLS_OK);
    CHECK(deliver(&scene, scene.endpoint, NULL, NULL) == WMTLS_OK);
    CHECK(wmtls_lab_consumer_renew(scene.acme, true, NULL) == WMTLS_OK);
    CHECK_STATUS(deliver(&scene, scene.endpoint, NULL, &error), WMTLS_PIN_MISMATCH, error);
    CHECK(wmtls_lab_consumer_received(scene.acme) == 2);
    scene_end(&scene);
}

static void every_misbehavior_has_its_kind(void) {
    static const struct {
        const char *how;
        wmtls_status kind;
        int32_t sent;
    } ROWS[] = {
        {"never_ask", WMTLS_CLIENT_AUTH_NOT_REQUESTED, WMTLS_SENT_NOTHING},
        {"reject_certificate", WMTLS_CLIENT_CERTIFICATE_REJECTED, 0},
        {"expired", WMTLS_CERTIFICATE_EXPIRED, WMTLS_SENT_NOTHING},
        {"wrong_name", WMTLS_NAME_MISMATCH, WMTLS_SENT_NOTHING},
        {"other_ca", 0, WMTLS_SENT_NOTHING},
        {"reset_after_body", WMTLS_CONNECTION_LOST, WMTLS_SENT_ALL},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct scene scene = scene_start();
        wmtls_error *error;
        CHECK(wmtls_lab_consumer_misbehave(scene.acme, ROWS[i].how, 0, NULL) == WMTLS_OK);
        wmtls_status status = deliver(&scene, scene.endpoint, NULL, &error);
        printf("  %s: %s\n", ROWS[i].how, wmtls_kind_name(status));
        if (ROWS[i].kind != 0) {
            CHECK(status == ROWS[i].kind);
        } else {
            CHECK(status == WMTLS_ISSUER_UNKNOWN || status == WMTLS_ISSUER_REKEYED);
        }
        if (ROWS[i].sent != 0) {
            CHECK(wmtls_error_sent(error) == ROWS[i].sent);
        }
        wmtls_error_free(error);
        scene_end(&scene);
    }
}

/* Delivers once to a consumer that refuses our certificate. Returns the blame, and checks the
   number of consumers that have refused so far. */
static int32_t blame_of_refusal_by(struct scene *scene, const char *name, const char *refused_by) {
    wmtls_lab_consumer *consumer;
    wmtls_endpoint *endpoint;
    wmtls_error *error;
    CHECK(wmtls_lab_consumer_new(scene->lab, name, &consumer, NULL) == WMTLS_OK);
    CHECK(wmtls_lab_consumer_misbehave(consumer, "reject_certificate", 1, NULL) == WMTLS_OK);
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(options);
    CHECK(wmtls_dispatcher_endpoint(scene->dispatcher, name, wmtls_lab_consumer_url(consumer),
                                    options, &endpoint, NULL) == WMTLS_OK);
    wmtls_status status = deliver(scene, endpoint, NULL, &error);
    CHECK(status == WMTLS_CLIENT_CERTIFICATE_REJECTED);
    CHECK(wmtls_error_sent(error) == WMTLS_SENT_NOTHING);
    CHECK_TEXT(wmtls_error_context(error, "refused_by"), refused_by);
    int32_t blame = wmtls_error_blame(error);
    wmtls_error_free(error);
    wmtls_endpoint_free(endpoint);
    wmtls_lab_consumer_free(consumer);
    return blame;
}

static void a_refusal_by_three_consumers_is_our_fault(void) {
    struct scene scene = scene_start();
    CHECK(blame_of_refusal_by(&scene, "one", "1") == WMTLS_BLAME_UNKNOWN);
    CHECK(blame_of_refusal_by(&scene, "one", "1") == WMTLS_BLAME_UNKNOWN);
    CHECK(blame_of_refusal_by(&scene, "two", "2") == WMTLS_BLAME_UNKNOWN);
    CHECK(blame_of_refusal_by(&scene, "three", "3") == WMTLS_BLAME_OURS);
    scene_end(&scene);
}

static void silence_ends_at_the_timeout(void) {
    struct scene scene = scene_start();
    wmtls_error *error;
    CHECK(wmtls_lab_consumer_misbehave(scene.acme, "stall", 0, NULL) == WMTLS_OK);
    wmtls_delivery *delivery = wmtls_delivery_new(scene.endpoint, BODY, strlen(BODY));
    /* Long enough for a slow machine to send all. */
    wmtls_delivery_set(delivery, "timeout", "2000");
    CHECK(wmtls_deliver(scene.dispatcher, delivery, NULL, &error) == WMTLS_DEADLINE_EXCEEDED);
    CHECK(wmtls_error_sent(error) == WMTLS_SENT_ALL);
    wmtls_error_free(error);
    wmtls_delivery_free(delivery);
    scene_end(&scene);
}

static void a_consumer_behaves_again(void) {
    struct scene scene = scene_start();
    CHECK(wmtls_lab_consumer_respond(scene.acme, 500, -1, 0, NULL) == WMTLS_OK);
    CHECK(deliver(&scene, scene.endpoint, NULL, NULL) == WMTLS_HTTP_STATUS);
    CHECK(wmtls_lab_consumer_misbehave(scene.acme, "never_ask", 0, NULL) == WMTLS_OK);
    CHECK(deliver(&scene, scene.endpoint, NULL, NULL) == WMTLS_CLIENT_AUTH_NOT_REQUESTED);
    wmtls_lab_consumer_behave(scene.acme);
    wmtls_lab_consumer_behave(NULL);
    CHECK(deliver(&scene, scene.endpoint, NULL, NULL) == WMTLS_OK);
    scene_end(&scene);
}

static void a_busy_consumer_sets_retry_after(void) {
    struct scene scene = scene_start();
    wmtls_error *error;
    wmtls_decision decision;
    CHECK(wmtls_lab_consumer_respond(scene.acme, 503, 30, 1, NULL) == WMTLS_OK);
    CHECK(deliver(&scene, scene.endpoint, NULL, &error) == WMTLS_HTTP_STATUS);
    CHECK(wmtls_error_retry_after_ms(error) == 30000);
    CHECK_TEXT(wmtls_error_context(error, "status"), "503");
    CHECK(wmtls_retry_decide(NULL, error, 1, &decision, NULL) == WMTLS_OK);
    CHECK(decision.action == WMTLS_ACTION_RETRY && decision.delay_ms == 30000 && decision.counts);
    wmtls_error_free(error);
    CHECK(deliver(&scene, scene.endpoint, NULL, NULL) == WMTLS_OK);
    scene_end(&scene);
}

static void a_one_shot_delivery_needs_no_dispatcher(void) {
    struct scene scene = scene_start();
    wmtls_receipt *receipt;
    wmtls_error *error;
    wmtls_identity *identity = wmtls_lab_identity(scene.lab);
    wmtls_trust *trust = wmtls_lab_trust(scene.lab);
    wmtls_options *options = wmtls_options_new();
    wmtls_options_identity(options, identity);
    wmtls_options_trust(options, trust);
    wmtls_options_egress_allow(options, "127.0.0.1");
    wmtls_identity_free(identity);
    wmtls_trust_free(trust);
    const char *pins[] = {wmtls_lab_consumer_pin(scene.acme)};
    wmtls_endpoint_options *endpoint = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pins(endpoint, pins, 1, WMTLS_PIN_CURRENT);
    wmtls_status status = wmtls_deliver_once(wmtls_lab_consumer_url(scene.acme), BODY, strlen(BODY),
                                             options, endpoint, &receipt, &error);
    CHECK_STATUS(status, WMTLS_OK, error);
    CHECK(wmtls_receipt_status(receipt) == 200);
    wmtls_receipt_free(receipt);
    scene_end(&scene);
}

static void an_endpoint_has_its_own_identity_and_trust(void) {
    struct scene scene = scene_start();
    struct scene other = scene_start();
    wmtls_error *error;
    wmtls_endpoint *endpoint;
    wmtls_identity *identity = wmtls_lab_identity(other.lab);
    wmtls_trust *trust = wmtls_lab_trust(other.lab);
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_identity(options, identity);
    wmtls_endpoint_options_trust(options, trust);
    wmtls_endpoint_options_no_pins(options);
    wmtls_identity_free(identity);
    wmtls_trust_free(trust);
    CHECK(wmtls_dispatcher_endpoint(scene.dispatcher, "other", wmtls_lab_consumer_url(other.acme),
                                    options, &endpoint, &error) == WMTLS_OK);
    CHECK_STATUS(deliver(&scene, endpoint, NULL, &error), WMTLS_OK, error);
    CHECK(wmtls_lab_consumer_received(other.acme) == 1);
    CHECK(wmtls_dispatcher_remove(scene.dispatcher, "other"));
    CHECK(!wmtls_dispatcher_remove(scene.dispatcher, "other"));
    wmtls_endpoint_free(endpoint);
    scene_end(&other);
    scene_end(&scene);
}

static void material_is_read_from_files(void) {
    struct scene scene = scene_start();
    char directory[] = "/tmp/webhook-mtls-XXXXXX", cert[64], key[64], ca[64];
    wmtls_error *error;
    wmtls_identity *identity;
    wmtls_trust *trust;
    CHECK(mkdtemp(directory) != NULL);
    CHECK(wmtls_lab_write_files(scene.lab, directory, &error) == WMTLS_OK);
    snprintf(cert, sizeof cert, "%s/tls.crt", directory);
    snprintf(key, sizeof key, "%s/tls.key", directory);
    snprintf(ca, sizeof ca, "%s/ca.pem", directory);
    CHECK_STATUS(wmtls_identity_from_files(cert, key, NULL, &identity, &error), WMTLS_OK, error);
    CHECK_STATUS(wmtls_trust_from_files(ca, NULL, NULL, &trust, &error), WMTLS_OK, error);
    wmtls_options *options = wmtls_options_new();
    wmtls_options_identity(options, identity);
    wmtls_options_trust(options, trust);
    wmtls_options_egress(options, "public");
    wmtls_options_egress_allow(options, "127.0.0.0/8");
    wmtls_options_egress_deny(options, "127.0.0.1/32");
    wmtls_endpoint_options *endpoint = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(endpoint);
    wmtls_status status = wmtls_deliver_once(wmtls_lab_consumer_url(scene.acme), BODY, strlen(BODY),
                                             options, endpoint, NULL, &error);
    CHECK_STATUS(status, WMTLS_EGRESS_DENIED, error);
    CHECK(wmtls_lab_consumer_connections(scene.acme) == 0);
    wmtls_identity_free(identity);
    wmtls_trust_free(trust);
    CHECK(remove(cert) == 0 && remove(key) == 0 && remove(ca) == 0 && remove(directory) == 0);
    scene_end(&scene);
}

static void an_upsert_changes_the_handle(void) {
    struct scene scene = scene_start();
    wmtls_endpoint *again = endpoint_of(&scene, wmtls_lab_consumer_pin(scene.acme), NULL);
    const char *before = wmtls_endpoint_url(scene.endpoint);
    CHECK_TEXT(wmtls_endpoint_consumer(again), "acme");
    CHECK_TEXT(wmtls_endpoint_url(again), before);
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(options);
    CHECK(wmtls_dispatcher_endpoint(scene.dispatcher, "acme", "https://acme.example/in", options,
                                    NULL, NULL) == WMTLS_OK);
    CHECK_TEXT(wmtls_endpoint_url(again), "https://acme.example/in");
    CHECK_TEXT(before, wmtls_lab_consumer_url(scene.acme));
    wmtls_endpoint_free(again);
    scene_end(&scene);
}

int main(void) {
    RUN(a_receipt_describes_the_delivery);
    RUN(an_endpoint_signs_with_each_secret);
    RUN(a_bad_secret_is_refused_and_not_shown);
    RUN(a_probe_shows_the_consumer_and_sends_nothing);
    RUN(a_diagnosis_names_the_fault_and_whom_to_tell);
    RUN(an_error_names_the_command_that_shows_more);
    RUN(a_payload_is_held_until_100_continue);
    RUN(deliveries_share_a_connection);
    RUN(a_wrong_pin_sends_nothing);
    RUN(an_announced_key_passes_as_the_next_pin);
    RUN(an_unannounced_key_is_refused);
    RUN(every_misbehavior_has_its_kind);
    RUN(a_refusal_by_three_consumers_is_our_fault);
    RUN(silence_ends_at_the_timeout);
    RUN(a_consumer_behaves_again);
    RUN(a_busy_consumer_sets_retry_after);
    RUN(a_one_shot_delivery_needs_no_dispatcher);
    RUN(an_endpoint_has_its_own_identity_and_trust);
    RUN(material_is_read_from_files);
    RUN(an_upsert_changes_the_handle);
    return 0;
}
