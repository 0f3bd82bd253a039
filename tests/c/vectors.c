/* Runs the shared vectors in C: `vectors DIRECTORY`. tests/vectors/README.md describes the
   format. The other languages have a runner of the same structure. */

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vectors_circuit.h"
#include "vectors_compare.h"
#include "vectors_forwarded.h"
#include "vectors_input.h"
#include "vectors_webhook.h"
#include "webhook_mtls_testing.h"

/* The outcome of a case: an error, or the JSON of the result. */
struct outcome {
    wmtls_error *error;
    cJSON *ok;
};

/* -- the three kinds of cases ------------------------------------------------------------------ */

static void signing_set(wmtls_endpoint_options *options, const cJSON *secrets) {
    if (secrets != NULL) {
        struct list list = list_of(secrets);
        wmtls_endpoint_options_signing(options, list.texts, list.count);
    }
}

static wmtls_status endpoint_make(wmtls_dispatcher *dispatcher, const cJSON *with,
                                  wmtls_endpoint **out, wmtls_error **err) {
    const cJSON *pins = get(with, "pins");
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    if (cJSON_IsNull(pins)) {
        wmtls_endpoint_options_no_pins(options);
    } else if (pins != NULL) {
        struct list current = list_of(pins);
        wmtls_endpoint_options_pins(options, current.texts, current.count, WMTLS_PIN_CURRENT);
    }
    if (get(with, "trust") != NULL) {
        wmtls_trust *trust;
        wmtls_status status = trust_make(get(with, "trust"), &trust, err);
        if (status != WMTLS_OK) {
            wmtls_endpoint_options_free(options);
            *out = NULL;
            return status;
        }
        wmtls_endpoint_options_trust(options, trust);
        wmtls_trust_free(trust);
    }
    SET(wmtls_endpoint_options_set, options, with);
    signing_set(options, get(with, "signing"));
    return wmtls_dispatcher_endpoint(dispatcher, text(with, "consumer"), text(with, "url"), options,
                                     out, err);
}

static void endpoint_option(wmtls_endpoint_options *options, const cJSON *option) {
    char *value = option_text(option);
    wmtls_endpoint_options_set(options, option->string, value);
    free(value);
}

static cJSON *notes_of(const wmtls_identity *identity) {
    cJSON *notes = cJSON_CreateArray();
    const char *note;
    for (size_t at = 0; (note = wmtls_identity_note(identity, at)) != NULL; at++) {
        cJSON_AddItemToArray(notes, cJSON_CreateString(note));
    }
    return notes;
}

/* Returns the merged status of the processes, or NULL and an error. */
static cJSON *merged(const cJSON *statuses, wmtls_error **err) {
    const char *texts[8];
    char *printed[8];
    size_t count = 0;
    const cJSON *status;
    wmtls_fleet_status *fleet = NULL;
    cJSON_ArrayForEach(status, statuses) {
        printed[count] = cJSON_IsString(status) ? NULL : cJSON_PrintUnformatted(status);
        texts[count] = printed[count] != NULL ? printed[count] : status->valuestring;
        count++;
    }
    wmtls_merge(texts, count, &fleet, err);
    cJSON *shown = fleet != NULL ? cJSON_Parse(wmtls_fleet_status_json(fleet)) : NULL;
    for (size_t i = 0; i < count; i++) {
        free(printed[i]);
    }
    wmtls_fleet_status_free(fleet);
    return shown;
}

/* Retires the fixtures' identity, unless a process of the fleet needs it. */
static void retire(const wmtls_dispatcher *dispatcher, const cJSON *with, wmtls_error **err) {
    const cJSON *fleet = get(with, "fleet");
    char *printed = cJSON_IsString(fleet) ? NULL : cJSON_PrintUnformatted(fleet);
    wmtls_identity *identity;
    if (identity_make(get(fixtures, "identity"), &identity, err) == WMTLS_OK) {
        wmtls_lab_set_clock((int64_t)get(with, "at")->valuedouble);
        wmtls_retire_in_fleet(dispatcher, identity, printed != NULL ? printed : fleet->valuestring,
                              cJSON_IsTrue(get(with, "force")), err);
        wmtls_lab_set_clock(WMTLS_NOW);
        wmtls_identity_free(identity);
    }
    free(printed);
}

