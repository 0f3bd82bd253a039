/* webhook_mtls_testing.h: a private CA and consumers that require client certificates, for tests of
   programs that use webhook_mtls.h.

   Generated from the crate webhook-mtls-ffi-testing by `cargo xtask generate`; do not edit.

   Link libwebhook_mtls_testing instead of libwebhook_mtls, which it contains. The conventions of
   webhook_mtls.h apply. Nothing is mocked: certificates, sockets and handshakes are real. */

#ifndef WEBHOOK_MTLS_TESTING_H
#define WEBHOOK_MTLS_TESTING_H

#include "webhook_mtls.h"

/*
 A private CA, an identity that it issued, and the consumers made so far.
 */
typedef struct wmtls_lab wmtls_lab;

/*
 A temporary private CA for tests: a root, and an intermediate that issues certificates.
 */
typedef struct wmtls_lab_authority wmtls_lab_authority;

/*
 A consumer of webhooks on 127.0.0.1 that requires a client certificate of its lab's CA.
 */
typedef struct wmtls_lab_consumer wmtls_lab_consumer;

/*
 A certificate with its chain and private key.
 */
typedef struct wmtls_lab_issued wmtls_lab_issued;

/*
 nginx in front of an application, on 127.0.0.1.
 */
typedef struct wmtls_lab_nginx wmtls_lab_nginx;

/*
 A complete request that a consumer of the lab received.
 */
typedef struct wmtls_lab_request wmtls_lab_request;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Makes a CA. Free it with wmtls_lab_authority_free.

 `name`: part of the subjects of its certificates; use a different name for each CA.
 `out`: receives the CA.

 Fails with WMTLS_INTERNAL.
 */
wmtls_status wmtls_lab_authority_new(const char *name,
                                     wmtls_lab_authority **out,
                                     wmtls_error **err);

/*
 Makes a CA like wmtls_lab_authority_new, with keys of another type. Its certificates have keys of
 this type, too.

 `key_type`: "p256", "ml_dsa_44", "ml_dsa_65" or "ml_dsa_87".
 `out`: receives the CA.

 Fails with WMTLS_OPTION_INVALID or WMTLS_INTERNAL.
 */
wmtls_status wmtls_lab_authority_new_with_key_type(const char *name,
                                                   const char *key_type,
                                                   wmtls_lab_authority **out,
                                                   wmtls_error **err);

/*
 Returns the root certificate as PEM.
 */
const char *wmtls_lab_authority_root_pem(const wmtls_lab_authority *authority);

/*
 Issues a certificate with a new key.

 `tenant`: the tenant in its SAN URI.
 `role`: WMTLS_ROLE_CLIENT, or WMTLS_ROLE_SERVER for a certificate that a consumer presents.
 `not_before`, `not_after`: Unix seconds; -1 uses five minutes ago and one day from now.
 `out`: receives the certificate; free it with wmtls_lab_issued_free.

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
 Returns a new CRL of the intermediate as PEM, valid for one day. The text belongs to the CA. A
 later CRL replaces it.

 `revoked`: the revoked certificate; NULL makes an empty CRL.
 */
const char *wmtls_lab_authority_crl(const wmtls_lab_authority *authority,
                                    const wmtls_lab_issued *revoked);

/*
 Frees a handle of a CA.
 */
void wmtls_lab_authority_free(wmtls_lab_authority *authority);

/*
 Returns the header lines that a proxy forwards after this client's handshake, to test a receiver
 without a proxy: pairs of name and value, for wmtls_verify_forwarded. They belong to the
 certificate. Returns NULL if a word is unknown, or if the dialect has no verdict.

 `dialect`: how the proxy writes them.
 `forgery`: NULL, or how to forge them, so that a receiver must refuse them also if they come from
 the hop. "repeated", "capitals", "underscore": a client's own line stands before that of the proxy;
 "underscore_alone": the only line has _ for -; "not_verified": the verdict is negative; "absent",
 "malformed", "too_large".
 `count`: receives the number of pairs.
 */
const char *const *wmtls_lab_issued_forwarded(const wmtls_lab_issued *issued,
                                              const char *dialect,
                                              const char *forgery,
                                              size_t *count);

/*
 Returns the chain as PEM, leaf first.
 */
const char *wmtls_lab_issued_cert_pem(const wmtls_lab_issued *issued);

/*
 Returns the private key as PEM, unencrypted PKCS#8.
 */
const char *wmtls_lab_issued_key_pem(const wmtls_lab_issued *issued);

/*
 Returns the pin of the certificate's key.
 */
const char *wmtls_lab_issued_pin(const wmtls_lab_issued *issued);

/*
 Frees a certificate.
 */
void wmtls_lab_issued_free(wmtls_lab_issued *issued);

/*
 Returns the consumer's URL: "https://127.0.0.1:<port>/webhooks/<name>".
 */
