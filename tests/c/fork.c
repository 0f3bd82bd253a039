/* A process with busy threads forks again and again: no child hangs. Also signals: the calls of a
   thread that a signal wakes while another thread delivers.

   The environment variable FORKS sets the number of children; the soak sets it to 20 000.
   `cargo xtask test c --dev` leaves this file out: it is slow. */

#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
#include <atomic>
using std::atomic_bool;
using std::atomic_int;
#else
#include <stdatomic.h>
#endif

#include "webhook_mtls_testing.h"

#include "check.h"
#include "patient.h"

enum { THREADS = 8, AT_ONCE = 4, DEADLINE_S = 60, LONG_MS = 60000 };

/* A handshake takes longer than everything else in a child. */
enum { DELIVERS = 8 };

static wmtls_lab *lab;
static wmtls_lab_consumer *consumer;
/* The connection of this endpoint must outlive all children. */
static wmtls_dispatcher *quiet;
static wmtls_endpoint *session;
static wmtls_dispatcher *busy;
static wmtls_endpoint *endpoint;
static wmtls_verifier *verifier;
static const char *chain;
static atomic_bool stop;

static wmtls_endpoint *endpoint_of(wmtls_dispatcher *dispatcher, const char *name,
                                   const char *url) {
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint *made = NULL;
    wmtls_endpoint_options_no_pins(options);
    CHECK(wmtls_dispatcher_endpoint(dispatcher, name, url, options, &made, NULL) == WMTLS_OK);
    return made;
}

static void start(void) {
    wmtls_trust *trust;
    wmtls_error *error;
    CHECK(wmtls_lab_start(&lab, NULL) == WMTLS_OK);
    CHECK(wmtls_lab_consumer_new(lab, "acme", &consumer, NULL) == WMTLS_OK);
    quiet = patient_dispatcher(lab);
    session = endpoint_of(quiet, "quiet", wmtls_lab_consumer_url(consumer));
    busy = patient_dispatcher(lab);
    endpoint = endpoint_of(busy, "busy", wmtls_lab_consumer_url(consumer));
    trust = wmtls_lab_trust(lab);
    wmtls_verifier_options *options = wmtls_verifier_options_new(WMTLS_ROLE_SERVER, trust);
    CHECK_STATUS(wmtls_verifier_new(options, &verifier, &error), WMTLS_OK, error);
    wmtls_trust_free(trust);
    stop = false;
}

static void end(void) {
    wmtls_verifier_free(verifier);
    wmtls_endpoint_free(endpoint);
    wmtls_endpoint_free(session);
    wmtls_dispatcher_close(busy, 0);
    wmtls_dispatcher_free(busy);
    wmtls_dispatcher_close(quiet, 0);
    wmtls_dispatcher_free(quiet);
    wmtls_lab_consumer_free(consumer);
    wmtls_lab_free(lab);
}

static void rest(long microseconds) {
    struct timespec pause = {microseconds / 1000000, microseconds % 1000000 * 1000};
    nanosleep(&pause, NULL);
}

/* Returns whether the delivery went over a connection that was open before. */
static bool deliver(wmtls_dispatcher *dispatcher, wmtls_endpoint *to) {
    wmtls_receipt *receipt;
    wmtls_error *error;
    wmtls_delivery *delivery = wmtls_delivery_new(to, "{}", 2);
    wmtls_delivery_timeout_ms(delivery, LONG_MS);
    CHECK_STATUS(wmtls_deliver(dispatcher, delivery, &receipt, &error), WMTLS_OK, error);
    bool reused = strstr(wmtls_receipt_json(receipt), "\"reused\":true") != NULL;
    wmtls_receipt_free(receipt);
    wmtls_delivery_free(delivery);
    return reused;
}

static void verify(void) {
    wmtls_peer *peer;
    wmtls_error *error;
    CHECK_STATUS(wmtls_verify_peer(verifier, chain, strlen(chain), "acme.invalid", WMTLS_NOW, &peer,
                                   &error),
                 WMTLS_NAME_MISMATCH, error);
}

static void upsert(int number) {
    char name[32];
    snprintf(name, sizeof name, "consumer-%d", number % 16);
    wmtls_endpoint_free(
        endpoint_of(busy, name, number % 2 ? "https://127.0.0.1:9/" : "https://127.0.0.1:7/"));
    if (number % 5 == 0) {
        wmtls_dispatcher_remove(busy, name);
    }
}

