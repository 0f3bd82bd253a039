/* Reads the cases of the shared vectors: from JSON to the arguments and the nouns of C. */

#ifndef VECTORS_INPUT_H
#define VECTORS_INPUT_H

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "webhook_mtls_testing.h"

/* A pin without a key. */
static const char UNUSED_PIN[] = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/* The certificates and keys that the cases name. */
static const cJSON *fixtures;

/* -- from JSON to C ---------------------------------------------------------------------------- */

static const cJSON *get(const cJSON *object, const char *name) {
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static const char *text(const cJSON *object, const char *name) {
    return cJSON_GetStringValue(get(object, name));
}

static size_t length(const char *text) {
    return text != NULL ? strlen(text) : 0;
}

static int number(const cJSON *object, const char *name, int otherwise) {
    const cJSON *item = get(object, name);
    return item != NULL ? (int)cJSON_GetNumberValue(item) : otherwise;
}

/* The texts of an array of at most 16. */
struct list {
    const char *texts[16];
    size_t count;
};

static struct list list_of(const cJSON *array) {
    struct list list = {{NULL}, 0};
    const cJSON *item;
    cJSON_ArrayForEach(item, array) {
        if (list.count == 16) {
            fputs("vectors: a list exceeds the limit of this runner\n", stderr);
            exit(2);
        }
        list.texts[list.count++] = cJSON_GetStringValue(item);
    }
    return list;
}

/* Returns the body, repeated; the caller frees it. */
static char *body_of(const cJSON *object, const char *name) {
    const char *once = text(object, name);
    int times = number(object, "repeat", 1);
    char *body = (char *)malloc(length(once) * (size_t)times + 1);
    char *end = body;
    for (int i = 0; i < times; i++) {
        memcpy(end, once ? once : "", length(once));
        end += length(once);
    }
    *end = '\0';
    return body;
}

/* -- from JSON to the nouns -------------------------------------------------------------------- */

/* The bytes of an argument: text, or hex under its name and "_hex". The caller frees them. */
static unsigned char *bytes_of(const cJSON *with, const char *name, size_t *count) {
    char hex_name[32];
    snprintf(hex_name, sizeof hex_name, "%s_hex", name);
    const char *plain = text(with, name), *hex = text(with, hex_name);
    *count = hex ? length(hex) / 2 : length(plain);
    unsigned char *data = (unsigned char *)malloc(*count + 1);
    for (size_t i = 0; i < *count; i++) {
        unsigned byte = (unsigned char)(hex ? 0 : plain[i]);
        if (hex) {
            sscanf(hex + 2 * i, "%2x", &byte);
        }
        data[i] = (unsigned char)byte;
    }
    return data;
}

static wmtls_status identity_make(const cJSON *with, wmtls_identity **out, wmtls_error **err) {
    size_t cert_len, key_len;
    unsigned char *cert = bytes_of(with, "cert", &cert_len);
    unsigned char *key = bytes_of(with, "key", &key_len);
    wmtls_status status = wmtls_identity_from_pem(cert, cert_len, key, key_len,
                                                  text(with, "passphrase"), out, err);
    free(cert);
    free(key);
    return status;
}

static wmtls_status trust_make(const cJSON *with, wmtls_trust **out, wmtls_error **err) {
    const char *anchors = text(with, "anchors"), *intermediates = text(with, "intermediates");
    if (cJSON_IsTrue(get(with, "exact"))) return wmtls_trust_exact(anchors, length(anchors), out, err);
    char *crls = NULL;
    const cJSON *crl;
    cJSON_ArrayForEach(crl, get(with, "crls")) {
        const char *more = cJSON_GetStringValue(crl);
        size_t before = length(crls);
        crls = (char *)realloc(crls, before + strlen(more) + 1);
        strcpy(crls + before, more);
    }
    wmtls_trust *read;
    wmtls_status status =
        (cJSON_IsTrue(get(with, "dangerous_public")) ? wmtls_trust_dangerous_public
                                                     : wmtls_trust_from_pem)(
            anchors, length(anchors), intermediates, length(intermediates), crls, length(crls),
            &read, err);
    free(crls);
    *out = read;
    if (status == WMTLS_OK && get(with, "distrusted") != NULL) {
        struct list distrusted = list_of(get(with, "distrusted"));
        status = wmtls_trust_distrusting(read, distrusted.texts, distrusted.count, out, err);
        wmtls_trust_free(read);
    }
    return status;
}

static wmtls_status pkcs12_make(const cJSON *with, wmtls_identity **out, wmtls_error **err) {
    size_t count;
    unsigned char *data = bytes_of(with, "data", &count);
    wmtls_status status =
        wmtls_identity_from_pkcs12(data, count, text(with, "passphrase"), out, err);
    free(data);
    return status;
}

/* Formats an option's value for the generic setters. A list of pairs is "name=value,name=value". */
static char *option_text(const cJSON *option) {
    const cJSON *pair;
    if (cJSON_IsString(option)) {
        char *copy = (char *)malloc(strlen(option->valuestring) + 1);
        return strcpy(copy, option->valuestring);
    }
    if (!cJSON_IsObject(option)) {
        return cJSON_PrintUnformatted(option);
    }
    char *pairs = (char *)calloc(1, 1);
    cJSON_ArrayForEach(pair, option) {
        size_t before = strlen(pairs), more = strlen(pair->string) + strlen(pair->valuestring) + 3;
        pairs = (char *)realloc(pairs, before + more);
        snprintf(pairs + before, more, "%s%s=%s", before > 0 ? "," : "", pair->string,
                 pair->valuestring);
    }
    return pairs;
}

/* Passes the case's `options` by name to the generic setter of a noun. */
#define SET(setter, builder, with)                                                   \
    do {                                                                             \
        const cJSON *option;                                                         \
        cJSON_ArrayForEach(option, get(with, "options")) {                           \
            char *value = option_text(option);                                       \
            setter(builder, option->string, value);                                  \
            free(value);                                                             \
        }                                                                            \
    } while (0)

static wmtls_options *options_make(const cJSON *trust_of) {
    wmtls_identity *identity = NULL;
    wmtls_trust *trust = NULL;
    wmtls_options *options = wmtls_options_new();
    identity_make(get(fixtures, "identity"), &identity, NULL);
    trust_make(trust_of != NULL ? trust_of : get(fixtures, "trust"), &trust, NULL);
    wmtls_options_identity(options, identity);
    wmtls_options_trust(options, trust);
    wmtls_identity_free(identity);
    wmtls_trust_free(trust);
    return options;
}

static void delivery_set(wmtls_delivery *delivery, const cJSON *with) {
    const cJSON *header;
    if (text(with, "id") != NULL) {
        wmtls_delivery_id(delivery, text(with, "id"));
    }
    if (text(with, "content_type") != NULL) {
        wmtls_delivery_content_type(delivery, text(with, "content_type"));
    }
    cJSON_ArrayForEach(header, get(with, "headers")) {
        wmtls_delivery_header(delivery, header->string, header->valuestring);
    }
    if (get(with, "timeout_ms") != NULL) {
        char *timeout = cJSON_PrintUnformatted(get(with, "timeout_ms"));
        wmtls_delivery_set(delivery, "timeout", timeout);
        free(timeout);
    }
    SET(wmtls_delivery_set, delivery, with);
}

static void tenant_set(wmtls_verifier_options *options, const cJSON *rule) {
    if (get(rule, "san_uri") != NULL) {
        wmtls_verifier_options_tenant_san_uri(options, text(rule, "san_uri"));
    } else if (get(rule, "san_dns_suffix") != NULL) {
        wmtls_verifier_options_tenant_san_dns_suffix(options, text(rule, "san_dns_suffix"));
    } else {
        wmtls_verifier_options_tenant_subject_cn(options);
    }
}

static void authorization_set(wmtls_verifier_options *options, const cJSON *rule) {
    if (get(rule, "san_uris") != NULL) {
        struct list uris = list_of(get(rule, "san_uris"));
        wmtls_verifier_options_authorize_san_uris(options, uris.texts, uris.count);
    } else if (get(rule, "trust_domain") != NULL) {
        wmtls_verifier_options_authorize_trust_domain(options, text(rule, "trust_domain"));
    } else {
        wmtls_verifier_options_authorize_ca_members(options);
    }
}

/* Makes the verifier of a case in config.json or verify.json. */
static wmtls_status verifier_make(const cJSON *with, wmtls_verifier **out, wmtls_error **err) {
    const cJSON *trust_of = get(with, "trust") ? get(with, "trust") : get(fixtures, "trust");
    const char *role = text(with, "role");
    wmtls_trust *trust;
    wmtls_status status = trust_make(trust_of, &trust, err);
    if (status != WMTLS_OK) {
        *out = NULL;
        return status;
    }
    wmtls_verifier_options *options = wmtls_verifier_options_new(
        role && strcmp(role, "client") == 0 ? WMTLS_ROLE_CLIENT : WMTLS_ROLE_SERVER, trust);
    wmtls_trust_free(trust);
    if (get(with, "pins") != NULL) {
        struct list current = list_of(get(get(with, "pins"), "current"));
        struct list next = list_of(get(get(with, "pins"), "next"));
        wmtls_verifier_options_pins(options, current.texts, current.count, WMTLS_PIN_CURRENT);
        wmtls_verifier_options_pins(options, next.texts, next.count, WMTLS_PIN_NEXT);
    }
    if (get(with, "tenant") != NULL) {
        tenant_set(options, get(with, "tenant"));
    }
    if (get(with, "authorization") != NULL) {
        authorization_set(options, get(with, "authorization"));
    }
    SET(wmtls_verifier_options_set, options, with);
    return wmtls_verifier_new(options, out, err);
}

/* Returns options with the pins of this name. */
static wmtls_endpoint_options *pinned(const char *which, const char *right) {
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    if (strcmp(which, "none") == 0) {
        wmtls_endpoint_options_no_pins(options);
        return options;
    }
    int is_right = strcmp(which, "right") == 0 || strcmp(which, "both") == 0;
    wmtls_endpoint_options_pin(options, is_right ? right : UNUSED_PIN, WMTLS_PIN_CURRENT);
    if (strcmp(which, "next") == 0 || strcmp(which, "both") == 0) {
        wmtls_endpoint_options_pin(options, is_right ? UNUSED_PIN : right, WMTLS_PIN_NEXT);
    }
    return options;
}

#endif
