/* Verification of a peer's certificate, with the lab's own chain as that of a client. */

/* mkdtemp */
#define _POSIX_C_SOURCE 200809L


#include "webhook_mtls_testing.h"

#include "check.h"

static const char UNUSED_PIN[] = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

static wmtls_lab *lab;
static wmtls_trust *trust;
/* The lab's chain, and the root after its NUL. */
static char chain[16384];

static wmtls_verifier_options *clients(void) {
    return wmtls_verifier_options_new(WMTLS_ROLE_CLIENT, trust);
}

/* Makes a verifier and verifies the chain. */
static wmtls_status judge(wmtls_verifier_options *options, const char *server_name, int64_t at,
                          wmtls_peer **peer, wmtls_error **error) {
    wmtls_verifier *verifier;
    wmtls_status status = wmtls_verifier_new(options, &verifier, error);
    if (status == WMTLS_OK) {
        status = wmtls_verify_peer(verifier, chain, strlen(chain), server_name, at, peer, error);
    }
    wmtls_verifier_free(verifier);
    return status;
}

static void a_tenant_is_read_from_the_san_uri(void) {
    wmtls_peer *peer;
    wmtls_error *error;
    char pin[WMTLS_PIN_SIZE];
    wmtls_verifier_options *options = clients();
    wmtls_verifier_options_tenant_san_uri(options, "spiffe://lab.test/tenant/{tenant}");
    CHECK_STATUS(judge(options, NULL, WMTLS_NOW, &peer, &error), WMTLS_OK, error);
    CHECK_TEXT(wmtls_peer_tenant(peer), "dispatcher");
    CHECK(wmtls_pin_of(chain, strlen(chain), pin, NULL) == WMTLS_OK);
    CHECK(strlen(pin) == WMTLS_PIN_SIZE - 1);
    CHECK_TEXT(wmtls_peer_spki_pin(peer), pin);
    CHECK_TEXT(wmtls_peer_matched_pin(peer), NULL);
    CHECK(strstr(wmtls_peer_json(peer), "\"evidence\":\"asserted\"") != NULL);
    CHECK(strstr(wmtls_peer_json(peer), wmtls_peer_subject(peer)) != NULL);
    wmtls_peer_free(peer);
}

/* Returns the number of signatures that verifying the chain checks. */
static uint64_t checked(const wmtls_verifier *verifier) {
    uint64_t before = wmtls_lab_signatures_checked();
    CHECK(wmtls_verify_peer(verifier, chain, strlen(chain), NULL, WMTLS_NOW, NULL, NULL) ==
          WMTLS_OK);
    return wmtls_lab_signatures_checked() - before;
}

static void signatures_are_remembered_unless_switched_off(void) {
    wmtls_verifier *verifier;
    wmtls_verifier_options *options = clients();
    wmtls_verifier_options_authorize_ca_members(options);
    CHECK(wmtls_verifier_new(options, &verifier, NULL) == WMTLS_OK);
    wmtls_remember_signatures(false);
    uint64_t each = checked(verifier);
    CHECK(each > 0);
    CHECK(checked(verifier) == each);
    wmtls_remember_signatures(true);
    /* An earlier test may have put the chain into the signature cache. */
    CHECK(checked(verifier) <= each);
    CHECK(checked(verifier) == 0);
    wmtls_verifier_free(verifier);
}

/* Repeats a text until it has more than a mebibyte, then appends another. Free the result. */
static char *repeated(const char *text, const char *last) {
    size_t length = strlen(text), copies = (1UL << 20) / length + 1;
    char *all = (char *)malloc(copies * length + strlen(last) + 1);
    CHECK(all != NULL);
    for (size_t i = 0; i < copies; i++) {
        memcpy(all + i * length, text, length);
    }
    strcpy(all + copies * length, last);
    return all;
}

