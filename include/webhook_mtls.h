/* webhook_mtls.h: deliver webhooks over mutual TLS, and verify the peer at the other end.

   Generated from the crate webhook-mtls-ffi by `cargo xtask generate`; do not edit.

   These conventions hold for every function. The functions do not repeat them.

   Status     A function that can fail returns a wmtls_status: WMTLS_OK, or the number of the
              error's kind (such as WMTLS_PIN_MISMATCH). Its last argument, wmtls_error **err,
              receives the error; pass NULL if the number is enough. There is no "last error".
              Each function lists the kinds that it fails with. Every function can also fail with
              WMTLS_OPTION_INVALID for an unusable argument, and with WMTLS_INTERNAL.
   Input      A text is NUL-terminated UTF-8. Bytes are a pointer and a length; NULL is allowed with
              the length 0. A list is an array of texts and its count. The function copies its input
              before it returns. A required argument that is NULL, and a text that is not UTF-8,
              fail with WMTLS_OPTION_INVALID, and the error names the argument (in its context, as
              "option"). An error about the value of an option names the option as docs/options.md
              does, also if its setter has a unit: "timeout" for wmtls_options_timeout_ms. The length
              is checked before the copy: a body may have 32 MiB, CRLs 64 MiB, other PEM and PKCS#12
              1 MiB, any other text 64 KiB, a list 100000 texts.
   Output     The caller owns a handle that a function returns or writes to T **out, unless the
              function says otherwise. Free it with its _free function, which accepts NULL. A
              failure writes NULL to *out, and a success writes NULL to *err. Neither needs to be
              initialized, and the previous content is not freed. Pass NULL for an out argument that
              you do not need. A const char * that a function returns belongs to the handle of its
              first argument and lives as long as that handle; do not free it. A getter returns NULL
              if it has no value, and if its handle is NULL.
   Handles    Handles are opaque and reference counted. A handle argument remains the caller's,
              unless the function says that it takes the handle. Each handle keeps what it needs, so
              you may free handles in any order.
   Builders   Setters return nothing. A builder keeps the first fault of its setters, and the
              function that uses the builder returns it. A function that takes a builder says so and
              frees it, on failure too: do not use or free the builder afterwards.
   Threads    Any thread may call any function at any time, with two exceptions: two setters of the
              same builder must not run at once, and no thread may free a handle that another thread
              still uses.
   Fork       A child process may use the handles that it inherits. A running delivery belongs to
              the parent.
   Unloading  dlclose succeeds, and the library stays in memory until the process ends: its threads
              and fork handlers remain. Free all handles first, or keep them and use them after the
              next dlopen.
   Units      Durations are milliseconds (_ms), times are Unix seconds, unless a name or text says
              otherwise. "We" and "our" mean the program that uses this library.
   Time-outs  A time limit of an option or a delivery is at least 1 and at most one day; 0 is
              WMTLS_OPTION_INVALID, not "no limit". A probe uses the limit of its dispatcher if its own
              is 0. Where a function waits for an outcome or an event, 0 does not wait. A negative
              number is "no limit" for wmtls_next_outcome. Every other duration has no sign: -1 becomes
              a very long one, which an option or a probe refuses, and which lets wmtls_next_event and
              a close wait without limit. The time that the system takes to wake a thread comes on
              top.
   Driving    Deliveries make progress while a thread drives them. wmtls_deliver drives its own.
              Submitted deliveries are driven by the thread that waits in wmtls_next_outcome; after
              the first call of wmtls_completion_fd, by a thread of the library.
   Versions   Numbers of kinds, enums and functions only grow: a program that was compiled with this
              header runs with any later library of the same soname. A struct that a function fills
              (wmtls_decision) never changes its size or layout; a later version returns more facts
              from new functions. wmtls_version returns the version of the library that runs.
   Panics     No panic unwinds into C. A defect of the library is WMTLS_INTERNAL. */

#ifndef WEBHOOK_MTLS_H
#define WEBHOOK_MTLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The version of this header. wmtls_version() returns the version of the library. */
#define WMTLS_VERSION "0.1.0"
#define WMTLS_VERSION_MAJOR 0
#define WMTLS_VERSION_MINOR 1
#define WMTLS_VERSION_PATCH 0

/* For comparisons: 0.1.0 is 1000, and 1.2.3 is 1002003. */
#define WMTLS_VERSION_NUMBER 1000

/* Success. */
#define WMTLS_OK 0

/* An option is unknown, missing or out of range. */
#define WMTLS_OPTION_INVALID 101

/* The endpoint's URL cannot be used. */
#define WMTLS_URL_INVALID 102

/* A request header cannot be sent. */
#define WMTLS_HEADER_INVALID 103

/* The payload exceeds the limit. */
#define WMTLS_BODY_TOO_LARGE 104

/* PEM or DER input could not be read. */
#define WMTLS_PEM_INVALID 105

/* The private key is encrypted and could not be decrypted. */
#define WMTLS_KEY_ENCRYPTED 106

/* The private key does not belong to the certificate. */
#define WMTLS_KEY_MISMATCH 107

/* The identity's certificate cannot be used for client authentication. */
#define WMTLS_IDENTITY_UNUSABLE 108

/* The trust bundle cannot be used. */
#define WMTLS_TRUST_INVALID 109

/* The trust bundle contains a public web root. */
#define WMTLS_PUBLIC_ROOT_IN_TRUST 110

/* A pin, or the set of pins, cannot be used. */
#define WMTLS_PIN_INVALID 111

/* The dispatcher was closed, or the endpoint removed. */
#define WMTLS_HANDLE_CLOSED 112

/* The process forked during the delivery. */
#define WMTLS_FORKED_PROCESS 113

/* The system clock shows an impossible date. */
#define WMTLS_CLOCK_IMPLAUSIBLE 114

/* Consumers still depend on the identity. */
#define WMTLS_IDENTITY_IN_USE 115

/* The consumer failed repeatedly, so deliveries to it are paused. */
#define WMTLS_CIRCUIT_OPEN 201

/* Too many deliveries are waiting. */
#define WMTLS_OVERLOADED 202

/* The delivery was canceled. */
#define WMTLS_CANCELED 203

/* The host name has no address. */
#define WMTLS_HOST_NOT_FOUND 301

/* The host name could not be looked up. */
#define WMTLS_RESOLVE_FAILED 302

/* The egress policy denies the endpoint's address. */
#define WMTLS_EGRESS_DENIED 303

/* No connection to the consumer could be opened. */
#define WMTLS_CONNECT_FAILED 304

/* The proxy refused the connection. */
#define WMTLS_PROXY_REFUSED 305

/* The peer's certificate has expired. */
#define WMTLS_CERTIFICATE_EXPIRED 401

/* The peer's certificate is not valid yet. */
#define WMTLS_CERTIFICATE_NOT_YET_VALID 402

/* The peer's certificate was revoked. */
#define WMTLS_CERTIFICATE_REVOKED 403

/* The peer's certificate is for another name. */
#define WMTLS_NAME_MISMATCH 404

/* The peer's certificate does not chain to a trusted CA. */
#define WMTLS_ISSUER_UNKNOWN 405

/* The issuer of the peer's certificate has a trusted CA's name but another key. */
#define WMTLS_ISSUER_REKEYED 406

/* The peer's certificate does not allow this purpose. */
#define WMTLS_PURPOSE_NOT_ALLOWED 407

/* The peer's certificate is malformed, or cannot identify a peer. */
#define WMTLS_CERTIFICATE_INVALID 408

/* A key in the peer's chain is too weak, or of an algorithm that is not supported. */
#define WMTLS_KEY_WEAK 409

/* The peer's chain is too long or too expensive to verify. */
#define WMTLS_CHAIN_TOO_LONG 410

/* The available CRLs cannot show whether the peer's certificate is revoked. */
#define WMTLS_CRL_UNUSABLE 411

/* The peer's chain violates a constraint of one of its CAs. */
#define WMTLS_CONSTRAINT_VIOLATED 412

/* The peer's key matches none of the pins. */
#define WMTLS_PIN_MISMATCH 413

/* The peer names no tenant, or its certificate and its token name two. */
#define WMTLS_TENANT_REFUSED 414

/* The peer is verified but not allowed. */
#define WMTLS_NOT_AUTHORIZED 415

/* The consumer never asked for our certificate. */
#define WMTLS_CLIENT_AUTH_NOT_REQUESTED 416

/* Our certificate does not satisfy the consumer's certificate request. */
#define WMTLS_CLIENT_CERTIFICATE_UNUSABLE 417

/* The consumer refused our certificate. */
#define WMTLS_CLIENT_CERTIFICATE_REJECTED 418

/* The TLS handshake failed. */
#define WMTLS_TLS_FAILED 419

/* No certificate was presented. */
#define WMTLS_EVIDENCE_MISSING 420

/* The certificate was forwarded by a hop that is not trusted. */
#define WMTLS_HOP_UNTRUSTED 421

/* The peer's certificate chains through a CA that was distrusted explicitly. */
#define WMTLS_ISSUER_DISTRUSTED 422

/* The webhook has no valid signature. */
#define WMTLS_SIGNATURE_INVALID 423

/* The webhook has no valid token. */
#define WMTLS_TOKEN_INVALID 424

/* The external signer of our key gave no valid signature. */
#define WMTLS_SIGNER_FAILED 425

/* The external signer of our key did not answer in time. */
#define WMTLS_SIGNER_TIMEOUT 426

/* The consumer answered with a status other than 2xx. */
#define WMTLS_HTTP_STATUS 601

/* The consumer's response is not valid HTTP/1.1. */
#define WMTLS_HTTP_INVALID 602

/* The head of the consumer's response exceeds the limit. */
#define WMTLS_RESPONSE_TOO_LARGE 603

/* The deadline passed. */
#define WMTLS_DEADLINE_EXCEEDED 701

/* The connection was lost before a response arrived. */
#define WMTLS_CONNECTION_LOST 702

/* The library failed in a way that it should rule out. */
#define WMTLS_INTERNAL 901

/* Options, material and arguments. */
#define WMTLS_STAGE_CONFIG 1

/* Whether the delivery may start: the dispatcher is open, nothing is canceled or overloaded. */
#define WMTLS_STAGE_ADMIT 2

/* The DNS lookup, and the egress policy. */
#define WMTLS_STAGE_RESOLVE 3

/* TCP, and the proxy if there is one. */
#define WMTLS_STAGE_CONNECT 4

/* The TLS handshake. */
#define WMTLS_STAGE_HANDSHAKE 5

/* The request is being written. */
#define WMTLS_STAGE_REQUEST 6

/* The response is awaited or read. */
#define WMTLS_STAGE_RESPONSE 7

/* A verifier checks a chain outside any connection. */
#define WMTLS_STAGE_VERIFY 8

/* Ours: found locally, or reported by at least three consumers. */
#define WMTLS_BLAME_OURS 1

/* The peer's. */
#define WMTLS_BLAME_THEIRS 2

/* The network or a proxy between us and the peer. */
#define WMTLS_BLAME_PATH 3

/* The caller canceled. */
#define WMTLS_BLAME_CALLER 4

/* The library cannot tell. */
#define WMTLS_BLAME_UNKNOWN 5

/* This payload only. */
#define WMTLS_SCOPE_DELIVERY 1

/* Everything for this endpoint. */
#define WMTLS_SCOPE_ENDPOINT 2

/* Everything that uses the same identity. */
#define WMTLS_SCOPE_IDENTITY 3

/* Everything in this process. */
#define WMTLS_SCOPE_PROCESS 4

/* No byte of the request entered TLS, or the peer provably refused us before it read any. */
#define WMTLS_SENT_NOTHING 1

/* Part of the request may have reached the peer. */
#define WMTLS_SENT_MAYBE 2

/* The last byte was written to the kernel: the peer may have the payload. */
#define WMTLS_SENT_ALL 3

/* Try again later, after `retry_after` if it is known. */
#define WMTLS_RETRY_LATER 1

/* Park the delivery until a person or a rotation has repaired the cause. */
#define WMTLS_RETRY_AFTER_REPAIR 2

/* Do not try again. */
#define WMTLS_RETRY_NEVER 3

/* Try again after the delay. */
#define WMTLS_ACTION_RETRY 1

/* Hold it until an operator has repaired the cause. Try again after the delay at the latest. */
#define WMTLS_ACTION_PARK 2

/* Discard it. */
#define WMTLS_ACTION_DROP 3

/* A pin in use now. */
#define WMTLS_PIN_CURRENT 1

/* A pin announced for the next key. */
#define WMTLS_PIN_NEXT 2

/* The peer connects to us and presents a client certificate. */
#define WMTLS_ROLE_CLIENT 1

/* We connect to the peer, a TLS server. */
#define WMTLS_ROLE_SERVER 2

/* Deliveries are admitted. */
#define WMTLS_CIRCUIT_STATE_CLOSED 1

/* Deliveries fail with circuit_open. */
#define WMTLS_CIRCUIT_STATE_OPEN 2

