/* An identity whose key stays elsewhere: a function of the program signs. Here the key's owner is the
   program openssl. `cargo xtask test c --dev` leaves this file out: it starts processes. */
/* mkdtemp, popen, nanosleep */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "webhook_mtls_testing.h"

#include "check.h"

static char folder[] = "/tmp/signer-XXXXXX";
static wmtls_lab *lab;
static wmtls_lab_issued *ours;
static wmtls_lab_consumer *acme;
static wmtls_dispatcher *dispatcher;

/* The library calls on its threads. */
static pthread_mutex_t counts = PTHREAD_MUTEX_INITIALIZER;

static void count(int *number) {
    pthread_mutex_lock(&counts);
    *number += 1;
    pthread_mutex_unlock(&counts);
}

static int read_count(const int *number) {
    pthread_mutex_lock(&counts);
    int found = *number;
    pthread_mutex_unlock(&counts);
    return found;
}

/* The owner of a key, and how it behaves. It must live as long as an endpoint uses its identity. */
typedef struct {
    const char *key;
    /* Returned instead of a signature, if it is not 0. */
    int status;
    /* Waits until it is unlocked. */
    pthread_mutex_t *gate;
    int calls;
    int freed;
} owner;

static char *path(char *into, const char *name, const void *of) {
    snprintf(into, 128, "%s/%s-%p", folder, name, of);
    return into;
}

static void write_file(const char *name, const void *bytes, size_t length) {
    FILE *file = fopen(name, "wb");
    CHECK(file != NULL);
    CHECK(fwrite(bytes, 1, length, file) == length);
    CHECK(fclose(file) == 0);
}

static int32_t sign(void *context, int32_t scheme, const uint8_t *message, size_t message_len,
                    const uint8_t *digest, size_t digest_len, uint64_t deadline_ms,
                    uint8_t *signature, size_t capacity, size_t *signature_len) {
    owner *of = (owner *)context;
    count(&of->calls);
    CHECK(scheme == WMTLS_SIGNATURE_SCHEME_ECDSA_SECP256R1_SHA256);
    CHECK_TEXT(wmtls_signature_scheme_name(scheme), "ecdsa_secp256r1_sha256");
    CHECK(message != NULL && message_len > 64 && digest != NULL && digest_len == 32);
    CHECK(deadline_ms > 0 && deadline_ms <= 60000 && capacity == 8192);
    if (of->gate != NULL) {
        pthread_mutex_lock(of->gate);
        pthread_mutex_unlock(of->gate);
    }
    if (of->status != 0) return of->status;
    char input[128], command[512];
    write_file(path(input, "digest", &input), digest, digest_len);
    snprintf(command, sizeof command, "openssl pkeyutl -sign -inkey %s -in %s", of->key, input);
    FILE *made = popen(command, "r");
    CHECK(made != NULL);
    *signature_len = fread(signature, 1, capacity, made);
    CHECK(pclose(made) == 0);
    remove(input);
    return 0;
}

static void free_owner(void *context) { count(&((owner *)context)->freed); }

static wmtls_identity *identity_of(owner *of, size_t concurrency) {
    const char *cert = wmtls_lab_issued_cert_pem(ours);
    wmtls_identity *identity = NULL;
    wmtls_error *error = NULL;
    CHECK_STATUS(wmtls_identity_from_signer(cert, strlen(cert), sign, of, free_owner, concurrency,
                                            NULL, 0, &identity, &error),
                 WMTLS_OK, error);
    return identity;
}

static wmtls_endpoint *endpoint_of(const char *consumer, wmtls_identity *identity) {
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(options);
    if (identity != NULL) wmtls_endpoint_options_identity(options, identity);
    wmtls_endpoint *endpoint = NULL;
    wmtls_error *error = NULL;
    CHECK_STATUS(wmtls_dispatcher_endpoint(dispatcher, consumer, wmtls_lab_consumer_url(acme),
                                           options, &endpoint, &error),
                 WMTLS_OK, error);
    return endpoint;
}

