/* A token bound to our certificate, from a dispatcher to a verifier of webhooks. */

#include "webhook_mtls_testing.h"

#include "check.h"

/* An Ed25519 private key in PKCS#8, whose seed is zero. */
static const unsigned char KEY[48] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                      0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
static const char AUDIENCE[] = "https://hooks.acme.example";

static wmtls_lab *lab;

/* Returns a certificate of a tenant of the lab. */
static wmtls_lab_issued *issue(const char *tenant) {
    wmtls_lab_authority *authority = wmtls_lab_authority_of(lab);
    wmtls_lab_issued *issued = NULL;
    CHECK(wmtls_lab_authority_issue(authority, tenant, WMTLS_ROLE_CLIENT, -1, -1, &issued, NULL) ==
          WMTLS_OK);
    wmtls_lab_authority_free(authority);
    return issued;
}

static wmtls_peer *peer_of(const wmtls_lab_issued *issued) {
    wmtls_trust *trust = wmtls_lab_trust(lab);
    wmtls_verifier_options *options = wmtls_verifier_options_new(WMTLS_ROLE_CLIENT, trust);
    wmtls_trust_free(trust);
    wmtls_verifier_options_tenant_san_uri(options, "spiffe://lab.test/tenant/{tenant}");
    wmtls_verifier *verifier = NULL;
    CHECK(wmtls_verifier_new(options, &verifier, NULL) == WMTLS_OK);
    const char *chain = wmtls_lab_issued_cert_pem(issued);
    wmtls_peer *peer = NULL;
    CHECK(wmtls_verify_peer(verifier, chain, strlen(chain), NULL, WMTLS_NOW, &peer, NULL) ==
          WMTLS_OK);
    wmtls_verifier_free(verifier);
    return peer;
}

/* Returns options of an endpoint that presents this certificate and signs with this token. */
static wmtls_endpoint_options *signing(const wmtls_lab_issued *issued, wmtls_jwt_bearer *jwt) {
    const char *cert = wmtls_lab_issued_cert_pem(issued), *key = wmtls_lab_issued_key_pem(issued);
    wmtls_identity *identity = NULL;
    CHECK(wmtls_identity_from_pem(cert, strlen(cert), key, strlen(key), NULL, &identity, NULL) ==
          WMTLS_OK);
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(options);
    wmtls_endpoint_options_identity(options, identity);
    wmtls_identity_free(identity);
    wmtls_endpoint_options_jwt_bearer(options, jwt);
    return options;
}

/* Delivers one webhook with a token, and returns what the consumer received. */
static wmtls_lab_request *deliver(const wmtls_lab_issued *issued, wmtls_jwt_bearer *jwt) {
    wmtls_lab_consumer *acme = NULL;
    CHECK(wmtls_lab_consumer_new(lab, "acme", &acme, NULL) == WMTLS_OK);
    wmtls_dispatcher *dispatcher = wmtls_lab_dispatcher(lab);
    wmtls_endpoint *endpoint = NULL;
    wmtls_error *error = NULL;
    CHECK_STATUS(wmtls_dispatcher_endpoint(dispatcher, "acme", wmtls_lab_consumer_url(acme),
                                           signing(issued, jwt), &endpoint, &error),
                 WMTLS_OK, error);
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
    wmtls_delivery_id(delivery, "evt_1");
    CHECK_STATUS(wmtls_deliver(dispatcher, delivery, NULL, &error), WMTLS_OK, error);
    wmtls_delivery_header(delivery, "authorization", "Bearer hunter2");
    CHECK(wmtls_deliver(dispatcher, delivery, NULL, NULL) == WMTLS_HEADER_INVALID);
    wmtls_delivery_free(delivery);
    wmtls_endpoint_free(endpoint);
    wmtls_dispatcher_free(dispatcher);
    wmtls_lab_request *request = wmtls_lab_consumer_request(acme, 0);
    wmtls_lab_consumer_free(acme);
    CHECK(request != NULL);
    return request;
}

static wmtls_webhook_verifier *verifier_of(const wmtls_jwt_bearer *jwt) {
    const char *jwk = wmtls_jwt_bearer_public_jwk(jwt);
    wmtls_jwt_keys *keys = NULL;
    CHECK(wmtls_jwt_keys_new(jwk, strlen(jwk), NULL, &keys, NULL) == WMTLS_OK);
    wmtls_webhook_verifier_options *options = wmtls_webhook_verifier_options_new();
    wmtls_webhook_verifier_options_keys(options, NULL, keys);
    wmtls_jwt_keys_free(keys);
    wmtls_webhook_verifier_options_set(options, "audience", AUDIENCE);
    wmtls_webhook_verifier_options_set(options, "tenant_claim", "tenant");
    wmtls_webhook_verifier_options_set(options, "content_digest", "true");
    wmtls_webhook_verifier *verifier = NULL;
    wmtls_error *error = NULL;
    CHECK_STATUS(wmtls_webhook_verifier_new(options, &verifier, &error), WMTLS_OK, error);
    return verifier;
}