/* The next delivery is admitted as a trial. The others fail with circuit_open until it has
   ended. */
#define WMTLS_CIRCUIT_STATE_HALF_OPEN 3

/* Nothing is to be done. */
#define WMTLS_LOG_LEVEL_INFO 1

/* Somebody else, or the network, is at fault, or something is to be done in time. */
#define WMTLS_LOG_LEVEL_WARNING 2

/* The fault is ours. */
#define WMTLS_LOG_LEVEL_ERROR 3

/* The text format of Prometheus, version 0.0.4. */
#define WMTLS_METRICS_FORMAT_PROMETHEUS 1

/* OpenMetrics, version 1.0. */
#define WMTLS_METRICS_FORMAT_OPENMETRICS 2

/* HEAD. The answer has no body, so the text of a page is not seen. */
#define WMTLS_DIAGNOSIS_REQUEST_HEAD 1

/* OPTIONS. */
#define WMTLS_DIAGNOSIS_REQUEST_OPTIONS 2

/* No action is needed: deliveries work. */
#define WMTLS_ADDRESSEE_NOBODY 1

/* The operators of this sender, or of its CA. */
#define WMTLS_ADDRESSEE_US 2

/* The operator of the consumer. */
#define WMTLS_ADDRESSEE_CONSUMER 3

/* The operators of our network, its name servers and firewalls. */
#define WMTLS_ADDRESSEE_NETWORK 4

/* The operators of the proxy. */
#define WMTLS_ADDRESSEE_PROXY 5

/* RSA with the padding of PKCS#1 v1.5, and SHA-256. In TLS 1.2 only. */
#define WMTLS_SIGNATURE_SCHEME_RSA_PKCS1_SHA256 1025

/* ECDSA on P-256 with SHA-256. */
#define WMTLS_SIGNATURE_SCHEME_ECDSA_SECP256R1_SHA256 1027

/* RSA with the padding of PKCS#1 v1.5, and SHA-384. In TLS 1.2 only. */
#define WMTLS_SIGNATURE_SCHEME_RSA_PKCS1_SHA384 1281

/* ECDSA on P-384 with SHA-384. */
#define WMTLS_SIGNATURE_SCHEME_ECDSA_SECP384R1_SHA384 1283

/* RSA with the padding of PKCS#1 v1.5, and SHA-512. In TLS 1.2 only. */
#define WMTLS_SIGNATURE_SCHEME_RSA_PKCS1_SHA512 1537

/* ECDSA on P-521 with SHA-512. */
#define WMTLS_SIGNATURE_SCHEME_ECDSA_SECP521R1_SHA512 1539

/* RSA-PSS with SHA-256, MGF1 with SHA-256, and a salt of 32 bytes. */
#define WMTLS_SIGNATURE_SCHEME_RSA_PSS_RSAE_SHA256 2052

/* RSA-PSS with SHA-384, MGF1 with SHA-384, and a salt of 48 bytes. */
#define WMTLS_SIGNATURE_SCHEME_RSA_PSS_RSAE_SHA384 2053

/* RSA-PSS with SHA-512, MGF1 with SHA-512, and a salt of 64 bytes. */
#define WMTLS_SIGNATURE_SCHEME_RSA_PSS_RSAE_SHA512 2054

/* Ed25519, which signs the message itself. */
#define WMTLS_SIGNATURE_SCHEME_ED25519 2055

/* ML-DSA-44, which signs the message itself. In TLS 1.3 only. */
#define WMTLS_SIGNATURE_SCHEME_MLDSA44 2308

/* ML-DSA-65, which signs the message itself. In TLS 1.3 only. */
#define WMTLS_SIGNATURE_SCHEME_MLDSA65 2309

/* ML-DSA-87, which signs the message itself. In TLS 1.3 only. */
#define WMTLS_SIGNATURE_SCHEME_MLDSA87 2310


/*
 The buffer size that wmtls_pin_of needs, in bytes: "sha256/", 44 characters of base64 and the
 NUL.
 */
#define WMTLS_PIN_SIZE 52

/*
 The current time, as the argument `at` of wmtls_verify_peer.
 */
#define WMTLS_NOW -1

/*
 A payload that many deliveries share. It never changes.
 */
typedef struct wmtls_body wmtls_body;

/*
 Cancels every delivery that it is attached to. A canceled token stays canceled.
 */
typedef struct wmtls_cancel_token wmtls_cancel_token;

/*
 A payload, the endpoint it goes to, and its options. A builder. wmtls_deliver borrows it;
 wmtls_submit takes and frees it.
 */
typedef struct wmtls_delivery wmtls_delivery;

/*
 Delivers webhooks. It keeps one endpoint for each consumer id, and connections for each
 endpoint.
 */
typedef struct wmtls_dispatcher wmtls_dispatcher;

/*
 A consumer to deliver to, as one dispatcher knows it.
 */
typedef struct wmtls_endpoint wmtls_endpoint;

/*
 The settings of an endpoint that differ from those of its dispatcher. A builder.
 */
typedef struct wmtls_endpoint_options wmtls_endpoint_options;

/*
 What this process has observed of a consumer, at one instant.
 */
typedef struct wmtls_endpoint_status wmtls_endpoint_status;

/*
 The reason for a failure: the kind, the stage reached, whose fault it is, how much of the
 request was sent, and what to do.
 */
typedef struct wmtls_error wmtls_error;

/*
 A change or warning for the operator. docs/events.md lists all events.
 */
typedef struct wmtls_event wmtls_event;

/*
 A list of certificates and CRLs with their expiry, the smallest fraction of lifetime left
 first.
 */
typedef struct wmtls_expiries wmtls_expiries;

/*
 The status of one process, or of several. docs/fleet.schema.json describes its JSON.
 */
typedef struct wmtls_fleet_status wmtls_fleet_status;

/*
 A proxy that is believed when it forwards a certificate. Immutable.
 */
typedef struct wmtls_hop wmtls_hop;

/*
 Our certificate chain with the private key of its leaf. Both were checked.
 */
typedef struct wmtls_identity wmtls_identity;

/*
 The private key that signs a token (JWT) for each attempt, and what the token says. A builder.
 */
typedef struct wmtls_jwt_bearer wmtls_jwt_bearer;

/*
 The public keys that verify the tokens of a sender, each with its key id. Never empty.
 */
typedef struct wmtls_jwt_keys wmtls_jwt_keys;

/*
 The metrics of a dispatcher or a verifier in this process, at one instant. docs/metrics.md lists
 them.
 */
typedef struct wmtls_metrics wmtls_metrics;

/*
 The defaults for every endpoint and delivery of a dispatcher. A builder.
 */
typedef struct wmtls_options wmtls_options;

/*
 The result of a submitted delivery: a receipt or an error. Or that of a submitted probe, diagnosis,
 reload or close.
 */
typedef struct wmtls_outcome wmtls_outcome;

/*
 A verified peer.
 */
typedef struct wmtls_peer wmtls_peer;

/*
 A completed handshake without a payload. The consumer passed every check of a delivery,
 requested our certificate, and did not reject it during the handshake.
 */
typedef struct wmtls_probe wmtls_probe;

/*
 A delivery that the consumer answered with a 2xx status.
 */
typedef struct wmtls_receipt wmtls_receipt;

/*
 The report of a diagnosis: every check, every fault, and one verdict.
 */
typedef struct wmtls_report wmtls_report;

/*
 The number of attempts and the delays between them. A builder. wmtls_retry_decide borrows it.
 */
typedef struct wmtls_retry_policy wmtls_retry_policy;

/*
 Which of our identities each consumer accepted last, as this process has observed it.
 */
typedef struct wmtls_rotation_status wmtls_rotation_status;

/*
 The private CA that verifies a peer: anchors, known intermediates and CRLs. Or exactly one
 certificate of a peer. It contains no public web roots, unless wmtls_trust_dangerous_public made it.
 */
typedef struct wmtls_trust wmtls_trust;

/*
 A verified webhook.
 */
typedef struct wmtls_verified_webhook wmtls_verified_webhook;

/*
 Verifies the certificates of peers. The connection may end in another program.
 */
typedef struct wmtls_verifier wmtls_verifier;

/*
 The settings of a verifier. A builder.
 */
typedef struct wmtls_verifier_options wmtls_verifier_options;

/*
 Verifies received webhooks: that the peer's certificate, the signature and the token speak of
 one tenant.
 */
typedef struct wmtls_webhook_verifier wmtls_webhook_verifier;

/*
 The settings of a verifier of webhooks. A builder.
 */
typedef struct wmtls_webhook_verifier_options wmtls_webhook_verifier_options;

/*
 WMTLS_OK (0), or the number of an error kind.
 */
typedef int32_t wmtls_status;

/*
 A function of the program that signs a handshake with a key that this process does not hold, such as
 one in an HSM or a KMS.

 It is called on threads of the library that block all signals, on several at once, and may block: only
 its handshake waits. A call that does not return keeps its place among those that `concurrency` allows.
 It must not throw a C++ exception. In a child process it is called with the same context.

 `context`: the pointer that was set with the function.
 `scheme`: a WMTLS_SIGNATURE_SCHEME_...: the algorithm, the hash and the padding.
 `message`, `message_len`: the bytes to sign, not hashed.
 `digest`, `digest_len`: the hash of the message, for RSA and ECDSA; NULL and 0 for other schemes.
 `deadline_ms`: how long the handshake waits for the answer.
 `signature`, `capacity`: receives the signature; 8192 bytes. For ECDSA it is DER, or r and s in a
 row. The library verifies it before it leaves.
 `signature_len`: receives its length.

 Returns 0, or a number other than 0 if it could not sign: WMTLS_SIGNER_FAILED then names the number.
 */
typedef int32_t (*wmtls_sign_function)(void *context,
                                       int32_t scheme,
                                       const uint8_t *message,
                                       size_t message_len,
                                       const uint8_t *digest,
                                       size_t digest_len,
                                       uint64_t deadline_ms,
                                       uint8_t *signature,
                                       size_t capacity,
                                       size_t *signature_len);

/*
 A function of the program that frees the context of a wmtls_sign_function. It is called once in each
 process, on any thread, after the last call, when no handle and no connection uses the identity. It
 must not call a function of this library.
 */
typedef void (*wmtls_signer_free_function)(void *context);

/*
 A function of the program that writes a log record. docs/log.md lists the fields.

 It is called when a delivery or a probe of a dispatcher ends, when a verification fails, and for each
 event: on the thread that drives the delivery, verifies or raises the event, so on several threads at
 once. The library holds no lock meanwhile. The function must not block, must not call a function that
 waits, and must not throw a C++ exception.

 `context`: the pointer that was set with the function.
 `level`: WMTLS_LOG_LEVEL_INFO, WMTLS_LOG_LEVEL_WARNING or WMTLS_LOG_LEVEL_ERROR.
 `message`: what happened, in one sentence. The text lives until the function returns.
 `fields`: the fields as a JSON object. The text lives until the function returns.
 */
typedef void (*wmtls_log_function)(void *context,
                                   int32_t level,
                                   const char *message,
                                   const char *fields);

/*
 What to do after one failure.
 */
typedef struct {
  /*
   What to do, WMTLS_ACTION_....
   */
  int32_t action;
  /*
   Whether the attempt counts. One that was not admitted, or waits for a repair, does not.
   */
  bool counts;
  /*
   The delay before the next attempt, in milliseconds.
   */
  uint64_t delay_ms;
  /*
   The reason in a few words. The text lives as long as the process; do not free it.
   */
  const char *reason;
} wmtls_decision;

/*
 A store for ids: records the tenant and the id in one step, and returns 1 if they were there, 0 if
 not, or a negative number if it failed. Two tenants may use equal ids.

 `context`: as given to wmtls_verify_webhook.
 `tenant`, `id`: valid during the call.
 `keep_until`: the time until which the store must keep them, in Unix seconds.
 */
typedef int (*wmtls_seen)(void *context, const char *tenant, const char *id, int64_t keep_until);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Returns the number of the kind, which equals the status; 0 for NULL.
 */
int32_t wmtls_error_kind(const wmtls_error *error);

/*
 Returns the stage that failed, WMTLS_STAGE_...; 0 for NULL.
 */
int32_t wmtls_error_stage(const wmtls_error *error);

/*
 Returns whose fault it is, WMTLS_BLAME_..., as far as this side can tell; 0 for NULL.
 */
int32_t wmtls_error_blame(const wmtls_error *error);

/*
 Returns what the failure affects, WMTLS_SCOPE_...; 0 for NULL.
 */
int32_t wmtls_error_scope(const wmtls_error *error);

/*
 Returns how much of the request was sent, WMTLS_SENT_...; 0 for NULL.
 */
int32_t wmtls_error_sent(const wmtls_error *error);

/*
 Returns whether a new attempt can help, WMTLS_RETRY_...; 0 for NULL. See wmtls_retry_decide.
 */
