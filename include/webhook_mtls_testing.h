/* webhook_mtls_testing.h: a private CA and receivers that demand client certificates, for tests of
   programs that use webhook_mtls.h.

   Generated from the crate webhook-mtls-ffi-testing by `cargo xtask header`; do not edit.

   Link libwebhook_mtls_testing instead of libwebhook_mtls, which it contains. The conventions are
   those of webhook_mtls.h. Nothing here is a mock: certificates, sockets, handshakes are real. */


#ifndef WEBHOOK_MTLS_TESTING_H
#define WEBHOOK_MTLS_TESTING_H

#include "webhook_mtls.h"

/*
 A private CA, an identity of it, and the receivers that were asked for.
 */
typedef struct wmtls_lab wmtls_lab;

/*
 A throw-away private CA: a root, and an intermediate that signs.
 */
typedef struct wmtls_lab_authority wmtls_lab_authority;

/*
 A consumer of webhooks on 127.0.0.1 that demands a client certificate of its lab's CA.
 */
typedef struct wmtls_lab_consumer wmtls_lab_consumer;

/*
 A certificate with its chain and private key.
 */
typedef struct wmtls_lab_issued wmtls_lab_issued;

/*
 A request that a consumer of the lab received, whole.
 */
typedef struct wmtls_lab_request wmtls_lab_request;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Makes a CA of its own. `name` is a part of its subjects; no two share a name.

 Fails with WMTLS_INTERNAL.
 */
wmtls_status wmtls_lab_authority_new(const char *name,
                                     wmtls_lab_authority **out,
                                     wmtls_error **err);

/*
 The root as PEM.
 */
const char *wmtls_lab_authority_root_pem(const wmtls_lab_authority *authority);

/*
 Issues a certificate with a new key.

 `tenant`: what its SAN URI names.
 `role`: WMTLS_ROLE_CLIENT, or WMTLS_ROLE_SERVER for one that a consumer can show.
 `not_before`, `not_after`: Unix seconds, or -1: from five minutes ago on, and for a day.

 Fails with WMTLS_OPTION_INVALID or WMTLS_INTERNAL.
 */
wmtls_status wmtls_lab_authority_issue(const wmtls_lab_authority *authority,
                                       const char *tenant,
                                       int32_t role,
                                       int64_t not_before,
                                       int64_t not_after,
                                       wmtls_lab_issued **out,
                                       wmtls_error **err);

/*
 A CRL of its intermediate, valid for a day, as PEM, which belongs to the CA. A later one replaces
 it.

 `revoked`: the certificate that is revoked, or NULL for none.
 */
const char *wmtls_lab_authority_crl(const wmtls_lab_authority *authority,
                                    const wmtls_lab_issued *revoked);

/*
 Frees a handle of a CA.
 */
void wmtls_lab_authority_free(wmtls_lab_authority *authority);

/*
 The chain, leaf first, as PEM.
 */
const char *wmtls_lab_issued_cert_pem(const wmtls_lab_issued *issued);

/*
 The private key: unencrypted PKCS#8, as PEM.
 */
const char *wmtls_lab_issued_key_pem(const wmtls_lab_issued *issued);

/*
 The pin of its key.
 */
const char *wmtls_lab_issued_pin(const wmtls_lab_issued *issued);

/*
 Frees a certificate.
 */
void wmtls_lab_issued_free(wmtls_lab_issued *issued);

/*
 Where it listens: "https://127.0.0.1:<port>/webhooks/<name>".
 */
const char *wmtls_lab_consumer_url(const wmtls_lab_consumer *consumer);

/*
 The pin of the certificate that the next connection will be shown.
 */
const char *wmtls_lab_consumer_pin(const wmtls_lab_consumer *consumer);

/*
 Misbehaves the next `times` times; 0: until told otherwise.

 `how`: "never_ask", "reject_certificate", "expired", "wrong_name", "reset_after_body", "stall"
 or "other_ca". The first four and the last happen in handshakes, and close idle connections.

 Fails with WMTLS_OPTION_INVALID.
 */
wmtls_status wmtls_lab_consumer_misbehave(const wmtls_lab_consumer *consumer,
                                          const char *how,
                                          uint32_t times,
                                          wmtls_error **err);

/*
 Answers the next `times` requests with a status; 0: until told otherwise.

 `retry_after_seconds`: sent as retry-after; -1 for none.

 Fails with WMTLS_OPTION_INVALID.
 */
wmtls_status wmtls_lab_consumer_respond(const wmtls_lab_consumer *consumer,
                                        uint16_t status,
                                        int64_t retry_after_seconds,
                                        uint32_t times,
                                        wmtls_error **err);

/*
 Shows a renewed certificate from the next connection on, with a new key (and so a new pin) or
 the same one.

 Fails with WMTLS_INTERNAL when no certificate could be made.
 */
wmtls_status wmtls_lab_consumer_renew(const wmtls_lab_consumer *consumer,
                                      bool new_key,
                                      wmtls_error **err);

/*
 The certificate that the next connection will be shown: to revoke it, say. NULL for NULL.
 */
wmtls_lab_issued *wmtls_lab_consumer_issued(const wmtls_lab_consumer *consumer);

/*
 Shows this certificate from the next connection on, and closes idle connections.
 */
