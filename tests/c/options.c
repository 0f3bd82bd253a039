/* Every option of the core's table that C sets by its name: a value of its type is accepted, and
   another is refused with the option's name. */

#include "webhook_mtls_testing.h"

#include "check.h"
#include "options.h"

static wmtls_lab *lab;
static wmtls_lab_consumer *acme;
static wmtls_dispatcher *dispatcher;
static wmtls_endpoint *endpoint;
/* A failure for the retry policy to decide on. */
static wmtls_error *failure;

/* Returns a value of the option's type as text; NULL if the option takes a handle. */
static const char *valid(size_t i, char *pair, size_t size) {
    const char *kind = OPTIONS[i].kind, *word = OPTIONS[i].word;
    if (strcmp(kind, "duration") == 0) return "1500";
    if (strcmp(kind, "integer") == 0) return "2";
    if (strcmp(kind, "number") == 0) return "0.5";
    if (strcmp(kind, "flag") == 0) return "true";
    if (strcmp(kind, "pairs") == 0) {
        snprintf(pair, size, word[0] ? "404=%s" : "x-a=b%s", word);
        return pair;
    }
    if (strcmp(kind, "json") == 0) return "{\"tier\": 7}";
    if (strcmp(kind, "text") != 0) return NULL;
    if (word[0]) return word;
    if (strcmp(OPTIONS[i].name, "proxy") == 0) return "http://127.0.0.1:1";
    if (strcmp(OPTIONS[i].name, "server_uri") == 0) return "spiffe://corp/a";
    return "a";
}

/* An Ed25519 private key in PKCS#8. */
static const unsigned char ED25519[48] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                          0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};

static wmtls_status set_dispatcher(const char *name, const char *value, wmtls_error **error) {
    wmtls_options *options = wmtls_options_new();
    if (strcmp(name, "proxy_credentials") == 0 || strcmp(name, "proxy_by_name") == 0) {
        wmtls_options_set(options, "proxy", "http://127.0.0.1:1");
        value = strcmp(value, "a") == 0 ? "user:password" : value;
    }
    wmtls_options_set(options, name, value);
    return wmtls_dispatcher_new(options, NULL, error);
}

static wmtls_status set_endpoint(const char *name, const char *value, wmtls_error **error) {
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(options);
    wmtls_endpoint_options_set(options, name, value);
    return wmtls_dispatcher_endpoint(dispatcher, "acme", wmtls_lab_consumer_url(acme), options,
                                     NULL, error);
}

static wmtls_status set_deliver(const char *name, const char *value, wmtls_error **error) {
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
    wmtls_delivery_set(delivery, name, value);
    wmtls_status status = wmtls_deliver(dispatcher, delivery, NULL, error);
    wmtls_delivery_free(delivery);
    return status;
}

static wmtls_status set_verifier(const char *name, const char *value, wmtls_error **error) {
    wmtls_trust *trust = wmtls_lab_trust(lab);
    wmtls_verifier_options *options = wmtls_verifier_options_new(WMTLS_ROLE_SERVER, trust);
    wmtls_verifier_options_set(options, name, value);
    wmtls_verifier *verifier = NULL;
    wmtls_status status = wmtls_verifier_new(options, &verifier, error);
    wmtls_verifier_free(verifier);
    wmtls_trust_free(trust);
    return status;
}

static wmtls_status set_retry_policy(const char *name, const char *value, wmtls_error **error) {
    wmtls_retry_policy *policy = wmtls_retry_policy_new();
    wmtls_retry_policy_set(policy, name, value);
    wmtls_decision decision;
    wmtls_status status = wmtls_retry_decide(policy, failure, 1, &decision, error);
    wmtls_retry_policy_free(policy);
    return status;
}

