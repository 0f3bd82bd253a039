/* A program that loads the library at run time may close it: `dlclose` succeeds, and the library
   stays in memory, because its threads and fork handlers do. */

/* RTLD_NOLOAD */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "webhook_mtls_testing.h"

#include "check.h"

/* Declares a pointer to a function of the loaded library, as dlsym(3) shows. */
#define LOADED(library, name, function)           \
    __typeof__(&(name)) function;                 \
    *(void **)(&function) = dlsym(library, #name); \
    CHECK(function != NULL)

/* Delivers with the loaded library, whose threads run from then on. */
static void deliver(void *library) {
    LOADED(library, wmtls_lab_start, lab_start);
    LOADED(library, wmtls_lab_consumer_new, consumer_new);
    LOADED(library, wmtls_lab_consumer_url, consumer_url);
    LOADED(library, wmtls_lab_dispatcher, lab_dispatcher);
    LOADED(library, wmtls_endpoint_options_new, options_new);
    LOADED(library, wmtls_endpoint_options_no_pins, no_pins);
    LOADED(library, wmtls_dispatcher_endpoint, endpoint_of);
    LOADED(library, wmtls_delivery_new, delivery_new);
    LOADED(library, wmtls_completion_fd, completion_fd);
    LOADED(library, wmtls_submit, submit);
    LOADED(library, wmtls_next_outcome, next_outcome);
    LOADED(library, wmtls_outcome_error, outcome_error);
    LOADED(library, wmtls_outcome_free, outcome_free);
    LOADED(library, wmtls_endpoint_free, endpoint_free);
    LOADED(library, wmtls_dispatcher_free, dispatcher_free);
    LOADED(library, wmtls_lab_consumer_free, consumer_free);
    LOADED(library, wmtls_lab_free, lab_free);
    wmtls_lab *lab;
    wmtls_lab_consumer *acme;
    wmtls_endpoint *endpoint;
    CHECK(lab_start(&lab, NULL) == WMTLS_OK);
    CHECK(consumer_new(lab, "acme", &acme, NULL) == WMTLS_OK);
    wmtls_dispatcher *dispatcher = lab_dispatcher(lab);
    wmtls_endpoint_options *options = options_new();
    no_pins(options);
    CHECK(endpoint_of(dispatcher, "acme", consumer_url(acme), options, &endpoint, NULL) == WMTLS_OK);
    CHECK(completion_fd(dispatcher) >= 0);
    CHECK(submit(dispatcher, delivery_new(endpoint, "{}", 2), NULL) == WMTLS_OK);
    wmtls_outcome *outcome = next_outcome(dispatcher, 60000);
    CHECK(outcome != NULL && outcome_error(outcome) == NULL);
    outcome_free(outcome);
    endpoint_free(endpoint);
    dispatcher_free(dispatcher);
    consumer_free(acme);
    lab_free(lab);
}

static bool is_loaded(void) {
    void *library = dlopen(SHARED_LIBRARY, RTLD_NOW | RTLD_NOLOAD);
    return library != NULL && dlclose(library) == 0;
}

/* Whatever it was used for: without threads, too. */
static void a_library_that_did_nothing_stays_in_memory(void) {
    void *library = dlopen(SHARED_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    LOADED(library, wmtls_version, version);
    CHECK(version() != NULL);
    CHECK(dlclose(library) == 0);
    CHECK(is_loaded());
}

static void a_closed_library_stays_in_memory(void) {
    for (int round = 0; round < 3; round++) {
        void *library = dlopen(SHARED_LIBRARY, RTLD_NOW | RTLD_LOCAL);
        CHECK(library != NULL);
        deliver(library);
        CHECK(dlclose(library) == 0);
        CHECK(is_loaded());
    }
    /* The fork handlers are there, too. */
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void) {
    RUN(a_library_that_did_nothing_stays_in_memory);
    RUN(a_closed_library_stays_in_memory);
    return 0;
}
