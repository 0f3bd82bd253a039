/* A secret in a wrong argument is never shown: in no field of an error, and not on the terminal.
   ffi/tests/secrets.rs compares the list with the header. */
/* mkdtemp, dup2, fileno */
#define _POSIX_C_SOURCE 200809L

#include <unistd.h>

#include "webhook_mtls_testing.h"

#include "check.h"

static const char NOWHERE[] = "https://127.0.0.1:1/";

static wmtls_lab *lab;
static wmtls_dispatcher *dispatcher;
static wmtls_endpoint *endpoint;
static wmtls_identity *identity;
static wmtls_trust *trust;

typedef struct {
    const char *what;
    const char *text;
    /* A leak is any eight consecutive letters from here to the end. */
    const char *part;
} secret;

static const secret *tried;
static const char *with;
static int errors;
/* Captures the output to the terminal. */
static int caught = -1;

/* Returns whether a text shows eight consecutive letters of the secret. */
static void check_hidden(const char *shown) {
    if (shown == NULL) return;
    for (const char *part = tried->part; strlen(part) >= 8; part++) {
        char letters[9] = {0};
        memcpy(letters, part, 8);
        if (strstr(shown, letters) != NULL) {
            if (caught >= 0) dup2(caught, STDERR_FILENO);
            fprintf(stderr, "%s shows %s\n", with, tried->what);
            CHECK(!"a secret is shown");
        }
    }
}

/* Checks all fields of an error, and frees it. */
static void look(wmtls_error *error) {
    if (error == NULL) return;
    errors += 1;
    check_hidden(wmtls_error_message(error));
    check_hidden(wmtls_error_remedy(error));
    check_hidden(wmtls_error_consumer(error));
    check_hidden(wmtls_error_context(error, "option"));
    check_hidden(wmtls_error_json(error));
    check_hidden(wmtls_error_public_json(error));
    wmtls_error_free(error);
}

static wmtls_endpoint_options *unpinned(void) {
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(options);
    return options;
}

/* Builders keep their error for the call that consumes them. */
static void consume_options(wmtls_options *options) {
    wmtls_dispatcher *made;
    wmtls_error *error;
    wmtls_dispatcher_new(options, &made, &error);
    wmtls_dispatcher_free(made);
    look(error);
}

static void consume_endpoint(wmtls_endpoint_options *options) {
    wmtls_endpoint *made;
    wmtls_error *error;
    wmtls_dispatcher_endpoint(dispatcher, "other", NOWHERE, options, &made, &error);
    wmtls_endpoint_free(made);
    look(error);
}

static void consume_verifier(wmtls_verifier_options *options) {
    wmtls_verifier *made;
    wmtls_error *error;
    wmtls_verifier_new(options, &made, &error);
    wmtls_verifier_free(made);
    look(error);
}

static void consume_delivery(wmtls_delivery *delivery) {
    wmtls_receipt *receipt;
    wmtls_error *error;
    wmtls_deliver(dispatcher, delivery, &receipt, &error);
    CHECK(receipt == NULL);
    look(error);
    wmtls_delivery_free(delivery);
}

static char pem[16384], line[16384], hidden[16384], url[4096], hex[65];

/* A token with the lab's private key, for the endpoint that reports its fault. */
static wmtls_jwt_bearer *token(void) {
    wmtls_jwt_bearer *made;
    wmtls_error *error;
    CHECK_STATUS(wmtls_jwt_bearer_from_pem(pem, strlen(pem), &made, &error), WMTLS_OK, error);
    return made;
}

static void consume_token(wmtls_jwt_bearer *built) {
    wmtls_endpoint_options *options = unpinned();
    wmtls_endpoint_options_jwt_bearer(options, built);
    wmtls_jwt_bearer_free(built);
    consume_endpoint(options);
}

static void consume_webhook_verifier(wmtls_webhook_verifier_options *options) {
    wmtls_webhook_verifier *made;
    wmtls_error *error;
    wmtls_webhook_verifier_new(options, &made, &error);
    wmtls_webhook_verifier_free(made);
    look(error);
}

