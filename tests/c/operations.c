/* Probe, reload and close in a poll loop: none of them blocks, and each has one outcome. */

/* mkdtemp, poll */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "webhook_mtls_testing.h"

#include "check.h"
#include "patient.h"

enum { LONG_MS = 60000, DAY_MS = 86400000, ROUNDS = 20, EACH = 12 };

/* What a caller passes who expects "no limit" from -1. */
static const uint64_t MINUS_ONE = (uint64_t)-1;

static wmtls_lab *lab;
static wmtls_lab_consumer *acme;
static wmtls_dispatcher *dispatcher;
static wmtls_endpoint *endpoint;
static int tags[EACH];
static int closed;

static wmtls_endpoint *endpoint_at(const char *consumer, const char *url) {
    wmtls_error *error;
    wmtls_endpoint *made;
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pin(options, wmtls_lab_consumer_pin(acme), WMTLS_PIN_CURRENT);
    CHECK_STATUS(wmtls_dispatcher_endpoint(dispatcher, consumer, url, options, &made, &error),
                 WMTLS_OK, error);
    return made;
}

static void dispatch_with(wmtls_options *options) {
    wmtls_error *error;
    CHECK_STATUS(wmtls_dispatcher_new(options, &dispatcher, &error), WMTLS_OK, error);
    endpoint = endpoint_at("acme", wmtls_lab_consumer_url(acme));
}

static void start(void) {
    wmtls_error *error;
    CHECK_STATUS(wmtls_lab_start(&lab, &error), WMTLS_OK, error);
    CHECK_STATUS(wmtls_lab_consumer_new(lab, "acme", &acme, &error), WMTLS_OK, error);
    dispatch_with(patient_options(lab));
}

static void end(void) {
    wmtls_endpoint_free(endpoint);
    wmtls_dispatcher_free(dispatcher);
    wmtls_lab_consumer_free(acme);
    wmtls_lab_free(lab);
}

static void submit(void *tag) {
    wmtls_error *error;
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
    wmtls_delivery_tag(delivery, tag);
    CHECK_STATUS(wmtls_submit(dispatcher, delivery, &error), WMTLS_OK, error);
}

static bool is_readable(int timeout_ms) {
    struct pollfd wanted = {wmtls_completion_fd(dispatcher), POLLIN, 0};
    return poll(&wanted, 1, timeout_ms) == 1;
}

/* Waits as an event loop does: in poll, and never in the library. */
static wmtls_outcome *polled(void) {
    wmtls_outcome *outcome = NULL;
    while (outcome == NULL) {
        CHECK(is_readable(LONG_MS));
        outcome = wmtls_next_outcome(dispatcher, 0);
    }
    return outcome;
}

static void check_polled(const void *tag, wmtls_status wanted) {
    wmtls_outcome *outcome = polled();
    const wmtls_error *error = wmtls_outcome_error(outcome);
    CHECK(wmtls_outcome_tag(outcome) == tag);
    if (wmtls_error_kind(error) != wanted) {
        fprintf(stderr, "got %s\n", error ? wmtls_error_json(error) : "no error");
        CHECK(wmtls_error_kind(error) == wanted);
    }
    wmtls_outcome_free(outcome);
}

static void a_probe_is_awaited_in_a_poll_loop(void) {
    wmtls_error *error;
    start();
    CHECK(!is_readable(0));
    CHECK_STATUS(wmtls_submit_probe(dispatcher, endpoint, 0, &tags[0], &error), WMTLS_OK, error);
    wmtls_outcome *outcome = polled();
    CHECK(wmtls_outcome_tag(outcome) == &tags[0]);
    CHECK_TEXT(wmtls_endpoint_consumer(wmtls_outcome_endpoint(outcome)), "acme");
    CHECK(wmtls_outcome_receipt(outcome) == NULL && wmtls_outcome_error(outcome) == NULL);
    const wmtls_probe *probe = wmtls_outcome_probe(outcome);
    CHECK_TEXT(wmtls_probe_tls_version(probe), "TLSv1.3");
    CHECK(wmtls_probe_pin(probe) == WMTLS_PIN_CURRENT);
    CHECK(wmtls_probe_peer(probe) != NULL);
    wmtls_outcome_free(outcome);
    CHECK(wmtls_lab_consumer_received(acme) == 0);
    CHECK(!is_readable(0) && wmtls_in_flight(dispatcher) == 0);
    end();
}

