/* Forwards the files of a spool directory as webhooks, in one thread around poll(). A file's name is
   the id of the event, its content the payload. It leaves the spool when the consumer has confirmed
   it; a restart continues with those that are left. Write a file under a name that begins with a
   dot, and rename it.

       WMTLS_URL=https://... WMTLS_PIN=sha256/... forwarder SPOOL

   Needs tls.crt, tls.key and ca.pem in this directory. WMTLS_ALLOW permits a private network. */

#define _POSIX_C_SOURCE 200809L

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "webhook_mtls.h"

enum { MOST_EVENTS = 1000, SCAN_MS = 500, UNREADABLE_MS = 5000, DRAIN_MS = 10000, RUNNING = -1 };

typedef struct event {
    struct event *next;
    char id[NAME_MAX + 1];
    uint32_t attempt; /* the number of the next attempt, from 1 */
    int64_t due_ms;   /* when it is submitted; RUNNING while it is in flight */
} event;

static const char *spool;
static event *events; /* at most MOST_EVENTS; the others stay in the directory until their turn */
static int signals[2]; /* a pipe, so that poll() sees SIGTERM */

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void end(int number) {
    int kept = errno;
    ssize_t written = write(signals[1], &number, 1);
    (void)written;
    errno = kept;
}

static void show(const char *what, const wmtls_error *error) {
    fprintf(stderr, "%s: %s\n%s\n", what, wmtls_error_message(error), wmtls_error_remedy(error));
}

static void forget(event *it) {
    event **at = &events;
    while (*at != it) at = &(*at)->next;
    *at = it->next;
    free(it);
}

/* Moves the file of an event to a folder of the spool, or removes it. If it has to stay, the event
   is not delivered again before a restart. */
static void leave(event *it, const char *folder) {
    char from[PATH_MAX], to[PATH_MAX];
    snprintf(from, sizeof from, "%s/%s", spool, it->id);
    snprintf(to, sizeof to, "%s/%s/%s", spool, folder ? folder : "", it->id);
    if ((folder ? rename(from, to) : unlink(from)) == 0 || errno == ENOENT) {
        forget(it);
    } else {
        perror(from);
        it->due_ms = INT64_MAX;
    }
}

/* Reads the payload of an event, which the caller frees. Returns NULL and sets errno if it cannot be
   read. */
static char *read_payload(const event *it, size_t *length) {
    char path[PATH_MAX], *payload = NULL;
    struct stat facts = {0};
    snprintf(path, sizeof path, "%s/%s", spool, it->id);
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    if (fstat(fileno(file), &facts) == 0 && S_ISREG(facts.st_mode)) {
        payload = malloc((size_t)facts.st_size + 1);
        if (payload) *length = fread(payload, 1, (size_t)facts.st_size, file);
    }
    int fault = payload ? 0 : S_ISREG(facts.st_mode) ? errno : EINVAL;
    fclose(file);
    errno = fault;
    return payload;
}

/* Adds the files that are new in the spool. */
static void scan(void) {
    size_t count = 0;
    for (event *it = events; it; it = it->next) count++;
    DIR *directory = opendir(spool);
    if (!directory) { perror(spool); return; }
    for (struct dirent *file; count < MOST_EVENTS && (file = readdir(directory));) {
        event *it = events;
        while (it && strcmp(it->id, file->d_name)) it = it->next;
        if (it || file->d_name[0] == '.' || !strcmp(file->d_name, "parked")
            || !strcmp(file->d_name, "dead"))
            continue;
        if (!(it = calloc(1, sizeof *it))) break;
        strcpy(it->id, file->d_name); /* d_name has at most NAME_MAX bytes */
        it->attempt = 1;
        it->next = events;
        events = it;
        count++;
    }
    closedir(directory);
}

/* The library has the verdict: try again later, wait for a repair, or give up. */
static void settle(event *it, const wmtls_error *error) {
    wmtls_decision decision;
    if (!error) {
        printf("%s: delivered\n", it->id);
        leave(it, NULL);
        return;
    }
    show(it->id, error);
    wmtls_retry_decide(NULL, error, it->attempt, &decision, NULL);
    switch (decision.action) {
    case WMTLS_ACTION_RETRY:
        it->attempt += decision.counts;
        it->due_ms = now_ms() + (int64_t)decision.delay_ms;
        printf("%s: again in %llu ms\n", it->id, (unsigned long long)decision.delay_ms);
        break;
    case WMTLS_ACTION_PARK: /* after the repair, move the file back */
        printf("%s: parked, %s\n", it->id, wmtls_kind_name(wmtls_error_kind(error)));
        leave(it, "parked");
        break;
    default: /* unless nothing was sent, the consumer may have it */
        printf("%s: dead, %s, sent %s\n", it->id, decision.reason,
               wmtls_sent_name(wmtls_error_sent(error)));
        leave(it, "dead");
    }
}