int32_t wmtls_error_retry(const wmtls_error *error);

/*
 Returns the delay that the consumer asked for, in milliseconds; -1 if it named none, and for
 NULL.
 */
int64_t wmtls_error_retry_after_ms(const wmtls_error *error);

/*
 Returns the consumer id of the endpoint; NULL if the error concerns no endpoint.
 */
const char *wmtls_error_consumer(const wmtls_error *error);

/*
 Returns the event's id; NULL if the error ended no delivery, or one without an id.
 */
const char *wmtls_error_id(const wmtls_error *error);

/*
 Returns how many attempts began; -1 if the error ended no delivery and no probe, and for NULL.
 */
int64_t wmtls_error_attempts(const wmtls_error *error);

/*
 Returns the total duration in milliseconds; -1 if the error ended no delivery and no probe, and
 for NULL.
 */
double wmtls_error_elapsed_ms(const wmtls_error *error);

/*
 Returns a sentence that compares the observed with the expected. Use it only in your own logs: it
 may name internal addresses.
 */
const char *wmtls_error_message(const wmtls_error *error);

/*
 Returns a sentence with what to do.
 */
const char *wmtls_error_remedy(const wmtls_error *error);

/*
 Returns the address of the page about the error's kind: the causes, and the cure of each.
 */
const char *wmtls_error_help(const wmtls_error *error);

/*
 Returns a fact of the error's context; NULL if the error does not have it. A text is returned
 as it is, any other value as JSON.

 `name`: the name of the fact, such as "observed_pin".
 */
const char *wmtls_error_context(const wmtls_error *error, const char *name);

/*
 Returns the failure as a log record: a JSON object with level, message and fields, below 1 KiB.
 docs/log.md lists the fields.
 */
const char *wmtls_error_log_json(const wmtls_error *error);

/*
 Returns the whole error as JSON, in the same form in every language.
 */
const char *wmtls_error_json(const wmtls_error *error);

/*
 Returns the part that may be shown to the consumer as JSON: no addresses, no internals.
 */
const char *wmtls_error_public_json(const wmtls_error *error);

/*
 Frees an error. Do not free the error of wmtls_outcome_error.
 */
void wmtls_error_free(wmtls_error *error);

/*
 Returns the name of an error kind, such as "pin_mismatch", the same in every language; NULL if
 no kind has this number. The text lives as long as the process, as does that of every
 wmtls_..._name function below.
 */
const char *wmtls_kind_name(int32_t kind);

/*
 Returns the name of a WMTLS_STAGE_...; NULL if no stage has this number.
 */
const char *wmtls_stage_name(int32_t stage);

/*
 Returns the name of a WMTLS_BLAME_...; NULL if none has this number.
 */
const char *wmtls_blame_name(int32_t blame);

/*
 Returns the name of a WMTLS_SCOPE_...; NULL if no scope has this number.
 */
const char *wmtls_scope_name(int32_t scope);

/*
 Returns the name of a WMTLS_SENT_...; NULL if none has this number.
 */
const char *wmtls_sent_name(int32_t sent);

/*
 Returns the name of a WMTLS_RETRY_...; NULL if none has this number.
 */
const char *wmtls_retry_name(int32_t retry);

/*
 Returns the name of a WMTLS_ACTION_...; NULL if no action has this number.
 */
const char *wmtls_action_name(int32_t action);

/*
 Returns the name of a WMTLS_PIN_...; NULL if no slot has this number.
 */
const char *wmtls_pin_name(int32_t slot);

/*
 Returns the name of a WMTLS_CIRCUIT_STATE_...; NULL if no state has this number.
 */
const char *wmtls_circuit_state_name(int32_t state);

/*
 Returns the name of a WMTLS_LOG_LEVEL_...; NULL if no level has this number.
 */
const char *wmtls_log_level_name(int32_t level);

/*
 Returns the name of a WMTLS_METRICS_FORMAT_...; NULL if no format has this number.
 */
const char *wmtls_metrics_format_name(int32_t format);

/*
 Returns the name of a WMTLS_DIAGNOSIS_REQUEST_...; NULL if no request has this number.
 */
const char *wmtls_diagnosis_request_name(int32_t request);

/*
 Returns the name of a WMTLS_ADDRESSEE_...; NULL if none has this number.
 */
const char *wmtls_addressee_name(int32_t addressee);

/*
 Returns the name of a WMTLS_SIGNATURE_SCHEME_..., as in the IANA registry; NULL if no scheme has this
 number.
 */
const char *wmtls_signature_scheme_name(int32_t scheme);

/*
 Returns the version of the library, such as "0.1.0". The text lives as long as the process.
 */
const char *wmtls_version(void);

/*
 Reads our certificate chain (leaf first) and private key from PEM files. Free the result with
 wmtls_identity_free. A dispatcher that uses the identity watches the files for changes.

 `cert`, `key`: paths; both may name the same file.
 `passphrase`: decrypts a PKCS#8 key; NULL if the key is not encrypted.
 `out`: receives the identity.

 Fails with WMTLS_PEM_INVALID (also if a file cannot be read within five seconds),
 WMTLS_KEY_ENCRYPTED, WMTLS_KEY_MISMATCH, WMTLS_IDENTITY_UNUSABLE or WMTLS_CLOCK_IMPLAUSIBLE, or
 with WMTLS_OVERLOADED if the process has no descriptor or thread left.
 */
wmtls_status wmtls_identity_from_files(const char *cert,
                                       const char *key,
                                       const char *passphrase,
                                       wmtls_identity **out,
                                       wmtls_error **err);

/*
 Reads our certificate chain (leaf first) and private key from bytes, PEM or DER. Free the
 result with wmtls_identity_free.

 `cert`, `cert_len`, `key`, `key_len`: the bytes; both ranges may be the same.
 `passphrase`: decrypts a PKCS#8 key; NULL if the key is not encrypted.
 `out`: receives the identity.

 Fails as wmtls_identity_from_files does, except with WMTLS_OVERLOADED.
 */
wmtls_status wmtls_identity_from_pem(const void *cert,
                                     size_t cert_len,
                                     const void *key,
                                     size_t key_len,
                                     const char *passphrase,
                                     wmtls_identity **out,
                                     wmtls_error **err);

/*
 Reads a PKCS#12 file (.p12, .pfx) with one private key, its certificate and the CAs above it,
 in any order. Free the result with wmtls_identity_free.

 `data`, `data_len`: the content of the file, DER, at most 1 MiB.
 `passphrase`: decrypts the file; "" if it has no passphrase. NULL is a fault.
 `out`: receives the identity.

 Fails with WMTLS_KEY_ENCRYPTED (the passphrase is wrong, or decryption would cost too much),
 WMTLS_PEM_INVALID (malformed, no key, several keys, no certificate), WMTLS_KEY_MISMATCH,
 WMTLS_IDENTITY_UNUSABLE or WMTLS_CLOCK_IMPLAUSIBLE.
 */
wmtls_status wmtls_identity_from_pkcs12(const void *data,
                                        size_t data_len,
                                        const char *passphrase,
                                        wmtls_identity **out,
                                        wmtls_error **err);

/*
 Returns a remark for the operator about the file of a usable identity, such as a certificate that
 is not an issuer of ours and not presented; NULL after the last. The string lives as long as the
 identity.

 `index`: the position in the list of remarks, from 0.
 */
const char *wmtls_identity_note(const wmtls_identity *identity, size_t index);

/*
 Frees an identity.
 */
void wmtls_identity_free(wmtls_identity *identity);

/*
 Reads the private key that signs tokens. P-256 signs ES256, Ed25519 signs EdDSA, and RSA of 2048
 to 8192 bits signs RS256. Free the result with wmtls_jwt_bearer_free.

 `key`, `key_len`: PEM or DER (PKCS#8, PKCS#1 or SEC1), not encrypted, at most 1 MiB.
 `out`: receives the builder.

 Fails with WMTLS_PEM_INVALID, also for a key of another type or size, or WMTLS_KEY_ENCRYPTED.
 */
wmtls_status wmtls_jwt_bearer_from_pem(const void *key,
                                       size_t key_len,
                                       wmtls_jwt_bearer **out,
                                       wmtls_error **err);

/*
 Reads the private key that signs tokens from a file, which a dispatcher that uses it watches for
 changes. Free the result with wmtls_jwt_bearer_free.

 `path`: a regular file of at most 1 MiB.
 `out`: receives the builder.

 Fails as wmtls_jwt_bearer_from_pem does, with WMTLS_PEM_INVALID if the file cannot be read, or
 with WMTLS_OVERLOADED if the process has no descriptor or thread left.
 */
wmtls_status wmtls_jwt_bearer_from_file(const char *path,
                                        wmtls_jwt_bearer **out,
                                        wmtls_error **err);

/*
 Sets an option of the tokens by its name in docs/options.md, such as "audience". "claims" is a JSON
 object. The value has the form that wmtls_options_set describes. The function that takes the
 endpoint's options fails with the first fault.
 */
void wmtls_jwt_bearer_set(wmtls_jwt_bearer *jwt, const char *name, const char *value);

/*
 Returns the public key for consumers as a JWK (RFC 7517); NULL after a fault of a setter.
 */
const char *wmtls_jwt_bearer_public_jwk(const wmtls_jwt_bearer *jwt);

/*
 Frees the key.
 */
void wmtls_jwt_bearer_free(wmtls_jwt_bearer *jwt);

/*
 Reads the public keys of a sender. The type of a key fixes the algorithm. Free the result with
 wmtls_jwt_keys_free.

 `keys`, `keys_len`: PEM ("PUBLIC KEY" or "CERTIFICATE"), DER, a JWK or a JWK set (RFC 7517), with
 at most 16 keys and 1 MiB.
 `key_id`: the key id of the only key; NULL keeps its own. A key without one gets its thumbprint.
 `out`: receives the keys.

 Fails with WMTLS_PEM_INVALID, also if a private key is among them, or WMTLS_OPTION_INVALID.
 */
wmtls_status wmtls_jwt_keys_new(const void *keys,
                                size_t keys_len,
                                const char *key_id,
                                wmtls_jwt_keys **out,
                                wmtls_error **err);

/*
 Reads the public keys of a sender from a file, which a verifier that uses them watches for
 changes. Free the result with wmtls_jwt_keys_free.

 `path`: a regular file of at most 1 MiB.
 `key_id`: as for wmtls_jwt_keys_new.
 `out`: receives the keys.

 Fails as wmtls_jwt_keys_new does, with WMTLS_PEM_INVALID if the file cannot be read, or with
 WMTLS_OVERLOADED if the process has no descriptor or thread left.
 */
wmtls_status wmtls_jwt_keys_from_file(const char *path,
                                      const char *key_id,
                                      wmtls_jwt_keys **out,
                                      wmtls_error **err);

/*
 Frees the keys.
 */
void wmtls_jwt_keys_free(wmtls_jwt_keys *keys);

/*
 Computes the pin ("sha256/...") of a certificate, or of the first of several, which is the
 leaf.

 `cert`, `cert_len`: PEM or DER, at most 1 MiB.
 `pin`: a buffer of at least WMTLS_PIN_SIZE bytes; receives the text with its NUL, or an empty
 text after a failure.

 Fails with WMTLS_PEM_INVALID.
 */
wmtls_status wmtls_pin_of(const void *cert, size_t cert_len, char *pin, wmtls_error **err);

/*
 Makes an identity whose key stays elsewhere, such as in an HSM or a KMS: a function of the program
 signs each handshake with it. Free the result with wmtls_identity_free. docs/signer.md has the rules.

 `cert`, `cert_len`: our certificate chain, leaf first, PEM or DER.
 `sign`: signs with the key of the leaf.
 `context`: passed to `sign` and to `free_context`; NULL is allowed.
 `free_context`: frees the context, also if this function fails; NULL if nothing is to be freed.
 `concurrency`: the most calls of `sign` at once, 1 to 64; 8 suits most keys. Further handshakes wait.
 `schemes`, `schemes_len`: the names of the signature schemes that the key's owner supports, such as
 "rsa_pss_rsae_sha256"; NULL and 0 for all that fit the key.
 `out`: receives the identity.

 Fails with WMTLS_PEM_INVALID, WMTLS_IDENTITY_UNUSABLE, WMTLS_CLOCK_IMPLAUSIBLE or
 WMTLS_OPTION_INVALID. A delivery fails with WMTLS_SIGNER_FAILED or WMTLS_SIGNER_TIMEOUT if there is
 no valid signature in time.
 */
wmtls_status wmtls_identity_from_signer(const void *cert,
                                        size_t cert_len,
                                        wmtls_sign_function sign,
                                        void *context,
                                        wmtls_signer_free_function free_context,
                                        size_t concurrency,
                                        const char *const *schemes,
                                        size_t schemes_len,
                                        wmtls_identity **out,
                                        wmtls_error **err);