static void a_failed_probe_has_an_error(void) {
    wmtls_error *error;
    start();
    CHECK_STATUS(wmtls_lab_consumer_misbehave(acme, "never_ask", 1, &error), WMTLS_OK, error);
    CHECK_STATUS(wmtls_submit_probe(dispatcher, endpoint, 0, NULL, &error), WMTLS_OK, error);
    wmtls_outcome *outcome = polled();
    CHECK(wmtls_outcome_probe(outcome) == NULL && wmtls_outcome_receipt(outcome) == NULL);
    const wmtls_error *failure = wmtls_outcome_error(outcome);
    CHECK(wmtls_error_kind(failure) == WMTLS_CLIENT_AUTH_NOT_REQUESTED);
    CHECK_TEXT(wmtls_error_consumer(failure), "acme");
    wmtls_outcome_free(outcome);
    end();
}

static void a_diagnosis_is_awaited_in_a_poll_loop(void) {
    wmtls_error *error;
    start();
    CHECK_STATUS(wmtls_submit_diagnosis(dispatcher, endpoint, 0, WMTLS_DIAGNOSIS_REQUEST_HEAD,
                                        &tags[0], &error),
                 WMTLS_OK, error);
    wmtls_outcome *outcome = polled();
    CHECK(wmtls_outcome_tag(outcome) == &tags[0] && wmtls_outcome_error(outcome) == NULL);
    CHECK_TEXT(wmtls_endpoint_consumer(wmtls_outcome_endpoint(outcome)), "acme");
    CHECK(wmtls_outcome_probe(outcome) == NULL && wmtls_outcome_receipt(outcome) == NULL);
    CHECK(wmtls_report_ok(wmtls_outcome_report(outcome)));
    wmtls_outcome_free(outcome);

    /* A fault of the endpoint is in the report. */
    CHECK_STATUS(wmtls_lab_consumer_misbehave(acme, "expired", 1, &error), WMTLS_OK, error);
    CHECK_STATUS(wmtls_submit_diagnosis(dispatcher, endpoint, 20000, 0, NULL, &error), WMTLS_OK,
                 error);
    outcome = polled();
    CHECK(wmtls_outcome_error(outcome) == NULL);
    const wmtls_report *report = wmtls_outcome_report(outcome);
    CHECK(wmtls_report_kind(report) == WMTLS_CERTIFICATE_EXPIRED);
    CHECK(wmtls_report_message_to_consumer(report) != NULL);
    wmtls_outcome_free(outcome);
    CHECK(!is_readable(0) && wmtls_in_flight(dispatcher) == 0);

    /* No report can be made for an endpoint that was removed. */
    CHECK(wmtls_dispatcher_remove(dispatcher, "acme"));
    CHECK_STATUS(wmtls_submit_diagnosis(dispatcher, endpoint, 0, 0, NULL, &error), WMTLS_OK, error);
    outcome = polled();
    CHECK(wmtls_outcome_report(outcome) == NULL);
    CHECK(wmtls_error_kind(wmtls_outcome_error(outcome)) == WMTLS_HANDLE_CLOSED);
    wmtls_outcome_free(outcome);
    end();
}

/* Returns the socket of a peer that accepts a connection and never answers. */
static int silent_peer(char *url, size_t size) {
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int peer = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(peer, (struct sockaddr *)&address, length) == 0 && listen(peer, 8) == 0);
    CHECK(getsockname(peer, (struct sockaddr *)&address, &length) == 0);
    snprintf(url, size, "https://127.0.0.1:%d/", ntohs(address.sin_port));
    return peer;
}