/* Submits the deliveries that are due. Returns the timeout of poll() in milliseconds. */
static int submit_due(wmtls_dispatcher *dispatcher, wmtls_endpoint *endpoint) {
    int64_t now = now_ms(), wait = SCAN_MS;
    for (event *it = events, *next; it; it = next) {
        size_t length;
        next = it->next;
        if (it->due_ms == RUNNING) continue;
        if (it->due_ms > now) {
            if (it->due_ms - now < wait) wait = it->due_ms - now;
            continue;
        }
        char *payload = read_payload(it, &length);
        if (!payload && errno == ENOENT) { /* an operator has removed it */
            forget(it);
            continue;
        }
        if (!payload) {
            perror(it->id);
            it->due_ms = now + UNREADABLE_MS;
            continue;
        }
        wmtls_error *error = NULL;
        wmtls_delivery *delivery = wmtls_delivery_new(endpoint, payload, length);
        free(payload);
        wmtls_delivery_id(delivery, it->id);
        wmtls_delivery_tag(delivery, it);
        it->due_ms = RUNNING;
        if (wmtls_submit(dispatcher, delivery, &error)) { /* such as a full queue */
            settle(it, error);
            wmtls_error_free(error);
        }
    }
    return (int)wait;
}

/* Runs until SIGTERM and the outcome of the close, which comes after those of all deliveries. */
static void loop(wmtls_dispatcher *dispatcher, wmtls_endpoint *endpoint) {
    int outcomes = wmtls_completion_fd(dispatcher);
    struct pollfd ready[2] = {{signals[0], POLLIN, 0}, {outcomes, POLLIN, 0}};
    for (bool closing = false, closed = false; !closed;) {
        int wait = -1;
        if (!closing) {
            scan();
            wait = submit_due(dispatcher, endpoint);
        }
        if (poll(ready, 2, wait) < 0 && errno != EINTR) return;
        if (ready[0].revents && !closing) {
            closing = true;
            ready[0].fd = -1;
            if (wmtls_submit_close(dispatcher, DRAIN_MS, NULL, NULL)) return;
        }
        for (wmtls_outcome *outcome; (outcome = wmtls_next_outcome(dispatcher, 0));) {
            event *it = wmtls_outcome_tag(outcome);
            if (it) settle(it, wmtls_outcome_error(outcome));
            else closed = true;
            wmtls_outcome_free(outcome);
        }
    }
}

int main(int count, char **arguments) {
    const char *url = getenv("WMTLS_URL"), *pin = getenv("WMTLS_PIN");
    const char *allow = getenv("WMTLS_ALLOW");
    wmtls_identity *identity = NULL;
    wmtls_trust *trust = NULL;
    wmtls_dispatcher *dispatcher = NULL;
    wmtls_endpoint *endpoint = NULL;
    wmtls_error *error = NULL;
    char folder[PATH_MAX];
    if (count != 2 || !url || !pin) {
        fprintf(stderr, "usage: WMTLS_URL=https://... WMTLS_PIN=sha256/... forwarder SPOOL\n");
        return 2;
    }
    spool = arguments[1];
    for (const char *const *name = (const char *[]){"parked", "dead", NULL}; *name; name++) {
        snprintf(folder, sizeof folder, "%s/%s", spool, *name);
        if (mkdir(folder, 0700) && errno != EEXIST) { perror(folder); return 1; }
    }
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    if (pipe(signals)) { perror("pipe"); return 1; }
    struct sigaction action = {.sa_handler = end};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    if (wmtls_identity_from_files("tls.crt", "tls.key", NULL, &identity, &error)) goto done;
    if (wmtls_trust_from_files("ca.pem", NULL, NULL, &trust, &error)) goto done;
    wmtls_options *options = wmtls_options_new();
    wmtls_options_identity(options, identity);
    wmtls_options_trust(options, trust);
    if (allow) wmtls_options_egress_allow(options, allow);
    if (wmtls_dispatcher_new(options, &dispatcher, &error)) goto done;
    wmtls_endpoint_options *pinned = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pin(pinned, pin, WMTLS_PIN_CURRENT);
    if (wmtls_dispatcher_endpoint(dispatcher, "acme", url, pinned, &endpoint, &error)) goto done;
    printf("forwarding %s to %s\n", spool, url);
    loop(dispatcher, endpoint);

done:
    if (error) show("setup", error);
    int code = error ? 1 : 0;
    wmtls_error_free(error);
    wmtls_endpoint_free(endpoint);
    wmtls_dispatcher_free(dispatcher);
    wmtls_trust_free(trust);
    wmtls_identity_free(identity);
    while (events) {
        event *it = events;
        events = it->next;
        free(it);
    }
    return code;
}