static void words(void) {
    CHECK_TEXT(wmtls_kind_name(WMTLS_PIN_MISMATCH), "pin_mismatch");
    CHECK_TEXT(wmtls_sent_name(WMTLS_SENT_NOTHING), "nothing");
}

static void look_around(void) {
    const char *what;
    CHECK(wmtls_least_lifetime_left(busy, &what) > 0);
    wmtls_rotation_status_free(wmtls_dispatcher_rotation_status(busy));
}

static void submit(void) {
    wmtls_error *error;
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(wmtls_submit(busy, wmtls_delivery_new(endpoint, "{}", 2), &error), WMTLS_OK,
                     error);
    }
    for (int i = 0; i < 2; i++) {
        wmtls_outcome *outcome = wmtls_next_outcome(busy, LONG_MS);
        CHECK(outcome != NULL && wmtls_outcome_error(outcome) == NULL);
        wmtls_outcome_free(outcome);
    }
    rest(3000);
}

static void *busy_thread(void *argument) {
    int part = *(int *)argument;
    for (int number = 0; !stop; number++) {
        wmtls_error *error;
        switch (part) {
        case 0: verify(); break;
        case 1: verify(); break;
        case 2: upsert(number); break;
        case 3: words(); break;
        case 4: look_around(); break;
        case 5: CHECK_STATUS(wmtls_reload(busy, &error), WMTLS_OK, error); break;
        case 6: wmtls_event_free(wmtls_next_event(busy, 1)); submit(); break;
        default: deliver(busy, endpoint); rest(3000); break;
        }
    }
    return NULL;
}

static void work_of_child(int number) {
    wmtls_error *error;
    verify();
    upsert(number);
    words();
    look_around();
    CHECK_STATUS(wmtls_reload(busy, &error), WMTLS_OK, error);
    CHECK(wmtls_next_event(busy, 0) == NULL);
    CHECK_STATUS(wmtls_submit(busy, wmtls_delivery_new(endpoint, "{}", 2), &error),
                 WMTLS_FORKED_PROCESS, error);
    if (number % DELIVERS == 0) {
        CHECK(!deliver(quiet, session));
        CHECK(deliver(quiet, session));
    }
    if (number % DELIVERS == 1) {
        wmtls_dispatcher_close(busy, 0);
    }
}

static pid_t fork_child(int number) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        work_of_child(number);
        /* execl instead of _exit: memcheck would report the memory of the parent's other threads
           as lost. */
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    return child;
}

/* Prints the threads of a process, so that a rare hang can be explained. `system` runs no fork
   handler, which could hang too. */
static void show_threads(pid_t process) {
    char command[1024];
    snprintf(command, sizeof command, "here='%s'; \"${here%%/c/*}/show_threads.sh\" %d >&2",
             __FILE__, (int)process);
    if (system(command) != 0) {
        fprintf(stderr, "%s failed\n", command);
    }
}