/* Delivers once, and returns the error, or NULL. */
static wmtls_error *deliver(wmtls_endpoint *endpoint) {
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
    wmtls_receipt *receipt = NULL;
    wmtls_error *error = NULL;
    wmtls_deliver(dispatcher, delivery, &receipt, &error);
    CHECK((receipt == NULL) != (error == NULL));
    wmtls_receipt_free(receipt);
    wmtls_delivery_free(delivery);
    return error;
}

/* Waits until another thread has counted to this number. */
static void wait_for(const int *number, int expected) {
    const struct timespec pause = {0, 1000000};
    for (int waited = 0; read_count(number) != expected && waited < 30000; waited++) {
        nanosleep(&pause, NULL);
    }
    CHECK(read_count(number) == expected);
}

static char right_key[128], other_key[128];

static void a_function_signs_and_its_context_is_freed_once(void) {
    static owner of = {right_key, 0, NULL, 0, 0};
    wmtls_identity *identity = identity_of(&of, 8);
    wmtls_endpoint *endpoint = endpoint_of("signed", identity);
    wmtls_identity_free(identity);
    CHECK(deliver(endpoint) == NULL);
    CHECK(deliver(endpoint) == NULL);
    CHECK(read_count(&of.calls) == 1 && read_count(&of.freed) == 0);
    wmtls_endpoint_free(endpoint);
    CHECK(wmtls_dispatcher_remove(dispatcher, "signed"));
    /* Its connection ends on another thread. */
    wait_for(&of.freed, 1);
}

static void a_failure_and_a_wrong_signature_are_ours(void) {
    static owner cases[] = {{right_key, -7, NULL, 0, 0}, {other_key, 0, NULL, 0, 0}};
    for (size_t at = 0; at < 2; at++) {
        wmtls_identity *identity = identity_of(&cases[at], 1);
        wmtls_endpoint *endpoint = endpoint_of("failing", identity);
        wmtls_error *error = deliver(endpoint);
        CHECK(wmtls_error_kind(error) == WMTLS_SIGNER_FAILED);
        CHECK(wmtls_error_blame(error) == WMTLS_BLAME_OURS);
        CHECK(wmtls_error_scope(error) == WMTLS_SCOPE_IDENTITY);
        CHECK(wmtls_error_sent(error) == WMTLS_SENT_NOTHING);
        CHECK(wmtls_error_retry(error) == WMTLS_RETRY_LATER);
        const char *key = at == 0 ? "signer_error" : "cause";
        CHECK_TEXT(wmtls_error_context(error, key), at == 0 ? "status:minus_7" : "signature_wrong");
        wmtls_error_free(error);
        wmtls_endpoint_free(endpoint);
        wmtls_identity_free(identity);
    }
}

static void *deliver_on_thread(void *endpoint) {
    return deliver((wmtls_endpoint *)endpoint);
}

static void other_deliveries_do_not_wait_for_a_signer(void) {
    static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    static owner of = {right_key, 0, &gate, 0, 0};
    wmtls_identity *identity = identity_of(&of, 8);
    wmtls_endpoint *slow = endpoint_of("slow", identity);
    pthread_mutex_lock(&gate);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, deliver_on_thread, slow) == 0);
    wait_for(&of.calls, 1);
    for (int number = 0; number < 8; number++) {
        char name[24];
        snprintf(name, sizeof name, "fast-%d", number);
        wmtls_endpoint *fast = endpoint_of(name, NULL);
        CHECK(deliver(fast) == NULL);
        wmtls_endpoint_free(fast);
    }
    pthread_mutex_unlock(&gate);
    void *error;
    CHECK(pthread_join(thread, &error) == 0);
    CHECK(error == NULL && read_count(&of.calls) == 1);
    wmtls_endpoint_free(slow);
    wmtls_identity_free(identity);
}

