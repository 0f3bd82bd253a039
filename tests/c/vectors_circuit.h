/* Runs the circuit cases of the shared vectors: the steps of each case with one endpoint. */

#ifndef VECTORS_CIRCUIT_H
#define VECTORS_CIRCUIT_H

#include <time.h>

#include "vectors_compare.h"

struct circuit_scene {
    wmtls_lab_consumer *acme;
    wmtls_dispatcher *dispatcher;
    wmtls_endpoint *endpoint;
    /* How far the clock was set ahead, in milliseconds. */
    int64_t ahead;
};

static void circuit_pinned(struct circuit_scene *scene, const char *which) {
    wmtls_endpoint_options *options = pinned(which, wmtls_lab_consumer_pin(scene->acme));
    wmtls_endpoint_free(scene->endpoint);
    wmtls_dispatcher_endpoint(scene->dispatcher, "acme", wmtls_lab_consumer_url(scene->acme),
                              options, &scene->endpoint, NULL);
}

/* Compares the outcome of a call, and frees its error. */
static void circuit_compare(const cJSON *vector, const char *where, const cJSON *expected,
                            wmtls_error *error) {
    cJSON *seen = error != NULL ? cJSON_Parse(wmtls_error_json(error)) : NULL;
    const cJSON *wanted = get(expected, "error");
    if (wanted == NULL ? seen != NULL : seen == NULL) {
        disagree("circuit.json", vector, where, seen, expected);
    } else if (wanted != NULL) {
        subset("circuit.json", vector, where, wanted, seen);
    }
    cJSON_Delete(seen);
    wmtls_error_free(error);
}

static void circuit_deliver(const cJSON *vector, const cJSON *with, struct circuit_scene *scene) {
    wmtls_delivery *delivery = wmtls_delivery_new(scene->endpoint, "{}", 2);
    wmtls_receipt *receipt;
    wmtls_error *error;
    wmtls_deliver(scene->dispatcher, delivery, &receipt, &error);
    circuit_compare(vector, "deliver", with, error);
    wmtls_receipt_free(receipt);
    wmtls_delivery_free(delivery);
}

static void circuit_probe(const cJSON *vector, const cJSON *with, struct circuit_scene *scene) {
    wmtls_probe *probe;
    wmtls_error *error;
    wmtls_dispatcher_probe(scene->dispatcher, scene->endpoint, 0, &probe, &error);
    circuit_compare(vector, "probe", with, error);
    wmtls_probe_free(probe);
}

static void circuit_state(const cJSON *vector, const cJSON *wanted, struct circuit_scene *scene) {
    wmtls_endpoint_status *status = wmtls_endpoint_status_new(scene->endpoint);
    const char *name = wmtls_circuit_state_name(wmtls_endpoint_status_circuit(status));
    cJSON *seen = cJSON_CreateString(name);
    subset("circuit.json", vector, "circuit", wanted, seen);
    cJSON_Delete(seen);
    wmtls_endpoint_status_free(status);
}

static void circuit_step(const cJSON *vector, const cJSON *step, struct circuit_scene *scene) {
    const cJSON *with = step->child;
    const char *name = with->string;
    if (strcmp(name, "misbehave") == 0) {
        wmtls_lab_consumer_misbehave(scene->acme, text(with, "how"),
                                     (uint32_t)number(with, "times", 0), NULL);
    } else if (strcmp(name, "respond") == 0) {
        wmtls_lab_consumer_respond(scene->acme, (uint16_t)number(with, "status", 0), -1,
                                   (uint32_t)number(with, "times", 0), NULL);
    } else if (strcmp(name, "advance_ms") == 0) {
        scene->ahead += (int64_t)cJSON_GetNumberValue(with);
        wmtls_lab_set_clock((int64_t)time(NULL) + scene->ahead / 1000);
    } else if (strcmp(name, "reset_circuit") == 0) {
        wmtls_endpoint_reset_circuit(scene->endpoint);
    } else if (strcmp(name, "reload") == 0) {
        wmtls_reload(scene->dispatcher, NULL);
    } else if (strcmp(name, "pins") == 0) {
        circuit_pinned(scene, cJSON_GetStringValue(with));
    } else if (strcmp(name, "circuit") == 0) {
        circuit_state(vector, with, scene);
    } else if (strcmp(name, "deliver") == 0) {
        circuit_deliver(vector, with, scene);
    } else if (strcmp(name, "probe") == 0) {
        circuit_probe(vector, with, scene);
    } else if (strcmp(name, "open_circuit") == 0) {
        uint64_t duration_ms = (uint64_t)number(with, "duration_ms", 0);
        wmtls_error *error;
        wmtls_endpoint_open_circuit(scene->endpoint, duration_ms, &error);
        circuit_compare(vector, "open_circuit", with, error);
    } else {
        disagree("circuit.json", vector, name, NULL, step);
    }
}

static void run_circuit(const cJSON *vector) {
    struct circuit_scene scene = {NULL, NULL, NULL, 0};
    wmtls_lab *lab;
    if (wmtls_lab_start(&lab, NULL) != WMTLS_OK ||
        wmtls_lab_consumer_new(lab, "acme", &scene.acme, NULL) != WMTLS_OK) {
        fputs("vectors: no lab\n", stderr);
        exit(2);
    }
    wmtls_options *options = wmtls_lab_options(lab);
    SET(wmtls_options_set, options, vector);
    wmtls_dispatcher_new(options, &scene.dispatcher, NULL);
    wmtls_event *event = wmtls_next_event(scene.dispatcher, 0);
    circuit_pinned(&scene, "right");
    const cJSON *step;
    cJSON_ArrayForEach(step, get(vector, "steps")) {
        circuit_step(vector, step, &scene);
    }
    wmtls_lab_set_clock(WMTLS_NOW);
    cJSON *events = cJSON_CreateArray();
    while ((event = wmtls_next_event(scene.dispatcher, 0)) != NULL) {
        cJSON_AddItemToArray(events, cJSON_CreateString(wmtls_event_name(event)));
        wmtls_event_free(event);
    }
    subset("circuit.json", vector, "events", get(vector, "events"), events);
    cJSON_Delete(events);
    wmtls_endpoint_free(scene.endpoint);
    wmtls_dispatcher_free(scene.dispatcher);
    wmtls_lab_consumer_free(scene.acme);
    wmtls_lab_free(lab);
}

#endif