static struct outcome configure(const char *operation, const cJSON *with) {
    struct outcome outcome = {NULL, cJSON_CreateObject()};
    wmtls_dispatcher *dispatcher = NULL;
    wmtls_dispatcher_new(options_make(NULL), &dispatcher, &outcome.error);
    if (strcmp(operation, "identity_from_pem") == 0) {
        wmtls_identity *identity;
        identity_make(with, &identity, &outcome.error);
        cJSON_AddItemToObject(outcome.ok, "notes", notes_of(identity));
        wmtls_identity_free(identity);
    } else if (strcmp(operation, "identity_from_pkcs12") == 0) {
        wmtls_identity *identity;
        pkcs12_make(with, &identity, &outcome.error);
        cJSON_AddItemToObject(outcome.ok, "notes", notes_of(identity));
        wmtls_identity_free(identity);
    } else if (strcmp(operation, "trust_from_pem") == 0) {
        wmtls_trust *trust;
        size_t notes = 0;
        trust_make(with, &trust, &outcome.error);
        while (wmtls_trust_note(trust, notes) != NULL) {
            notes++;
        }
        cJSON_AddNumberToObject(outcome.ok, "notes", (double)notes);
        wmtls_trust_free(trust);
    } else if (strcmp(operation, "pins") == 0) {
        struct list current = list_of(get(with, "current")), next = list_of(get(with, "next"));
        wmtls_endpoint_options *options = wmtls_endpoint_options_new();
        wmtls_endpoint_options_pins(options, current.texts, current.count, WMTLS_PIN_CURRENT);
        wmtls_endpoint_options_pins(options, next.texts, next.count, WMTLS_PIN_NEXT);
        wmtls_dispatcher_endpoint(dispatcher, "acme", "https://acme.example/", options, NULL,
                                  &outcome.error);
    } else if (strcmp(operation, "standard_webhooks") == 0) {
        wmtls_endpoint_options *options = wmtls_endpoint_options_new();
        wmtls_endpoint_options_no_pins(options);
        signing_set(options, get(with, "secrets"));
        wmtls_dispatcher_endpoint(dispatcher, "acme", "https://acme.example/", options, NULL,
                                  &outcome.error);
    } else if (strcmp(operation, "pin_of") == 0) {
        char pin[WMTLS_PIN_SIZE];
        wmtls_pin_of(text(with, "cert"), length(text(with, "cert")), pin, &outcome.error);
        cJSON_AddStringToObject(outcome.ok, "pin", pin);
    } else if (strcmp(operation, "egress") == 0) {
        struct list allow = list_of(get(with, "allow")), deny = list_of(get(with, "deny"));
        struct list nat64 = list_of(get(with, "nat64"));
        wmtls_options *options = wmtls_options_new();
        wmtls_options_egress(options, get(with, "preset") ? text(with, "preset") : "public");
        for (size_t i = 0; i < allow.count; i++) {
            wmtls_options_egress_allow(options, allow.texts[i]);
        }
        for (size_t i = 0; i < deny.count; i++) {
            wmtls_options_egress_deny(options, deny.texts[i]);
        }
        for (size_t i = 0; i < nat64.count; i++) {
            wmtls_options_egress_nat64(options, nat64.texts[i]);
        }
        wmtls_dispatcher_new(options, NULL, &outcome.error);
    } else if (strcmp(operation, "dispatcher") == 0) {
        wmtls_options *options = options_make(get(with, "trust"));
        SET(wmtls_options_set, options, with);
        wmtls_dispatcher_new(options, NULL, &outcome.error);
    } else if (strcmp(operation, "endpoint") == 0) {
        wmtls_endpoint *endpoint;
        endpoint_make(dispatcher, with, &endpoint, &outcome.error);
        if (endpoint != NULL) {
            cJSON_AddStringToObject(outcome.ok, "url", wmtls_endpoint_url(endpoint));
        }
        wmtls_endpoint_free(endpoint);
    } else if (strcmp(operation, "deliver") == 0) {
        wmtls_endpoint *endpoint;
        wmtls_endpoint_options *options = wmtls_endpoint_options_new();
        wmtls_endpoint_options_no_pins(options);
        signing_set(options, get(with, "signing"));
        if (wmtls_dispatcher_endpoint(dispatcher, "acme", text(with, "url"), options, &endpoint,
                                      &outcome.error) == WMTLS_OK) {
            char *body = body_of(with, "body");
            wmtls_delivery *delivery = wmtls_delivery_new(endpoint, body, strlen(body));
            delivery_set(delivery, with);
            wmtls_deliver(dispatcher, delivery, NULL, &outcome.error);
            wmtls_delivery_free(delivery);
            free(body);
        }
        wmtls_endpoint_free(endpoint);
    } else if (strcmp(operation, "merge") == 0) {
        cJSON_Delete(outcome.ok);
        outcome.ok = merged(get(with, "statuses"), &outcome.error);
    } else if (strcmp(operation, "retire") == 0) {
        retire(dispatcher, with, &outcome.error);
    } else if (strcmp(operation, "verifier") == 0) {
        wmtls_verifier *verifier;
        verifier_make(with, &verifier, &outcome.error);
        wmtls_verifier_free(verifier);
    } else {
        /* C has no separate rule objects: a verifier is made with the rule of the case. */
        wmtls_trust *trust = NULL;
        trust_make(get(fixtures, "trust"), &trust, NULL);
        wmtls_verifier_options *options = wmtls_verifier_options_new(WMTLS_ROLE_CLIENT, trust);
        wmtls_trust_free(trust);
        if (strcmp(operation, "tenant_rule") == 0) {
            tenant_set(options, with);
        } else if (strcmp(operation, "authorization") == 0) {
            authorization_set(options, with);
        } else {
            fprintf(stderr, "vectors: unknown operation %s\n", operation);
            exit(2);
        }
        wmtls_verifier_new(options, NULL, &outcome.error);
    }
    wmtls_dispatcher_free(dispatcher);
    return outcome;
}