static void free_hop(wmtls_hop *made, wmtls_error *error) {
    wmtls_hop_free(made);
    look(error);
}

static wmtls_delivery *draft(void) { return wmtls_delivery_new(endpoint, "{}", 2); }
static wmtls_verifier_options *server(void) {
    return wmtls_verifier_options_new(WMTLS_ROLE_SERVER, trust);
}

#define TRY(function, ...)                             \
    static void try_##function(const char *text) {     \
        wmtls_error *error = NULL;                     \
        (void)text;                                    \
        __VA_ARGS__                                    \
        look(error);                                   \
    }

/* A setter of a builder that `consume` consumes. */
#define TRY_SETTER(function, type, make, consume, ...) \
    TRY(function, {                                    \
        type *built = (make);                          \
        function(built, __VA_ARGS__);                  \
        consume(built);                                \
    })

/* Twice: the secret as the name of an option, and as its value. */
#define TRY_SET(function, type, make, consume, name)   \
    TRY(function, {                                    \
        type *built = (make);                          \
        function(built, text, "1");                    \
        consume(built);                                \
        built = (make);                                \
        function(built, name, text);                   \
        consume(built);                                \
    })

TRY(wmtls_identity_from_files, {
    wmtls_identity *made;
    wmtls_identity_from_files(text, "tls.key", NULL, &made, &error);
    look(error);
    wmtls_identity_from_files("/dev/null", text, NULL, &made, &error);
    look(error);
    wmtls_identity_from_files("tls.crt", "tls.key", text, &made, &error);
})
TRY(wmtls_identity_from_pem, {
    wmtls_identity *made;
    wmtls_identity_from_pem(text, strlen(text), text, strlen(text), text, &made, &error);
})
static int32_t no_signature(void *context, int32_t scheme, const uint8_t *message,
                            size_t message_len, const uint8_t *digest, size_t digest_len,
                            uint64_t deadline_ms, uint8_t *signature, size_t capacity,
                            size_t *signature_len) {
    (void)context, (void)scheme, (void)message, (void)message_len, (void)digest, (void)digest_len;
    (void)deadline_ms, (void)signature, (void)capacity, (void)signature_len;
    return 1;
}
TRY(wmtls_identity_from_signer, {
    wmtls_identity *made;
    wmtls_identity_from_signer(text, strlen(text), no_signature, NULL, NULL, 8, &text, 1, &made,
                               &error);
    look(error);
    wmtls_identity_from_signer(text, strlen(text), no_signature, NULL, NULL, 8, NULL, 0, &made,
                               &error);
    wmtls_identity_free(made);
})
TRY(wmtls_identity_from_signer_file, {
    wmtls_identity *made;
    wmtls_identity_from_signer_file(text, no_signature, NULL, NULL, 8, NULL, 0, &made, &error);
    wmtls_identity_free(made);
})
TRY(wmtls_identity_from_pkcs12, {
    wmtls_identity *made;
    wmtls_identity_from_pkcs12(text, strlen(text), text, &made, &error);
})
TRY(wmtls_pin_of, {
    char pin[WMTLS_PIN_SIZE];
    wmtls_pin_of(text, strlen(text), pin, &error);
})
TRY(wmtls_trust_from_files, {
    wmtls_trust *made;
    wmtls_trust_from_files(text, NULL, NULL, &made, &error);
    look(error);
    wmtls_trust_from_files("/dev/null", text, NULL, &made, &error);
    look(error);
    wmtls_trust_from_files("/dev/null", NULL, text, &made, &error);
})
TRY(wmtls_trust_from_pem, {
    wmtls_trust *made;
    wmtls_trust_from_pem(text, strlen(text), text, strlen(text), text, strlen(text), &made, &error);
})
TRY(wmtls_trust_dangerous_public, {
    wmtls_trust *made;
    wmtls_trust_dangerous_public(text, strlen(text), NULL, 0, NULL, 0, &made, &error);
})
TRY(wmtls_trust_exact, {
    wmtls_trust *made;
    wmtls_trust_exact(text, strlen(text), &made, &error);
})
TRY(wmtls_trust_exact_from_file, {
    wmtls_trust *made;
    wmtls_trust_exact_from_file(text, &made, &error);
})
TRY(wmtls_trust_distrusting, {
    wmtls_trust *made;
    wmtls_trust_distrusting(trust, &text, 1, &made, &error);
})
TRY_SETTER(wmtls_options_egress, wmtls_options, wmtls_options_new(), consume_options, text)
TRY_SETTER(wmtls_options_egress_allow, wmtls_options, wmtls_options_new(), consume_options, text)
TRY_SETTER(wmtls_options_egress_deny, wmtls_options, wmtls_options_new(), consume_options, text)
TRY_SETTER(wmtls_options_egress_nat64, wmtls_options, wmtls_options_new(), consume_options, text)
TRY(wmtls_options_set, {
    static const char *const NAMES[] = {"proxy", "proxy_credentials", "timeout", "status_retry"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        wmtls_options *built = wmtls_options_new();
        wmtls_options_set(built, NAMES[i], text);
        consume_options(built);
    }
    wmtls_options *built = wmtls_options_new();
    wmtls_options_set(built, text, "1");
    consume_options(built);
})
TRY(wmtls_dispatcher_endpoint, {
    wmtls_endpoint *made;
    wmtls_dispatcher_endpoint(dispatcher, "other", text, unpinned(), &made, &error);
    /* Letters and digits can be a name; a text that can only be a secret is refused. */
    if (strcmp(tried->what, "a passphrase") != 0 && strcmp(tried->what, "hex") != 0) {
        CHECK(made == NULL);
        look(error);
        wmtls_dispatcher_endpoint(dispatcher, text, NOWHERE, unpinned(), &made, &error);
        CHECK(made == NULL);
    }
})
TRY(wmtls_dispatcher_remove, { wmtls_dispatcher_remove(dispatcher, text); })
TRY(wmtls_deliver_once, {
    wmtls_receipt *receipt;
    wmtls_deliver_once(text, text, strlen(text), wmtls_options_new(), unpinned(), &receipt, &error);
})
TRY_SETTER(wmtls_endpoint_options_pin, wmtls_endpoint_options, wmtls_endpoint_options_new(),
           consume_endpoint, text, WMTLS_PIN_CURRENT)