/*
 Makes an identity as wmtls_identity_from_signer does, with the chain in a PEM file. A dispatcher that
 uses the identity watches the file. If its new leaf has another key, `sign` must use that at once.

 `cert`: the path of our certificate chain, leaf first.
 `sign`, `context`, `free_context`, `concurrency`, `schemes`, `schemes_len`: as there.
 `out`: receives the identity.

 Fails as wmtls_identity_from_signer does, with WMTLS_PEM_INVALID if the file cannot be read within
 five seconds, and with WMTLS_OVERLOADED if the process has no descriptor or thread left.
 */
wmtls_status wmtls_identity_from_signer_file(const char *cert,
                                             wmtls_sign_function sign,
                                             void *context,
                                             wmtls_signer_free_function free_context,
                                             size_t concurrency,
                                             const char *const *schemes,
                                             size_t schemes_len,
                                             wmtls_identity **out,
                                             wmtls_error **err);

/*
 Reads a trust from PEM files. Free the result with wmtls_trust_free. A dispatcher or verifier
 that uses the trust watches the files for changes.

 `anchors`: path of the trusted CA certificates.
 `intermediates`: path of CA certificates that peers fail to send; NULL if there are none.
 `crls`: path of certificate revocation lists, at most 64 MiB; NULL if there are none.
 `out`: receives the trust.

 Fails with WMTLS_PEM_INVALID (also if a file cannot be read within five seconds),
 WMTLS_TRUST_INVALID, WMTLS_PUBLIC_ROOT_IN_TRUST, WMTLS_CRL_UNUSABLE or WMTLS_CLOCK_IMPLAUSIBLE,
 or with WMTLS_OVERLOADED if the process has no descriptor or thread left.
 */
wmtls_status wmtls_trust_from_files(const char *anchors,
                                    const char *intermediates,
                                    const char *crls,
                                    wmtls_trust **out,
                                    wmtls_error **err);

/*
 Reads a trust from bytes: PEM with any number of certificates or CRLs, or the DER of one. Free
 the result with wmtls_trust_free.

 `anchors`, `anchors_len`: the trusted CA certificates.
 `intermediates`, `intermediates_len`: CA certificates that peers fail to send; NULL and 0 if
 there are none.
 `crls`, `crls_len`: certificate revocation lists, at most 64 MiB; NULL and 0 if there are none.
 `out`: receives the trust.

 Fails as wmtls_trust_from_files does, except with WMTLS_OVERLOADED.
 */
wmtls_status wmtls_trust_from_pem(const void *anchors,
                                  size_t anchors_len,
                                  const void *intermediates,
                                  size_t intermediates_len,
                                  const void *crls,
                                  size_t crls_len,
                                  wmtls_trust **out,
                                  wmtls_error **err);

/*
 Reads a trust as wmtls_trust_from_pem does, but also accepts public web roots: for a consumer
 whose server certificate comes from a public CA. An endpoint accepts this trust only together
 with pins; wmtls_dispatcher_new and wmtls_verifier_new reject it with WMTLS_OPTION_INVALID.

 Fails with WMTLS_PEM_INVALID, WMTLS_TRUST_INVALID, WMTLS_CRL_UNUSABLE or
 WMTLS_CLOCK_IMPLAUSIBLE.
 */
wmtls_status wmtls_trust_dangerous_public(const void *anchors,
                                          size_t anchors_len,
                                          const void *intermediates,
                                          size_t intermediates_len,
                                          const void *crls,
                                          size_t crls_len,
                                          wmtls_trust **out,
                                          wmtls_error **err);

/*
 Trusts one certificate and no CA: for a peer with a self-signed certificate, or for one
 certificate of a CA that is not trusted. Its dates, names, purpose and pins are checked as for
 any other peer. A certificate that it has issued is refused. Free the result with
 wmtls_trust_free.

 `certificate`, `certificate_len`: the peer's certificate: PEM or DER with exactly one.
 `out`: receives the trust.

 Fails with WMTLS_PEM_INVALID, WMTLS_TRUST_INVALID (several certificates, weak key) or
 WMTLS_CLOCK_IMPLAUSIBLE.
 */
wmtls_status wmtls_trust_exact(const void *certificate,
                               size_t certificate_len,
                               wmtls_trust **out,
                               wmtls_error **err);

/*
 Reads the certificate of wmtls_trust_exact from a file. A dispatcher or verifier that uses the
 trust watches the file for changes.

 `path`: the path of the file.
 `out`: receives the trust; free it with wmtls_trust_free.

 Fails as wmtls_trust_exact does, and with WMTLS_OVERLOADED if the process has no descriptor or
 thread left.
 */
wmtls_status wmtls_trust_exact_from_file(const char *path, wmtls_trust **out, wmtls_error **err);

/*
 Makes a copy of a trust that excludes some CA keys: no path may contain such a CA, as anchor
 or below one. Use it for a compromised intermediate that no CRL covers.

 `trust`: remains the caller's.
 `issuers`, `count`: the pins of the CA keys, "sha256/..."; added to the keys that `trust`
 already excludes.
 `out`: receives the new trust; free it with wmtls_trust_free.

 Fails with WMTLS_PIN_INVALID, or with WMTLS_TRUST_INVALID if no anchor is left.
 */
wmtls_status wmtls_trust_distrusting(const wmtls_trust *trust,
                                     const char *const *issuers,
                                     size_t count,
                                     wmtls_trust **out,
                                     wmtls_error **err);

/*
 Returns a remark for the operator about a usable trust, such as an expired anchor that is not
 used; NULL after the last.

 `index`: the position in the list of remarks, from 0.
 */
const char *wmtls_trust_note(const wmtls_trust *trust, size_t index);

/*
 Frees a trust.
 */
void wmtls_trust_free(wmtls_trust *trust);

/*
 Makes a builder with the defaults: no identity, no trust, egress "public", a time limit of 30
 seconds for each delivery. Free it with wmtls_options_free unless a function takes it.
 */
wmtls_options *wmtls_options_new(void);

/*
 Sets the identity to present to consumers, unless the endpoint sets its own.

 The identity may be freed once the function has returned.
 */
void wmtls_options_identity(wmtls_options *options, const wmtls_identity *identity);

/*
 Sets the default trust, used if the endpoint sets none.

 The trust may be freed once the function has returned.
 */
void wmtls_options_trust(wmtls_options *options, const wmtls_trust *trust);

/*
 Sets the addresses that the dispatcher may connect to: a preset, or a policy. By default
 "public".

 `preset`: "public", or "private", which adds private networks. Both deny loopback and
 link-local addresses.
 */
void wmtls_options_egress(wmtls_options *options, const char *preset);

/*
 Allows one more network in addition to the preset.

 `network`: a CIDR block ("10.1.0.0/16", "::1/128") or an address.
 */
void wmtls_options_egress_allow(wmtls_options *options, const char *network);

/*
 Denies one more network. A denial takes precedence over every allowance.

 `network`: a CIDR block or an address.
 */
void wmtls_options_egress_deny(wmtls_options *options, const char *network);

/*
 Adds a prefix of the NAT64 gateways of the local network. An address below it is checked as
 the IPv4 address that it embeds (RFC 6052).

 `prefix`: an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits, such as "2001:db8:64::/96".
 */
void wmtls_options_egress_nat64(wmtls_options *options, const char *prefix);

/*
 Sets the time limit of a whole delivery. It bounds the other four timeouts. By default 30000
 milliseconds.

 `timeout_ms`: milliseconds, from 1 to 86400000 (one day). 0 is a fault, not "no limit".
 */
void wmtls_options_timeout_ms(wmtls_options *options, uint64_t timeout_ms);

/*
 Sets the most open connections, including idle ones. By default 256.

 `max_connections`: from 1 to 1000000.
 */
void wmtls_options_max_connections(wmtls_options *options, uint32_t max_connections);

/*
 Sets an option of the dispatcher by its name in docs/options.md, such as "connect_timeout".

 `value`: the value as text: a duration in milliseconds ("2500"), a number ("3"), a flag as
 "true" or "false", pairs as "404=never, 5xx=later".
 */
void wmtls_options_set(wmtls_options *options, const char *name, const char *value);

/*
 Frees a builder that no function has taken.
 */
void wmtls_options_free(wmtls_options *options);

/*
 Adds a function that writes the log of the dispatcher. Each call adds one.

 `context`: passed to each call. It must stay valid until the dispatcher is freed and its deliveries
 have ended.
 */
void wmtls_options_log(wmtls_options *options, wmtls_log_function log, void *context);

/*
 Makes a dispatcher. Its threads start with the first delivery. Free it with
 wmtls_dispatcher_free.

 `options`: the builder; the function takes it and frees it, on failure too.

 Fails with WMTLS_OPTION_INVALID, with WMTLS_TRUST_INVALID if every anchor of the trust has
 expired, or with the first fault of a setter.
 */
wmtls_status wmtls_dispatcher_new(wmtls_options *options,
                                  wmtls_dispatcher **out,
                                  wmtls_error **err);

/*
 Makes or changes the endpoint of a consumer. Equal values return the same endpoint and keep
 its connections. Changed values affect only this endpoint.

 `consumer`: the consumer id, which errors and receipts show.
 `url`: the consumer's URL; the scheme must be https.
 `options`: the builder; the function takes it and frees it, on failure too. It must set the
 pins, or state that there are none (wmtls_endpoint_options_no_pins).

 Fails with WMTLS_URL_INVALID, WMTLS_PIN_INVALID, WMTLS_OPTION_INVALID or WMTLS_HANDLE_CLOSED,
 with WMTLS_TRUST_INVALID if every anchor of its trust has expired, or with the first fault of a
 setter, such as WMTLS_PEM_INVALID for a file of pins.
 */
wmtls_status wmtls_dispatcher_endpoint(const wmtls_dispatcher *dispatcher,
                                       const char *consumer,
                                       const char *url,
                                       wmtls_endpoint_options *options,
                                       wmtls_endpoint **out,
                                       wmtls_error **err);

/*
 Removes the endpoint of a consumer and closes its idle connections. Returns false if the
 consumer has no endpoint.

 No request to the endpoint starts after the function has returned. Deliveries that have
 started to write a request finish. All others end with WMTLS_HANDLE_CLOSED and have sent
 nothing.
 */
bool wmtls_dispatcher_remove(const wmtls_dispatcher *dispatcher, const char *consumer);

/*
 Delivers, and blocks until the consumer has answered or the delivery has failed. The calling
 thread waits at most for the time limit of the delivery.

 `delivery`: remains the caller's, and may be delivered again.
 `out`: receives the receipt.

 Succeeds only if the consumer answers with a 2xx status. Otherwise wmtls_error_sent returns
 how much of the request may have reached the consumer, and wmtls_retry_decide returns what to
 do. Fails with any kind of docs/errors.md, or with the first fault of a setter of the
 delivery.
 */
wmtls_status wmtls_deliver(const wmtls_dispatcher *dispatcher,
                           const wmtls_delivery *delivery,
                           wmtls_receipt **out,
                           wmtls_error **err);

/*
 Delivers once without a dispatcher of the caller's. Use it in small programs: it opens one
 connection and closes it. The consumer id is the host and port of the URL.

 `url`: the consumer's URL; the scheme must be https.
 `body`, `body_len`: the payload and its length in bytes, at most 32 MiB.
 `options`, `endpoint_options`: the builders; the function takes both and frees them, on
 failure too.
 `out`: receives the receipt.

 Fails as wmtls_dispatcher_new, wmtls_dispatcher_endpoint and wmtls_deliver do.
 */
wmtls_status wmtls_deliver_once(const char *url,
                                const void *body,
                                size_t body_len,
                                wmtls_options *options,
                                wmtls_endpoint_options *endpoint_options,
                                wmtls_receipt **out,
                                wmtls_error **err);

/*
 Closes a dispatcher: new deliveries fail with WMTLS_HANDLE_CLOSED. The function blocks until
 the running deliveries have finished, at most for `drain_ms`. It then cancels the rest, and
 returns once none is running.

 `drain_ms`: milliseconds; 0 cancels the running deliveries at once.

 No function of this library is async-signal-safe. To close on a signal, wait for the signal in
 a thread (sigwait, signalfd) and call this function there. In a signal handler that interrupts
 wmtls_deliver, the function does not wait for that delivery: it returns at once, and the close
 continues in the background. Deliveries and reloads that start in such a handler fail with
 WMTLS_OVERLOADED, because they would wait for the interrupted thread.
 */
void wmtls_dispatcher_close(const wmtls_dispatcher *dispatcher, uint64_t drain_ms);

/*
 Frees a dispatcher. Deliveries of wmtls_submit are canceled and have no outcome. A
 wmtls_deliver that blocks in another thread continues. Call wmtls_dispatcher_close first to
 end all deliveries in order.
 */
void wmtls_dispatcher_free(wmtls_dispatcher *dispatcher);

/*
 Makes an empty builder. Set the pins before you use it, or call
 wmtls_endpoint_options_no_pins: an endpoint has no default for them. Free it with
 wmtls_endpoint_options_free unless a function takes it.
 */