/* Verifies a certificate of the CA with a trust in its root, these intermediates and these CRLs. */
static wmtls_status judge_issued(const wmtls_lab_issued *issued, const char *root,
                                 const char *known, const char *crls, wmtls_peer **peer,
                                 size_t *notes) {
    wmtls_trust *own;
    wmtls_verifier *verifier;
    wmtls_error *error;
    CHECK_STATUS(wmtls_trust_from_pem(root, strlen(root), known, known == NULL ? 0 : strlen(known),
                                      crls, crls == NULL ? 0 : strlen(crls), &own, &error),
                 WMTLS_OK, error);
    for (*notes = 0; wmtls_trust_note(own, *notes) != NULL; *notes += 1) {
    }
    wmtls_verifier_options *options = wmtls_verifier_options_new(WMTLS_ROLE_CLIENT, own);
    wmtls_verifier_options_authorize_ca_members(options);
    CHECK_STATUS(wmtls_verifier_new(options, &verifier, &error), WMTLS_OK, error);
    const char *cert = wmtls_lab_issued_cert_pem(issued);
    wmtls_status status = wmtls_verify_peer(verifier, cert, strlen(cert), NULL, WMTLS_NOW, peer,
                                            NULL);
    wmtls_verifier_free(verifier);
    wmtls_trust_free(own);
    return status;
}

static void crls_may_have_more_than_a_mebibyte_and_belong_to_crls(void) {
    wmtls_lab_authority *ca = wmtls_lab_authority_of(lab);
    wmtls_lab_issued *issued;
    wmtls_peer *peer;
    size_t notes;
    CHECK(wmtls_lab_authority_issue(ca, "acme", WMTLS_ROLE_CLIENT, -1, -1, &issued, NULL) ==
          WMTLS_OK);
    const char *root = wmtls_lab_authority_root_pem(ca);
    /* In this order: the later CRL counts. */
    const char *clean = wmtls_lab_authority_crl(ca, NULL);
    char *crls = repeated(clean, wmtls_lab_authority_crl(ca, issued));
    CHECK(judge_issued(issued, root, NULL, crls, &peer, &notes) == WMTLS_CERTIFICATE_REVOKED);
    /* The bundle does not have the intermediate that signed the CRLs. */
    CHECK(notes == 1);

    /* Among the anchors, CRLs are not used, and the peer shows for which certificates. */
    const char *crl = wmtls_lab_authority_crl(ca, issued);
    char *mixed = (char *)malloc(strlen(root) + strlen(crl) + 1);
    CHECK(mixed != NULL);
    strcat(strcpy(mixed, root), crl);
    CHECK(judge_issued(issued, mixed, NULL, NULL, &peer, &notes) == WMTLS_OK);
    CHECK(notes == 1);
    CHECK(strstr(wmtls_peer_json(peer), "\"notes\":[\"revocation_unchecked\"]") != NULL);
    CHECK(strstr(wmtls_peer_json(peer), "\"revocation_unchecked\":[\"") != NULL);
    wmtls_peer_free(peer);
    free(mixed);
    free(crls);
    wmtls_lab_issued_free(issued);
    wmtls_lab_authority_free(ca);
}

static void clients_need_a_rule(void) {
    wmtls_error *error;
    CHECK_STATUS(judge(clients(), NULL, WMTLS_NOW, NULL, &error), WMTLS_OPTION_INVALID, error);
}

static void a_tenant_rule_without_match_refuses(void) {
    wmtls_error *error;
    wmtls_verifier_options *options = clients();
    wmtls_verifier_options_tenant_san_dns_suffix(options, "tenants.example");
    CHECK(judge(options, NULL, WMTLS_NOW, NULL, &error) == WMTLS_TENANT_REFUSED);
    CHECK(wmtls_error_stage(error) == WMTLS_STAGE_VERIFY);
    wmtls_error_free(error);
}

static void an_authorization_accepts_the_named_peers(void) {
    wmtls_error *error;
    const char *uris[] = {"spiffe://lab.test/tenant/other", "spiffe://lab.test/tenant/dispatcher"};
    wmtls_verifier_options *options = clients();
    wmtls_verifier_options_authorize_san_uris(options, uris, 2);
    CHECK_STATUS(judge(options, NULL, WMTLS_NOW, NULL, &error), WMTLS_OK, error);
    options = clients();
    wmtls_verifier_options_authorize_san_uris(options, uris, 1);
    CHECK_STATUS(judge(options, NULL, WMTLS_NOW, NULL, &error), WMTLS_NOT_AUTHORIZED, error);
    options = clients();
    wmtls_verifier_options_authorize_trust_domain(options, "lab.test");
    CHECK_STATUS(judge(options, NULL, WMTLS_NOW, NULL, &error), WMTLS_OK, error);
    options = clients();
    wmtls_verifier_options_authorize_trust_domain(options, "other.test");
    CHECK_STATUS(judge(options, NULL, WMTLS_NOW, NULL, &error), WMTLS_NOT_AUTHORIZED, error);
    options = clients();
    wmtls_verifier_options_authorize_ca_members(options);
    CHECK_STATUS(judge(options, NULL, WMTLS_NOW, NULL, &error), WMTLS_OK, error);
}