TRY_SETTER(wmtls_endpoint_options_pins, wmtls_endpoint_options, wmtls_endpoint_options_new(),
           consume_endpoint, &text, 1, WMTLS_PIN_CURRENT)
TRY_SETTER(wmtls_endpoint_options_pins_file, wmtls_endpoint_options, unpinned(), consume_endpoint,
           text)
TRY_SETTER(wmtls_endpoint_options_signing, wmtls_endpoint_options, unpinned(), consume_endpoint,
           &text, 1)
TRY_SET(wmtls_endpoint_options_set, wmtls_endpoint_options, unpinned(), consume_endpoint,
        "server_uri")
TRY(wmtls_event_field, { check_hidden(wmtls_event_field(NULL, text)); })
TRY(wmtls_error_context, {
    error = wmtls_lab_error("internal");
    check_hidden(wmtls_error_context(error, text));
})
TRY(wmtls_rotation_status_of, {
    wmtls_rotation_status *status = wmtls_dispatcher_rotation_status(dispatcher);
    CHECK(wmtls_rotation_status_of(status, text) == NULL);
    check_hidden(wmtls_rotation_status_json(status));
    wmtls_rotation_status_free(status);
})
TRY(wmtls_dispatcher_process_status, {
    wmtls_fleet_status *status;
    wmtls_dispatcher_process_status(dispatcher, text, &status, &error);
    /* Letters and digits can be a name. */
    if (strcmp(tried->what, "a passphrase") != 0 && strcmp(tried->what, "hex") != 0) {
        CHECK(status == NULL);
    }
    wmtls_fleet_status_free(status);
})
TRY(wmtls_merge, {
    wmtls_fleet_status *status;
    wmtls_merge(&text, 1, &status, &error);
    CHECK(status == NULL);
})
TRY(wmtls_retire_in_fleet, {
    CHECK(wmtls_retire_in_fleet(dispatcher, identity, text, false, &error) != WMTLS_OK);
})
TRY(wmtls_delivery_new, { consume_delivery(wmtls_delivery_new(endpoint, text, strlen(text))); })
TRY(wmtls_body_new, {
    wmtls_body *body = wmtls_body_new(text, strlen(text));
    consume_delivery(wmtls_delivery_of_body(endpoint, body));
    wmtls_body_free(body);
})
TRY_SETTER(wmtls_delivery_id, wmtls_delivery, draft(), consume_delivery, text)
TRY_SETTER(wmtls_delivery_content_type, wmtls_delivery, draft(), consume_delivery, text)
TRY(wmtls_delivery_header, {
    wmtls_delivery *built = draft();
    wmtls_delivery_header(built, text, "\n");
    consume_delivery(built);
    built = draft();
    wmtls_delivery_header(built, "x-token", text);
    wmtls_delivery_header(built, "x-event", "\n");
    consume_delivery(built);
})
TRY_SET(wmtls_delivery_set, wmtls_delivery, draft(), consume_delivery, "timeout")
TRY(wmtls_retry_policy_set, {
    wmtls_decision decision;
    wmtls_error *failure = wmtls_lab_error("internal");
    wmtls_retry_policy *policy = wmtls_retry_policy_new();
    wmtls_retry_policy_set(policy, text, "1");
    wmtls_retry_decide(policy, failure, 1, &decision, &error);
    wmtls_retry_policy_free(policy);
    look(error);
    policy = wmtls_retry_policy_new();
    wmtls_retry_policy_set(policy, "attempts", text);
    wmtls_retry_decide(policy, failure, 1, &decision, &error);
    wmtls_retry_policy_free(policy);
    wmtls_error_free(failure);
})
TRY_SETTER(wmtls_verifier_options_pin, wmtls_verifier_options, server(), consume_verifier, text,
           WMTLS_PIN_CURRENT)