static void a_file_has_the_chain(void) {
    char chain[128];
    const char *cert = wmtls_lab_issued_cert_pem(ours);
    write_file(path(chain, "chain", &chain), cert, strlen(cert));
    static owner of = {right_key, 0, NULL, 0, 0};
    const char *schemes[] = {"ed25519", "ecdsa_secp256r1_sha256"};
    wmtls_identity *identity = NULL;
    wmtls_error *error = NULL;
    CHECK_STATUS(wmtls_identity_from_signer_file(chain, sign, &of, NULL, 1, schemes, 2, &identity,
                                                 &error),
                 WMTLS_OK, error);
    wmtls_endpoint *endpoint = endpoint_of("file", identity);
    CHECK(deliver(endpoint) == NULL);
    wmtls_endpoint_free(endpoint);
    wmtls_identity_free(identity);
    remove(chain);
}

static void arguments_are_checked_and_the_context_is_freed(void) {
    const char *cert = wmtls_lab_issued_cert_pem(ours), *unknown[] = {"rsa"}, *other[] = {"ed25519"};
    struct {
        wmtls_sign_function sign;
        size_t concurrency;
        const char *const *schemes;
        const char *option;
    } cases[] = {{NULL, 8, NULL, "sign"},
                 {sign, 0, NULL, "concurrency"},
                 {sign, 65, NULL, "concurrency"},
                 {sign, 8, unknown, "schemes"},
                 {sign, 8, other, "schemes"}};
    static owner of = {right_key, 0, NULL, 0, 0};
    for (size_t at = 0; at < 5; at++) {
        wmtls_identity *identity;
        wmtls_error *error;
        size_t count = cases[at].schemes != NULL;
        CHECK(wmtls_identity_from_signer(cert, strlen(cert), cases[at].sign, &of, free_owner,
                                         cases[at].concurrency, cases[at].schemes, count, &identity,
                                         &error) == WMTLS_OPTION_INVALID);
        CHECK(identity == NULL);
        CHECK_TEXT(wmtls_error_context(error, "option"), cases[at].option);
        wmtls_error_free(error);
    }
    CHECK(read_count(&of.calls) == 0 && read_count(&of.freed) == 5);
}

int main(void) {
    CHECK(mkdtemp(folder) != NULL);
    CHECK(wmtls_lab_start(&lab, NULL) == WMTLS_OK);
    CHECK(wmtls_lab_consumer_new(lab, "acme", &acme, NULL) == WMTLS_OK);
    /* A memory checker makes other deliveries slow, for which a signer waits here. */
    wmtls_options *options = wmtls_lab_options(lab);
    wmtls_options_set(options, "handshake_timeout", "60000");
    wmtls_options_timeout_ms(options, 90000);
    CHECK(wmtls_dispatcher_new(options, &dispatcher, NULL) == WMTLS_OK);
    wmtls_lab_authority *authority = wmtls_lab_authority_of(lab);
    CHECK(wmtls_lab_authority_issue(authority, "sender", WMTLS_ROLE_CLIENT, -1, -1, &ours, NULL) ==
          WMTLS_OK);
    const char *key = wmtls_lab_issued_key_pem(ours);
    write_file(path(right_key, "key", &right_key), key, strlen(key));
    wmtls_lab_issued *issued = NULL;
    CHECK(wmtls_lab_authority_issue(authority, "other", WMTLS_ROLE_CLIENT, -1, -1, &issued, NULL) ==
          WMTLS_OK);
    key = wmtls_lab_issued_key_pem(issued);
    write_file(path(other_key, "other", &other_key), key, strlen(key));
    RUN(a_function_signs_and_its_context_is_freed_once);
    RUN(a_failure_and_a_wrong_signature_are_ours);
    RUN(other_deliveries_do_not_wait_for_a_signer);
    RUN(a_file_has_the_chain);
    RUN(arguments_are_checked_and_the_context_is_freed);
    wmtls_lab_issued_free(issued);
    wmtls_lab_issued_free(ours);
    wmtls_lab_authority_free(authority);
    wmtls_dispatcher_free(dispatcher);
    wmtls_lab_consumer_free(acme);
    wmtls_lab_free(lab);
    remove(right_key);
    remove(other_key);
    remove(folder);
    return 0;
}
