/* Runs the webhook cases of the shared vectors. */

#ifndef VECTORS_WEBHOOK_H
#define VECTORS_WEBHOOK_H

#include "vectors_compare.h"

/* The answer of the store for ids. */
static int webhook_seen(void *context, const char *tenant, const char *id, int64_t keep_until) {
    return tenant[0] != '\0' && id[0] != '\0' && keep_until > 0 ? *(const int *)context : -1;
}

static void webhook_secrets(wmtls_webhook_verifier_options *options, const cJSON *secrets) {
    const cJSON *tenant;
    if (cJSON_IsArray(secrets)) {
        struct list list = list_of(secrets);
        wmtls_webhook_verifier_options_secrets(options, NULL, list.texts, list.count);
        return;
    }
    cJSON_ArrayForEach(tenant, secrets) {
        struct list list = list_of(tenant);
        wmtls_webhook_verifier_options_secrets(options, tenant->string, list.texts, list.count);
    }
}

static wmtls_status webhook_key(wmtls_webhook_verifier_options *options, const char *tenant,
                                const char *text, wmtls_error **err) {
    wmtls_jwt_keys *keys = NULL;
    wmtls_status status = wmtls_jwt_keys_new(text, strlen(text), NULL, &keys, err);
    if (status == WMTLS_OK) wmtls_webhook_verifier_options_keys(options, tenant, keys);
    wmtls_jwt_keys_free(keys);
    return status;
}

static wmtls_status webhook_keys(wmtls_webhook_verifier_options *options, const cJSON *keys,
                                 wmtls_error **err) {
    const cJSON *tenant;
    if (cJSON_IsString(keys)) return webhook_key(options, NULL, keys->valuestring, err);
    cJSON_ArrayForEach(tenant, keys) {
        wmtls_status status = webhook_key(options, tenant->string, tenant->valuestring, err);
        if (status != WMTLS_OK) return status;
    }
    return WMTLS_OK;
}

static wmtls_peer *webhook_peer(const char *name) {
    const cJSON *fixture = get(fixtures, name);
    wmtls_verifier *verifier = NULL;
    wmtls_peer *peer = NULL;
    const char *chain = text(fixture, "chain");
    verifier_make(fixture, &verifier, NULL);
    wmtls_verify_peer(verifier, chain, strlen(chain), NULL, number(fixture, "at", 0), &peer, NULL);
    wmtls_verifier_free(verifier);
    return peer;
}

static cJSON *webhook_verify(wmtls_webhook_verifier *verifier, const wmtls_peer *peer,
                             const cJSON *vector, wmtls_error **err) {
    const char *names[16] = {NULL}, *values[16] = {NULL};
    size_t count = 0;
    const cJSON *header;
    cJSON_ArrayForEach(header, get(vector, "headers")) {
        if (count == 16) exit(2);
        names[count] = cJSON_GetStringValue(cJSON_GetArrayItem(header, 0));
        values[count++] = cJSON_GetStringValue(cJSON_GetArrayItem(header, 1));
    }
    int seen = cJSON_IsTrue(get(vector, "seen"));
    const char *body = text(vector, "body");
    wmtls_verified_webhook *webhook = NULL;
    wmtls_verify_webhook(verifier, peer, names, values, count, body, strlen(body),
                         number(vector, "at", 0), webhook_seen, &seen, &webhook, err);
    const char *json = wmtls_verified_webhook_json(webhook);
    cJSON *ok = json != NULL ? cJSON_Parse(json) : NULL;
    wmtls_verified_webhook_free(webhook);
    return ok;
}

/* Returns the JSON of the webhook, or NULL with an error. */
static cJSON *webhook_run(const cJSON *vector, wmtls_error **err) {
    wmtls_webhook_verifier_options *options = wmtls_webhook_verifier_options_new();
    webhook_secrets(options, get(vector, "secrets"));
    if (webhook_keys(options, get(vector, "keys"), err) != WMTLS_OK) {
        wmtls_webhook_verifier_options_free(options);
        return NULL;
    }
    SET(wmtls_webhook_verifier_options_set, options, vector);
    wmtls_webhook_verifier *verifier = NULL;
    if (wmtls_webhook_verifier_new(options, &verifier, err) != WMTLS_OK) return NULL;
    wmtls_peer *peer = webhook_peer(text(vector, "peer"));
    cJSON *ok = webhook_verify(verifier, peer, vector, err);
    wmtls_peer_free(peer);
    wmtls_webhook_verifier_free(verifier);
    return ok;
}

#endif
