/* Submitted deliveries: many at once, the completion descriptor, failures, close. */

#define _POSIX_C_SOURCE 200809L

#include <poll.h>
#include <sched.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "webhook_mtls_testing.h"

#include "check.h"
#include "patient.h"

enum { MANY = 200, LINE = 6000, LONG_MS = 60000, HUGE_BODY = 32 << 20, HUGE_BODIES = 8 };

static wmtls_lab *lab;
static wmtls_lab_consumer *acme;
static wmtls_dispatcher *dispatcher;
static wmtls_endpoint *endpoint;
static int tags[MANY];

static void start(void) {
    CHECK(wmtls_lab_start(&lab, NULL) == WMTLS_OK);
    CHECK(wmtls_lab_consumer_new(lab, "acme", &acme, NULL) == WMTLS_OK);
    dispatcher = patient_dispatcher(lab);
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pin(options, wmtls_lab_consumer_pin(acme), WMTLS_PIN_CURRENT);
    CHECK(wmtls_dispatcher_endpoint(dispatcher, "acme", wmtls_lab_consumer_url(acme), options,
                                    &endpoint, NULL) == WMTLS_OK);
}

static void end(void) {
    wmtls_endpoint_free(endpoint);
    wmtls_dispatcher_close(dispatcher, 0);
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

static bool is_readable(int descriptor, int timeout_ms) {
    struct pollfd wanted = {.fd = descriptor, .events = POLLIN, .revents = 0};
    return poll(&wanted, 1, timeout_ms) == 1;
}

static void each_delivery_has_one_outcome_with_its_tag(void) {
    start();
    for (int i = 0; i < MANY; i++) {
        tags[i] = 0;
        submit(&tags[i]);
    }
    wmtls_outcome *outcome;
    for (int i = 0; i < MANY; i++) {
        outcome = wmtls_next_outcome(dispatcher, LONG_MS);
        CHECK(outcome != NULL);
        ++*(int *)wmtls_outcome_tag(outcome);
        CHECK(wmtls_receipt_status(wmtls_outcome_receipt(outcome)) == 200);
        CHECK(wmtls_outcome_error(outcome) == NULL);
        CHECK_TEXT(wmtls_endpoint_consumer(wmtls_outcome_endpoint(outcome)), "acme");
        wmtls_outcome_free(outcome);
    }
    for (int i = 0; i < MANY; i++) {
        CHECK(tags[i] == 1);
    }
    /* Nothing is in flight, so an unlimited wait returns at once. */
    CHECK(wmtls_next_outcome(dispatcher, -1) == NULL);
    CHECK(wmtls_in_flight(dispatcher) == 0);
    CHECK(wmtls_lab_consumer_connections(acme) <= 8);
    end();
}

static int line(void) {
    return is_checked() ? LINE / 20 : LINE;
}

static void a_long_line_is_delivered_whole(void) {
    start();
    for (int i = 0; i < line(); i++) {
        submit(NULL);
    }
    for (int i = 0; i < line(); i++) {
        wmtls_outcome *outcome = wmtls_next_outcome(dispatcher, LONG_MS);
        CHECK(outcome != NULL);
        CHECK(wmtls_receipt_status(wmtls_outcome_receipt(outcome)) == 200);
        wmtls_outcome_free(outcome);
    }
    CHECK(wmtls_next_outcome(dispatcher, -1) == NULL);
    CHECK(wmtls_in_flight(dispatcher) == 0);
    CHECK(wmtls_lab_consumer_received(acme) == (size_t)line());
    end();
}

static void payloads_in_line_are_bounded_and_a_shared_one_counts_once(void) {
    wmtls_error *error;
    char *payload = (char *)calloc(1, HUGE_BODY);
    start();
    CHECK(payload != NULL);
    CHECK_STATUS(wmtls_lab_consumer_misbehave(acme, "stall", 0, &error), WMTLS_OK, error);
    wmtls_body *body = wmtls_body_new(payload, HUGE_BODY);
    for (int i = 0; i < MANY; i++) {
        wmtls_delivery *shared = wmtls_delivery_of_body(endpoint, body);
        CHECK_STATUS(wmtls_submit(dispatcher, shared, &error), WMTLS_OK, error);
    }
    wmtls_body_free(body);
    for (int i = 1; i < HUGE_BODIES; i++) {
        wmtls_delivery *own = wmtls_delivery_new(endpoint, payload, HUGE_BODY);
        CHECK_STATUS(wmtls_submit(dispatcher, own, &error), WMTLS_OK, error);
    }
    wmtls_delivery *beyond = wmtls_delivery_new(endpoint, payload, HUGE_BODY);
    CHECK_STATUS(wmtls_submit(dispatcher, beyond, &error), WMTLS_OVERLOADED, error);
    CHECK(wmtls_in_flight(dispatcher) == MANY + HUGE_BODIES - 1);
    wmtls_dispatcher_close(dispatcher, 0);
    for (int i = 0; i < MANY + HUGE_BODIES - 1; i++) {
        wmtls_outcome *outcome = wmtls_next_outcome(dispatcher, LONG_MS);
        CHECK(wmtls_error_kind(wmtls_outcome_error(outcome)) == WMTLS_CANCELED);
        wmtls_outcome_free(outcome);
    }
    CHECK(wmtls_in_flight(dispatcher) == 0);
    free(payload);
    end();
}

static void the_descriptor_is_readable_while_an_outcome_waits(void) {
    start();
    int descriptor = wmtls_completion_fd(dispatcher);
    CHECK(descriptor >= 0);
    CHECK(descriptor == wmtls_completion_fd(dispatcher));
    CHECK(!is_readable(descriptor, 0));
    for (int round = 0; round < 50; round++) {
        submit(NULL);
        submit(NULL);
        for (int taken = 0; taken < 2;) {
            CHECK(is_readable(descriptor, LONG_MS));
            wmtls_outcome *outcome = wmtls_next_outcome(dispatcher, 0);
            taken += outcome != NULL;
            wmtls_outcome_free(outcome);
        }
        CHECK(!is_readable(descriptor, 0));
    }
    end();
}

static void a_descriptor_requested_late_misses_nothing(void) {
    start();
    submit(NULL);
    CHECK(wmtls_lab_consumer_wait(acme, 1, LONG_MS));
    CHECK(is_readable(wmtls_completion_fd(dispatcher), LONG_MS));
    wmtls_outcome_free(wmtls_next_outcome(dispatcher, 0));
    end();
}

static void polling_does_not_delay_deliveries(void) {
    start();
    submit(NULL);
    wmtls_outcome *outcome = NULL;
    for (time_t begun = time(NULL); outcome == NULL && time(NULL) - begun < LONG_MS / 1000;) {
        sched_yield();
        outcome = wmtls_next_outcome(dispatcher, 0);
    }
    CHECK(wmtls_receipt_status(wmtls_outcome_receipt(outcome)) == 200);
    wmtls_outcome_free(outcome);
    end();
}

static void a_failure_is_an_outcome_and_closing_cancels(void) {
    start();
    CHECK(wmtls_lab_consumer_misbehave(acme, "stall", 1, NULL) == WMTLS_OK);
    submit(&tags[0]);
    CHECK(wmtls_lab_consumer_wait(acme, 1, LONG_MS));
    CHECK(wmtls_next_outcome(dispatcher, 1) == NULL);
    CHECK(wmtls_in_flight(dispatcher) == 1);
    wmtls_dispatcher_close(dispatcher, 0);
    wmtls_outcome *outcome = wmtls_next_outcome(dispatcher, LONG_MS);
    CHECK(wmtls_outcome_tag(outcome) == &tags[0]);
    CHECK(wmtls_outcome_receipt(outcome) == NULL);
    CHECK(wmtls_error_kind(wmtls_outcome_error(outcome)) == WMTLS_CANCELED);
    wmtls_outcome_free(outcome);
    submit(&tags[1]);
    outcome = wmtls_next_outcome(dispatcher, LONG_MS);
    CHECK(wmtls_error_kind(wmtls_outcome_error(outcome)) == WMTLS_HANDLE_CLOSED);
    CHECK(wmtls_error_sent(wmtls_outcome_error(outcome)) == WMTLS_SENT_NOTHING);
    wmtls_outcome_free(outcome);
    end();
}

static void a_waiting_delivery_ends_with_its_endpoint(void) {
    wmtls_error *error;
    start();
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pin(options, wmtls_lab_consumer_pin(acme), WMTLS_PIN_CURRENT);
    wmtls_endpoint_options_set(options, "concurrency", "1");
    wmtls_endpoint_free(endpoint);
    CHECK_STATUS(wmtls_dispatcher_endpoint(dispatcher, "acme", wmtls_lab_consumer_url(acme),
                                           options, &endpoint, &error),
                 WMTLS_OK, error);
    CHECK_STATUS(wmtls_lab_consumer_misbehave(acme, "stall", 1, &error), WMTLS_OK, error);
    submit(NULL);
    CHECK(wmtls_lab_consumer_wait(acme, 1, LONG_MS));
    for (int i = 0; i < 9; i++) {
        submit(&tags[i]);
    }
    CHECK(wmtls_dispatcher_remove(dispatcher, "acme"));
    for (int i = 0; i < 9; i++) {
        wmtls_outcome *outcome = wmtls_next_outcome(dispatcher, LONG_MS);
        CHECK(outcome != NULL && wmtls_outcome_tag(outcome) != NULL);
        CHECK(wmtls_error_kind(wmtls_outcome_error(outcome)) == WMTLS_HANDLE_CLOSED);
        CHECK(wmtls_error_sent(wmtls_outcome_error(outcome)) == WMTLS_SENT_NOTHING);
        wmtls_outcome_free(outcome);
    }
    /* A request that has left continues. */
    CHECK(wmtls_in_flight(dispatcher) == 1);
    CHECK(wmtls_lab_consumer_received(acme) == 1);
    end();
}

static void freeing_the_dispatcher_ends_deliveries_in_flight(void) {
    start();
    CHECK(wmtls_lab_consumer_misbehave(acme, "stall", 0, NULL) == WMTLS_OK);
    for (int i = 0; i < 20; i++) {
        submit(NULL);
    }
    CHECK(wmtls_lab_consumer_wait(acme, 8, LONG_MS));
    wmtls_dispatcher_free(dispatcher);
    dispatcher = NULL;
    end();
}

static void a_forked_child_gets_forked_process(void) {
    start();
    submit(NULL);
    pid_t child = fork();
    if (child == 0) {
        wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
        bool told = wmtls_submit(dispatcher, delivery, NULL) == WMTLS_FORKED_PROCESS;
        bool empty = wmtls_next_outcome(dispatcher, -1) == NULL;
        /* execl instead of _exit: memcheck would report the memory of the parent's other threads
           as lost. */
        const char *word = told && empty ? "true" : "false";
        execl(told && empty ? "/bin/true" : "/bin/false", word, (char *)NULL);
        _exit(1);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    wmtls_outcome *outcome = wmtls_next_outcome(dispatcher, LONG_MS);
    CHECK(wmtls_receipt_status(wmtls_outcome_receipt(outcome)) == 200);
    wmtls_outcome_free(outcome);
    end();
}

/* An outcome of the parent waits at the time of the fork, and another arrives afterwards. */
static void the_descriptor_is_silent_in_a_forked_child(void) {
    int ready[2], done[2];
    start();
    int descriptor = wmtls_completion_fd(dispatcher);
    submit(NULL);
    CHECK(is_readable(descriptor, LONG_MS));
    CHECK(pipe(ready) == 0 && pipe(done) == 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        bool same = wmtls_completion_fd(dispatcher) == descriptor;
        bool silent = !is_readable(descriptor, 0) && wmtls_next_outcome(dispatcher, 0) == NULL;
        bool told = write(ready[1], "r", 1) == 1 && read(done[0], &byte, 1) == 1;
        silent = silent && !is_readable(descriptor, 0);
        const char *word = told && same && silent ? "true" : "false";
        execl(told && same && silent ? "/bin/true" : "/bin/false", word, (char *)NULL);
        _exit(1);
    }
    char byte;
    int status = 0;
    CHECK(read(ready[0], &byte, 1) == 1);
    /* The child has taken no signal away. */
    CHECK(is_readable(descriptor, 0));
    wmtls_outcome_free(wmtls_next_outcome(dispatcher, 0));
    submit(NULL);
    CHECK(is_readable(descriptor, LONG_MS));
    CHECK(write(done[1], "d", 1) == 1);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    wmtls_outcome_free(wmtls_next_outcome(dispatcher, 0));
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(done[i]);
    }
    end();
}

static void bad_input_is_refused(void) {
    wmtls_error *error;
    CHECK_STATUS(wmtls_submit(NULL, NULL, &error), WMTLS_OPTION_INVALID, error);
    start();
    CHECK_STATUS(wmtls_submit(dispatcher, NULL, &error), WMTLS_OPTION_INVALID, error);
    wmtls_delivery *delivery = wmtls_delivery_new(NULL, "{}", 2);
    CHECK_STATUS(wmtls_submit(dispatcher, delivery, &error), WMTLS_OPTION_INVALID, error);
    delivery = wmtls_delivery_of_body(endpoint, NULL);
    CHECK_STATUS(wmtls_submit(dispatcher, delivery, &error), WMTLS_OPTION_INVALID, error);
    wmtls_body *empty = wmtls_body_new(NULL, 0);
    wmtls_delivery_free(wmtls_delivery_of_body(endpoint, empty));
    wmtls_body_free(empty);
    wmtls_body_free(NULL);
    CHECK(wmtls_next_outcome(NULL, 0) == NULL);
    CHECK(wmtls_next_outcome(dispatcher, -1) == NULL);
    CHECK(wmtls_completion_fd(NULL) == -1);
    CHECK(wmtls_in_flight(NULL) == 0);
    CHECK(wmtls_outcome_tag(NULL) == NULL);
    CHECK(wmtls_outcome_endpoint(NULL) == NULL);
    CHECK(wmtls_outcome_receipt(NULL) == NULL);
    CHECK(wmtls_outcome_error(NULL) == NULL);
    wmtls_outcome_free(NULL);
    end();
}

int main(void) {
    RUN(each_delivery_has_one_outcome_with_its_tag);
    RUN(a_long_line_is_delivered_whole);
    RUN(payloads_in_line_are_bounded_and_a_shared_one_counts_once);
    RUN(the_descriptor_is_readable_while_an_outcome_waits);
    RUN(a_descriptor_requested_late_misses_nothing);
    RUN(polling_does_not_delay_deliveries);
    RUN(a_failure_is_an_outcome_and_closing_cancels);
    RUN(a_waiting_delivery_ends_with_its_endpoint);
    RUN(freeing_the_dispatcher_ends_deliveries_in_flight);
    if (can_fork()) {
        RUN(a_forked_child_gets_forked_process);
        RUN(the_descriptor_is_silent_in_a_forked_child);
    }
    RUN(bad_input_is_refused);
    return 0;
}