static void wait_for(pid_t child) {
    int status;
    for (long waited = 0; waitpid(child, &status, WNOHANG) == 0; waited += 500) {
        if (waited > DEADLINE_S * 1000000L) {
            show_threads(child);
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            check_failed(__FILE__, __LINE__, __func__, "a forked child hangs");
        }
        rest(500);
    }
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Under a memory checker all threads share one processor. */
static int forks(void) {
    const char *wanted = getenv("FORKS");
    if (is_checked()) {
        return 24;
    }
    return wanted != NULL ? atoi(wanted) : 500;
}

static void no_child_hangs_however_busy_the_threads_are(void) {
    pthread_t threads[THREADS];
    int parts[THREADS], count = forks();
    pid_t children[AT_ONCE] = {0};
    start();
    wmtls_lab_issued *issued = wmtls_lab_consumer_issued(consumer);
    chain = wmtls_lab_issued_cert_pem(issued);
    CHECK(!deliver(quiet, session));
    /* Submitted deliveries belong to this process from here on: a child says so. */
    submit();
    for (int i = 0; i < THREADS; i++) {
        parts[i] = i;
        CHECK(pthread_create(&threads[i], NULL, busy_thread, &parts[i]) == 0);
    }
    for (int number = 0; number < count; number++) {
        pid_t *place = &children[number % AT_ONCE];
        if (*place != 0) {
            wait_for(*place);
        }
        *place = fork_child(number);
        if (number % 32 == 0) {
            CHECK(deliver(quiet, session));
        }
    }
    for (int i = 0; i < AT_ONCE; i++) {
        if (children[i] != 0) {
            wait_for(children[i]);
        }
    }
    stop = true;
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    wmtls_lab_issued_free(issued);
    end();
}

/* A delivery that its consumer holds, on a separate thread. */
static void *deliver_into_silence(void *argument) {
    wmtls_error *error;
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
    wmtls_delivery_timeout_ms(delivery, LONG_MS);
    *(wmtls_status *)argument = wmtls_deliver(busy, delivery, NULL, &error);
    wmtls_error_free(error);
    wmtls_delivery_free(delivery);
    return NULL;
}

static void hold(pthread_t *thread, wmtls_status *status) {
    CHECK(wmtls_lab_consumer_misbehave(consumer, "stall", 1, NULL) == WMTLS_OK);
    CHECK(pthread_create(thread, NULL, deliver_into_silence, status) == 0);
    CHECK(wmtls_lab_consumer_wait(consumer, 1, LONG_MS));
}

/* The method for every program: a thread that waits for signals. */
static void *close_upon_signal(void *argument) {
    int signal;
    CHECK(sigwait((const sigset_t *)argument, &signal) == 0 && signal == SIGUSR1);
    wmtls_error *error;
    CHECK_STATUS(wmtls_reload(busy, &error), WMTLS_OK, error);
    wmtls_dispatcher_close(busy, 100);
    return NULL;
}

static void a_thread_that_waits_for_signals_closes(void) {
    pthread_t held, closing;
    wmtls_status status = WMTLS_OK;
    sigset_t signals;
    start();
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    CHECK(pthread_sigmask(SIG_BLOCK, &signals, NULL) == 0);
    hold(&held, &status);
    CHECK(pthread_create(&closing, NULL, close_upon_signal, &signals) == 0);
    CHECK(pthread_kill(closing, SIGUSR1) == 0);
    CHECK(pthread_join(closing, NULL) == 0);
    CHECK(pthread_join(held, NULL) == 0);
    CHECK(status == WMTLS_CANCELED);
    CHECK(pthread_sigmask(SIG_UNBLOCK, &signals, NULL) == 0);
    end();
}

static atomic_int handled;

/* Do not copy this: the library is not async-signal-safe. But a thread that receives a signal
   while it waits in the library must not wait for itself. */
static void close_in_the_handler(int signal) {
    wmtls_error *error;
    (void)signal;
    wmtls_dispatcher_close(busy, LONG_MS);
    handled = 1;
    CHECK_STATUS(wmtls_reload(busy, &error), WMTLS_HANDLE_CLOSED, error);
    handled = 2;
}

static void wait_instead_in_the_handler(int signal) {
    wmtls_error *error;
    wmtls_delivery *delivery;
    (void)signal;
    /* On the thread that the delivery needs. */
    delivery = wmtls_delivery_new(endpoint, "{}", 2);
    CHECK_STATUS(wmtls_deliver(busy, delivery, NULL, &error), WMTLS_OVERLOADED, error);
    wmtls_delivery_free(delivery);
    CHECK_STATUS(wmtls_reload(busy, &error), WMTLS_OVERLOADED, error);
    wmtls_dispatcher_close(busy, 0);
    handled = 2;
}

static void in_a_handler(void (*handler)(int), wmtls_status ends_as) {
    pthread_t held;
    wmtls_status status = WMTLS_OK;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    start();
    handled = 0;
    action.sa_handler = handler;
    CHECK(sigaction(SIGUSR2, &action, NULL) == 0);
    hold(&held, &status);
    /* The consumer holds the request: the thread sleeps in the kernel. */
    rest(100000);
    CHECK(pthread_kill(held, SIGUSR2) == 0);
    for (long waited = 0; handled != 2; waited += 500) {
        CHECK(waited < DEADLINE_S * 1000000L);
        rest(500);
    }
    /* The drain of the first close is long; this close ends it. */
    wmtls_dispatcher_close(busy, 0);
    CHECK(pthread_join(held, NULL) == 0);
    CHECK(status == ends_as);
    end();
}

static void a_handler_during_a_delivery_closes(void) {
    in_a_handler(close_in_the_handler, WMTLS_CANCELED);
}

static void a_handler_during_a_delivery_must_not_wait(void) {
    in_a_handler(wait_instead_in_the_handler, WMTLS_CANCELED);
}

int main(void) {
    RUN(no_child_hangs_however_busy_the_threads_are);
    RUN(a_thread_that_waits_for_signals_closes);
    RUN(a_handler_during_a_delivery_closes);
    RUN(a_handler_during_a_delivery_must_not_wait);
    return 0;
}
