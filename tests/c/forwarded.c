/* Certificates that a proxy forwards in headers. The shared vectors have the dialects. */

#include "webhook_mtls_testing.h"

#include "check.h"

static const char SECRET[] = "Zk2rVw8nYb4tQx7sLc9d";

static wmtls_lab *lab;
static wmtls_verifier *verifier;
/* The leaf and its issuer, as RFC 9440 has them. */
static char leaf[8192], issuer[8192];

/* Writes the base64 of a PEM certificate between colons; returns what follows it. */
static const char *byte_sequence(const char *pem, char *out) {
    const char *body = strchr(strstr(pem, "-----BEGIN"), '\n'), *end = strstr(body, "-----END");
    *out++ = ':';
    for (; body < end; body++) {
        if (*body != '\n') {
            *out++ = *body;
        }
    }
    *out++ = ':';
    *out = '\0';
    return end + 1;
}

static void prepare(void) {
    wmtls_trust *trust = wmtls_lab_trust(lab);
    wmtls_verifier_options *options = wmtls_verifier_options_new(WMTLS_ROLE_CLIENT, trust);
    wmtls_verifier_options_authorize_ca_members(options);
    CHECK(wmtls_verifier_new(options, &verifier, NULL) == WMTLS_OK);
    wmtls_trust_free(trust);
    wmtls_lab_authority *authority = wmtls_lab_authority_of(lab);
    wmtls_lab_issued *issued = NULL;
    CHECK(wmtls_lab_authority_issue(authority, "acme", WMTLS_ROLE_CLIENT, -1, -1, &issued, NULL) ==
          WMTLS_OK);
    byte_sequence(byte_sequence(wmtls_lab_issued_cert_pem(issued), leaf), issuer);
    wmtls_lab_issued_free(issued);
    wmtls_lab_authority_free(authority);
}

static wmtls_status judge(const wmtls_hop *hop, const char *const *pairs, size_t count,
                          const char *remote, wmtls_peer **peer, wmtls_error **error) {
    return wmtls_verify_forwarded(verifier, "rfc9440", hop, pairs, count, remote, WMTLS_NOW, peer,
                                  error);
}

static void a_peer_is_known_by_the_hop_that_forwards_it(void) {
    const char *pairs[] = {"Client-Cert", leaf, "Client-Cert-Chain", issuer, "client_cert", "x"};
    const char *networks[] = {"10.0.0.0/24"};
    wmtls_hop *hop = NULL;
    wmtls_peer *peer = NULL;
    wmtls_error *error = NULL;
    CHECK_STATUS(wmtls_hop_address("edge", networks, 1, &hop, &error), WMTLS_OK, error);
    CHECK_STATUS(judge(hop, pairs, 2, "10.0.0.7", &peer, &error), WMTLS_OK, error);
    CHECK(strstr(wmtls_peer_json(peer), "\"evidence\":\"forwarded\"") != NULL);
    CHECK(strstr(wmtls_peer_json(peer), "\"hop\":\"edge\"") != NULL);
    wmtls_peer_free(peer);
    CHECK_STATUS(judge(hop, pairs, 2, "192.0.2.1", NULL, &error), WMTLS_HOP_UNTRUSTED, error);
    CHECK_STATUS(judge(hop, pairs, 2, NULL, NULL, &error), WMTLS_HOP_UNTRUSTED, error);
    CHECK_STATUS(judge(hop, pairs, 3, "10.0.0.7", NULL, &error), WMTLS_HOP_UNTRUSTED, error);
    CHECK_STATUS(judge(hop, NULL, 0, "10.0.0.7", NULL, &error), WMTLS_EVIDENCE_MISSING, error);
    wmtls_hop_free(hop);
}

static void a_secret_is_never_shown(void) {
    const char *pairs[] = {"Client-Cert", leaf, "Client-Cert-Chain", issuer, "X-Hop", "guess"};
    wmtls_hop *hop = NULL;
    wmtls_error *error = NULL;
    CHECK_STATUS(wmtls_hop_secret("edge", "X-Hop", SECRET, &hop, &error), WMTLS_OK, error);
    CHECK(judge(hop, pairs, 3, NULL, NULL, &error) == WMTLS_HOP_UNTRUSTED);
    CHECK(strstr(wmtls_error_json(error), SECRET) == NULL);
    CHECK(strstr(wmtls_error_json(error), "guess") == NULL);
    CHECK(strstr(wmtls_error_json(error), "secret_wrong") != NULL);
    wmtls_error_free(error);
    pairs[5] = SECRET;
    CHECK_STATUS(judge(hop, pairs, 3, NULL, NULL, &error), WMTLS_OK, error);
    wmtls_hop_free(hop);
}