wmtls_endpoint_options *wmtls_endpoint_options_new(void);

/*
 Adds a key that the consumer may have.

 `pin`: "sha256/..." of the public key, or "cert-sha256/..." of the whole certificate.
 `slot`: WMTLS_PIN_CURRENT, or WMTLS_PIN_NEXT for an announced key.
 */
void wmtls_endpoint_options_pin(wmtls_endpoint_options *options, const char *pin, int32_t slot);

/*
 Replaces all pins of one slot. An endpoint without a current pin fails with WMTLS_PIN_INVALID:
 an empty list does not mean "no pins".

 `pins`, `count`: the list, in the form of wmtls_endpoint_options_pin.
 `slot`: WMTLS_PIN_CURRENT or WMTLS_PIN_NEXT.
 */
void wmtls_endpoint_options_pins(wmtls_endpoint_options *options,
                                 const char *const *pins,
                                 size_t count,
                                 int32_t slot);

/*
 Reads the pins from a file, and replaces all pins set before. The dispatcher watches the file
 for changes. The function that takes the builder fails with WMTLS_PEM_INVALID if the file cannot
 be read.

 `path`: a file with one pin on each line; "next" precedes an announced pin, "#" precedes a
 comment.
 */
void wmtls_endpoint_options_pins_file(wmtls_endpoint_options *options, const char *path);

/*
 Accepts any key that the consumer's CA certifies, and removes all pins set before.
 */
void wmtls_endpoint_options_no_pins(wmtls_endpoint_options *options);

/*
 Sets the trust for this consumer's certificate. By default the dispatcher's.

 The trust may be freed once the function has returned.
 */
void wmtls_endpoint_options_trust(wmtls_endpoint_options *options, const wmtls_trust *trust);

/*
 Sets the identity to present to this consumer. By default the dispatcher's.

 The identity may be freed once the function has returned.
 */
void wmtls_endpoint_options_identity(wmtls_endpoint_options *options,
                                     const wmtls_identity *identity);

/*
 Sets the secrets that sign each delivery with Standard Webhooks, and replaces all secrets set
 before. Every secret makes a signature, so the consumer can change from an old secret to a new
 one. A signed delivery requires an id; wmtls_deliver_once cannot set one.

 `secrets`, `count`: one to eight secrets, each "whsec_" and the base64 of 24 to 64 bytes
 (HMAC-SHA256), or "whsk_" and the base64 of an Ed25519 private key.
 */
void wmtls_endpoint_options_signing(wmtls_endpoint_options *options,
                                    const char *const *secrets,
                                    size_t count);

/*
 Signs each delivery with a token that is bound to our certificate, also beside the secrets of
 wmtls_endpoint_options_signing. It replaces a token set before. A delivery with a header
 "authorization" is then refused.

 `jwt`: may be freed once the function has returned. Its first fault becomes one of these options.
 */
void wmtls_endpoint_options_jwt_bearer(wmtls_endpoint_options *options,
                                       const wmtls_jwt_bearer *jwt);

/*
 Sets an option of the endpoint by its name in docs/options.md, such as "min_tls". The value
 has the form that wmtls_options_set describes.
 */
void wmtls_endpoint_options_set(wmtls_endpoint_options *options,
                                const char *name,
                                const char *value);

/*
 Frees a builder that no function has taken.
 */
void wmtls_endpoint_options_free(wmtls_endpoint_options *options);

/*
 Returns the consumer id.
 */
const char *wmtls_endpoint_consumer(const wmtls_endpoint *endpoint);

/*
 Returns the current URL in its canonical form.
 */
const char *wmtls_endpoint_url(const wmtls_endpoint *endpoint);

/*
 Lets the next delivery try an endpoint whose circuit is open, at once, because something was
 repaired. A changed option and wmtls_reload do the same.
 */
void wmtls_endpoint_reset_circuit(const wmtls_endpoint *endpoint);

/*
 Opens the circuit, because another process has found that the consumer fails. Afterwards one
 delivery tries it. A circuit that is open for longer stays so. No event is emitted.

 `duration_ms`: for how long, in milliseconds, from 1 to 86400000 (one day); 0 is a fault.

 Fails with WMTLS_OPTION_INVALID if the duration is out of range.
 */
wmtls_status wmtls_endpoint_open_circuit(const wmtls_endpoint *endpoint,
                                         uint64_t duration_ms,
                                         wmtls_error **err);

/*
 Frees a handle of an endpoint. The dispatcher keeps the endpoint until
 wmtls_dispatcher_remove.
 */
void wmtls_endpoint_free(wmtls_endpoint *endpoint);

/*
 Returns a snapshot of what the deliveries and probes of this process have observed, or NULL
 for NULL. Free it with wmtls_endpoint_status_free.
 */
wmtls_endpoint_status *wmtls_endpoint_status_new(const wmtls_endpoint *endpoint);

/*
 Returns the pin of the key that the consumer presented last; NULL before the first handshake.
 */
const char *wmtls_endpoint_status_pin_seen(const wmtls_endpoint_status *status);

/*
 Returns a configured pin that no connection has matched yet; NULL after the last.

 `index`: the position in the list, from 0.
 */
const char *wmtls_endpoint_status_pin_never_seen(const wmtls_endpoint_status *status, size_t index);

/*
 Returns when the certificate that the consumer presented last expires, in Unix seconds; 0
 before the first handshake and for NULL.
 */
int64_t wmtls_endpoint_status_peer_not_after(const wmtls_endpoint_status *status);

/*
 Returns the certificate pin, "cert-sha256/...", of our identity that the consumer accepted
 last; NULL before its first answer.
 */
const char *wmtls_endpoint_status_identity_accepted(const wmtls_endpoint_status *status);

/*
 Returns whether deliveries are admitted, WMTLS_CIRCUIT_STATE_...; 0 for NULL.
 */
int32_t wmtls_endpoint_status_circuit(const wmtls_endpoint_status *status);

/*
 Returns until when the circuit is open, in Unix seconds; 0 if it is not open and for NULL.
 */
int64_t wmtls_endpoint_status_circuit_open_until(const wmtls_endpoint_status *status);

/*
 Returns the whole status as JSON, in the same form in every language.
 */
const char *wmtls_endpoint_status_json(const wmtls_endpoint_status *status);

/*
 Frees a status.
 */
void wmtls_endpoint_status_free(wmtls_endpoint_status *status);

/*
 Returns the name of the event, such as "rotated".
 */
const char *wmtls_event_name(const wmtls_event *event);

/*
 Returns the consumer id; NULL if the event does not concern a single consumer.
 */
const char *wmtls_event_consumer(const wmtls_event *event);

/*
 Returns a fact of the event; NULL if the event does not have it. A text is returned as it is,
 any other value as JSON.

 `name`: the name of the fact in docs/events.md.
 */
const char *wmtls_event_field(const wmtls_event *event, const char *name);

/*
 Returns the whole event as JSON, in the same form in every language.
 */
const char *wmtls_event_json(const wmtls_event *event);

/*
 Frees an event.
 */
void wmtls_event_free(wmtls_event *event);

/*
 Returns the number of entries.
 */
size_t wmtls_expiries_count(const wmtls_expiries *expiries);

/*
 Returns the type of an entry: "identity", "anchor", "intermediate", "crl" or "consumer"; NULL
 after the last.

 `index`: the position in the list, from 0.
 */
const char *wmtls_expiries_what(const wmtls_expiries *expiries, size_t index);

/*
 Returns the subject of a certificate, the issuer of a CRL, or the consumer id; NULL after the
 last entry.

 `index`: the position in the list, from 0.
 */
const char *wmtls_expiries_name(const wmtls_expiries *expiries, size_t index);

/*
 Returns the last second of validity in Unix seconds; 0 after the last entry.

 `index`: the position in the list, from 0.
 */
int64_t wmtls_expiries_not_after(const wmtls_expiries *expiries, size_t index);

/*
 Returns the fraction of the lifetime that is left: 1 at its first instant, 0 once it has
 expired, and 0 after the last entry.

 `index`: the position in the list, from 0.
 */
double wmtls_expiries_fraction_left(const wmtls_expiries *expiries, size_t index);

/*
 Frees a list.
 */
void wmtls_expiries_free(wmtls_expiries *expiries);

/*
 Returns the status of this process: what wmtls_dispatcher_rotation_status, wmtls_endpoint_status and
 wmtls_dispatcher_expiries say. wmtls_merge makes one of those of several processes.

 `process`: the name of this process, which no other one of the fleet has: 1 to 256 bytes without
 control characters.
 `out`: receives the status; free it with wmtls_fleet_status_free.

 Fails with WMTLS_OPTION_INVALID or WMTLS_CLOCK_IMPLAUSIBLE.
 */
wmtls_status wmtls_dispatcher_process_status(const wmtls_dispatcher *dispatcher,
                                             const char *process,
                                             wmtls_fleet_status **out,
                                             wmtls_error **err);

/*
 Merges the statuses of several processes, and says which process knows what. Where they disagree,
 the merged status has the identity that is still needed, the earlier date and the worse circuit.
 wmtls_retire_in_fleet takes it.

 `statuses`, `count`: wmtls_fleet_status_json of the status of each process.
 `out`: receives the merged status; free it with wmtls_fleet_status_free.

 Fails with WMTLS_OPTION_INVALID if there is no status, if one is not the status of a process, or if
 two are of one process.
 */
wmtls_status wmtls_merge(const char *const *statuses,
                         size_t count,
                         wmtls_fleet_status **out,
                         wmtls_error **err);

/*
 Returns the status as JSON, in the same form in every language.
 */
const char *wmtls_fleet_status_json(const wmtls_fleet_status *status);

/*
 Frees a status.
 */
void wmtls_fleet_status_free(wmtls_fleet_status *status);

/*
 Returns the metrics of a dispatcher, or NULL for NULL. Free them with wmtls_metrics_free. A forked
 child starts at zero. The function looks at every endpoint: call it for a scrape, not for each
 delivery.
 */
wmtls_metrics *wmtls_dispatcher_metrics(const wmtls_dispatcher *dispatcher);

/*
 Returns the metrics of a verifier, or NULL for NULL. Free them with wmtls_metrics_free.
 */
wmtls_metrics *wmtls_verifier_metrics(const wmtls_verifier *verifier);

/*
 Adds the metrics of another dispatcher or verifier of this process, so that one text shows both.
 Counts and gauges are added. Of a date or a share of a lifetime, the smaller one is taken.
 */
void wmtls_metrics_add(const wmtls_metrics *metrics, const wmtls_metrics *other);

/*
 Returns the metrics as JSON, in the same form in every language: for each name its type, unit, help,
 labels and samples.
 */
const char *wmtls_metrics_json(const wmtls_metrics *metrics);

/*
 Returns the text of the response to a scrape; NULL if no format has this number.

 `format`: WMTLS_METRICS_FORMAT_PROMETHEUS or WMTLS_METRICS_FORMAT_OPENMETRICS.
 */
const char *wmtls_metrics_text(const wmtls_metrics *metrics, int32_t format);

/*
 Returns the value of the header content-type for such a text; NULL if no format has this number.
 The text lives as long as the process.
 */
const char *wmtls_metrics_content_type(int32_t format);

/*
 Frees metrics.
 */
void wmtls_metrics_free(wmtls_metrics *metrics);

/*
 Checks all watched files now and uses their new content. wmtls_next_event reports each change.

 Fails with WMTLS_HANDLE_CLOSED, with WMTLS_OVERLOADED in a signal handler that interrupts a
 delivery, or with the error of the first file that cannot be used, such as WMTLS_PEM_INVALID or
 WMTLS_KEY_MISMATCH. The previous content of that file remains in use, and all other files are still
 reloaded. Each call fails as long as the file cannot be used.
 */
wmtls_status wmtls_reload(const wmtls_dispatcher *dispatcher, wmtls_error **err);

/*
 Returns the oldest event, or NULL if none arrives in time. Free it with wmtls_event_free. The
 first call for a dispatcher starts the recording: events before it are lost.

 `timeout_ms`: how long to wait, in milliseconds; 0 does not wait.
 */
wmtls_event *wmtls_next_event(const wmtls_dispatcher *dispatcher, uint64_t timeout_ms);

/*
 Returns a file descriptor that is readable while an event waits, for poll, epoll or an event
 loop; -1 if it cannot be made. Take the events with wmtls_next_event and a time-out of 0. The
 descriptor belongs to the dispatcher: do not read from it, and do not close it. Each call
 returns the same number.

 The first call starts the recording, as the first call of wmtls_next_event does. In a forked
 child, the descriptor is that of the parent until the child has called this function or
 wmtls_next_event: from then on it signals the events of the child.
 */
int wmtls_event_fd(const wmtls_dispatcher *dispatcher);

/*
 Lists when our chains, anchors, intermediates, CRLs and the last certificate of each consumer
 expire.

 `out`: receives the list; free it with wmtls_expiries_free.

 Fails with WMTLS_CLOCK_IMPLAUSIBLE, because no lifetime can be computed without the date.
 */