static struct outcome judge(const cJSON *vector) {
    struct outcome outcome = {NULL, NULL};
    wmtls_verifier *verifier;
    const char *chain = text(vector, "chain");
    if (verifier_make(vector, &verifier, &outcome.error) == WMTLS_OK) {
        wmtls_peer *peer;
        wmtls_verify_peer(verifier, chain, length(chain), text(vector, "server_name"),
                          (int64_t)cJSON_GetNumberValue(get(vector, "at")), &peer, &outcome.error);
        outcome.ok = peer != NULL ? cJSON_Parse(wmtls_peer_json(peer)) : NULL;
        wmtls_peer_free(peer);
    }
    wmtls_verifier_free(verifier);
    return outcome;
}

/* Writes the consumer's URL, with the vector's host in place of 127.0.0.1. */
static void consumer_url(const cJSON *vector, const wmtls_lab_consumer *acme, char *url,
                         size_t size) {
    const char *own = wmtls_lab_consumer_url(acme), *host = text(vector, "host");
    snprintf(url, size, "https://%s%s", host != NULL ? host : "127.0.0.1",
             own + strlen("https://127.0.0.1"));
}

static void consumer_prepare(wmtls_lab_consumer *acme, const cJSON *consumer) {
    const cJSON *how = get(consumer, "misbehave"), *answer;
    if (how != NULL) {
        wmtls_lab_consumer_misbehave(acme, text(how, "how"), (uint32_t)number(how, "times", 0),
                                     NULL);
    }
    cJSON_ArrayForEach(answer, get(consumer, "respond")) {
        wmtls_lab_consumer_respond(acme, (uint16_t)number(answer, "status", 0),
                                   number(answer, "retry_after", -1),
                                   (uint32_t)number(answer, "times", 0), NULL);
    }
}

/* -- comparing --------------------------------------------------------------------------------- */

static void compare(const char *file, const cJSON *vector, const char *success,
                    struct outcome *outcome) {
    const cJSON *expected = get(vector, "expect");
    cJSON *error = outcome->error ? cJSON_Parse(wmtls_error_json(outcome->error)) : NULL;
    const char *what = error != NULL ? "error" : success;
    const cJSON *wanted = get(expected, what);
    if (wanted != NULL) {
        subset(file, vector, what, wanted, error != NULL ? error : outcome->ok);
    } else {
        disagree(file, vector, what, error != NULL ? error : outcome->ok, expected);
    }
    cJSON_Delete(error);
    cJSON_Delete(outcome->ok);
    wmtls_error_free(outcome->error);
}