const char *wmtls_lab_consumer_url(const wmtls_lab_consumer *consumer);

/*
 Returns the pin of the certificate that the consumer presents on the next connection.
 */
const char *wmtls_lab_consumer_pin(const wmtls_lab_consumer *consumer);

/*
 Makes the consumer misbehave the next `times` times. The misbehaviors of earlier calls come
 first.

 `how`: "never_ask", "reject_certificate", "expired", "wrong_name", "reset_after_body", "stall",
 "other_ca", "close_after_handshake", "reject_by_close" or "tls_1_2". "reset_after_body" and "stall"
 affect requests; the others affect handshakes, and close idle connections.
 `times`: the number of connections or requests; 0 lasts until the next call for the same one
 of the two, or until wmtls_lab_consumer_behave.

 Fails with WMTLS_OPTION_INVALID.
 */
wmtls_status wmtls_lab_consumer_misbehave(const wmtls_lab_consumer *consumer,
                                          const char *how,
                                          uint32_t times,
                                          wmtls_error **err);

/*
 Removes all pending answers and misbehaviors.
 */
void wmtls_lab_consumer_behave(const wmtls_lab_consumer *consumer);

/*
 Answers the next `times` requests with a status. The answers of earlier calls come first.

 `status`: the HTTP status.
 `retry_after_seconds`: the value of the header retry-after, in seconds; -1 sends none.
 `times`: the number of requests; 0 lasts until the next call.

 Fails with WMTLS_OPTION_INVALID.
 */
wmtls_status wmtls_lab_consumer_respond(const wmtls_lab_consumer *consumer,
                                        uint16_t status,
                                        int64_t retry_after_seconds,
                                        uint32_t times,
                                        wmtls_error **err);

/*
 Presents a renewed certificate from the next connection on.

 `new_key`: true makes a new key, and so a new pin; false keeps the key.

 Fails with WMTLS_INTERNAL if no certificate can be made.
 */
wmtls_status wmtls_lab_consumer_renew(const wmtls_lab_consumer *consumer,
                                      bool new_key,
                                      wmtls_error **err);

/*
 Returns the certificate that the consumer presents on the next connection, for instance to
 revoke it; NULL for NULL. Free it with wmtls_lab_issued_free.
 */
wmtls_lab_issued *wmtls_lab_consumer_issued(const wmtls_lab_consumer *consumer);

/*
 Presents a given certificate from the next connection on, and closes idle connections.

 `issued`: remains the caller's.
 */
void wmtls_lab_consumer_show(const wmtls_lab_consumer *consumer, const wmtls_lab_issued *issued);

/*
 Presents a certificate of another CA for the same key from the next connection on, and closes
 idle connections.

 Fails with WMTLS_INTERNAL if no certificate can be made.
 */
wmtls_status wmtls_lab_consumer_certify(const wmtls_lab_consumer *consumer,
                                        const wmtls_lab_authority *authority,
                                        wmtls_error **err);

/*
 Accepts client certificates of one more CA from the next connection on.
 */
void wmtls_lab_consumer_accept(const wmtls_lab_consumer *consumer,
                               const wmtls_lab_authority *authority);

/*
 Accepts only client certificates of one CA from the next connection on, and closes idle
 connections.
 */
void wmtls_lab_consumer_accept_only(const wmtls_lab_consumer *consumer,
                                    const wmtls_lab_authority *authority);

/*
 Returns how many complete requests the consumer has received.
 */
size_t wmtls_lab_consumer_received(const wmtls_lab_consumer *consumer);

/*
 Waits until the consumer has received a number of requests. Returns false if the time limit
 passes first.

 `count`: the number of requests.
 `within_ms`: the time limit in milliseconds; 0 does not wait.
 */
bool wmtls_lab_consumer_wait(const wmtls_lab_consumer *consumer, size_t count, uint64_t within_ms);

/*
 Returns how many TCP connections the consumer has accepted.
 */
uint64_t wmtls_lab_consumer_connections(const wmtls_lab_consumer *consumer);

/*
 Returns a received request; NULL after the last. Free it with wmtls_lab_request_free.

 `index`: the position in the order of arrival, from 0.
 */
wmtls_lab_request *wmtls_lab_consumer_request(const wmtls_lab_consumer *consumer, size_t index);

/*
 Frees a handle of a consumer. The consumer itself runs until its lab is freed.
 */
void wmtls_lab_consumer_free(wmtls_lab_consumer *consumer);

/*
 Makes a new CA, which no other lab trusts, and starts the thread of the consumers. Free the
 lab with wmtls_lab_free.

 Fails with WMTLS_INTERNAL if the machine has no thread, file descriptor or randomness left.
 */
wmtls_status wmtls_lab_start(wmtls_lab **out, wmtls_error **err);

/*
 Closes every socket of the lab, ends its thread and frees it.
 */
