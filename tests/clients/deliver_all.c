/* Delivers to every case of a `cases.json` and prints one JSON line per delivery: the case, the
   delivery's number, its duration, the receipt or the error, and the error as this language
   shows it. The same program exists in Python, Node and Rust; `tests/outcomes` compares the
   reports with the receivers' records. */

#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "webhook_mtls.h"

/* Most cases only wait, for a deadline or for a response that never comes. */
#define AT_ONCE 24

static const char SECRET[] = "body-hunter2-";

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const cJSON *waiting;

static const char *text(const cJSON *object, const char *key) {
    return cJSON_GetStringValue(cJSON_GetObjectItem(object, key));
}

static double number(const cJSON *object, const char *key) {
    return cJSON_GetNumberValue(cJSON_GetObjectItem(object, key));
}

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void give_up(const char *what, wmtls_error *error) {
    fprintf(stderr, "deliver_all: %s: %s\n", what, error ? wmtls_error_message(error) : "no memory");
    exit(2);
}

static wmtls_dispatcher *dispatcher_make(const cJSON *given) {
    wmtls_trust *trust;
    wmtls_dispatcher *dispatcher;
    wmtls_error *error = NULL;
    const cJSON *timeout;
    if (wmtls_trust_from_files(text(given, "ca"), NULL, NULL, &trust, &error) != WMTLS_OK) {
        give_up("material", error);
    }
    wmtls_options *options = wmtls_options_new();
    wmtls_options_trust(options, trust);
    wmtls_options_egress_allow(options, "127.0.0.0/8");
    /* A receiver sees all deliveries of its case, whatever they end in. */
    wmtls_options_set(options, "circuit_failures", "0");
    cJSON_ArrayForEach(timeout, cJSON_GetObjectItem(given, "timeouts")) {
        char *millis = cJSON_PrintUnformatted(timeout);
        wmtls_options_set(options, timeout->string, millis);
        free(millis);
    }
    if (wmtls_dispatcher_new(options, &dispatcher, &error) != WMTLS_OK) {
        give_up("dispatcher", error);
    }
    wmtls_trust_free(trust);
    return dispatcher;
}

static wmtls_endpoint *endpoint_make(wmtls_dispatcher *dispatcher, const cJSON *given,
                                     const char *cert, const char *key) {
    wmtls_identity *identity;
    wmtls_endpoint *endpoint;
    wmtls_error *error = NULL;
    if (wmtls_identity_from_files(cert, key, NULL, &identity, &error) != WMTLS_OK) {
        give_up("identity", error);
    }
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pin(options, text(given, "pin"), WMTLS_PIN_CURRENT);
    wmtls_endpoint_options_set(options, "min_tls", text(given, "min_tls"));
    wmtls_endpoint_options_identity(options, identity);
    if (wmtls_dispatcher_endpoint(dispatcher, text(given, "case"), text(given, "url"), options,
                                  &endpoint, &error) != WMTLS_OK) {
        give_up("endpoint", error);
    }
    wmtls_identity_free(identity);
    return endpoint;
}

/* Waits until the receiver closes the connection to its gate. */
static void pass(uint16_t port) {
    struct sockaddr_in address = {0};
    char piece[64];
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int gate = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(gate, (struct sockaddr *)&address, sizeof address) == 0) {
        while (read(gate, piece, sizeof piece) > 0) {
        }
    }
    close(gate);
}

static void say(const cJSON *given, int which, uint64_t took, wmtls_receipt *receipt,
                wmtls_error *error) {
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "case", text(given, "case"));
    cJSON_AddNumberToObject(line, "delivery", which);
    cJSON_AddNumberToObject(line, "elapsed_ms", (double)took);
    if (receipt != NULL) {
        cJSON_AddItemToObject(line, "receipt", cJSON_Parse(wmtls_receipt_json(receipt)));
    } else {
        cJSON_AddItemToObject(line, "error", cJSON_Parse(wmtls_error_json(error)));
        cJSON_AddStringToObject(line, "text", wmtls_error_message(error));
    }
    char *printed = cJSON_PrintUnformatted(line);
    pthread_mutex_lock(&lock);
    puts(printed);
    pthread_mutex_unlock(&lock);
    free(printed);
    cJSON_Delete(line);
}