TRY_SETTER(wmtls_verifier_options_pins, wmtls_verifier_options, server(), consume_verifier, &text,
           1, WMTLS_PIN_CURRENT)
TRY_SETTER(wmtls_verifier_options_pins_file, wmtls_verifier_options, server(), consume_verifier,
           text)
TRY_SETTER(wmtls_verifier_options_tenant_san_uri, wmtls_verifier_options, server(),
           consume_verifier, text)
TRY_SETTER(wmtls_verifier_options_tenant_san_dns_suffix, wmtls_verifier_options, server(),
           consume_verifier, text)
TRY_SETTER(wmtls_verifier_options_authorize_san_uris, wmtls_verifier_options, server(),
           consume_verifier, &text, 1)
TRY_SETTER(wmtls_verifier_options_authorize_trust_domain, wmtls_verifier_options, server(),
           consume_verifier, text)
TRY_SET(wmtls_verifier_options_set, wmtls_verifier_options, server(), consume_verifier,
        "server_uri")
TRY(wmtls_verify_peer, {
    wmtls_peer *peer;
    wmtls_verifier *verifier;
    wmtls_verifier_new(server(), &verifier, &error);
    look(error);
    wmtls_verify_peer(verifier, text, strlen(text), "acme.example", WMTLS_NOW, &peer, &error);
    look(error);
    wmtls_verify_peer(verifier, NULL, 0, text, WMTLS_NOW, &peer, &error);
    wmtls_verifier_free(verifier);
})
TRY(wmtls_jwt_bearer_from_pem, {
    wmtls_jwt_bearer *made;
    wmtls_jwt_bearer_from_pem(text, strlen(text), &made, &error);
    wmtls_jwt_bearer_free(made);
})
TRY(wmtls_jwt_bearer_from_file, {
    wmtls_jwt_bearer *made;
    wmtls_jwt_bearer_from_file(text, &made, &error);
})
TRY_SET(wmtls_jwt_bearer_set, wmtls_jwt_bearer, token(), consume_token, "lifetime")
TRY(wmtls_jwt_keys_new, {
    wmtls_jwt_keys *made;
    wmtls_jwt_keys_new(text, strlen(text), text, &made, &error);
    wmtls_jwt_keys_free(made);
})
TRY(wmtls_jwt_keys_from_file, {
    wmtls_jwt_keys *made;
    wmtls_jwt_keys_from_file(text, text, &made, &error);
})
TRY(wmtls_webhook_verifier_options_secrets, {
    wmtls_webhook_verifier_options *built = wmtls_webhook_verifier_options_new();
    wmtls_webhook_verifier_options_secrets(built, text, &text, 1);
    consume_webhook_verifier(built);
    built = wmtls_webhook_verifier_options_new();
    wmtls_webhook_verifier_options_secrets(built, NULL, &text, 1);
    consume_webhook_verifier(built);
})
TRY(wmtls_webhook_verifier_options_keys, {
    wmtls_webhook_verifier_options *built = wmtls_webhook_verifier_options_new();
    wmtls_webhook_verifier_options_keys(built, text, NULL);
    consume_webhook_verifier(built);
})
TRY_SET(wmtls_webhook_verifier_options_set, wmtls_webhook_verifier_options,
        wmtls_webhook_verifier_options_new(), consume_webhook_verifier, "clock_tolerance")