static void a_probe_without_an_answer_delays_nothing(void) {
    wmtls_error *error;
    char url[64];
    start();
    int peer = silent_peer(url, sizeof url);
    wmtls_endpoint *silent = endpoint_at("silent", url);
    CHECK(wmtls_completion_fd(dispatcher) >= 0);
    CHECK_STATUS(wmtls_submit_probe(dispatcher, silent, DAY_MS, &tags[0], &error), WMTLS_OK, error);
    wmtls_endpoint_free(silent);
    submit(&tags[1]);
    check_polled(&tags[1], WMTLS_OK);
    CHECK_STATUS(wmtls_submit_probe(dispatcher, endpoint, 0, &tags[2], &error), WMTLS_OK, error);
    check_polled(&tags[2], WMTLS_OK);
    CHECK_STATUS(wmtls_submit_reload(dispatcher, &tags[3], &error), WMTLS_OK, error);
    check_polled(&tags[3], WMTLS_OK);
    CHECK(wmtls_in_flight(dispatcher) == 1);
    CHECK_STATUS(wmtls_submit_close(dispatcher, 0, &closed, &error), WMTLS_OK, error);
    check_polled(&tags[0], WMTLS_CANCELED);
    check_polled(&closed, WMTLS_OK);
    close(peer);
    end();
}

static void a_probe_ends_at_its_time_limit(void) {
    wmtls_error *error;
    char url[64];
    start();
    int peer = silent_peer(url, sizeof url);
    wmtls_endpoint *silent = endpoint_at("silent", url);
    CHECK_STATUS(wmtls_submit_probe(dispatcher, silent, 50, NULL, &error), WMTLS_OK, error);
    check_polled(NULL, WMTLS_DEADLINE_EXCEEDED);
    /* The dispatcher is freed while a probe runs. */
    CHECK_STATUS(wmtls_submit_probe(dispatcher, silent, DAY_MS, NULL, &error), WMTLS_OK, error);
    wmtls_endpoint_free(silent);
    close(peer);
    end();
}

