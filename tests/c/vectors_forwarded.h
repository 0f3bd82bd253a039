/* Runs the forwarded cases of the shared vectors. */

#ifndef VECTORS_FORWARDED_H
#define VECTORS_FORWARDED_H

#include "vectors_input.h"

/* The most header lines of a case, with its fillers. */
enum { FORWARDED_LINES = 1100 };

static wmtls_status hop_make(const cJSON *with, wmtls_hop **out, wmtls_error **err) {
    const char *name = text(with, "name");
    const cJSON *secret = get(with, "secret");
    if (get(with, "address") != NULL) {
        struct list networks = list_of(get(with, "address"));
        return wmtls_hop_address(name, networks.texts, networks.count, out, err);
    }
    if (secret != NULL) {
        return wmtls_hop_secret(name, text(secret, "header"), text(secret, "value"), out, err);
    }
    if (get(with, "certificate") != NULL) {
        struct list pins = list_of(get(with, "certificate"));
        return wmtls_hop_certificate(name, pins.texts, pins.count, out, err);
    }
    return wmtls_hop_unix(name, out, err);
}

/* Returns the value of a header line, repeated; the caller frees it. */
static char *line_value(const cJSON *line) {
    const char *once = cJSON_GetStringValue(cJSON_GetArrayItem(line, 1));
    const cJSON *repeat = cJSON_GetArrayItem(line, 2);
    size_t times = repeat != NULL ? (size_t)cJSON_GetNumberValue(repeat) : 1;
    size_t size = strlen(once);
    char *value = (char *)malloc(size * times + 1);
    for (size_t i = 0; i < times; i++) {
        memcpy(value + i * size, once, size);
    }
    value[size * times] = '\0';
    return value;
}

/* Returns the peer, or NULL and an error. */
static wmtls_peer *forwarded_judge(const cJSON *vector, wmtls_error **err) {
    static const char *pairs[2 * FORWARDED_LINES];
    char *values[64];
    size_t lines = 0;
    const cJSON *line;
    wmtls_hop *hop = NULL;
    wmtls_verifier *verifier = NULL;
    wmtls_peer *peer = NULL;
    cJSON_ArrayForEach(line, get(vector, "headers")) {
        values[lines] = line_value(line);
        pairs[2 * lines] = cJSON_GetStringValue(cJSON_GetArrayItem(line, 0));
        pairs[2 * lines + 1] = values[lines];
        lines++;
    }
    size_t given = lines;
    for (int filler = number(vector, "filler", 0); filler > 0; filler--, lines++) {
        pairs[2 * lines] = "X-Filler";
        pairs[2 * lines + 1] = "1";
    }
    if (verifier_make(vector, &verifier, err) == WMTLS_OK &&
        hop_make(get(vector, "hop"), &hop, err) == WMTLS_OK) {
        wmtls_verify_forwarded(verifier, text(vector, "dialect"), hop, pairs, lines,
                               text(vector, "remote"),
                               (int64_t)cJSON_GetNumberValue(get(vector, "at")), &peer, err);
    }
    for (size_t i = 0; i < given; i++) {
        free(values[i]);
    }
    wmtls_hop_free(hop);
    wmtls_verifier_free(verifier);
    return peer;
}

#endif