TRY(wmtls_verify_webhook, {
    static const char SECRET[] = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";
    const char *names[] = {"webhook-id", "webhook-signature"};
    const char *values[] = {text, text};
    const char *secret_of_receiver = SECRET;
    wmtls_webhook_verifier_options *built = wmtls_webhook_verifier_options_new();
    wmtls_webhook_verifier_options_secrets(built, NULL, &secret_of_receiver, 1);
    wmtls_webhook_verifier *verifier;
    wmtls_webhook_verifier_new(built, &verifier, &error);
    look(error);
    wmtls_verified_webhook *webhook;
    wmtls_verify_webhook(verifier, NULL, names, values, 2, text, strlen(text), WMTLS_NOW, NULL,
                         NULL, &webhook, &error);
    wmtls_webhook_verifier_free(verifier);
})
TRY(wmtls_hop_address, {
    wmtls_hop *made;
    wmtls_hop_address(text, &text, 1, &made, &error);
    free_hop(made, error);
    wmtls_hop_address("edge", &text, 1, &made, &error);
})
TRY(wmtls_hop_secret, {
    wmtls_hop *made;
    wmtls_hop_secret(text, "x-hop", text, &made, &error);
    free_hop(made, error);
    wmtls_hop_secret("edge", text, text, &made, &error);
    free_hop(made, error);
    wmtls_hop_secret("edge", "x-hop", text, &made, &error);
    wmtls_hop_free(made);
})
TRY(wmtls_hop_certificate, {
    wmtls_hop *made;
    wmtls_hop_certificate("edge", &text, 1, &made, &error);
})
TRY(wmtls_hop_unix, {
    wmtls_hop *made;
    wmtls_hop_unix(text, &made, &error);
    wmtls_hop_free(made);
})
TRY(wmtls_verify_forwarded, {
    const char *pairs[] = {"client-cert", text, "x-hop", text};
    wmtls_verifier_options *built = wmtls_verifier_options_new(WMTLS_ROLE_CLIENT, trust);
    wmtls_verifier_options_authorize_ca_members(built);
    wmtls_verifier *verifier;
    wmtls_verifier_new(built, &verifier, &error);
    look(error);
    wmtls_hop *hop;
    wmtls_hop_unix("edge", &hop, &error);
    look(error);
    wmtls_peer *peer;
    wmtls_verify_forwarded(verifier, text, hop, pairs, 2, "unix", WMTLS_NOW, &peer, &error);
    look(error);
    wmtls_verify_forwarded(verifier, "rfc9440", hop, pairs, 2, text, WMTLS_NOW, &peer, &error);
    look(error);
    wmtls_verify_forwarded(verifier, "rfc9440", hop, pairs, 2, "unix", WMTLS_NOW, &peer, &error);
    wmtls_hop_free(hop);
    wmtls_verifier_free(verifier);
})