wmtls_status wmtls_dispatcher_expiries(const wmtls_dispatcher *dispatcher,
                                       wmtls_expiries **out,
                                       wmtls_error **err);

/*
 Returns the smallest fraction of a lifetime that is left: 1 if nothing expires, 0 if something
 has expired, NaN if the clock is implausible and for NULL.

 `what`: receives the name of the entry, such as "identity CN=acme", or NULL if nothing
 expires. If the clock is implausible, it receives "clock_implausible". The text belongs to the
 dispatcher. Pass NULL if you do not need it.
 */
double wmtls_least_lifetime_left(const wmtls_dispatcher *dispatcher, const char **what);

/*
 Returns the progress of an identity rotation, or NULL for NULL. Free it with
 wmtls_rotation_status_free.
 */
wmtls_rotation_status *wmtls_dispatcher_rotation_status(const wmtls_dispatcher *dispatcher);

/*
 Returns "current" if the consumer accepted the identity in use last, "previous" if it accepted
 an earlier one last, "unknown" if nothing was observed; NULL if there is no such consumer. The
 text lives as long as the process.
 */
const char *wmtls_rotation_status_of(const wmtls_rotation_status *status, const char *consumer);

/*
 Returns the whole status as JSON, in the same form in every language.
 wmtls_dispatcher_process_status and wmtls_merge make one status of those of several processes.
 */
const char *wmtls_rotation_status_json(const wmtls_rotation_status *status);

/*
 Frees a status.
 */
void wmtls_rotation_status_free(wmtls_rotation_status *status);

/*
 Stops presenting a previous identity, for instance before its certificate is revoked. No
 request starts under it after the function has returned.

 `identity`: a previous identity. The current identity cannot be retired.
 `force`: retires it even if it is the one that some consumers accepted last.

 This process alone is asked: wmtls_retire_in_fleet asks all.

 Fails with WMTLS_IDENTITY_IN_USE, whose context lists the "consumers", or with
 WMTLS_HANDLE_CLOSED.
 */
wmtls_status wmtls_retire(const wmtls_dispatcher *dispatcher,
                          const wmtls_identity *identity,
                          bool force,
                          wmtls_error **err);

/*
 Stops presenting a previous identity, as wmtls_retire does, if no process of the fleet needs it. Each
 process that may present the identity makes this call; it takes effect in its own process.

 `identity`: a previous identity. The identity in use cannot be retired, neither in this process nor in
 one of the fleet.
 `fleet`: wmtls_fleet_status_json of wmtls_merge for the statuses of all processes. The status of each
 may be at most five minutes old, and at most a minute ahead of our clock.
 `force`: retires it even if it is the one that some consumers accepted last. Statuses that are old or
 malformed are refused all the same.

 Fails with WMTLS_IDENTITY_IN_USE, whose context lists the "consumers" and the "processes", with
 WMTLS_OPTION_INVALID if `fleet` is no merged status or a status in it is too old or ahead of our clock,
 with WMTLS_HANDLE_CLOSED, or with WMTLS_CLOCK_IMPLAUSIBLE.
 */
wmtls_status wmtls_retire_in_fleet(const wmtls_dispatcher *dispatcher,
                                   const wmtls_identity *identity,
                                   const char *fleet,
                                   bool force,
                                   wmtls_error **err);

/*
 Checks the watched files of the trust and the pins now, and uses their new content.

 Fails with the error of the first file that cannot be used, such as WMTLS_PEM_INVALID,
 WMTLS_TRUST_INVALID or WMTLS_PIN_INVALID. The previous content of that file remains in use.
 */
wmtls_status wmtls_verifier_reload(const wmtls_verifier *verifier, wmtls_error **err);

/*
 Returns the oldest event of a verifier, as wmtls_next_event does for a dispatcher. Free it
 with wmtls_event_free.

 `timeout_ms`: how long to wait, in milliseconds; 0 does not wait.
 */
wmtls_event *wmtls_verifier_next_event(const wmtls_verifier *verifier, uint64_t timeout_ms);

/*
 Returns a file descriptor that is readable while an event of a verifier waits, as
 wmtls_event_fd does for a dispatcher; -1 if it cannot be made.
 */
int wmtls_verifier_event_fd(const wmtls_verifier *verifier);

/*
 Checks the watched files of keys now and uses their new content, as wmtls_verifier_reload does for
 a verifier of peers.

 Fails with the error of the first file that cannot be used.
 */
wmtls_status wmtls_webhook_verifier_reload(const wmtls_webhook_verifier *verifier,
                                           wmtls_error **err);

/*
 Returns the oldest event of a verifier of webhooks, as wmtls_next_event does for a dispatcher. Free
 it with wmtls_event_free.

 `timeout_ms`: how long to wait, in milliseconds; 0 does not wait.
 */
wmtls_event *wmtls_webhook_verifier_next_event(const wmtls_webhook_verifier *verifier,
                                               uint64_t timeout_ms);

/*
 Lists when the anchors, intermediates and CRLs of a verifier expire.

 `out`: receives the list; free it with wmtls_expiries_free.

 Fails with WMTLS_CLOCK_IMPLAUSIBLE.
 */
wmtls_status wmtls_verifier_expiries(const wmtls_verifier *verifier,
                                     wmtls_expiries **out,
                                     wmtls_error **err);

/*
 Makes a token that is not canceled. Attach it with wmtls_delivery_cancel_token, and free it
 with wmtls_cancel_token_free.
 */
wmtls_cancel_token *wmtls_cancel_token_new(void);

/*
 Cancels the deliveries that the token is attached to. A wmtls_deliver that blocks in another
 thread returns WMTLS_CANCELED at once.
 */
void wmtls_cancel_token_cancel(const wmtls_cancel_token *token);

/*
 Frees a token without canceling it.
 */
void wmtls_cancel_token_free(wmtls_cancel_token *token);

/*
 Makes a delivery. The payload is copied; wmtls_delivery_of_body shares one among deliveries. Free
 it with wmtls_delivery_free unless wmtls_submit takes it.

 `endpoint`: the destination; it may be freed once the function has returned.
 `body`, `body_len`: the payload and its length in bytes, at most 32 MiB; a longer one makes
 wmtls_deliver or wmtls_submit fail with WMTLS_BODY_TOO_LARGE.
 */
wmtls_delivery *wmtls_delivery_new(const wmtls_endpoint *endpoint,
                                   const void *body,
                                   size_t body_len);

/*
 Copies a payload once, for any number of deliveries. Free it with wmtls_body_free; deliveries
 that were made from it keep the payload.

 `body`, `body_len`: the payload and its length in bytes, at most 32 MiB; a longer one makes
 wmtls_deliver or wmtls_submit fail with WMTLS_BODY_TOO_LARGE.
 */
wmtls_body *wmtls_body_new(const void *body, size_t body_len);

/*
 Frees a payload.
 */
void wmtls_body_free(wmtls_body *body);

/*
 Makes a delivery of a shared payload, which is not copied. Otherwise it does what
 wmtls_delivery_new does.

 `endpoint`, `body`: the destination and the payload; both may be freed once the function has
 returned.
 */
wmtls_delivery *wmtls_delivery_of_body(const wmtls_endpoint *endpoint, const wmtls_body *body);

/*
 Sets the event's id, sent as webhook-id. Use the same id for every attempt.
 */
void wmtls_delivery_id(wmtls_delivery *delivery, const char *id);

/*
 Sets the content type of the payload. By default "application/json".
 */
void wmtls_delivery_content_type(wmtls_delivery *delivery, const char *content_type);

/*
 Adds a request header. An earlier one of the same name stays.
 */
void wmtls_delivery_header(wmtls_delivery *delivery, const char *name, const char *value);

/*
 Sets the time limit of this whole delivery. By default the dispatcher's.

 `timeout_ms`: milliseconds, from 1 to 86400000 (one day). 0 is a fault, not "no limit".
 */
void wmtls_delivery_timeout_ms(wmtls_delivery *delivery, uint64_t timeout_ms);

/*
 Attaches a pointer that wmtls_outcome_tag returns with the outcome of wmtls_submit. The
 library does not read through it, and does not free it. The default is NULL.
 */
void wmtls_delivery_tag(wmtls_delivery *delivery, void *tag);

/*
 Attaches a token that can cancel the delivery. The token may be freed once the function has
 returned.
 */
void wmtls_delivery_cancel_token(wmtls_delivery *delivery, const wmtls_cancel_token *token);

/*
 Sets an option of the delivery by its name in docs/options.md. The value has the form that
 wmtls_options_set describes.
 */
void wmtls_delivery_set(wmtls_delivery *delivery, const char *name, const char *value);

/*
 Frees a delivery.
 */
void wmtls_delivery_free(wmtls_delivery *delivery);

/*
 Starts a delivery and returns at once. Every delivery that it accepts has exactly one outcome,
 which wmtls_next_outcome returns, unless the dispatcher is freed first.

 At most as many deliveries as the option "max_connections" allows run at once. The others wait
 in line, and none fails because others wait before it. The time limit of a delivery starts when
 its turn comes; a cancel token ends a delivery that still waits.

 `delivery`: with its tag; the function takes it and frees it, on failure too. A failure has no
 outcome.

 Fails with WMTLS_OVERLOADED if 65536 deliveries wait, run, or have an outcome that was not
 taken, or if the payloads of those that wait or run would exceed 256 MiB; a wmtls_body counts
 once. Take outcomes with wmtls_next_outcome, then submit again. Fails with the first fault of a
 setter of the delivery. Fails with WMTLS_FORKED_PROCESS if the process has forked since the
 dispatcher's first submission: make a new dispatcher in the child. Every other failure is an
 outcome.
 */
wmtls_status wmtls_submit(const wmtls_dispatcher *dispatcher,
                          wmtls_delivery *delivery,
                          wmtls_error **err);

/*
 Starts a probe, as wmtls_dispatcher_probe does, and returns at once. wmtls_next_outcome returns its
 outcome, with a probe (wmtls_outcome_probe) or an error. A probe does not wait for the deliveries
 in line. A thread of the library drives it.

 `endpoint`: the consumer; it may be freed once the function has returned.
 `timeout_ms`: the time limit in milliseconds, at most 86400000 (one day); 0 uses the
 dispatcher's.
 `tag`: a pointer that wmtls_outcome_tag returns with the outcome; may be NULL.

 Fails with WMTLS_OVERLOADED and WMTLS_FORKED_PROCESS as wmtls_submit does; an operation counts as
 a delivery without a payload. Fails with WMTLS_OPTION_INVALID if `timeout_ms` is too long. Every
 other failure is an outcome.
 */
wmtls_status wmtls_submit_probe(const wmtls_dispatcher *dispatcher,
                                const wmtls_endpoint *endpoint,
                                uint64_t timeout_ms,
                                void *tag,
                                wmtls_error **err);

/*
 Starts a diagnosis, as wmtls_dispatcher_diagnose does, and returns at once. wmtls_next_outcome
 returns its outcome, with a report (wmtls_outcome_report) or an error. A fault of the endpoint is in
 the report. A diagnosis does not wait for the deliveries in line. A thread of the library drives it.

 `endpoint`: the consumer; it may be freed once the function has returned.
 `timeout_ms`: the time limit of the whole in milliseconds, at most 86400000 (one day); 0 uses the
 dispatcher's.
 `request`: WMTLS_DIAGNOSIS_REQUEST_HEAD or WMTLS_DIAGNOSIS_REQUEST_OPTIONS makes a request
 without a payload after the handshake; 0 makes none.
 `tag`: a pointer that wmtls_outcome_tag returns with the outcome; may be NULL.

 Fails with WMTLS_OVERLOADED and WMTLS_FORKED_PROCESS as wmtls_submit_probe does, and with
 WMTLS_OPTION_INVALID if `timeout_ms` is too long or `request` is another number. Every other failure
 is an outcome.
 */
wmtls_status wmtls_submit_diagnosis(const wmtls_dispatcher *dispatcher,
                                    const wmtls_endpoint *endpoint,
                                    uint64_t timeout_ms,
                                    int32_t request,
                                    void *tag,
                                    wmtls_error **err);

/*
 Checks all watched files, as wmtls_reload does, but returns at once. The outcome, which
 wmtls_next_outcome returns, has an error if wmtls_reload would fail, and WMTLS_CANCELED if the
 dispatcher is closed first. It has no receipt, no probe and no endpoint. A thread of the library
 reads the files.

 `tag`: a pointer that wmtls_outcome_tag returns with the outcome; may be NULL.

 Fails with WMTLS_OVERLOADED and WMTLS_FORKED_PROCESS as wmtls_submit_probe does. Every other
 failure is an outcome.
 */
wmtls_status wmtls_submit_reload(const wmtls_dispatcher *dispatcher, void *tag, wmtls_error **err);

