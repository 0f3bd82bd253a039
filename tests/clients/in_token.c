/* Delivers with keys of a PKCS#11 token, by the signer that docs/signer.md shows.

   Each line of the standard input, `KEY COUNT`, asks for so many deliveries with the key, several at
   once. They end early after a failed one. The answer is a line: {"key": ..., "delivered": ...,
   "failed": ...}, with the error or null. A child answers a line with `fork` before the key. The same
   program exists in Python, Node and Rust. */

#include "../../examples/pkcs11/signer.c"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, KEYS = 8 };

static void give_up(const char *what, const wmtls_error *error) {
    fprintf(stderr, "in_token: %s: %s\n", what, error ? wmtls_error_message(error) : "no error");
    exit(2);
}

static const char *given(const char *name) {
    const char *value = getenv(name);
    if (value == NULL) give_up(name, NULL);
    return value;
}

/* What the threads share. */
typedef struct {
    const wmtls_dispatcher *dispatcher;
    const wmtls_endpoint *endpoint;
    pthread_mutex_t lock;
    long left;
    long delivered;
    wmtls_error *failed;
} work;

static int take(work *of) {
    pthread_mutex_lock(&of->lock);
    int is_taken = of->left > 0 && of->failed == NULL;
    of->left -= is_taken;
    pthread_mutex_unlock(&of->lock);
    return is_taken;
}

static void *deliver(void *context) {
    work *of = context;
    while (take(of)) {
        wmtls_receipt *receipt = NULL;
        wmtls_error *error = NULL;
        wmtls_delivery *delivery = wmtls_delivery_new(of->endpoint, "{}", 2);
        wmtls_status status = wmtls_deliver(of->dispatcher, delivery, &receipt, &error);
        wmtls_receipt_free(receipt);
        wmtls_delivery_free(delivery);
        pthread_mutex_lock(&of->lock);
        of->delivered += status == WMTLS_OK;
        if (status != WMTLS_OK && of->failed == NULL) {
            of->failed = error;
            error = NULL;
        }
        pthread_mutex_unlock(&of->lock);
        wmtls_error_free(error);
    }
    return NULL;
}

static void answer(const wmtls_dispatcher *dispatcher, token_key *key, long count) {
    char cert[4096];
    snprintf(cert, sizeof cert, "%s/%s.pem", given("TOKEN_CERTS"), key->label);
    wmtls_identity *identity;
    wmtls_endpoint *endpoint;
    wmtls_error *error = NULL;
    wmtls_endpoint_options *own = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(own);
    if (token_identity(key, cert, &identity, &error) != WMTLS_OK) give_up("identity", error);
    wmtls_endpoint_options_identity(own, identity);
    if (wmtls_dispatcher_endpoint(dispatcher, key->label, given("WMTLS_URL"), own, &endpoint,
                                  &error) != WMTLS_OK) {
        give_up("endpoint", error);
    }
    wmtls_identity_free(identity);
    work shared = {dispatcher, endpoint, PTHREAD_MUTEX_INITIALIZER, count, 0, NULL};
    pthread_t threads[THREADS];
    for (int each = 0; each < THREADS; each++) {
        if (pthread_create(&threads[each], NULL, deliver, &shared) != 0) give_up("thread", NULL);
    }
    for (int each = 0; each < THREADS; each++) {
        pthread_join(threads[each], NULL);
    }
    printf("{\"key\": \"%s\", \"delivered\": %ld, \"failed\": %s}\n", key->label, shared.delivered,
           shared.failed ? wmtls_error_json(shared.failed) : "null");
    fflush(stdout);
    wmtls_error_free(shared.failed);
    wmtls_endpoint_free(endpoint);
}

static wmtls_dispatcher *make_dispatcher(void) {
    wmtls_dispatcher *dispatcher;
    wmtls_trust *trust;
    wmtls_error *error = NULL;
    if (wmtls_trust_from_files(given("WMTLS_CA"), NULL, NULL, &trust, &error) != WMTLS_OK) {
        give_up("trust", error);
    }
    wmtls_options *options = wmtls_options_new();
    wmtls_options_trust(options, trust);
    wmtls_options_egress_allow(options, "127.0.0.0/8");
    /* A busy machine must not fail a delivery. */
    wmtls_options_set(options, "timeout", "60000");
    wmtls_options_set(options, "handshake_timeout", "30000");
    if (wmtls_dispatcher_new(options, &dispatcher, &error) != WMTLS_OK) {
        give_up("dispatcher", error);
    }
    wmtls_trust_free(trust);
    return dispatcher;
}

int main(void) {
    /* The library may call a signer as long as its dispatcher exists, so a key is kept by its name. */
    static char names[KEYS][32];
    static token_key keys[KEYS];
    wmtls_dispatcher *dispatcher = make_dispatcher();
    if (token_load(given("TOKEN_MODULE")) != 0) give_up("module", NULL);
    char line[128];
    pid_t child = -1;
    while (fgets(line, sizeof line, stdin) != NULL) {
        char name[32];
        long count;
        if (sscanf(line, "fork %31s %ld", name, &count) == 2) {
            child = fork();
            if (child < 0) give_up("fork", NULL);
            if (child > 0) {
                int status;
                if (waitpid(child, &status, 0) != child || status != 0) give_up("child", NULL);
                continue;
            }
        } else if (sscanf(line, "%31s %ld", name, &count) != 2) {
            give_up("line", NULL);
        }
        int at = 0;
        while (at < KEYS - 1 && names[at][0] != '\0' && strcmp(names[at], name) != 0) at++;
        strcpy(names[at], name);
        keys[at].token = given("TOKEN_LABEL");
        keys[at].label = names[at];
        keys[at].pin = given("TOKEN_PIN");
        answer(dispatcher, &keys[at], count);
        if (child == 0) _exit(0);
    }
    wmtls_dispatcher_close(dispatcher, 0);
    wmtls_dispatcher_free(dispatcher);
    return 0;
}