#define ENTRY(function) {#function, try_##function}

static const struct {
    const char *name;
    void (*use)(const char *text);
} USES[] = {
    ENTRY(wmtls_identity_from_files),
    ENTRY(wmtls_identity_from_pem),
    ENTRY(wmtls_identity_from_pkcs12),
    ENTRY(wmtls_identity_from_signer),
    ENTRY(wmtls_identity_from_signer_file),
    ENTRY(wmtls_pin_of),
    ENTRY(wmtls_trust_from_files),
    ENTRY(wmtls_trust_from_pem),
    ENTRY(wmtls_trust_dangerous_public),
    ENTRY(wmtls_trust_exact),
    ENTRY(wmtls_trust_exact_from_file),
    ENTRY(wmtls_trust_distrusting),
    ENTRY(wmtls_options_egress),
    ENTRY(wmtls_options_egress_allow),
    ENTRY(wmtls_options_egress_deny),
    ENTRY(wmtls_options_egress_nat64),
    ENTRY(wmtls_options_set),
    ENTRY(wmtls_dispatcher_endpoint),
    ENTRY(wmtls_dispatcher_remove),
    ENTRY(wmtls_deliver_once),
    ENTRY(wmtls_endpoint_options_pin),
    ENTRY(wmtls_endpoint_options_pins),
    ENTRY(wmtls_endpoint_options_pins_file),
    ENTRY(wmtls_endpoint_options_signing),
    ENTRY(wmtls_endpoint_options_set),
    ENTRY(wmtls_event_field),
    ENTRY(wmtls_error_context),
    ENTRY(wmtls_rotation_status_of),
    ENTRY(wmtls_dispatcher_process_status),
    ENTRY(wmtls_merge),
    ENTRY(wmtls_retire_in_fleet),
    ENTRY(wmtls_delivery_new),
    ENTRY(wmtls_body_new),
    ENTRY(wmtls_delivery_id),
    ENTRY(wmtls_delivery_content_type),
    ENTRY(wmtls_delivery_header),
    ENTRY(wmtls_delivery_set),
    ENTRY(wmtls_retry_policy_set),
    ENTRY(wmtls_verifier_options_pin),
    ENTRY(wmtls_verifier_options_pins),
    ENTRY(wmtls_verifier_options_pins_file),
    ENTRY(wmtls_verifier_options_tenant_san_uri),
    ENTRY(wmtls_verifier_options_tenant_san_dns_suffix),
    ENTRY(wmtls_verifier_options_authorize_san_uris),
    ENTRY(wmtls_verifier_options_authorize_trust_domain),
    ENTRY(wmtls_verifier_options_set),
    ENTRY(wmtls_verify_peer),
    ENTRY(wmtls_jwt_bearer_from_pem),
    ENTRY(wmtls_jwt_bearer_from_file),
    ENTRY(wmtls_jwt_bearer_set),
    ENTRY(wmtls_jwt_keys_new),
    ENTRY(wmtls_jwt_keys_from_file),
    ENTRY(wmtls_webhook_verifier_options_secrets),
    ENTRY(wmtls_webhook_verifier_options_keys),
    ENTRY(wmtls_webhook_verifier_options_set),
    ENTRY(wmtls_verify_webhook),
    ENTRY(wmtls_hop_address),
    ENTRY(wmtls_hop_secret),
    ENTRY(wmtls_hop_certificate),
    ENTRY(wmtls_hop_unix),
    ENTRY(wmtls_verify_forwarded),
};