static void wrong_arguments_are_named(void) {
    const char *pairs[] = {"Client-Cert", NULL};
    const char *everyone[] = {"0.0.0.0/0"};
    wmtls_hop *hop = NULL;
    wmtls_error *error = NULL;
    CHECK_STATUS(wmtls_hop_unix("edge", &hop, &error), WMTLS_OK, error);
    CHECK_STATUS(judge(NULL, pairs, 0, NULL, NULL, &error), WMTLS_OPTION_INVALID, error);
    CHECK_STATUS(judge(hop, NULL, 1, "unix", NULL, &error), WMTLS_OPTION_INVALID, error);
    CHECK_STATUS(judge(hop, pairs, 1, "unix", NULL, &error), WMTLS_OPTION_INVALID, error);
    CHECK_STATUS(judge(hop, pairs, 0, "10.0.0.7:80", NULL, &error), WMTLS_OPTION_INVALID, error);
    CHECK_STATUS(wmtls_verify_forwarded(verifier, "nginxx", hop, NULL, 0, "unix", WMTLS_NOW, NULL,
                                        &error),
                 WMTLS_OPTION_INVALID, error);
    CHECK_STATUS(wmtls_verify_forwarded(NULL, "nginx", hop, NULL, 0, "unix", WMTLS_NOW, NULL,
                                        &error),
                 WMTLS_OPTION_INVALID, error);
    wmtls_hop_free(hop);
    CHECK_STATUS(wmtls_hop_address("edge", everyone, 1, &hop, &error), WMTLS_OPTION_INVALID, error);
    CHECK(hop == NULL);
    CHECK_STATUS(wmtls_hop_certificate("edge", everyone, 1, &hop, &error), WMTLS_PIN_INVALID,
                 error);
    CHECK_STATUS(wmtls_hop_unix(NULL, &hop, &error), WMTLS_OPTION_INVALID, error);
    wmtls_hop_free(NULL);
}

static void the_kit_writes_what_a_proxy_forwards_and_what_a_client_forges(void) {
    const char *forgeries[] = {"repeated", "capitals",  "underscore", "underscore_alone",
                               "absent",   "malformed", "too_large",  "not_verified"};
    wmtls_lab_authority *authority = wmtls_lab_authority_of(lab);
    wmtls_lab_issued *issued = NULL;
    wmtls_hop *hop = NULL;
    wmtls_error *error = NULL;
    CHECK(wmtls_lab_authority_issue(authority, "acme", WMTLS_ROLE_CLIENT, -1, -1, &issued, NULL) ==
          WMTLS_OK);
    CHECK_STATUS(wmtls_hop_unix("edge", &hop, &error), WMTLS_OK, error);
    size_t count;
    const char *const *pairs = wmtls_lab_issued_forwarded(issued, "rfc9440", NULL, &count);
    CHECK(count == 2);
    CHECK_STATUS(judge(hop, pairs, count, "unix", NULL, &error), WMTLS_OK, error);
    for (size_t i = 0; i + 1 < sizeof forgeries / sizeof *forgeries; i++) {
        pairs = wmtls_lab_issued_forwarded(issued, "rfc9440", forgeries[i], &count);
        CHECK(pairs != NULL);
        wmtls_status status = judge(hop, pairs, count, "unix", NULL, NULL);
        CHECK(status == WMTLS_HOP_UNTRUSTED || status == WMTLS_EVIDENCE_MISSING);
    }
    CHECK(wmtls_lab_issued_forwarded(issued, "rfc9440", "not_verified", &count) == NULL);
    CHECK(wmtls_lab_issued_forwarded(issued, "nginx", "not_verified", &count) != NULL);
    CHECK(wmtls_lab_issued_forwarded(issued, "nginxx", NULL, &count) == NULL && count == 0);
    CHECK(wmtls_lab_issued_forwarded(NULL, "nginx", NULL, &count) == NULL);
    CHECK(wmtls_lab_issued_forwarded(issued, "nginx", NULL, NULL) == NULL);
    wmtls_hop_free(hop);
    wmtls_lab_issued_free(issued);
    wmtls_lab_authority_free(authority);
}

static void the_kit_starts_nginx_before_an_application(void) {
    wmtls_lab_nginx *nginx = NULL;
    wmtls_error *error = NULL;
    CHECK_STATUS(wmtls_lab_nginx_new(lab, "localhost", &nginx, &error), WMTLS_OPTION_INVALID,
                 error);
    CHECK_STATUS(wmtls_lab_nginx_new(NULL, "127.0.0.1:9", &nginx, &error), WMTLS_OPTION_INVALID,
                 error);
    CHECK_STATUS(wmtls_lab_nginx_new(lab, "127.0.0.1:9", &nginx, &error), WMTLS_OK, error);
    CHECK(strncmp(wmtls_lab_nginx_url(nginx), "https://127.0.0.1:", 18) == 0);
    CHECK(strncmp(wmtls_lab_nginx_pin(nginx), "sha256/", 7) == 0);
    CHECK(wmtls_lab_nginx_url(NULL) == NULL && wmtls_lab_nginx_pin(NULL) == NULL);
    wmtls_lab_nginx_free(nginx);
    wmtls_lab_nginx_free(NULL);
}

int main(void) {
    CHECK(wmtls_lab_start(&lab, NULL) == WMTLS_OK);
    prepare();
    RUN(the_kit_writes_what_a_proxy_forwards_and_what_a_client_forges);
    RUN(the_kit_starts_nginx_before_an_application);
    RUN(a_peer_is_known_by_the_hop_that_forwards_it);
    RUN(a_secret_is_never_shown);
    RUN(wrong_arguments_are_named);
    wmtls_verifier_free(verifier);
    wmtls_lab_free(lab);
    return 0;
}