static void pins_are_checked_besides_the_chain(void) {
    wmtls_error *error;
    wmtls_peer *peer;
    char pin[WMTLS_PIN_SIZE];
    CHECK(wmtls_pin_of(chain, strlen(chain), pin, NULL) == WMTLS_OK);
    wmtls_verifier_options *options = clients();
    wmtls_verifier_options_authorize_ca_members(options);
    wmtls_verifier_options_pin(options, UNUSED_PIN, WMTLS_PIN_CURRENT);
    CHECK_STATUS(judge(options, NULL, WMTLS_NOW, NULL, &error), WMTLS_PIN_MISMATCH, error);
    options = clients();
    wmtls_verifier_options_authorize_ca_members(options);
    wmtls_verifier_options_pin(options, UNUSED_PIN, WMTLS_PIN_CURRENT);
    wmtls_verifier_options_pin(options, pin, WMTLS_PIN_NEXT);
    CHECK_STATUS(judge(options, NULL, WMTLS_NOW, &peer, &error), WMTLS_OK, error);
    CHECK_TEXT(wmtls_peer_matched_pin(peer), pin);
    wmtls_peer_free(peer);
}

static void the_verdict_is_for_the_given_instant(void) {
    wmtls_error *error;
    wmtls_peer *peer;
    wmtls_verifier_options *options = clients();
    wmtls_verifier_options_authorize_ca_members(options);
    CHECK_STATUS(judge(options, NULL, WMTLS_NOW, &peer, &error), WMTLS_OK, error);
    int64_t after = wmtls_peer_not_after(peer), before = wmtls_peer_not_before(peer);
    wmtls_peer_free(peer);
    options = clients();
    wmtls_verifier_options_authorize_ca_members(options);
    CHECK_STATUS(judge(options, NULL, after + 1, NULL, &error), WMTLS_CERTIFICATE_EXPIRED, error);
    options = clients();
    wmtls_verifier_options_authorize_ca_members(options);
    CHECK_STATUS(judge(options, NULL, before - 1, NULL, &error), WMTLS_CERTIFICATE_NOT_YET_VALID,
                 error);
}

static void a_client_certificate_is_refused_for_a_server(void) {
    wmtls_error *error;
    wmtls_verifier_options *options = wmtls_verifier_options_new(WMTLS_ROLE_SERVER, trust);
    CHECK_STATUS(judge(options, "127.0.0.1", WMTLS_NOW, NULL, &error), WMTLS_PURPOSE_NOT_ALLOWED,
                 error);
    options = wmtls_verifier_options_new(WMTLS_ROLE_SERVER, trust);
    CHECK_STATUS(judge(options, NULL, WMTLS_NOW, NULL, &error), WMTLS_OPTION_INVALID, error);
}

static void a_certificate_of_another_ca_is_refused(void) {
    wmtls_error *error;
    wmtls_lab *other;
    CHECK(wmtls_lab_start(&other, NULL) == WMTLS_OK);
    wmtls_trust *theirs = wmtls_lab_trust(other);
    wmtls_verifier_options *options = wmtls_verifier_options_new(WMTLS_ROLE_CLIENT, theirs);
    wmtls_verifier_options_authorize_ca_members(options);
    wmtls_status status = judge(options, NULL, WMTLS_NOW, NULL, &error);
    CHECK(status == WMTLS_ISSUER_UNKNOWN || status == WMTLS_ISSUER_REKEYED);
    wmtls_error_free(error);
    wmtls_trust_free(theirs);
    wmtls_lab_free(other);
}

static void a_missing_certificate_is_missing_evidence(void) {
    wmtls_error *error;
    wmtls_verifier *verifier;
    wmtls_verifier_options *options = clients();
    wmtls_verifier_options_authorize_ca_members(options);
    CHECK(wmtls_verifier_new(options, &verifier, NULL) == WMTLS_OK);
    CHECK_STATUS(wmtls_verify_peer(verifier, NULL, 0, NULL, WMTLS_NOW, NULL, &error),
                 WMTLS_EVIDENCE_MISSING, error);
    CHECK_STATUS(wmtls_verify_peer(verifier, "garbled", 7, NULL, WMTLS_NOW, NULL, &error),
                 WMTLS_PEM_INVALID, error);
    CHECK_STATUS(wmtls_verify_peer(verifier, chain, strlen(chain), NULL, INT64_MAX, NULL, &error),
                 WMTLS_CERTIFICATE_EXPIRED, error);
    wmtls_verifier_free(verifier);
}