/* The lab's private key, as it is in its file and as one line, and where the part that is its own
   begins: all keys of a kind begin alike. */
static void read_key(void) {
    char directory[] = "/tmp/webhook-mtls-XXXXXX", path[64];
    wmtls_error *error;
    CHECK(mkdtemp(directory) != NULL);
    CHECK_STATUS(wmtls_lab_write_files(lab, directory, &error), WMTLS_OK, error);
    snprintf(path, sizeof path, "%s/tls.key", directory);
    FILE *file = fopen(path, "r");
    CHECK(file != NULL && fread(pem, 1, sizeof pem - 1, file) > 0);
    fclose(file);
    CHECK(remove(path) == 0);
    static const char *const OTHERS[] = {"tls.crt", "ca.pem"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, OTHERS[i]);
        CHECK(remove(path) == 0);
    }
    CHECK(rmdir(directory) == 0);
    size_t length = 0;
    for (const char *at = strchr(pem, '\n'); *at != '\0' && *at != '-'; at++) {
        if (*at != '\n') line[length++] = *at;
    }
    /* Within one line of the PEM, so that the file contains it unchanged. */
    memcpy(hidden, strchr(pem, '\n') + 1 + 44, 20);
}

static void a_secret_in_a_wrong_argument_is_never_shown(void) {
    read_key();
    strcpy(url, "https://user:");
    for (int i = 0; i < 40; i++) strcat(url, "hunter2hunter2/");
    strcat(url, "@acme.example/in");
    for (int i = 0; i < 8; i++) strcat(hex, "5ec2e70f");
    const secret secrets[] = {
        {"PEM", pem, hidden},
        {"one line", line, hidden},
        {"a passphrase", "correct horse battery staple", "horse battery"},
        {"hex", hex, hex},
        {"a signing secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjU"},
        {"a token", "Bearer mF_9.B5f-4.1JqMmF_9.B5f-4.1JqM", "mF_9.B5f-4.1JqM"},
        {"user information", url, "hunter2hunter2/"},
    };
    FILE *terminal = tmpfile();
    caught = dup(STDERR_FILENO);
    CHECK(terminal != NULL && caught >= 0);
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
        tried = &secrets[i];
        CHECK(dup2(fileno(terminal), STDERR_FILENO) >= 0);
        for (size_t j = 0; j < sizeof USES / sizeof *USES; j++) {
            with = USES[j].name;
            /* A trust domain is lower-case letters and digits, as this text is. */
            if (strcmp(tried->what, "hex") == 0 && strstr(with, "trust_domain") != NULL) continue;
            USES[j].use(tried->text);
        }
        CHECK(dup2(caught, STDERR_FILENO) >= 0);
        static char told[65536];
        rewind(terminal);
        told[fread(told, 1, sizeof told - 1, terminal)] = '\0';
        check_hidden(told);
    }
    close(caught);
    fclose(terminal);
    CHECK(errors > 200);
}

int main(void) {
    wmtls_error *error;
    CHECK_STATUS(wmtls_lab_start(&lab, &error), WMTLS_OK, error);
    identity = wmtls_lab_identity(lab);
    trust = wmtls_lab_trust(lab);
    wmtls_options *options = wmtls_options_new();
    wmtls_options_identity(options, identity);
    wmtls_options_trust(options, trust);
    CHECK_STATUS(wmtls_dispatcher_new(options, &dispatcher, &error), WMTLS_OK, error);
    wmtls_status status =
        wmtls_dispatcher_endpoint(dispatcher, "acme", NOWHERE, unpinned(), &endpoint, &error);
    CHECK_STATUS(status, WMTLS_OK, error);

    RUN(a_secret_in_a_wrong_argument_is_never_shown);

    wmtls_endpoint_free(endpoint);
    wmtls_dispatcher_free(dispatcher);
    wmtls_trust_free(trust);
    wmtls_identity_free(identity);
    wmtls_lab_free(lab);
    return 0;
}
