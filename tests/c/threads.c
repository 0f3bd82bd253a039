/* One dispatcher shared by threads: cancel from another thread, close, fork. */

#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "webhook_mtls_testing.h"

#include "check.h"
#include "patient.h"

enum { THREADS = 8, DELIVERIES = 200, LONG_MS = 60000 };

static wmtls_lab *lab;
static wmtls_lab_consumer *acme;
static wmtls_dispatcher *dispatcher;
static wmtls_endpoint *endpoint;

/* `single`: at most one delivery in flight, and one open connection. */
static void start_as(bool single) {
    CHECK(wmtls_lab_start(&lab, NULL) == WMTLS_OK);
    CHECK(wmtls_lab_consumer_new(lab, "acme", &acme, NULL) == WMTLS_OK);
    wmtls_options *all = patient_options(lab);
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    if (single) {
        wmtls_options_max_connections(all, 1);
        wmtls_endpoint_options_set(options, "concurrency", "1");
    }
    CHECK(wmtls_dispatcher_new(all, &dispatcher, NULL) == WMTLS_OK);
    wmtls_endpoint_options_pin(options, wmtls_lab_consumer_pin(acme), WMTLS_PIN_CURRENT);
    CHECK(wmtls_dispatcher_endpoint(dispatcher, "acme", wmtls_lab_consumer_url(acme), options,
                                    &endpoint, NULL) == WMTLS_OK);
}

static void start(void) {
    start_as(false);
}

static void end(void) {
    wmtls_endpoint_free(endpoint);
    wmtls_dispatcher_close(dispatcher, 0);
    wmtls_dispatcher_free(dispatcher);
    wmtls_lab_consumer_free(acme);
    wmtls_lab_free(lab);
}

static wmtls_status deliver_within(uint64_t timeout_ms, wmtls_error **error) {
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
    wmtls_delivery_timeout_ms(delivery, timeout_ms);
    wmtls_status status = wmtls_deliver(dispatcher, delivery, NULL, error);
    wmtls_delivery_free(delivery);
    return status;
}

static wmtls_status deliver(wmtls_error **error) {
    return deliver_within(LONG_MS, error);
}

static void *deliver_many(void *unused) {
    (void)unused;
    for (int i = 0; i < DELIVERIES; i++) {
        wmtls_error *error;
        CHECK_STATUS(deliver(&error), WMTLS_OK, error);
    }
    return NULL;
}

static void many_threads_share_a_dispatcher(void) {
    pthread_t threads[THREADS];
    start();
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, deliver_many, NULL) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK(wmtls_lab_consumer_received(acme) == THREADS * DELIVERIES);
    CHECK(wmtls_lab_consumer_connections(acme) <= THREADS * DELIVERIES / 10);
    end();
}

/* The outcome of a delivery that does not end on its own. */
struct outcome {
    wmtls_cancel_token *token;
    wmtls_status status;
    int32_t sent;
};

static void *deliver_into_silence(void *argument) {
    struct outcome *outcome = (struct outcome *)argument;
    wmtls_error *error;
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
    wmtls_delivery_timeout_ms(delivery, LONG_MS);
    if (outcome->token != NULL) {
        wmtls_delivery_cancel_token(delivery, outcome->token);
    }
    outcome->status = wmtls_deliver(dispatcher, delivery, NULL, &error);
    outcome->sent = wmtls_error_sent(error);
    wmtls_error_free(error);
    wmtls_delivery_free(delivery);
    return NULL;
}

/* The consumer may have read the request before our own write has returned. */
static void check_that_it_left(const struct outcome *outcome) {
    CHECK(outcome->sent == WMTLS_SENT_ALL || outcome->sent == WMTLS_SENT_MAYBE);
}

static void another_thread_cancels(void) {
    pthread_t thread;
    start();
    struct outcome outcome = {wmtls_cancel_token_new(), 0, 0};
    CHECK(wmtls_lab_consumer_misbehave(acme, "stall", 0, NULL) == WMTLS_OK);
    CHECK(pthread_create(&thread, NULL, deliver_into_silence, &outcome) == 0);
    CHECK(wmtls_lab_consumer_wait(acme, 1, LONG_MS));
    wmtls_cancel_token_cancel(outcome.token);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(outcome.status == WMTLS_CANCELED);
    check_that_it_left(&outcome);

    /* The token stays canceled: further deliveries send nothing. */
    deliver_into_silence(&outcome);
    CHECK(outcome.status == WMTLS_CANCELED && outcome.sent == WMTLS_SENT_NOTHING);
    CHECK(wmtls_lab_consumer_received(acme) == 1);
    wmtls_cancel_token_free(outcome.token);
    end();
}