static void overwrite(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void a_reload_is_awaited_in_a_poll_loop(void) {
    wmtls_error *error;
    wmtls_trust *trust;
    char directory[] = "/tmp/webhook-mtls-operations-XXXXXX";
    char path[sizeof directory + 16];
    start();
    CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/ca.pem", directory);
    wmtls_lab_authority *ca = wmtls_lab_authority_of(lab);
    overwrite(path, wmtls_lab_authority_root_pem(ca));
    CHECK_STATUS(wmtls_trust_from_files(path, NULL, NULL, &trust, &error), WMTLS_OK, error);
    wmtls_options *options = patient_options(lab);
    wmtls_options_trust(options, trust);
    wmtls_trust_free(trust);
    wmtls_endpoint_free(endpoint);
    wmtls_dispatcher_free(dispatcher);
    dispatch_with(options);
    CHECK(wmtls_next_event(dispatcher, 0) == NULL);
    overwrite(path, "no certificate");
    CHECK_STATUS(wmtls_submit_reload(dispatcher, &tags[0], &error), WMTLS_OK, error);
    wmtls_outcome *outcome = polled();
    CHECK(wmtls_error_kind(wmtls_outcome_error(outcome)) == WMTLS_PEM_INVALID);
    CHECK(wmtls_outcome_tag(outcome) == &tags[0] && wmtls_outcome_endpoint(outcome) == NULL);
    CHECK(wmtls_outcome_receipt(outcome) == NULL && wmtls_outcome_probe(outcome) == NULL);
    wmtls_outcome_free(outcome);
    wmtls_event *event = wmtls_next_event(dispatcher, MINUS_ONE);
    CHECK_TEXT(wmtls_event_name(event), "rotation_failed");
    wmtls_event_free(event);
    overwrite(path, wmtls_lab_authority_root_pem(ca));
    CHECK_STATUS(wmtls_submit_reload(dispatcher, &tags[1], &error), WMTLS_OK, error);
    check_polled(&tags[1], WMTLS_OK);
    wmtls_lab_authority_free(ca);
    CHECK(unlink(path) == 0 && rmdir(directory) == 0);
    end();
}

/* A delivery counts as ended shortly before its outcome exists: only many rounds would show it. */
static void the_outcome_of_a_close_is_the_last(void) {
    wmtls_error *error;
    start();
    CHECK_STATUS(wmtls_lab_consumer_misbehave(acme, "stall", 0, &error), WMTLS_OK, error);
    for (int round = 0; round < ROUNDS; round++) {
        if (round % 2 == 0) CHECK(wmtls_completion_fd(dispatcher) >= 0);
        for (int i = 0; i < EACH; i++) {
            submit(&tags[i]);
        }
        CHECK_STATUS(wmtls_submit_probe(dispatcher, endpoint, 0, &tags[0], &error), WMTLS_OK, error);
        CHECK_STATUS(wmtls_submit_close(dispatcher, 0, &closed, &error), WMTLS_OK, error);
        for (int i = 0; i < EACH + 1; i++) {
            wmtls_outcome *outcome = wmtls_next_outcome(dispatcher, LONG_MS);
            CHECK(outcome != NULL && wmtls_outcome_tag(outcome) != &closed);
            wmtls_outcome_free(outcome);
        }
        wmtls_outcome *last = wmtls_next_outcome(dispatcher, LONG_MS);
        CHECK(wmtls_outcome_tag(last) == &closed && wmtls_outcome_error(last) == NULL);
        CHECK(wmtls_outcome_receipt(last) == NULL && wmtls_outcome_probe(last) == NULL);
        CHECK(wmtls_outcome_endpoint(last) == NULL);
        wmtls_outcome_free(last);
        CHECK(wmtls_in_flight(dispatcher) == 0 && wmtls_next_outcome(dispatcher, -1) == NULL);
        wmtls_endpoint_free(endpoint);
        wmtls_dispatcher_free(dispatcher);
        dispatch_with(patient_options(lab));
    }
    end();
}

static void a_close_lets_deliveries_finish_and_refuses_new_ones(void) {
    wmtls_error *error;
    start();
    for (int i = 0; i < EACH; i++) {
        submit(&tags[0]);
    }
    CHECK_STATUS(wmtls_submit_close(dispatcher, MINUS_ONE, &closed, &error), WMTLS_OK, error);
    submit(&tags[1]);
    CHECK_STATUS(wmtls_submit_probe(dispatcher, endpoint, 0, &tags[1], &error), WMTLS_OK, error);
    CHECK_STATUS(wmtls_submit_reload(dispatcher, &tags[1], &error), WMTLS_OK, error);
    int delivered = 0, refused = 0, closes = 0;
    for (int i = 0; i < EACH + 4; i++) {
        wmtls_outcome *outcome = polled();
        const wmtls_error *failure = wmtls_outcome_error(outcome);
        delivered += wmtls_outcome_receipt(outcome) != NULL;
        refused += wmtls_outcome_tag(outcome) == &tags[1] &&
                   wmtls_error_kind(failure) == WMTLS_HANDLE_CLOSED;
        closes += wmtls_outcome_tag(outcome) == &closed && failure == NULL;
        wmtls_outcome_free(outcome);
    }
    CHECK(delivered == EACH && refused == 3 && closes == 1);
    /* A second close changes nothing, and has its outcome. */
    CHECK_STATUS(wmtls_submit_close(dispatcher, 0, &tags[2], &error), WMTLS_OK, error);
    check_polled(&tags[2], WMTLS_OK);
    CHECK(wmtls_in_flight(dispatcher) == 0 && !is_readable(0));
    end();
}

static void without_the_descriptor_the_waiting_thread_gets_the_outcomes(void) {
    wmtls_error *error;
    start();
    CHECK_STATUS(wmtls_submit_probe(dispatcher, endpoint, 0, &tags[0], &error), WMTLS_OK, error);
    CHECK_STATUS(wmtls_submit_reload(dispatcher, &tags[1], &error), WMTLS_OK, error);
    submit(&tags[2]);
    for (int i = 0; i < 3; i++) {
        wmtls_outcome *outcome = wmtls_next_outcome(dispatcher, LONG_MS);
        CHECK(outcome != NULL && wmtls_outcome_error(outcome) == NULL);
        ++*(int *)wmtls_outcome_tag(outcome);
        wmtls_outcome_free(outcome);
    }
    CHECK(tags[0] == 1 && tags[1] == 1 && tags[2] == 1);
    submit(&tags[3]);
    CHECK_STATUS(wmtls_submit_close(dispatcher, LONG_MS, &closed, &error), WMTLS_OK, error);
    wmtls_outcome *outcome = wmtls_next_outcome(dispatcher, LONG_MS);
    CHECK(wmtls_receipt_status(wmtls_outcome_receipt(outcome)) == 200);
    wmtls_outcome_free(outcome);
    outcome = wmtls_next_outcome(dispatcher, LONG_MS);
    CHECK(wmtls_outcome_tag(outcome) == &closed);
    wmtls_outcome_free(outcome);
    end();
}

static void a_forked_child_cannot_submit_operations_of_its_parent(void) {
    wmtls_error *error;
    start();
    CHECK_STATUS(wmtls_submit_reload(dispatcher, NULL, &error), WMTLS_OK, error);
    pid_t child = fork();
    if (child == 0) {
        bool told = wmtls_submit_probe(dispatcher, endpoint, 0, NULL, NULL) == WMTLS_FORKED_PROCESS;
        told = told && wmtls_submit_diagnosis(dispatcher, endpoint, 0, 0, NULL, NULL) ==
                           WMTLS_FORKED_PROCESS;
        told = told && wmtls_submit_reload(dispatcher, NULL, NULL) == WMTLS_FORKED_PROCESS;
        told = told && wmtls_submit_close(dispatcher, 0, NULL, NULL) == WMTLS_FORKED_PROCESS;
        /* execl instead of _exit: memcheck would report the memory of the parent's other threads
           as lost. */
        execl(told ? "/bin/true" : "/bin/false", told ? "true" : "false", (char *)NULL);
        _exit(1);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_polled(NULL, WMTLS_OK);
    end();
}

static void bad_input_is_refused(void) {
    wmtls_error *error;
    CHECK_STATUS(wmtls_submit_probe(NULL, NULL, 0, NULL, &error), WMTLS_OPTION_INVALID, error);
    CHECK_STATUS(wmtls_submit_reload(NULL, NULL, &error), WMTLS_OPTION_INVALID, error);
    CHECK_STATUS(wmtls_submit_close(NULL, 0, NULL, &error), WMTLS_OPTION_INVALID, error);
    CHECK_STATUS(wmtls_submit_diagnosis(NULL, NULL, 0, 0, NULL, &error), WMTLS_OPTION_INVALID,
                 error);
    CHECK(wmtls_outcome_probe(NULL) == NULL && wmtls_outcome_report(NULL) == NULL);
    start();
    CHECK_STATUS(wmtls_submit_diagnosis(dispatcher, endpoint, DAY_MS + 1, 0, NULL, &error),
                 WMTLS_OPTION_INVALID, error);
    CHECK_STATUS(wmtls_submit_diagnosis(dispatcher, endpoint, 0, 7, NULL, &error),
                 WMTLS_OPTION_INVALID, error);
    CHECK_STATUS(wmtls_submit_probe(dispatcher, NULL, 0, NULL, &error), WMTLS_OPTION_INVALID, error);
    CHECK_STATUS(wmtls_submit_probe(dispatcher, endpoint, DAY_MS + 1, NULL, &error),
                 WMTLS_OPTION_INVALID, error);
    CHECK_STATUS(wmtls_submit_probe(dispatcher, endpoint, MINUS_ONE, NULL, &error),
                 WMTLS_OPTION_INVALID, error);
    CHECK(wmtls_next_outcome(dispatcher, -1) == NULL);
    wmtls_dispatcher_close(dispatcher, MINUS_ONE);
    wmtls_options *options = patient_options(lab);
    wmtls_options_timeout_ms(options, MINUS_ONE);
    CHECK_STATUS(wmtls_dispatcher_new(options, NULL, &error), WMTLS_OPTION_INVALID, error);
    end();
}

int main(void) {
    RUN(a_probe_is_awaited_in_a_poll_loop);
    RUN(a_failed_probe_has_an_error);
    RUN(a_diagnosis_is_awaited_in_a_poll_loop);
    RUN(a_probe_without_an_answer_delays_nothing);
    RUN(a_probe_ends_at_its_time_limit);
    RUN(a_reload_is_awaited_in_a_poll_loop);
    RUN(the_outcome_of_a_close_is_the_last);
    RUN(a_close_lets_deliveries_finish_and_refuses_new_ones);
    RUN(without_the_descriptor_the_waiting_thread_gets_the_outcomes);
    if (can_fork()) {
        RUN(a_forked_child_cannot_submit_operations_of_its_parent);
    }
    RUN(bad_input_is_refused);
    return 0;
}