void wmtls_lab_consumer_show(const wmtls_lab_consumer *consumer, const wmtls_lab_issued *issued);

/*
 Shows a certificate of a CA from the next connection on, with the key it had, and closes idle
 connections.

 Fails with WMTLS_INTERNAL when no certificate could be made.
 */
wmtls_status wmtls_lab_consumer_certify(const wmtls_lab_consumer *consumer,
                                        const wmtls_lab_authority *authority,
                                        wmtls_error **err);

/*
 Accepts client certificates of a CA as well, from the next connection on.
 */
void wmtls_lab_consumer_accept(const wmtls_lab_consumer *consumer,
                               const wmtls_lab_authority *authority);

/*
 Accepts client certificates of a CA and of no other, from the next connection on, and closes idle
 connections.
 */
void wmtls_lab_consumer_accept_only(const wmtls_lab_consumer *consumer,
                                    const wmtls_lab_authority *authority);

/*
 How many requests it has received, whole.
 */
size_t wmtls_lab_consumer_received(const wmtls_lab_consumer *consumer);

/*
 Waits until it has received that many requests. False if the time passes before.
 */
bool wmtls_lab_consumer_wait(const wmtls_lab_consumer *consumer, size_t count, uint64_t within_ms);

/*
 How many TCP connections it has accepted.
 */
uint64_t wmtls_lab_consumer_connections(const wmtls_lab_consumer *consumer);

/*
 A request that it received, from 0; NULL if there are not so many.
 */
wmtls_lab_request *wmtls_lab_consumer_request(const wmtls_lab_consumer *consumer, size_t index);

/*
 Frees a handle of a consumer. The consumer itself serves until its lab is freed.
 */
void wmtls_lab_consumer_free(wmtls_lab_consumer *consumer);

/*
 Makes a CA that no other lab trusts, and starts the thread of its receivers.

 Fails with WMTLS_INTERNAL when the machine has no thread, file descriptor or randomness to give.
 */
wmtls_status wmtls_lab_start(wmtls_lab **out, wmtls_error **err);

/*
 Closes every socket of the lab, ends its thread and frees it.
 */
void wmtls_lab_free(wmtls_lab *lab);

/*
 A new dispatcher with wmtls_lab_options; NULL for NULL.
 */
wmtls_dispatcher *wmtls_lab_dispatcher(const wmtls_lab *lab);

/*
 Options with the lab's identity and trust, and an egress policy that also allows loopback; NULL
 for NULL. To say the egress policy anew, say all of it.
 */
wmtls_options *wmtls_lab_options(const wmtls_lab *lab);

/*
 A client identity of the lab's CA, for the tenant "dispatcher"; NULL for NULL.
 */
wmtls_identity *wmtls_lab_identity(const wmtls_lab *lab);

/*
 Trust in the lab's root and in nothing else; NULL for NULL.
 */
wmtls_trust *wmtls_lab_trust(const wmtls_lab *lab);

/*
 The CA behind the lab; NULL for NULL.
 */
wmtls_lab_authority *wmtls_lab_authority_of(const wmtls_lab *lab);

/*
 Lets the library believe, in this whole process, that it is `at` (Unix seconds), and that time
 runs on from there; WMTLS_NOW is the true time again. The lab's receivers keep to the true time.
 */
void wmtls_lab_set_clock(int64_t at);

/*
 How many signatures of certificates and CRLs this process has checked so far. A signature that
 is remembered is not checked again; see wmtls_remember_signatures.
 */
uint64_t wmtls_lab_signatures_checked(void);

/*
 Writes tls.crt, tls.key and ca.pem into a directory, which is made if it is missing.

 Fails with WMTLS_OPTION_INVALID when one cannot be written.
 */
wmtls_status wmtls_lab_write_files(const wmtls_lab *lab, const char *directory, wmtls_error **err);

/*
 The receiver of a name, started when it is first asked for.

 `name`: its tenant: 1 to 64 of A-Z a-z 0-9 . _ -

 Fails with WMTLS_OPTION_INVALID, or WMTLS_INTERNAL when there is no port to listen on.
 */
wmtls_status wmtls_lab_consumer_new(const wmtls_lab *lab,
                                    const char *name,
                                    wmtls_lab_consumer **out,
                                    wmtls_error **err);

/*
 A well-formed error of a kind, such as "pin_mismatch", with the defaults of the kind, to test
 one's own handling without a network; NULL if there is no such kind.
 */
wmtls_error *wmtls_lab_error(const char *kind);

/*
 The body, which belongs to the request.

 `len`: receives its length.
 */
const void *wmtls_lab_request_body(const wmtls_lab_request *request, size_t *len);

/*
 The first header of a name, in whatever case; NULL if there is none.
 */
const char *wmtls_lab_request_header(const wmtls_lab_request *request, const char *name);

/*
 The tenant in the client certificate; NULL if there was none.
 */
const char *wmtls_lab_request_tenant(const wmtls_lab_request *request);

/*
 The request target, such as "/webhooks/acme".
 */
const char *wmtls_lab_request_path(const wmtls_lab_request *request);

/*
 Frees a request.
 */
void wmtls_lab_request_free(wmtls_lab_request *request);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* WEBHOOK_MTLS_TESTING_H */