/* Writes the pin of the second certificate of the chain: the lab's intermediate. */
static void issuer_pin(char pin[WMTLS_PIN_SIZE]) {
    const char *second = strstr(strstr(chain, "BEGIN") + 1, "-----BEGIN");
    CHECK(second != NULL && wmtls_pin_of(second, strlen(second), pin, NULL) == WMTLS_OK);
}

static void no_path_uses_a_distrusted_issuer(void) {
    wmtls_error *error;
    wmtls_trust *wary, *never = NULL;
    char pin[WMTLS_PIN_SIZE];
    issuer_pin(pin);
    const char *pins[] = {pin, UNUSED_PIN};
    CHECK_STATUS(wmtls_trust_distrusting(trust, pins, 2, &wary, &error), WMTLS_OK, error);
    wmtls_verifier_options *options = wmtls_verifier_options_new(WMTLS_ROLE_CLIENT, wary);
    wmtls_verifier_options_authorize_ca_members(options);
    wmtls_status status = judge(options, NULL, WMTLS_NOW, NULL, &error);
    CHECK(status == WMTLS_ISSUER_DISTRUSTED);
    CHECK(strstr(wmtls_error_json(error), pin) != NULL);
    wmtls_error_free(error);
    pins[1] = "acme";
    CHECK_STATUS(wmtls_trust_distrusting(wary, pins, 2, &never, &error), WMTLS_PIN_INVALID, error);
    CHECK(never == NULL);
    wmtls_trust_free(wary);
}

static void a_public_trust_is_only_for_pinned_endpoints(void) {
    wmtls_error *error;
    wmtls_trust *open;
    char *root = chain + strlen(chain) + 1;
    CHECK_STATUS(wmtls_trust_dangerous_public(root, strlen(root), NULL, 0, NULL, 0, &open, &error),
                 WMTLS_OK, error);
    CHECK_TEXT(wmtls_trust_note(open, 0), NULL);
    wmtls_verifier_options *options = wmtls_verifier_options_new(WMTLS_ROLE_SERVER, open);
    CHECK_STATUS(judge(options, "localhost", WMTLS_NOW, NULL, &error), WMTLS_OPTION_INVALID, error);
    wmtls_trust_free(open);
}

static void read_chain(void) {
    char directory[] = "/tmp/webhook-mtls-XXXXXX", path[64];
    static const char *const NAMES[] = {"tls.key", "tls.crt", "ca.pem"};
    size_t used = 0;
    CHECK(mkdtemp(directory) != NULL);
    CHECK(wmtls_lab_write_files(lab, directory, NULL) == WMTLS_OK);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, NAMES[i]);
        FILE *file = fopen(path, "rb");
        CHECK(file != NULL);
        size_t room = sizeof chain - used - 1, length = fread(chain + used, 1, room, file);
        chain[used + length] = '\0';
        /* The key is not kept. */
        used += i == 0 ? 0 : length + 1;
        fclose(file);
        CHECK(remove(path) == 0);
    }
    CHECK(remove(directory) == 0);
}

int main(void) {
    CHECK(wmtls_lab_start(&lab, NULL) == WMTLS_OK);
    trust = wmtls_lab_trust(lab);
    read_chain();
    RUN(a_tenant_is_read_from_the_san_uri);
    RUN(signatures_are_remembered_unless_switched_off);
    RUN(crls_may_have_more_than_a_mebibyte_and_belong_to_crls);
    RUN(clients_need_a_rule);
    RUN(a_tenant_rule_without_match_refuses);
    RUN(an_authorization_accepts_the_named_peers);
    RUN(pins_are_checked_besides_the_chain);
    RUN(the_verdict_is_for_the_given_instant);
    RUN(a_client_certificate_is_refused_for_a_server);
    RUN(a_certificate_of_another_ca_is_refused);
    RUN(a_missing_certificate_is_missing_evidence);
    RUN(no_path_uses_a_distrusted_issuer);
    RUN(a_public_trust_is_only_for_pinned_endpoints);
    wmtls_trust_free(trust);
    wmtls_lab_free(lab);
    return 0;
}