static wmtls_status set_jwt_bearer(const char *name, const char *value, wmtls_error **error) {
    wmtls_jwt_bearer *jwt = NULL;
    wmtls_status status = wmtls_jwt_bearer_from_pem(ED25519, sizeof ED25519, &jwt, error);
    if (status != WMTLS_OK) return status;
    wmtls_jwt_bearer_set(jwt, name, value);
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(options);
    wmtls_endpoint_options_jwt_bearer(options, jwt);
    wmtls_jwt_bearer_free(jwt);
    return wmtls_dispatcher_endpoint(dispatcher, "signed", wmtls_lab_consumer_url(acme), options,
                                     NULL, error);
}

static wmtls_status set_webhook_verifier(const char *name, const char *value, wmtls_error **error) {
    static const char JWK[] = "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                              "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}";
    wmtls_jwt_keys *keys = NULL;
    wmtls_status status = wmtls_jwt_keys_new(JWK, sizeof JWK - 1, NULL, &keys, error);
    if (status != WMTLS_OK) return status;
    wmtls_webhook_verifier_options *options = wmtls_webhook_verifier_options_new();
    wmtls_webhook_verifier_options_keys(options, NULL, keys);
    wmtls_jwt_keys_free(keys);
    wmtls_webhook_verifier_options_set(options, name, value);
    wmtls_webhook_verifier *verifier = NULL;
    status = wmtls_webhook_verifier_new(options, &verifier, error);
    wmtls_webhook_verifier_free(verifier);
    return status;
}

/* The nouns whose options C sets by name. */
static const struct {
    const char *name;
    wmtls_status (*set)(const char *name, const char *value, wmtls_error **error);
} NOUNS[] = {
    {"dispatcher", set_dispatcher}, {"endpoint", set_endpoint},         {"deliver", set_deliver},
    {"verifier", set_verifier},     {"retry_policy", set_retry_policy},
    {"jwt_bearer", set_jwt_bearer}, {"webhook_verifier", set_webhook_verifier},
};

static void walk(const char *noun, wmtls_status (*set)(const char *, const char *, wmtls_error **)) {
    char pair[64];
    int count = 0;
    for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; i++) {
        const char *name = OPTIONS[i].name, *value = valid(i, pair, sizeof pair);
        if (value == NULL || strcmp(OPTIONS[i].of, noun) != 0) continue;
        wmtls_error *error;
        CHECK_STATUS(set(name, value, &error), WMTLS_OK, error);
        count++;
        /* Any text is of the type text, and a header is two texts. */
        if (strcmp(OPTIONS[i].kind, "text") == 0 || strcmp(name, "headers") == 0) continue;
        CHECK(set(name, "neither", &error) == WMTLS_OPTION_INVALID);
        CHECK_TEXT(wmtls_error_context(error, "option"), name);
        wmtls_error_free(error);
    }
    CHECK(count > 1);
}

static void every_option_takes_its_type_and_refuses_another(void) {
    for (size_t i = 0; i < sizeof NOUNS / sizeof *NOUNS; i++) walk(NOUNS[i].name, NOUNS[i].set);
}

int main(void) {
    CHECK(wmtls_lab_start(&lab, NULL) == WMTLS_OK);
    CHECK(wmtls_lab_consumer_new(lab, "acme", &acme, NULL) == WMTLS_OK);
    dispatcher = wmtls_lab_dispatcher(lab);
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(options);
    CHECK(wmtls_dispatcher_endpoint(dispatcher, "acme", wmtls_lab_consumer_url(acme), options,
                                    &endpoint, NULL) == WMTLS_OK);
    CHECK(wmtls_trust_from_pem("", 0, NULL, 0, NULL, 0, NULL, &failure) != WMTLS_OK);
    RUN(every_option_takes_its_type_and_refuses_another);
    wmtls_error_free(failure);
    wmtls_endpoint_free(endpoint);
    wmtls_dispatcher_free(dispatcher);
    wmtls_lab_consumer_free(acme);
    wmtls_lab_free(lab);
    return 0;
}