static void compare_request(const cJSON *vector, wmtls_lab_consumer *acme) {
    const char *file = "deliver.json";
    size_t received = wmtls_lab_consumer_received(acme), body_length;
    const cJSON *header;
    cJSON *count = cJSON_CreateNumber((double)received);
    subset(file, vector, "received", get(vector, "received"), count);
    cJSON_Delete(count);
    wmtls_lab_request *request = wmtls_lab_consumer_request(acme, received - 1);
    if (request != NULL) {
        const char *name = wmtls_lab_request_server_name(request);
        cJSON *seen = name != NULL ? cJSON_CreateString(name) : cJSON_CreateNull();
        subset(file, vector, "received_server_name", get(vector, "received_server_name"), seen);
        cJSON_Delete(seen);
    }
    if (get(vector, "received_body") != NULL) {
        char *wanted = body_of(vector, "received_body");
        const void *body = wmtls_lab_request_body(request, &body_length);
        if (body_length != strlen(wanted) || memcmp(body, wanted, body_length) != 0) {
            disagree(file, vector, "received_body", NULL, get(vector, "received_body"));
        }
        free(wanted);
    }
    cJSON_ArrayForEach(header, get(vector, "received_headers_begin")) {
        const char *seen = wmtls_lab_request_header(request, header->string);
        if (seen == NULL || strncmp(seen, header->valuestring, strlen(header->valuestring)) != 0) {
            disagree(file, vector, header->string, NULL, header);
        }
    }
    cJSON_ArrayForEach(header, get(vector, "received_headers")) {
        const char *seen = wmtls_lab_request_header(request, header->string);
        cJSON *value = seen != NULL ? cJSON_CreateString(seen) : NULL;
        subset(file, vector, header->string, header, value);
        cJSON_Delete(value);
    }
    wmtls_lab_request_free(request);
}

/* Returns the lab's dispatcher. If the case has a type of key, the dispatcher and the receiver have
   certificates of another CA, with keys of this type. */
static wmtls_dispatcher *dispatcher_make(const cJSON *vector, wmtls_lab *lab,
                                         wmtls_lab_consumer *acme) {
    wmtls_options *options = wmtls_lab_options(lab);
    if (get(vector, "key_type") != NULL) {
        wmtls_lab_authority *authority = NULL;
        wmtls_lab_issued *ours = NULL;
        wmtls_identity *identity = NULL;
        wmtls_trust *trust = NULL;
        wmtls_lab_authority_new_with_key_type("vectors", text(vector, "key_type"), &authority, NULL);
        wmtls_lab_consumer_certify(acme, authority, NULL);
        wmtls_lab_consumer_renew(acme, true, NULL);
        wmtls_lab_consumer_accept_only(acme, authority);
        wmtls_lab_authority_issue(authority, "dispatcher", WMTLS_ROLE_CLIENT, -1, -1, &ours, NULL);
        const char *cert = wmtls_lab_issued_cert_pem(ours), *key = wmtls_lab_issued_key_pem(ours);
        const char *root = wmtls_lab_authority_root_pem(authority);
        wmtls_identity_from_pem(cert, strlen(cert), key, strlen(key), NULL, &identity, NULL);
        wmtls_trust_from_pem(root, strlen(root), NULL, 0, NULL, 0, &trust, NULL);
        wmtls_options_identity(options, identity);
        wmtls_options_trust(options, trust);
        wmtls_trust_free(trust);
        wmtls_identity_free(identity);
        wmtls_lab_issued_free(ours);
        wmtls_lab_authority_free(authority);
    }
    wmtls_dispatcher *dispatcher = NULL;
    wmtls_dispatcher_new(options, &dispatcher, NULL);
    return dispatcher;
}

static void run_config(const cJSON *vector) {
    struct outcome outcome = configure(text(vector, "do"), get(vector, "with"));
    compare("config.json", vector, "ok", &outcome);
}

static void run_verify(const cJSON *vector) {
    struct outcome outcome = judge(vector);
    compare("verify.json", vector, "ok", &outcome);
}

static void run_forwarded(const cJSON *vector) {
    struct outcome outcome = {NULL, NULL};
    wmtls_peer *peer = forwarded_judge(vector, &outcome.error);
    outcome.ok = peer != NULL ? cJSON_Parse(wmtls_peer_json(peer)) : NULL;
    wmtls_peer_free(peer);
    compare("forwarded.json", vector, "ok", &outcome);
}

static void run_webhook(const cJSON *vector) {
    struct outcome outcome = {NULL, NULL};
    outcome.ok = webhook_run(vector, &outcome.error);
    compare("webhook.json", vector, "ok", &outcome);
}