void wmtls_lab_free(wmtls_lab *lab);

/*
 Returns a new dispatcher with the options of wmtls_lab_options; NULL for NULL. Free it with
 wmtls_dispatcher_free.
 */
wmtls_dispatcher *wmtls_lab_dispatcher(const wmtls_lab *lab);

/*
 Returns a builder with the lab's identity and trust, and an egress policy that also allows
 loopback; NULL for NULL. The first egress setter replaces the whole policy: allow loopback
 again. Free it with wmtls_options_free unless a function takes it.
 */
wmtls_options *wmtls_lab_options(const wmtls_lab *lab);

/*
 Returns a client identity of the lab's CA for the tenant "dispatcher"; NULL for NULL. Free it
 with wmtls_identity_free.
 */
wmtls_identity *wmtls_lab_identity(const wmtls_lab *lab);

/*
 Returns a trust that contains only the lab's root; NULL for NULL. Free it with
 wmtls_trust_free.
 */
wmtls_trust *wmtls_lab_trust(const wmtls_lab *lab);

/*
 Returns the lab's CA; NULL for NULL. Free it with wmtls_lab_authority_free.
 */
wmtls_lab_authority *wmtls_lab_authority_of(const wmtls_lab *lab);

/*
 Sets the clock of the library for the whole process. The clock then runs on. The lab's
 consumers and certificates use the system clock.

 `at`: Unix seconds, or WMTLS_NOW to use the system clock again.
 */
void wmtls_lab_set_clock(int64_t at);

/*
 Returns how many signatures of certificates and CRLs this process has checked. A cached
 signature is not checked again; see wmtls_remember_signatures.
 */
uint64_t wmtls_lab_signatures_checked(void);

/*
 Writes tls.crt, tls.key and ca.pem into a directory. It creates the directory if it does not
 exist.

 `directory`: its path.

 Fails with WMTLS_OPTION_INVALID if a file cannot be written.
 */
wmtls_status wmtls_lab_write_files(const wmtls_lab *lab, const char *directory, wmtls_error **err);

/*
 Starts nginx in front of an application: a real proxy that ends mutual TLS, requires a certificate
 of the lab's CA, and forwards it in the dialect "nginx". A dispatcher of the lab can deliver to its
 URL. The program must be installed: on Debian, the package nginx-light. It runs until
 wmtls_lab_nginx_free.

 `application`: host and port of the application, which speaks HTTP.
 `out`: receives the handle.

 Fails with WMTLS_OPTION_INVALID, or with WMTLS_INTERNAL if nginx is not installed or does not
 start.
 */
wmtls_status wmtls_lab_nginx_new(const wmtls_lab *lab,
                                 const char *application,
                                 wmtls_lab_nginx **out,
                                 wmtls_error **err);

/*
 Returns the URL, "https://127.0.0.1:<port>/". The application gets requests for every path.
 */
const char *wmtls_lab_nginx_url(const wmtls_lab_nginx *nginx);

/*
 Returns the pin of its certificate.
 */
const char *wmtls_lab_nginx_pin(const wmtls_lab_nginx *nginx);

/*
 Ends nginx and frees the handle.
 */
void wmtls_lab_nginx_free(wmtls_lab_nginx *nginx);

/*
 Returns the consumer of a name. It starts with the first call for that name. Free the handle
 with wmtls_lab_consumer_free.

 `name`: the consumer's tenant, 1 to 64 characters of A-Z a-z 0-9 . _ -
 `out`: receives the consumer.

 Fails with WMTLS_OPTION_INVALID, or with WMTLS_INTERNAL if no port is free.
 */
wmtls_status wmtls_lab_consumer_new(const wmtls_lab *lab,
                                    const char *name,
                                    wmtls_lab_consumer **out,
                                    wmtls_error **err);

/*
 Returns an error of a kind with the kind's defaults, to test error handling without a network;
 NULL if there is no such kind. Free it with wmtls_error_free.

 `kind`: the name of the kind, such as "pin_mismatch".
 */
wmtls_error *wmtls_lab_error(const char *kind);

/*
 Returns the body. It belongs to the request.

 `len`: receives the length in bytes.
 */
const void *wmtls_lab_request_body(const wmtls_lab_request *request, size_t *len);

/*
 Returns the first header of a name; NULL if there is none.

 `name`: the name of the header, in any case.
 */
const char *wmtls_lab_request_header(const wmtls_lab_request *request, const char *name);

/*
 Returns the tenant in the client certificate; NULL if the client presented none.
 */
const char *wmtls_lab_request_tenant(const wmtls_lab_request *request);

/*
 Returns the server name that the client sent in its handshake (SNI); NULL if it sent none, as for
 a URL with an IP address.
 */
const char *wmtls_lab_request_server_name(const wmtls_lab_request *request);

/*
 Returns the request target, such as "/webhooks/acme".
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