/* A store for ids that gives the answer in its context, once for the right key. */
static int answer(void *context, const char *tenant, const char *id, int64_t keep_until) {
    CHECK_TEXT(tenant, "sender");
    CHECK_TEXT(id, "evt_1");
    CHECK(keep_until > 1700000000);
    return *(const int *)context;
}

static wmtls_status verify(const wmtls_webhook_verifier *verifier, const wmtls_peer *peer,
                           const wmtls_lab_request *request, int store,
                           wmtls_verified_webhook **out, wmtls_error **err) {
    const char *names[] = {"Webhook-Id", "Authorization"};
    const char *values[] = {wmtls_lab_request_header(request, "webhook-id"),
                            wmtls_lab_request_header(request, "authorization")};
    return wmtls_verify_webhook(verifier, peer, names, values, 2, "{}", 2, WMTLS_NOW, answer,
                                &store, out, err);
}

static void a_token_is_verified_with_its_certificate_alone(void) {
    wmtls_jwt_bearer *jwt = NULL;
    CHECK(wmtls_jwt_bearer_from_pem(KEY, sizeof KEY, &jwt, NULL) == WMTLS_OK);
    wmtls_jwt_bearer_set(jwt, "audience", AUDIENCE);
    wmtls_jwt_bearer_set(jwt, "claims", "{\"tenant\": \"sender\"}");
    wmtls_jwt_bearer_set(jwt, "content_digest", "true");
    wmtls_lab_issued *issued = issue("sender"), *other = issue("sender");
    wmtls_lab_request *request = deliver(issued, jwt);
    wmtls_webhook_verifier *verifier = verifier_of(jwt);
    wmtls_peer *peer = peer_of(issued), *thief = peer_of(other);
    wmtls_error *error = NULL;
    for (int store = 0; store < 2; store++) {
        wmtls_verified_webhook *webhook = NULL;
        CHECK_STATUS(verify(verifier, peer, request, store, &webhook, &error), WMTLS_OK, error);
        CHECK_TEXT(wmtls_verified_webhook_tenant(webhook), "sender");
        CHECK_TEXT(wmtls_verified_webhook_id(webhook), "evt_1");
        CHECK(wmtls_verified_webhook_is_duplicate(webhook) == (store == 1));
        CHECK(strstr(wmtls_verified_webhook_json(webhook), "\"algorithm\":\"EdDSA\"") != NULL);
        wmtls_verified_webhook_free(webhook);
    }
    CHECK(verify(verifier, thief, request, 0, NULL, &error) == WMTLS_TOKEN_INVALID);
    CHECK_TEXT(wmtls_error_context(error, "cause"), "token_of_another_certificate");
    wmtls_error_free(error);
    CHECK(verify(verifier, peer, request, -1, NULL, NULL) == WMTLS_CANCELED);
    wmtls_peer_free(peer);
    wmtls_peer_free(thief);
    wmtls_webhook_verifier_free(verifier);
    wmtls_lab_request_free(request);
    wmtls_lab_issued_free(issued);
    wmtls_lab_issued_free(other);
    wmtls_jwt_bearer_free(jwt);
}

static void a_fault_of_a_token_is_reported_by_the_endpoint(void) {
    wmtls_jwt_bearer *jwt = NULL;
    CHECK(wmtls_jwt_bearer_from_pem(KEY, sizeof KEY, &jwt, NULL) == WMTLS_OK);
    wmtls_jwt_bearer_set(jwt, "lifetime", "300001");
    CHECK(wmtls_jwt_bearer_public_jwk(jwt) == NULL);
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(options);
    wmtls_endpoint_options_jwt_bearer(options, jwt);
    wmtls_jwt_bearer_free(jwt);
    wmtls_dispatcher *dispatcher = wmtls_lab_dispatcher(lab);
    wmtls_error *error = NULL;
    CHECK(wmtls_dispatcher_endpoint(dispatcher, "acme", "https://127.0.0.1:1/", options, NULL,
                                    &error) == WMTLS_OPTION_INVALID);
    CHECK_TEXT(wmtls_error_context(error, "option"), "lifetime");
    wmtls_error_free(error);
    wmtls_dispatcher_free(dispatcher);
}

int main(void) {
    CHECK(wmtls_lab_start(&lab, NULL) == WMTLS_OK);
    RUN(a_token_is_verified_with_its_certificate_alone);
    RUN(a_fault_of_a_token_is_reported_by_the_endpoint);
    wmtls_lab_free(lab);
    return 0;
}