static void run_deliver(const cJSON *vector) {
    struct outcome outcome = {NULL, NULL};
    wmtls_lab *lab, *other;
    wmtls_lab_consumer *acme;
    wmtls_endpoint *endpoint;
    const cJSON *consumer = get(vector, "consumer"), *trust_of = get(vector, "trust");
    if (wmtls_lab_start(&lab, NULL) != WMTLS_OK || wmtls_lab_start(&other, NULL) != WMTLS_OK ||
        wmtls_lab_consumer_new(lab, "acme", &acme, NULL) != WMTLS_OK) {
        fputs("vectors: no lab\n", stderr);
        exit(2);
    }
    wmtls_dispatcher *dispatcher = dispatcher_make(vector, lab, acme);
    consumer_prepare(acme, consumer);
    wmtls_endpoint_options *options = pinned(text(vector, "pins"), wmtls_lab_consumer_pin(acme));
    if (trust_of != NULL && strcmp(trust_of->valuestring, "other") == 0) {
        wmtls_trust *trust = wmtls_lab_trust(other);
        wmtls_endpoint_options_trust(options, trust);
        wmtls_trust_free(trust);
    }
    signing_set(options, get(vector, "signing"));
    const cJSON *option;
    cJSON_ArrayForEach(option, get(vector, "endpoint_options")) {
        endpoint_option(options, option);
    }
    char url[256];
    consumer_url(vector, acme, url, sizeof url);
    wmtls_dispatcher_endpoint(dispatcher, "acme", url, options, &endpoint,
                              &outcome.error);
    if (get(consumer, "renew") != NULL) {
        wmtls_lab_consumer_renew(acme, cJSON_IsTrue(get(get(consumer, "renew"), "new_key")), NULL);
    }
    char *body = body_of(vector, "body");
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, body, strlen(body));
    delivery_set(delivery, get(vector, "options"));
    wmtls_receipt *receipt = NULL;
    wmtls_probe *probe = NULL;
    int deliveries = number(vector, "deliveries", 1);
    if (get(vector, "probe") != NULL && endpoint != NULL) {
        wmtls_dispatcher_probe(dispatcher, endpoint, 0, &probe, &outcome.error);
        deliveries = 0;
    }
    for (int left = deliveries; endpoint != NULL && left > 0; left--) {
        wmtls_receipt_free(receipt);
        wmtls_error_free(outcome.error);
        wmtls_deliver(dispatcher, delivery, &receipt, &outcome.error);
    }
    const char *seen = probe != NULL ? wmtls_probe_json(probe) : wmtls_receipt_json(receipt);
    outcome.ok = seen != NULL ? cJSON_Parse(seen) : NULL;
    wmtls_probe_free(probe);
    compare("deliver.json", vector, "receipt", &outcome);
    compare_request(vector, acme);
    wmtls_receipt_free(receipt);
    wmtls_delivery_free(delivery);
    free(body);
    wmtls_endpoint_free(endpoint);
    wmtls_dispatcher_free(dispatcher);
    wmtls_lab_consumer_free(acme);
    wmtls_lab_free(other);
    wmtls_lab_free(lab);
}

static int run(const char *directory, const char *file, void (*run_one)(const cJSON *)) {
    char path[4096];
    const cJSON *vector;
    snprintf(path, sizeof path, "%s/%s", directory, file);
    FILE *stream = fopen(path, "rb");
    char *content = NULL;
    size_t size = 0, more = 0;
    do {
        content = (char *)realloc(content, size + 65537);
        more = stream != NULL ? fread(content + size, 1, 65536, stream) : 0;
        size += more;
    } while (more > 0);
    content[size] = '\0';
    cJSON *vectors = cJSON_Parse(content);
    if (vectors == NULL) {
        fprintf(stderr, "vectors: cannot read %s\n", path);
        exit(2);
    }
    fclose(stream);
    free(content);
    fixtures = get(vectors, "fixtures");
    cJSON_ArrayForEach(vector, get(vectors, "cases")) {
        run_one(vector);
    }
    int count = cJSON_GetArraySize(get(vectors, "cases"));
    cJSON_Delete(vectors);
    return count;
}

int main(int argc, char **argv) {
    const char *directory = argc > 1 ? argv[1] : "tests/vectors";
    int config = run(directory, "config.json", run_config);
    int verify = run(directory, "verify.json", run_verify);
    int deliver = run(directory, "deliver.json", run_deliver);
    int circuit = run(directory, "circuit.json", run_circuit);
    int forwarded = run(directory, "forwarded.json", run_forwarded);
    int webhook = run(directory, "webhook.json", run_webhook);
    printf("vectors c: config %d, verify %d, deliver %d, circuit %d, forwarded %d, webhook %d, "
           "disagreed %d\n",
           config, verify, deliver, circuit, forwarded, webhook, disagreed);
    return disagreed > 0;
}