static void deliver(wmtls_dispatcher *dispatcher, wmtls_endpoint *endpoint, const cJSON *given,
                    int which) {
    char id[256], timeout[32];
    wmtls_receipt *receipt = NULL;
    wmtls_error *error = NULL;
    size_t length = (size_t)number(given, "body_bytes");
    char *body = malloc(length + sizeof SECRET);
    memset(body, 'x', length);
    memcpy(body, SECRET, sizeof SECRET - 1);
    snprintf(id, sizeof id, "%s-%d", text(given, "case"), which);
    snprintf(timeout, sizeof timeout, "%.0f", number(given, "timeout"));
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, body, length);
    wmtls_delivery_set(delivery, "id", id);
    wmtls_delivery_set(delivery, "timeout", timeout);
    wmtls_delivery_header(delivery, "x-token", "header-hunter2");
    uint64_t started = now_ms();
    wmtls_deliver(dispatcher, delivery, &receipt, &error);
    say(given, which, now_ms() - started, receipt, error);
    wmtls_receipt_free(receipt);
    wmtls_error_free(error);
    wmtls_delivery_free(delivery);
    free(body);
}

static void deliver_all(const cJSON *given) {
    wmtls_dispatcher *dispatcher = dispatcher_make(given);
    const cJSON *former = cJSON_GetObjectItem(given, "former");
    const char *cert = text(given, "cert"), *key = text(given, "key");
    wmtls_endpoint *endpoint =
        cJSON_IsArray(former)
            ? endpoint_make(dispatcher, given, cJSON_GetStringValue(cJSON_GetArrayItem(former, 0)),
                            cJSON_GetStringValue(cJSON_GetArrayItem(former, 1)))
            : endpoint_make(dispatcher, given, cert, key);
    const cJSON *gate = cJSON_GetObjectItem(given, "gate");
    for (int which = 1; which <= (int)number(given, "deliveries"); which++) {
        if (which > 1 && cJSON_IsNumber(gate)) {
            pass((uint16_t)gate->valuedouble);
        }
        if (which == 2 && cJSON_IsArray(former)) {
            wmtls_endpoint_free(endpoint_make(dispatcher, given, cert, key));
        }
        deliver(dispatcher, endpoint, given, which);
    }
    wmtls_endpoint_free(endpoint);
    wmtls_dispatcher_close(dispatcher, 0);
    wmtls_dispatcher_free(dispatcher);
}

static void *work(void *unused) {
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&lock);
        const cJSON *given = waiting;
        waiting = given != NULL ? given->next : NULL;
        pthread_mutex_unlock(&lock);
        if (given == NULL) {
            return NULL;
        }
        deliver_all(given);
    }
}

int main(int argc, char **argv) {
    pthread_t workers[AT_ONCE];
    char *content = NULL;
    size_t size = 0, more = 0;
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (file == NULL) {
        fputs("usage: deliver_all <cases.json>\n", stderr);
        return 2;
    }
    do {
        content = realloc(content, size + 65537);
        more = fread(content + size, 1, 65536, file);
        size += more;
    } while (more > 0);
    content[size] = '\0';
    fclose(file);
    cJSON *cases = cJSON_Parse(content);
    free(content);
    waiting = cJSON_GetObjectItem(cases, "cases")->child;
    for (int i = 0; i < AT_ONCE; i++) {
        pthread_create(&workers[i], NULL, work, NULL);
    }
    for (int i = 0; i < AT_ONCE; i++) {
        pthread_join(workers[i], NULL);
    }
    cJSON_Delete(cases);
    return 0;
}