static void a_close_ends_deliveries_in_flight(void) {
    pthread_t threads[THREADS];
    struct outcome outcomes[THREADS] = {{NULL, 0, 0}};
    wmtls_error *error;
    start();
    CHECK(wmtls_lab_consumer_misbehave(acme, "stall", 0, NULL) == WMTLS_OK);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, deliver_into_silence, &outcomes[i]) == 0);
    }
    CHECK(wmtls_lab_consumer_wait(acme, THREADS, LONG_MS));
    wmtls_dispatcher_close(dispatcher, 10);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(outcomes[i].status == WMTLS_CANCELED);
        check_that_it_left(&outcomes[i]);
    }
    CHECK_STATUS(deliver(&error), WMTLS_HANDLE_CLOSED, error);
    end();
}

static void a_close_lets_deliveries_finish(void) {
    pthread_t threads[THREADS];
    struct outcome outcomes[THREADS] = {{NULL, 0, 0}};
    start();
    CHECK(wmtls_lab_consumer_misbehave(acme, "stall", 1, NULL) == WMTLS_OK);
    CHECK(pthread_create(&threads[0], NULL, deliver_into_silence, &outcomes[0]) == 0);
    CHECK(wmtls_lab_consumer_wait(acme, 1, LONG_MS));
    for (int i = 1; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, deliver_into_silence, &outcomes[i]) == 0);
    }
    CHECK(wmtls_lab_consumer_wait(acme, THREADS, LONG_MS));
    /* One never ends; a slow machine ends the others within this time. */
    wmtls_dispatcher_close(dispatcher, 2000);
    int delivered = 0, canceled = 0;
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        delivered += outcomes[i].status == WMTLS_OK;
        canceled += outcomes[i].status == WMTLS_CANCELED;
    }
    CHECK(delivered == THREADS - 1 && canceled == 1);
    end();
}

static void a_forked_child_delivers_with_what_it_inherited(void) {
    pthread_t threads[2];
    wmtls_error *error;
    int status;
    start();
    CHECK_STATUS(deliver(&error), WMTLS_OK, error);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        for (int i = 0; i < DELIVERIES; i++) {
            CHECK_STATUS(deliver(&error), WMTLS_OK, error);
        }
        /* execl instead of _exit: memcheck would report the memory of the parent's other threads
           as lost. */
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_create(&threads[i], NULL, deliver_many, NULL) == 0);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(wmtls_lab_consumer_received(acme) == 1 + 3 * DELIVERIES);
    end();
}

/* The parent's only turn and only connection are taken. The child does not wait for them, and
   its own do not return to the parent. */
static void a_forked_child_has_its_own_turns_and_permits(void) {
    pthread_t thread;
    wmtls_error *error;
    int status;
    start_as(true);
    struct outcome outcome = {wmtls_cancel_token_new(), 0, 0};
    CHECK(wmtls_lab_consumer_misbehave(acme, "stall", 1, NULL) == WMTLS_OK);
    CHECK(pthread_create(&thread, NULL, deliver_into_silence, &outcome) == 0);
    CHECK(wmtls_lab_consumer_wait(acme, 1, LONG_MS));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        for (int i = 0; i < 3; i++) {
            CHECK_STATUS(deliver(&error), WMTLS_OK, error);
        }
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_STATUS(deliver_within(300, &error), WMTLS_OVERLOADED, error);
    CHECK(wmtls_lab_consumer_received(acme) == 1 + 3);
    wmtls_cancel_token_cancel(outcome.token);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_STATUS(deliver(&error), WMTLS_OK, error);
    wmtls_cancel_token_free(outcome.token);
    end();
}

int main(void) {
    RUN(many_threads_share_a_dispatcher);
    RUN(another_thread_cancels);
    RUN(a_close_ends_deliveries_in_flight);
    RUN(a_close_lets_deliveries_finish);
    if (can_fork()) {
        RUN(a_forked_child_delivers_with_what_it_inherited);
        RUN(a_forked_child_has_its_own_turns_and_permits);
    }
    return 0;
}