/*
 Closes a dispatcher, as wmtls_dispatcher_close does, but returns at once: new deliveries fail with
 WMTLS_HANDLE_CLOSED from now on. The outcome, which wmtls_next_outcome returns, comes once nothing
 runs any more, and after the outcomes of everything that was submitted before. It has no receipt,
 no probe, no endpoint and no error. A thread of the library drives the deliveries to their end only
 after the first call of wmtls_completion_fd; without it, wait in wmtls_next_outcome.

 `drain_ms`: how long running deliveries may continue, in milliseconds; 0 cancels them at once.
 `tag`: a pointer that wmtls_outcome_tag returns with the outcome; may be NULL.

 Fails with WMTLS_FORKED_PROCESS as wmtls_submit does. The dispatcher stays open then.
 */
wmtls_status wmtls_submit_close(const wmtls_dispatcher *dispatcher,
                                uint64_t drain_ms,
                                void *tag,
                                wmtls_error **err);

/*
 Returns a file descriptor that is readable while an outcome waits, for poll, epoll or an event
 loop; -1 if it cannot be made. The descriptor belongs to the dispatcher: do not read from it,
 and do not close it. Each call returns the same number.

 From the first call on, a thread of the library drives the submitted deliveries: they make
 progress while the program waits for the descriptor, or does something else. Call the function
 before the first submission, because a delivery that was submitted earlier pauses for some
 milliseconds until that thread takes over.

 In a child that was forked since the dispatcher's first submission or the first call, the
 outcomes belong to the parent. Call this function or wmtls_next_outcome there before the child
 waits for the descriptor: it keeps its number and is never readable. An epoll instance that
 was made before the fork is the parent's too: make a new one in the child.
 */
int wmtls_completion_fd(const wmtls_dispatcher *dispatcher);

/*
 Returns the next outcome, or NULL if none arrives in time. It returns NULL at once if nothing
 that was submitted is running. Free the outcome with wmtls_outcome_free.

 `timeout_ms`: how long to wait, in milliseconds; 0 does not wait, a negative number has no
 limit.

 The waiting thread drives the deliveries, which saves a switch to another thread. After the
 first call of wmtls_completion_fd, a thread of the library drives them instead.
 */
wmtls_outcome *wmtls_next_outcome(const wmtls_dispatcher *dispatcher, int timeout_ms);

/*
 Returns how many submitted deliveries and operations have no outcome yet.
 */
size_t wmtls_in_flight(const wmtls_dispatcher *dispatcher);

/*
 Returns the tag of the delivery, as wmtls_delivery_tag set it, or the tag of the operation.
 */
void *wmtls_outcome_tag(const wmtls_outcome *outcome);

/*
 Returns the endpoint of the delivery, probe or diagnosis, or NULL for a reload or close. It belongs to the
 outcome; do not free it.
 */
const wmtls_endpoint *wmtls_outcome_endpoint(const wmtls_outcome *outcome);

/*
 Returns the receipt of a delivery, or NULL if it failed, and for another operation. It belongs to
 the outcome; do not free it.
 */
const wmtls_receipt *wmtls_outcome_receipt(const wmtls_outcome *outcome);

/*
 Returns the result of a probe, or NULL if it failed, and for another operation. It belongs to the
 outcome; do not free it.
 */
const wmtls_probe *wmtls_outcome_probe(const wmtls_outcome *outcome);

/*
 Returns the report of a diagnosis, or NULL if none could be made, and for another operation. It
 belongs to the outcome; do not free it.
 */
const wmtls_report *wmtls_outcome_report(const wmtls_outcome *outcome);

/*
 Returns the error, or NULL if the delivery or operation succeeded. It belongs to the outcome; do
 not free it.
 */
const wmtls_error *wmtls_outcome_error(const wmtls_outcome *outcome);

/*
 Frees an outcome, with its receipt, probe, report or error.
 */
void wmtls_outcome_free(wmtls_outcome *outcome);

/*
 Opens a new connection to a consumer, runs the handshake with the checks of a delivery, and
 closes it. It sends no byte of a request. A probe cannot detect a consumer that rejects our
 certificate only in its HTTP response, as nginx does.

 `timeout_ms`: the time limit in milliseconds, at most 86400000 (one day); 0 uses the
 dispatcher's.
 `out`: receives the probe; free it with wmtls_probe_free.

 Fails with the kinds of a delivery that fails before its request.
 */
wmtls_status wmtls_dispatcher_probe(const wmtls_dispatcher *dispatcher,
                                    const wmtls_endpoint *endpoint,
                                    uint64_t timeout_ms,
                                    wmtls_probe **out,
                                    wmtls_error **err);

/*
 Returns the peer, as its certificate describes it. It belongs to the probe; do not free it.
 */
const wmtls_peer *wmtls_probe_peer(const wmtls_probe *probe);

/*
 Returns which pin matched, WMTLS_PIN_CURRENT or WMTLS_PIN_NEXT; 0 if the endpoint has no pins,
 and for NULL.
 */
int32_t wmtls_probe_pin(const wmtls_probe *probe);

/*
 Returns the TLS version, "TLSv1.3" or "TLSv1.2".
 */
const char *wmtls_probe_tls_version(const wmtls_probe *probe);

/*
 Returns the IP address and port of the connection.
 */
const char *wmtls_probe_address(const wmtls_probe *probe);

/*
 Returns the whole result as JSON, in the same form in every language.
 */
const char *wmtls_probe_json(const wmtls_probe *probe);

/*
 Frees a probe.
 */
void wmtls_probe_free(wmtls_probe *probe);

/*
 Returns the HTTP status, 200 to 299; 0 for NULL.
 */
uint16_t wmtls_receipt_status(const wmtls_receipt *receipt);

/*
 Returns the consumer id of the endpoint.
 */
const char *wmtls_receipt_consumer(const wmtls_receipt *receipt);

/*
 Returns the event's id; NULL if the delivery has none.
 */
const char *wmtls_receipt_id(const wmtls_receipt *receipt);

/*
 Returns which pin matched, WMTLS_PIN_CURRENT or WMTLS_PIN_NEXT; 0 if the endpoint has no pins,
 and for NULL.
 */
int32_t wmtls_receipt_pin(const wmtls_receipt *receipt);

/*
 Returns the number of attempts, including the successful one; 0 for NULL. Another one follows only if
 the payload never left, or if the consumer refused our certificate before it responded.
 */
uint32_t wmtls_receipt_attempts(const wmtls_receipt *receipt);

/*
 Returns the duration of the whole delivery, in milliseconds; 0 for NULL.
 */
double wmtls_receipt_elapsed_ms(const wmtls_receipt *receipt);

/*
 Returns the TLS version, "TLSv1.3" or "TLSv1.2".
 */
const char *wmtls_receipt_tls_version(const wmtls_receipt *receipt);

/*
 Returns 1 if the consumer answered the head with 100 Continue before the payload was sent, 0
 if it did not, and -1 if the payload was not held. A payload is held by the option
 "hold_payload", or for an identity that the consumer has not answered yet.
 */
int32_t wmtls_receipt_hold_honored(const wmtls_receipt *receipt);

/*
 Returns the peer, as its certificate describes it. It belongs to the receipt; do not free it.
 */
const wmtls_peer *wmtls_receipt_peer(const wmtls_receipt *receipt);

/*
 Returns the receipt as a log record: a JSON object with level, message and fields, below 1 KiB.
 docs/log.md lists the fields.
 */
const char *wmtls_receipt_log_json(const wmtls_receipt *receipt);

/*
 Returns the whole receipt as JSON, in the same form in every language: the response, TLS facts
 and timings.
 */
const char *wmtls_receipt_json(const wmtls_receipt *receipt);

/*
 Frees a receipt. Do not free the receipt of wmtls_outcome_receipt.
 */
void wmtls_receipt_free(wmtls_receipt *receipt);

/*
 Diagnoses an endpoint: checks our identity and trust, the way to the consumer, its side of the
 handshake, and its verdict on our certificate. It goes on after a fault where it can. It sends no
 payload, and presents our certificate only to a consumer that a delivery would accept.

 `timeout_ms`: the time limit of the whole in milliseconds, at most 86400000 (one day); 0 uses the
 dispatcher's. At the limit, the report has the checks that have ended.
 `request`: WMTLS_DIAGNOSIS_REQUEST_HEAD or WMTLS_DIAGNOSIS_REQUEST_OPTIONS makes a request
 without a payload after the handshake, for servers like nginx, which judge our certificate only
 then; 0 makes none.
 `out`: receives the report; free it with wmtls_report_free.

 A fault of the endpoint is in the report, and the function returns WMTLS_OK. Fails with
 WMTLS_OPTION_INVALID, WMTLS_HANDLE_CLOSED, WMTLS_OVERLOADED, WMTLS_FORKED_PROCESS or
 WMTLS_INTERNAL if no diagnosis can be made.
 */
wmtls_status wmtls_dispatcher_diagnose(const wmtls_dispatcher *dispatcher,
                                       const wmtls_endpoint *endpoint,
                                       uint64_t timeout_ms,
                                       int32_t request,
                                       wmtls_report **out,
                                       wmtls_error **err);

/*
 Returns whether no check failed; false for NULL.
 */
bool wmtls_report_ok(const wmtls_report *report);

/*
 Returns the kind of the first fault, with which a delivery fails; 0 if there is none, and for
 NULL.
 */
int32_t wmtls_report_kind(const wmtls_report *report);

/*
 Returns who must act, a WMTLS_ADDRESSEE_...; 0 for NULL.
 */
int32_t wmtls_report_tell(const wmtls_report *report);

/*
 Returns the report as text for a person: one line for each check, 80 columns, no color. It belongs
 to the report, as do all texts of a report.
 */
const char *wmtls_report_text(const wmtls_report *report);

/*
 Returns the text for the operator of the consumer, which has no address, path, host or rule of
 ours; NULL if the consumer need not act.
 */
const char *wmtls_report_message_to_consumer(const wmtls_report *report);

/*
 Returns the whole report as JSON, in the same form in every language.
 docs/diagnosis.schema.json describes it.
 */
const char *wmtls_report_json(const wmtls_report *report);

/*
 Frees a report.
 */
void wmtls_report_free(wmtls_report *report);

/*
 Makes a builder with the defaults: 60 attempts, a delay of up to 5 seconds after the first, at
 most one hour. Free it with wmtls_retry_policy_free.
 */
wmtls_retry_policy *wmtls_retry_policy_new(void);

/*
 Sets an option of the policy by its name in docs/options.md: "attempts", "first", "ceiling"
 or "seed".
 The value has the form that wmtls_options_set describes.
 */
void wmtls_retry_policy_set(wmtls_retry_policy *policy, const char *name, const char *value);

/*
 Frees a policy.
 */
void wmtls_retry_policy_free(wmtls_retry_policy *policy);

/*
 Returns what to do after a failure. The function keeps no state and does not wait.

 `policy`: NULL uses the defaults. It remains the caller's.
 `error`: the failure. It remains the caller's.
 `attempt`: the number of the failed attempt, from 1.
 `out`: receives the decision; unchanged after a failure.

 Fails with WMTLS_OPTION_INVALID, also if `attempt` is 0.
 */
wmtls_status wmtls_retry_decide(const wmtls_retry_policy *policy,
                                const wmtls_error *error,
                                uint32_t attempt,
                                wmtls_decision *out,
                                wmtls_error **err);

/*
 Makes a hop of the TCP peers with an address in some networks. Free it with wmtls_hop_free.
 Everything in these networks that can reach the application is believed: name the proxies.

 `name`: 1 to 64 characters of A-Z a-z 0-9 . _ -; the peer and errors show it.
 `networks`, `count`: addresses or CIDRs, at least one; none may contain every address.
 `out`: receives the hop.

 Fails with WMTLS_OPTION_INVALID.
 */
wmtls_status wmtls_hop_address(const char *name,
                               const char *const *networks,
                               size_t count,
                               wmtls_hop **out,
                               wmtls_error **err);

/*
 Makes a hop that is recognized by a secret in a header. The proxy sets it on every request, in
 place of what a client sends. Free it with wmtls_hop_free.

 `name`: as for wmtls_hop_address.
 `header`: the name of the header: letters, digits and hyphens.
 `value`: the secret: 16 to 512 printable ASCII characters. It is compared in constant time, and
 no error shows it.
 `out`: receives the hop.

 Fails with WMTLS_OPTION_INVALID.
 */
wmtls_status wmtls_hop_secret(const char *name,
                              const char *header,
                              const char *value,
                              wmtls_hop **out,
                              wmtls_error **err);

/*
 Makes a hop that is recognized by its own certificate. The application ends the TLS of the proxy,
 verifies it, and passes its pin as the remote. Free it with wmtls_hop_free.

 `name`: as for wmtls_hop_address.
 `pins`, `count`: the pins of the proxy, at least one.
 `out`: receives the hop.

 Fails with WMTLS_OPTION_INVALID or WMTLS_PIN_INVALID.
 */
wmtls_status wmtls_hop_certificate(const char *name,
                                   const char *const *pins,
                                   size_t count,
                                   wmtls_hop **out,
                                   wmtls_error **err);

/*
 Makes a hop of the peers of a Unix socket. The permissions of its file must admit only the proxy.
 Free it with wmtls_hop_free.

 `name`: as for wmtls_hop_address.
 `out`: receives the hop.

 Fails with WMTLS_OPTION_INVALID.
 */
wmtls_status wmtls_hop_unix(const char *name, wmtls_hop **out, wmtls_error **err);

/*
 Frees a hop.
 */
void wmtls_hop_free(wmtls_hop *hop);

/*
 Verifies the client certificate that a proxy forwards in the headers of a request. The peer's
 evidence is "forwarded", with the name of the hop, as wmtls_peer_json shows.

 `verifier`: a verifier of clients. Most proxies forward the leaf alone: give its trust the
 intermediates.
 `dialect`: how the proxy writes the certificate: "nginx", "envoy", "aws_alb",
 "aws_alb_passthrough", "traefik", "haproxy", "caddy", "apache", "gcp", "cloudflare", "rfc9440"
 or "envoy_json".
 `hop`: the proxy that is believed.
 `header_pairs`, `count`: the name and the value of each header line of the request as it arrived,
 repeats included: `count` pairs, so twice as many texts.
 `remote`: the peer of the transport itself: an IP address without a port, "unix", or the pin of
 the proxy's verified certificate. Never an address from a header. NULL if it is not known; only a
 secret hop needs none.
 `at`: the time of the verification in Unix seconds, or WMTLS_NOW.
 `out`: receives the peer; free it with wmtls_peer_free.

 Fails with WMTLS_HOP_UNTRUSTED if the request does not come from the hop or if a client could have
 written the headers, with WMTLS_EVIDENCE_MISSING if the hop forwards no readable certificate, or
 as wmtls_verify_peer does.
 */
wmtls_status wmtls_verify_forwarded(const wmtls_verifier *verifier,
                                    const char *dialect,
                                    const wmtls_hop *hop,
                                    const char *const *header_pairs,
                                    size_t count,
                                    const char *remote,
                                    int64_t at,
                                    wmtls_peer **out,
                                    wmtls_error **err);

/*
 Returns the tenant that the tenant rule finds in the certificate. Without a rule, returns the
 only SAN URI if it is a SPIFFE ID or another URI in canonical form; NULL if there is none.
 */
const char *wmtls_peer_tenant(const wmtls_peer *peer);

/*
 Returns the subject of the certificate as RFC 4514 text.
 */
const char *wmtls_peer_subject(const wmtls_peer *peer);

/*
 Returns the pin of the public key, "sha256/...".
 */
const char *wmtls_peer_spki_pin(const wmtls_peer *peer);

/*
 Returns the configured pin that matched; NULL if no pin is configured.
 */
const char *wmtls_peer_matched_pin(const wmtls_peer *peer);

/*
 Returns the first instant of the certificate's validity, in Unix seconds; 0 for NULL.
 */
int64_t wmtls_peer_not_before(const wmtls_peer *peer);

/*
 Returns the last instant of the certificate's validity, in Unix seconds; 0 for NULL.
 */
int64_t wmtls_peer_not_after(const wmtls_peer *peer);

/*
 Returns the whole identity of the peer as JSON, in the same form in every language.
 */
const char *wmtls_peer_json(const wmtls_peer *peer);

/*
 Frees a peer of wmtls_verify_peer. Do not free the peer of a receipt or a probe.
 */
void wmtls_peer_free(wmtls_peer *peer);

/*
 Makes a builder for peers of one role that chain to the anchors of a trust. Free it with
 wmtls_verifier_options_free unless a function takes it.

 `role`: WMTLS_ROLE_CLIENT or WMTLS_ROLE_SERVER. For clients, set a tenant rule or an
 authorization as well: a certificate of the CA alone does not give permission.
 `trust`: may be freed once the function has returned.
 */
wmtls_verifier_options *wmtls_verifier_options_new(int32_t role, const wmtls_trust *trust);

/*
 Adds a key that a peer may have. The peer needs a valid chain as well. The arguments are those
 of wmtls_endpoint_options_pin.
 */
void wmtls_verifier_options_pin(wmtls_verifier_options *options, const char *pin, int32_t slot);

/*
 Replaces all pins of one slot. The arguments are those of wmtls_endpoint_options_pins.
 */
void wmtls_verifier_options_pins(wmtls_verifier_options *options,
                                 const char *const *pins,
                                 size_t count,
                                 int32_t slot);

/*
 Reads the pins from a file, as wmtls_endpoint_options_pins_file does.
 */
void wmtls_verifier_options_pins_file(wmtls_verifier_options *options, const char *path);

/*
 Takes the tenant from a segment of a SAN URI. It replaces any tenant rule set before.

 `uri_template`: the URI with the segment, such as "spiffe://corp/tenant/{tenant}".
 */
void wmtls_verifier_options_tenant_san_uri(wmtls_verifier_options *options,
                                           const char *uri_template);

/*
 Takes the tenant from the label before a suffix in a SAN DNS name. It replaces any tenant rule
 set before.

 `suffix`: "tenants.corp" finds "acme" in "acme.tenants.corp".
 */
void wmtls_verifier_options_tenant_san_dns_suffix(wmtls_verifier_options *options,
                                                  const char *suffix);

/*
 Takes the tenant from the common name of the subject. Use it only for a CA that names tenants
 only there. It replaces any tenant rule set before.
 */
void wmtls_verifier_options_tenant_subject_cn(wmtls_verifier_options *options);

/*
 Authorizes the peers that have one of these SAN URIs. It replaces any authorization set
 before.

 `uris`, `count`: the list of URIs.
 */
void wmtls_verifier_options_authorize_san_uris(wmtls_verifier_options *options,
                                               const char *const *uris,
                                               size_t count);

/*
 Authorizes the peers that have a SPIFFE ID of a trust domain. It replaces any authorization
 set before.

 `domain`: the trust domain, such as "corp.example".
 */
void wmtls_verifier_options_authorize_trust_domain(wmtls_verifier_options *options,
                                                   const char *domain);

/*
 Authorizes every peer that the CA certifies. It replaces any authorization set before.
 */
void wmtls_verifier_options_authorize_ca_members(wmtls_verifier_options *options);

/*
 Sets an option of the verifier by its name in docs/options.md, such as "strict_purpose". The
 value has the form that wmtls_options_set describes.
 */
void wmtls_verifier_options_set(wmtls_verifier_options *options,
                                const char *name,
                                const char *value);

/*
 Frees a builder that no function has taken.
 */
void wmtls_verifier_options_free(wmtls_verifier_options *options);

/*
 Adds a function that writes the log of the verifier: verifications that fail, and events. Each call
 adds one.

 `context`: passed to each call. It must stay valid until the verifier is freed.
 */
void wmtls_verifier_options_log(wmtls_verifier_options *options,
                                wmtls_log_function log,
                                void *context);

/*
 Makes a verifier. Free it with wmtls_verifier_free.

 `options`: the builder; the function takes it and frees it, on failure too.
 `out`: receives the verifier.

 Fails with WMTLS_OPTION_INVALID or WMTLS_PIN_INVALID, or with the first fault of a setter.
 */
wmtls_status wmtls_verifier_new(wmtls_verifier_options *options,
                                wmtls_verifier **out,
                                wmtls_error **err);

/*
 Verifies the chain that a peer presented.

 `chain`, `chain_len`: PEM, or concatenated DER, leaf first, at most 1 MiB.
 `server_name`: the DNS name or IP address that the client connected to, if the role is server;
 NULL for clients.
 `at`: the time of the verification in Unix seconds, or WMTLS_NOW.
 `out`: receives the peer; free it with wmtls_peer_free.

 Fails with the kind of the first defect of the peer, at WMTLS_STAGE_VERIFY: one of the kinds from
 401 to 499. Fails with WMTLS_PEM_INVALID or WMTLS_OPTION_INVALID if an argument cannot be used,
 and with WMTLS_TRUST_INVALID if every anchor has expired at that time.
 */
wmtls_status wmtls_verify_peer(const wmtls_verifier *verifier,
                               const void *chain,
                               size_t chain_len,
                               const char *server_name,
                               int64_t at,
                               wmtls_peer **out,
                               wmtls_error **err);

/*
 Turns the signature cache of the whole process on or off, for measurements. It is on by
 default. Entries from before it was turned off count again when it is turned on.

 `enabled`: whether a signature that was found valid is not checked again. Each verification
 still makes a new decision.
 */
void wmtls_remember_signatures(bool enabled);

/*
 Frees a verifier.
 */
void wmtls_verifier_free(wmtls_verifier *verifier);

/*
 Makes an empty builder. Set secrets, keys, or both. Free it with
 wmtls_webhook_verifier_options_free unless a function takes it.
 */
wmtls_webhook_verifier_options *wmtls_webhook_verifier_options_new(void);

/*
 Sets the secrets of Standard Webhooks of a tenant, and replaces those set before.

 `tenant`: NULL for every tenant without secrets of its own.
 `secrets`, `count`: one to eight secrets, each "whsec_" and the base64 of 24 to 64 bytes, or
 "whpk_" and the base64 of an Ed25519 public key.
 */
void wmtls_webhook_verifier_options_secrets(wmtls_webhook_verifier_options *options,
                                            const char *tenant,
                                            const char *const *secrets,
                                            size_t count);

/*
 Sets the public keys of the tokens of a tenant, and replaces those set before.

 `tenant`: NULL for every tenant without keys of its own.
 `keys`: may be freed once the function has returned.
 */
void wmtls_webhook_verifier_options_keys(wmtls_webhook_verifier_options *options,
                                         const char *tenant,
                                         const wmtls_jwt_keys *keys);

/*
 Sets an option by its name in docs/options.md, such as "audience". The value has the form that
 wmtls_options_set describes.
 */
void wmtls_webhook_verifier_options_set(wmtls_webhook_verifier_options *options,
                                        const char *name,
                                        const char *value);

/*
 Frees a builder that no function has taken.
 */
void wmtls_webhook_verifier_options_free(wmtls_webhook_verifier_options *options);

/*
 Makes a verifier of webhooks. Free it with wmtls_webhook_verifier_free.

 `options`: the builder; the function takes it and frees it, on failure too.
 `out`: receives the verifier.

 Fails with WMTLS_OPTION_INVALID, or with the first fault of a setter.
 */
wmtls_status wmtls_webhook_verifier_new(wmtls_webhook_verifier_options *options,
                                        wmtls_webhook_verifier **out,
                                        wmtls_error **err);

/*
 Verifies a webhook, then asks the store for ids.

 `peer`: the verified peer that sent it. It remains the caller's.
 `names`, `values`, `count`: all headers as they arrived, repeated ones included.
 `body`, `body_len`: the body as it arrived, at most 32 MiB.
 `at`: the time of the verification in Unix seconds, or WMTLS_NOW.
 `seen`: the store; NULL for none. It is asked last, on this thread, and not for a webhook without
 an id.
 `context`: passed to `seen`.
 `out`: receives the webhook; free it with wmtls_verified_webhook_free. If it is a duplicate, answer
 2xx and do not process it again.

 Fails with WMTLS_SIGNATURE_INVALID, WMTLS_TOKEN_INVALID or WMTLS_TENANT_REFUSED, with
 WMTLS_OPTION_INVALID or WMTLS_BODY_TOO_LARGE, or with WMTLS_CANCELED if the store failed.
 */
wmtls_status wmtls_verify_webhook(const wmtls_webhook_verifier *verifier,
                                  const wmtls_peer *peer,
                                  const char *const *names,
                                  const char *const *values,
                                  size_t count,
                                  const void *body,
                                  size_t body_len,
                                  int64_t at,
                                  wmtls_seen seen,
                                  void *context,
                                  wmtls_verified_webhook **out,
                                  wmtls_error **err);

/*
 Returns the tenant of the peer, the signature and the token.
 */
const char *wmtls_verified_webhook_tenant(const wmtls_verified_webhook *webhook);

/*
 Returns the webhook-id, else the jti of the token; NULL if there is neither.
 */
const char *wmtls_verified_webhook_id(const wmtls_verified_webhook *webhook);

/*
 Returns whether the store had seen the id.
 */
bool wmtls_verified_webhook_is_duplicate(const wmtls_verified_webhook *webhook);

/*
 Returns the whole webhook as JSON, in the same form in every language: also the scheme and the
 secret of the signature, and the algorithm, the key id and the claims of the token.
 */
const char *wmtls_verified_webhook_json(const wmtls_verified_webhook *webhook);

/*
 Frees a verified webhook.
 */
void wmtls_verified_webhook_free(wmtls_verified_webhook *webhook);

/*
 Frees a verifier of webhooks.
 */
void wmtls_webhook_verifier_free(wmtls_webhook_verifier *verifier);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* WEBHOOK_MTLS_H */
