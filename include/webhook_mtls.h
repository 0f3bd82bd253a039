/* webhook_mtls.h: deliver webhooks over mutual TLS, and verify the peer at the other end.

   Generated from the crate webhook-mtls-ffi by `cargo xtask header`; do not edit.

   Conventions, which hold for every function and are not repeated:

   Status     A function that can fail returns a wmtls_status: WMTLS_OK, or the number of the
              error's kind (WMTLS_PIN_MISMATCH and so on). Its last argument, wmtls_error **err,
              receives the error; pass NULL if the number is enough. There is no "last error".
   In         Text is NUL-terminated UTF-8. Bytes are a pointer and a length; NULL is allowed with
              the length 0. A list is an array of texts and its count. All of it is copied before
              the function returns. NULL where something is required, and text that is not UTF-8,
              fail with WMTLS_OPTION_INVALID, and the error names the argument. What is too long
              is refused by its length, before it is copied: a body beyond 32 MiB, PEM and PKCS#12
              beyond 1 MiB, any other text beyond 64 KiB, a list beyond 100000 texts.
   Out        A handle returned through T **out is yours: give it to its _free function, which
              takes NULL as well. *out is NULL after a failure and *err is NULL after a success, so
              neither needs to be initialised, and neither may hold anything that you still need.
              Pass NULL for an out that you do not want. A const char * that a function returns
              belongs to the handle it was asked of and lives as long as that handle; NULL says
              that there is no such thing, and is also what a getter says about a NULL handle.
   Handles    Opaque and reference counted: whatever is made from a handle keeps what it needs, so
              a handle may be freed as soon as you have no more use for it, in any order.
   Builders   Setters return nothing. The first fault is remembered, and the function that uses the
              builder reports it. An argument whose name begins with `consumed` is freed by the
              function, on failure too.
   Threads    Every function may be called from any thread at any time, but for the setters of one
              builder, and for freeing a handle that another thread still uses.
   Fork       A forked child may use what it inherited. A delivery under way stays with the parent.
   Units      Durations are milliseconds, instants are Unix seconds, as each name or text says.
   Panics     None crosses into C: a fault of the library's own is WMTLS_INTERNAL. */


#ifndef WEBHOOK_MTLS_H
#define WEBHOOK_MTLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* A key in the peer's chain is too weak. */
#define WMTLS_KEY_WEAK 409

/* The peer's chain is too long or too expensive to verify. */
#define WMTLS_CHAIN_TOO_LONG 410

/* The available CRLs cannot show whether the peer's certificate is revoked. */
#define WMTLS_CRL_UNUSABLE 411

/* The peer's chain violates a constraint of one of its CAs. */
#define WMTLS_CONSTRAINT_VIOLATED 412

/* The peer's key matches none of the pins. */
#define WMTLS_PIN_MISMATCH 413

/* The peer's certificate names no tenant under the tenant rule. */
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


/*
 Options, material and arguments.
 */
#define WMTLS_STAGE_CONFIG 1

/*
 May the delivery start: open, not canceled, not overloaded.
 */
#define WMTLS_STAGE_ADMIT 2

/*
 Host name to addresses, and whether they may be reached.
 */
#define WMTLS_STAGE_RESOLVE 3

/*
 TCP, and the proxy if there is one.
 */
#define WMTLS_STAGE_CONNECT 4

/*
 TLS.
 */
#define WMTLS_STAGE_HANDSHAKE 5

/*
 The request is being written.
 */
#define WMTLS_STAGE_REQUEST 6

/*
 The answer is awaited or read.
 */
#define WMTLS_STAGE_RESPONSE 7

/*
 A verifier judges a chain outside any connection.
 */
#define WMTLS_STAGE_VERIFY 8

/*
 Ours: a fault found locally.
 */
#define WMTLS_BLAME_OURS 1

/*
 The peer's.
 */
#define WMTLS_BLAME_THEIRS 2

/*
 Something between us and the peer.
 */
#define WMTLS_BLAME_PATH 3

/*
 The caller's, who canceled.
 */
#define WMTLS_BLAME_CALLER 4

/*
 It cannot be known from here.
 */
#define WMTLS_BLAME_UNKNOWN 5

/*
 This payload alone.
 */
#define WMTLS_SCOPE_DELIVERY 1

/*
 Everything for this endpoint.
 */
#define WMTLS_SCOPE_ENDPOINT 2

/*
 Everything that uses the same identity.
 */
#define WMTLS_SCOPE_IDENTITY 3

/*
 Everything in this process.
 */
#define WMTLS_SCOPE_PROCESS 4

/*
 Nothing of the request: delivering again cannot make a duplicate.
 */
#define WMTLS_SENT_NOTHING 1

/*
 Some bytes may have reached the peer.
 */
#define WMTLS_SENT_MAYBE 2

/*
 All of it: the peer may hold the payload.
 */
#define WMTLS_SENT_ALL 3

/*
 Later.
 */
#define WMTLS_RETRY_LATER 1

/*
 After a person or a rotation has acted.
 */
#define WMTLS_RETRY_AFTER_REPAIR 2

/*
 Never.
 */
#define WMTLS_RETRY_NEVER 3

/*
 Try again after the delay.
 */
#define WMTLS_ACTION_RETRY 1

/*
 Hold it until somebody has acted; look again after the delay at the latest.
 */
#define WMTLS_ACTION_PARK 2

/*
 Give it up.
 */
#define WMTLS_ACTION_DROP 3

/*
 A pin in use now.
 */
#define WMTLS_PIN_CURRENT 1

/*
 A pin announced for the next key.
 */
#define WMTLS_PIN_NEXT 2

/*
 The peer connects to us and presents a client certificate.
 */
#define WMTLS_ROLE_CLIENT 1

/*
 We connect to the peer, a TLS server.
 */
#define WMTLS_ROLE_SERVER 2

/*
 The size that wmtls_pin_of needs: "sha256/", 44 characters of base64 and the NUL.
 */
#define WMTLS_PIN_SIZE 52

/*
 The instant of the call, for wmtls_verify_peer.
 */
#define WMTLS_NOW -1

/*
 Cancels the deliveries that were given it. Once canceled, always canceled.
 */
typedef struct wmtls_cancel_token wmtls_cancel_token;

/*
 A payload, where it goes, and what goes with it. A builder that wmtls_deliver does not consume
 and wmtls_submit does.
 */
typedef struct wmtls_delivery wmtls_delivery;

/*
 Delivers webhooks. It keeps endpoints by consumer id, and connections by endpoint.
 */
typedef struct wmtls_dispatcher wmtls_dispatcher;

/*
 A consumer that can be delivered to, of one dispatcher.
 */
typedef struct wmtls_endpoint wmtls_endpoint;

/*
 How an endpoint differs from its dispatcher. A builder.
 */
typedef struct wmtls_endpoint_options wmtls_endpoint_options;

/*
 What is known of an endpoint at the moment it was asked.
 */
typedef struct wmtls_endpoint_status wmtls_endpoint_status;

/*
 Why a call failed: what, how far it had come, whose fault it is, how much was sent, and what to
 do about it.
 */
typedef struct wmtls_error wmtls_error;

/*
 Something that an operator should hear about. docs/events.md lists what there is.
 */
typedef struct wmtls_event wmtls_event;

/*
 What expires, the least of its lifetime left first.
 */
typedef struct wmtls_expiries wmtls_expiries;

/*
 Our certificate chain and the key that belongs to its leaf, checked.
 */
typedef struct wmtls_identity wmtls_identity;

/*
 What a dispatcher shall do unless an endpoint or a delivery says otherwise. A builder.
 */
typedef struct wmtls_options wmtls_options;

/*
 What became of a delivery that was submitted: a receipt or an error.
 */
typedef struct wmtls_outcome wmtls_outcome;

/*
 A verified peer.
 */
typedef struct wmtls_peer wmtls_peer;

/*
 A handshake that was completed without a payload: the consumer passed every check that a delivery
 makes, asked for our certificate, and did not refuse it there.
 */
typedef struct wmtls_probe wmtls_probe;

/*
 A delivery that the consumer answered with a 2xx status.
 */
typedef struct wmtls_receipt wmtls_receipt;

/*
 How often and how fast to try again. A builder that wmtls_retry_decide does not consume.
 */
typedef struct wmtls_retry_policy wmtls_retry_policy;

/*
 Which of our identities each consumer took last, as this process has seen it.
 */
typedef struct wmtls_rotation_status wmtls_rotation_status;

/*
 The private CA that judges a peer: anchors, known intermediates and CRLs. Never the web's public
 roots.
 */
typedef struct wmtls_trust wmtls_trust;

/*
 Judges the certificates of peers, wherever their connection ends.
 */
typedef struct wmtls_verifier wmtls_verifier;

/*
 What a verifier shall expect. A builder.
 */
typedef struct wmtls_verifier_options wmtls_verifier_options;

/*
 0 (WMTLS_OK), or the number of a kind.
 */
typedef int32_t wmtls_status;

/*
 A verdict on one failure.
 */
typedef struct {
  /*
   WMTLS_ACTION_...
   */
  int32_t action;
  /*
   Whether this attempt counts. One that was never admitted, or waits for a repair, does not.
   */
  bool counts;
  /*
   How long to wait first.
   */
  uint64_t delay_ms;
  /*
   Why, in a few words; never freed.
   */
  const char *reason;
} wmtls_decision;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 The kind's number, equal to the status; 0 for NULL.
 */
int32_t wmtls_error_kind(const wmtls_error *error);

/*
 How far it had come: WMTLS_STAGE_...; 0 for NULL.
 */
int32_t wmtls_error_stage(const wmtls_error *error);

/*
 Whose fault it is, as far as it can be known from here: WMTLS_BLAME_...; 0 for NULL.
 */
int32_t wmtls_error_blame(const wmtls_error *error);

/*
 What it stops: WMTLS_SCOPE_...; 0 for NULL.
 */
int32_t wmtls_error_scope(const wmtls_error *error);

/*
 How much of the request left: WMTLS_SENT_...; 0 for NULL.
 */
int32_t wmtls_error_sent(const wmtls_error *error);

/*
 Whether trying again helps: WMTLS_RETRY_...; 0 for NULL. See wmtls_retry_decide.
 */
int32_t wmtls_error_retry(const wmtls_error *error);

/*
 How long to wait before trying again, in milliseconds; -1 if the consumer did not say.
 */
int64_t wmtls_error_retry_after_ms(const wmtls_error *error);

/*
 The consumer id of the endpoint; NULL if the error is about none.
 */
const char *wmtls_error_consumer(const wmtls_error *error);

/*
 What was seen and what was expected, in a sentence. For logs: it may name our own addresses.
 */
const char *wmtls_error_message(const wmtls_error *error);

/*
 What to do, in a sentence.
 */
const char *wmtls_error_remedy(const wmtls_error *error);

/*
 A named fact of the error's context, such as "observed_pin"; NULL if it has none of that name.
 Text stands as it is, anything else as JSON.
 */
const char *wmtls_error_context(const wmtls_error *error, const char *name);

/*
 The whole error as JSON, in the form that every language shows.
 */
const char *wmtls_error_json(const wmtls_error *error);

/*
 What may be shown to the consumer, as JSON: no addresses, no internals.
 */
const char *wmtls_error_public_json(const wmtls_error *error);

/*
 Frees an error.
 */
void wmtls_error_free(wmtls_error *error);

/*
 The name of a kind, such as "pin_mismatch", equal in every language; NULL if no kind has this
 number. It is never freed, like the names below.
 */
const char *wmtls_kind_name(int32_t kind);

/*
 The name of a WMTLS_STAGE_...; NULL if there is none of this number.
 */
const char *wmtls_stage_name(int32_t stage);

/*
 The name of a WMTLS_BLAME_...; NULL if there is none of this number.
 */
const char *wmtls_blame_name(int32_t blame);

/*
 The name of a WMTLS_SCOPE_...; NULL if there is none of this number.
 */
const char *wmtls_scope_name(int32_t scope);

/*
 The name of a WMTLS_SENT_...; NULL if there is none of this number.
 */
const char *wmtls_sent_name(int32_t sent);

/*
 The name of a WMTLS_RETRY_...; NULL if there is none of this number.
 */
const char *wmtls_retry_name(int32_t retry);

/*
 The name of a WMTLS_ACTION_...; NULL if there is none of this number.
 */
const char *wmtls_action_name(int32_t action);

/*
 The name of a WMTLS_PIN_...; NULL if there is none of this number.
 */
const char *wmtls_pin_name(int32_t slot);

/*
 The version of the library, such as "0.1.0".
 */
const char *wmtls_version(void);

/*
 Reads our certificate chain (leaf first) and private key from PEM files.

 `cert`, `key`: paths; they may be the same file.
 `passphrase`: opens an encrypted PKCS#8 key; NULL if there is none.

 Fails with WMTLS_PEM_INVALID, WMTLS_KEY_ENCRYPTED, WMTLS_KEY_MISMATCH,
 WMTLS_IDENTITY_UNUSABLE or WMTLS_CLOCK_IMPLAUSIBLE.
 */
wmtls_status wmtls_identity_from_files(const char *cert,
                                       const char *key,
                                       const char *passphrase,
                                       wmtls_identity **out,
                                       wmtls_error **err);

/*
 Like wmtls_identity_from_files, from bytes: PEM, or DER.
 */
wmtls_status wmtls_identity_from_pem(const void *cert,
                                     size_t cert_len,
                                     const void *key,
                                     size_t key_len,
                                     const char *passphrase,
                                     wmtls_identity **out,
                                     wmtls_error **err);

/*
 Reads a PKCS#12 file (.p12, .pfx): one private key, its certificate and the CAs above it, in any
 order.

 `data`: the bytes of the file, DER, at most 1 MiB.
 `passphrase`: opens it; "" where it has none.

 Fails with WMTLS_KEY_ENCRYPTED (the passphrase does not open it, or opening it would cost too
 much), WMTLS_PEM_INVALID (malformed, no key, several keys, no certificate), WMTLS_KEY_MISMATCH,
 WMTLS_IDENTITY_UNUSABLE or WMTLS_CLOCK_IMPLAUSIBLE.
 */
wmtls_status wmtls_identity_from_pkcs12(const void *data,
                                        size_t data_len,
                                        const char *passphrase,
                                        wmtls_identity **out,
                                        wmtls_error **err);

/*
 Frees an identity.
 */
void wmtls_identity_free(wmtls_identity *identity);

/*
 Computes the pin ("sha256/...") of a certificate in PEM or DER; of several, of the first, which
 is the leaf.

 `pin`: room for WMTLS_PIN_SIZE bytes; receives the text and its NUL, empty after a failure.

 Fails with WMTLS_PEM_INVALID.
 */
wmtls_status wmtls_pin_of(const void *cert, size_t cert_len, char *pin, wmtls_error **err);

/*
 Reads a trust from PEM files.

 `anchors`: the CA certificates that are believed.
 `intermediates`: CA certificates that peers fail to send; NULL if there are none.
 `crls`: certificate revocation lists; NULL if there are none.

 Fails with WMTLS_PEM_INVALID, WMTLS_TRUST_INVALID, WMTLS_PUBLIC_ROOT_IN_TRUST,
 WMTLS_CRL_UNUSABLE or WMTLS_CLOCK_IMPLAUSIBLE.
 */
wmtls_status wmtls_trust_from_files(const char *anchors,
                                    const char *intermediates,
                                    const char *crls,
                                    wmtls_trust **out,
                                    wmtls_error **err);

/*
 Like wmtls_trust_from_files, from bytes: PEM with as many certificates or CRLs as need be, or
 the DER of one.
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
 Like wmtls_trust_from_pem, and takes public web roots, too: for a consumer whose server
 certificate comes from a public CA. An endpoint takes this trust only together with pins;
 wmtls_dispatcher_new and wmtls_verifier_new refuse it with WMTLS_OPTION_INVALID.

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
 Makes a trust that is the same, but for CAs whose key is one of these: no path leads over them
 any more, as anchor or below one. For a compromised intermediate that no CRL covers.

 `issuers`: the pins of their keys, "sha256/..."; added to those that `trust` distrusts already.

 Fails with WMTLS_PIN_INVALID, or WMTLS_TRUST_INVALID if no anchor is left.
 */
wmtls_status wmtls_trust_distrusting(const wmtls_trust *trust,
                                     const char *const *issuers,
                                     size_t count,
                                     wmtls_trust **out,
                                     wmtls_error **err);

/*
 What an operator should know of the bundle although it is sound, one sentence an index, such as
 an anchor that has expired and is not used; NULL beyond the last.
 */
const char *wmtls_trust_note(const wmtls_trust *trust, size_t index);

/*
 Frees a trust.
 */
void wmtls_trust_free(wmtls_trust *trust);

/*
 A builder with the defaults: no identity, no trust, egress "public", 30 seconds in all.
 */
wmtls_options *wmtls_options_new(void);

/*
 Who we are, for endpoints that bring no identity of their own.
 */
void wmtls_options_identity(wmtls_options *options, const wmtls_identity *identity);

/*
 Whom we believe, for endpoints that bring no trust of their own.
 */
void wmtls_options_trust(wmtls_options *options, const wmtls_trust *trust);

/*
 Which addresses may be connected to: "public", or "private", which adds private networks.
 Loopback and link-local are denied by both.
 */
void wmtls_options_egress(wmtls_options *options, const char *preset);

/*
 Allows one more network beyond the preset: CIDR ("10.1.0.0/16", "::1/128") or an address.
 */
void wmtls_options_egress_allow(wmtls_options *options, const char *network);

/*
 Denies one more network, whatever else allows it.
 */
void wmtls_options_egress_deny(wmtls_options *options, const char *network);

/*
 Names one more prefix of this network's own NAT64 gateways: IPv6, of 32, 40, 48, 56, 64 or 96 bits
 ("2001:db8:64::/96"). An address in one is judged by the IPv4 address that it holds (RFC 6052).
 */
void wmtls_options_egress_nat64(wmtls_options *options, const char *prefix);

/*
 The time one delivery may take in all; above 0, at most a day.
 */
void wmtls_options_timeout_ms(wmtls_options *options, uint64_t timeout_ms);

/*
 How many connections may be open at once, idle ones included.
 */
void wmtls_options_max_connections(wmtls_options *options, uint32_t max_connections);

/*
 Sets an option of the dispatcher by its name in docs/options.md, such as "connect_timeout".

 `value`: as text: a duration in milliseconds, a flag as "true" or "false", pairs as
 "404=never, 5xx=later".
 */
void wmtls_options_set(wmtls_options *options, const char *name, const char *value);

/*
 Frees a builder that nothing consumed.
 */
void wmtls_options_free(wmtls_options *options);

/*
 Makes a dispatcher. Threads start with the first delivery.

 Fails with WMTLS_OPTION_INVALID.
 */
wmtls_status wmtls_dispatcher_new(wmtls_options *consumed,
                                  wmtls_dispatcher **out,
                                  wmtls_error **err);

/*
 Makes or changes the endpoint of a consumer. Equal values give the same endpoint and keep its
 connections; changed values change this endpoint alone.

 `consumer`: the consumer id, which errors and receipts name.
 `url`: where it listens, https only.
 `consumed`: its options; they must say the pins, or that there are none.

 Fails with WMTLS_URL_INVALID, WMTLS_PIN_INVALID, WMTLS_OPTION_INVALID or WMTLS_HANDLE_CLOSED.
 */
wmtls_status wmtls_dispatcher_endpoint(const wmtls_dispatcher *dispatcher,
                                       const char *consumer,
                                       const char *url,
                                       wmtls_endpoint_options *consumed,
                                       wmtls_endpoint **out,
                                       wmtls_error **err);

/*
 Forgets the endpoint of a consumer and closes its idle connections. False if there is none.

 No request to it starts once this has returned: deliveries whose bytes already leave finish, and
 those that have not begun end as WMTLS_HANDLE_CLOSED, with nothing sent.
 */
bool wmtls_dispatcher_remove(const wmtls_dispatcher *dispatcher, const char *consumer);

/*
 Delivers, and blocks until the consumer has answered or it is certain that it will not.

 The delivery stays yours, and may be delivered again.

 Succeeds only when the consumer answered with a 2xx status. Otherwise wmtls_error_sent says how
 much the consumer may hold, and wmtls_retry_decide what to do.
 */
wmtls_status wmtls_deliver(const wmtls_dispatcher *dispatcher,
                           const wmtls_delivery *delivery,
                           wmtls_receipt **out,
                           wmtls_error **err);

/*
 Delivers once, without a dispatcher of your own: the form for small programs. One connection is
 made and closed; the consumer id is the URL's host and port.

 Fails as wmtls_dispatcher_new, wmtls_dispatcher_endpoint and wmtls_deliver do.
 */
wmtls_status wmtls_deliver_once(const char *url,
                                const void *body,
                                size_t body_len,
                                wmtls_options *consumed,
                                wmtls_endpoint_options *consumed_endpoint,
                                wmtls_receipt **out,
                                wmtls_error **err);

/*
 Lets the deliveries under way finish for at most `drain_ms`, then cancels them, and returns when
 none is left. From now on deliveries fail with WMTLS_HANDLE_CLOSED.

 No function of this library is async-signal-safe: let a thread wait for signals (sigwait, signalfd)
 and call this. Called in a handler that a signal runs inside wmtls_deliver, it does not wait for
 that delivery: it returns at once, and closing goes on by itself. Deliveries and reloads fail there
 with WMTLS_OVERLOADED instead of waiting for themselves.
 */
void wmtls_dispatcher_close(const wmtls_dispatcher *dispatcher, uint64_t drain_ms);

/*
 Frees a dispatcher. What wmtls_submit has started is cut, and has no outcome; deliveries that other
 threads wait for go on. Close it first to end them all in order.
 */
void wmtls_dispatcher_free(wmtls_dispatcher *dispatcher);

/*
 A builder that says nothing yet. The pins must be said, if only that there are none.
 */
wmtls_endpoint_options *wmtls_endpoint_options_new(void);

/*
 Adds a key that the consumer may have.

 `pin`: "sha256/..." of its public key, or "cert-sha256/..." of its whole certificate.
 `slot`: WMTLS_PIN_CURRENT, or WMTLS_PIN_NEXT for a key that was announced.
 */
void wmtls_endpoint_options_pin(wmtls_endpoint_options *options, const char *pin, int32_t slot);

/*
 Says all pins of a slot at once, instead of those said before. Without a current pin, the
 endpoint is refused with WMTLS_PIN_INVALID: an empty list is a mistake, not a decision.
 */
void wmtls_endpoint_options_pins(wmtls_endpoint_options *options,
                                 const char *const *pins,
                                 size_t count,
                                 int32_t slot);

/*
 Reads the pins from a file, instead of those said before: one pin a line, "next" before one that
 was announced, "#" before a comment. The file is watched.
 */
void wmtls_endpoint_options_pins_file(wmtls_endpoint_options *options, const char *path);

/*
 Any key that the consumer's CA certifies: the decision to have no pins. Forgets those said
 before.
 */
void wmtls_endpoint_options_no_pins(wmtls_endpoint_options *options);

/*
 Whom to believe about this consumer, instead of the dispatcher's trust.
 */
void wmtls_endpoint_options_trust(wmtls_endpoint_options *options, const wmtls_trust *trust);

/*
 Who to be to this consumer, instead of the dispatcher's identity.
 */
void wmtls_endpoint_options_identity(wmtls_endpoint_options *options,
                                     const wmtls_identity *identity);

/*
 The secrets that sign each delivery by Standard Webhooks, instead of those said before. Each
 signs, so a new and an old one serve while a secret is being changed. Deliveries must then have
 an id, which wmtls_deliver_once does not take.

 `secrets`: one to eight, each "whsec_" and the base64 of 24 to 64 bytes (HMAC-SHA256), or "whsk_"
 and the base64 of an Ed25519 private key.
 */
void wmtls_endpoint_options_signing(wmtls_endpoint_options *options,
                                    const char *const *secrets,
                                    size_t count);

/*
 Sets an option of the endpoint by its name in docs/options.md, such as "min_tls"; the value as
 for wmtls_options_set.
 */
void wmtls_endpoint_options_set(wmtls_endpoint_options *options,
                                const char *name,
                                const char *value);

/*
 Frees a builder that nothing consumed.
 */
void wmtls_endpoint_options_free(wmtls_endpoint_options *options);

/*
 The consumer id.
 */
const char *wmtls_endpoint_consumer(const wmtls_endpoint *endpoint);

/*
 The URL in its canonical spelling, as it is now.
 */
const char *wmtls_endpoint_url(const wmtls_endpoint *endpoint);

/*
 Frees a handle of an endpoint. The dispatcher keeps the endpoint until it is removed.
 */
void wmtls_endpoint_free(wmtls_endpoint *endpoint);

/*
 Asks what deliveries and probes of this process have shown; NULL for NULL.
 */
wmtls_endpoint_status *wmtls_endpoint_status_new(const wmtls_endpoint *endpoint);

/*
 The pin of the key that the consumer showed last; NULL before the first handshake.
 */
const char *wmtls_endpoint_status_pin_seen(const wmtls_endpoint_status *status);

/*
 The configured pins that no delivery has matched so far, one an index; NULL beyond the last.
 */
const char *wmtls_endpoint_status_pin_never_seen(const wmtls_endpoint_status *status, size_t index);

/*
 When the consumer's certificate, as last seen, expires, in Unix seconds; 0 before the first
 handshake and for NULL.
 */
int64_t wmtls_endpoint_status_peer_not_after(const wmtls_endpoint_status *status);

/*
 Which of our identities the consumer took last: the pin of its certificate, "cert-sha256/...";
 NULL before the first answer.
 */
const char *wmtls_endpoint_status_identity_accepted(const wmtls_endpoint_status *status);

/*
 The whole status as JSON, in the form that every language shows.
 */
const char *wmtls_endpoint_status_json(const wmtls_endpoint_status *status);

/*
 Frees a status.
 */
void wmtls_endpoint_status_free(wmtls_endpoint_status *status);

/*
 What happened, such as "rotated".
 */
const char *wmtls_event_name(const wmtls_event *event);

/*
 The consumer it concerns; NULL if it concerns no single one.
 */
const char *wmtls_event_consumer(const wmtls_event *event);

/*
 A fact by its name in docs/events.md; NULL if it has none of that name. Text stands as it is,
 anything else as JSON.
 */
const char *wmtls_event_field(const wmtls_event *event, const char *name);

/*
 The whole event as JSON, in the form that every language shows.
 */
const char *wmtls_event_json(const wmtls_event *event);

/*
 Frees an event.
 */
void wmtls_event_free(wmtls_event *event);

/*
 How many there are.
 */
size_t wmtls_expiries_count(const wmtls_expiries *expiries);

/*
 What the one at an index is: "identity", "anchor", "intermediate", "crl" or "consumer"; NULL if
 there are not so many.
 */
const char *wmtls_expiries_what(const wmtls_expiries *expiries, size_t index);

/*
 Its subject, the issuer of a CRL, or the consumer id.
 */
const char *wmtls_expiries_name(const wmtls_expiries *expiries, size_t index);

/*
 The last second of its validity, since 1970; 0 if there are not so many.
 */
int64_t wmtls_expiries_not_after(const wmtls_expiries *expiries, size_t index);

/*
 How much of its lifetime is left: 1 at its first instant, 0 once it has expired.
 */
double wmtls_expiries_fraction_left(const wmtls_expiries *expiries, size_t index);

/*
 Frees a list.
 */
void wmtls_expiries_free(wmtls_expiries *expiries);

/*
 Looks at all watched files now, and puts into use what they hold anew. wmtls_next_event tells
 what there is to tell.

 Fails with WMTLS_HANDLE_CLOSED, and with the fault of the first file that cannot be used; what
 was in use before stays, and other files are taken all the same.
 */
wmtls_status wmtls_reload(const wmtls_dispatcher *dispatcher, wmtls_error **err);

/*
 The oldest event that was not taken yet, waiting for one for at most `timeout_ms`; NULL if there
 is none. The first call for a handle begins to listen, so call it once before you rely on it.
 */
wmtls_event *wmtls_next_event(const wmtls_dispatcher *dispatcher, uint64_t timeout_ms);

/*
 Lists what expires: our chains, anchors, intermediates, CRLs, and each consumer's certificate as
 last seen.

 Fails with WMTLS_CLOCK_IMPLAUSIBLE: without the time nothing can be said.
 */
wmtls_status wmtls_dispatcher_expiries(const wmtls_dispatcher *dispatcher,
                                       wmtls_expiries **out,
                                       wmtls_error **err);

/*
 The least fraction of a lifetime that is left of anything that expires: 1 if there is nothing, 0
 if something has expired, NaN if the clock cannot be right.

 `what`: receives what it is of, such as "identity CN=acme", which belongs to the dispatcher; NULL
 if there is nothing. It may be NULL.
 */
double wmtls_least_lifetime_left(const wmtls_dispatcher *dispatcher, const char **what);

/*
 Asks how far a rotation has come; NULL for NULL.
 */
wmtls_rotation_status *wmtls_dispatcher_rotation_status(const wmtls_dispatcher *dispatcher);

/*
 "current" if the consumer took the identity in use now last, "previous" if one before it,
 "unknown" if nothing was seen; NULL if there is no such consumer.
 */
const char *wmtls_rotation_status_of(const wmtls_rotation_status *status, const char *consumer);

/*
 The whole status as JSON, in the form that every language shows. To merge those of several
 processes, take each consumer from the one with the greatest accepted_at_ms.
 */
const char *wmtls_rotation_status_json(const wmtls_rotation_status *status);

/*
 Frees a status.
 */
void wmtls_rotation_status_free(wmtls_rotation_status *status);

/*
 Shows a previous identity to nobody any more, for instance before its certificate is revoked.

 `identity`: one that was in use before; the one in use now cannot be retired.
 `force`: also if consumers depend on it, those that took it last.

 Fails with WMTLS_IDENTITY_IN_USE, whose context lists the "consumers", or WMTLS_HANDLE_CLOSED.
 */
wmtls_status wmtls_retire(const wmtls_dispatcher *dispatcher,
                          const wmtls_identity *identity,
                          bool force,
                          wmtls_error **err);

/*
 Looks at the watched files of trust and pins now, and believes what they hold.

 Fails with the fault of the first file that cannot be used; what was believed before stays.
 */
wmtls_status wmtls_verifier_reload(const wmtls_verifier *verifier, wmtls_error **err);

/*
 As wmtls_next_event, for a verifier.
 */
wmtls_event *wmtls_verifier_next_event(const wmtls_verifier *verifier, uint64_t timeout_ms);

/*
 Lists what expires: anchors, intermediates and CRLs.

 Fails with WMTLS_CLOCK_IMPLAUSIBLE.
 */
wmtls_status wmtls_verifier_expiries(const wmtls_verifier *verifier,
                                     wmtls_expiries **out,
                                     wmtls_error **err);

/*
 A token that nobody has canceled.
 */
wmtls_cancel_token *wmtls_cancel_token_new(void);

/*
 Cancels. Deliveries that wait in other threads return WMTLS_CANCELED at once.
 */
void wmtls_cancel_token_cancel(const wmtls_cancel_token *token);

/*
 Frees a token without canceling it.
 */
void wmtls_cancel_token_free(wmtls_cancel_token *token);

/*
 A delivery of a payload, which is copied.
 */
wmtls_delivery *wmtls_delivery_new(const wmtls_endpoint *endpoint,
                                   const void *body,
                                   size_t body_len);

/*
 The event's id, sent as webhook-id. Give every attempt at the same event the same one.
 */
void wmtls_delivery_id(wmtls_delivery *delivery, const char *id);

/*
 The type of the payload; "application/json" unless said.
 */
void wmtls_delivery_content_type(wmtls_delivery *delivery, const char *content_type);

/*
 Adds a request header.
 */
void wmtls_delivery_header(wmtls_delivery *delivery, const char *name, const char *value);

/*
 The time this delivery may take in all, instead of the dispatcher's; above 0, at most a day.
 */
void wmtls_delivery_timeout_ms(wmtls_delivery *delivery, uint64_t timeout_ms);

/*
 A pointer of yours that comes back with the outcome of wmtls_submit; NULL unless said.
 */
void wmtls_delivery_tag(wmtls_delivery *delivery, void *tag);

/*
 Lets a token cancel the delivery.
 */
void wmtls_delivery_cancel_token(wmtls_delivery *delivery, const wmtls_cancel_token *token);

/*
 Sets an option of the delivery by its name in docs/options.md; the value as for
 wmtls_options_set.
 */
void wmtls_delivery_set(wmtls_delivery *delivery, const char *name, const char *value);

/*
 Frees a delivery.
 */
void wmtls_delivery_free(wmtls_delivery *delivery);

/*
 Starts a delivery and returns at once. Its outcome is taken by wmtls_next_outcome, whatever
 becomes of it.

 `consumed`: the delivery, with its tag. It is freed on failure too, and then has no outcome.

 Fails with WMTLS_OPTION_INVALID, and with WMTLS_FORKED_PROCESS in a process that has forked since
 the first delivery was submitted: make a new dispatcher there.
 */
wmtls_status wmtls_submit(const wmtls_dispatcher *dispatcher,
                          wmtls_delivery *consumed,
                          wmtls_error **err);

/*
 A descriptor that is readable while an outcome waits, for poll, epoll or a loop of your own. It
 belongs to the dispatcher: do not read from it or close it. -1 if there is none to be had.
 */
int wmtls_completion_fd(const wmtls_dispatcher *dispatcher);

/*
 The next outcome, which is yours to free. NULL if none came in time, and at once if nothing is
 under way.

 A thread that waits here drives the deliveries meanwhile, which costs less than to have them driven
 by another; once there is a wmtls_completion_fd, that other does.

 `timeout_ms`: how long to wait for one; 0 does not wait, a negative number waits for ever.
 */
wmtls_outcome *wmtls_next_outcome(const wmtls_dispatcher *dispatcher, int timeout_ms);

/*
 How many deliveries are submitted and have no outcome yet.
 */
size_t wmtls_in_flight(const wmtls_dispatcher *dispatcher);

/*
 The tag of the delivery.
 */
void *wmtls_outcome_tag(const wmtls_outcome *outcome);

/*
 The endpoint of the delivery. Belongs to the outcome; do not free it.
 */
const wmtls_endpoint *wmtls_outcome_endpoint(const wmtls_outcome *outcome);

/*
 The receipt, or NULL if the delivery failed. Belongs to the outcome; do not free it.
 */
const wmtls_receipt *wmtls_outcome_receipt(const wmtls_outcome *outcome);

/*
 The error, or NULL if the delivery succeeded. Belongs to the outcome; do not free it.
 */
const wmtls_error *wmtls_outcome_error(const wmtls_outcome *outcome);

/*
 Frees an outcome, with its receipt or error.
 */
void wmtls_outcome_free(wmtls_outcome *outcome);

/*
 Shakes hands with a consumer over a connection of its own, judges it as a delivery would, and
 closes. No byte of a request is sent. A consumer that refuses our certificate only in its answer
 to a request, as nginx does, is not found out.

 `timeout_ms`: the time it may take in all, at most a day; 0 for the dispatcher's.

 Fails with what a delivery fails with before its request.
 */
wmtls_status wmtls_dispatcher_probe(const wmtls_dispatcher *dispatcher,
                                    const wmtls_endpoint *endpoint,
                                    uint64_t timeout_ms,
                                    wmtls_probe **out,
                                    wmtls_error **err);

/*
 The peer as its certificate shows it, with its dates. Belongs to the probe; do not free it.
 */
const wmtls_peer *wmtls_probe_peer(const wmtls_probe *probe);

/*
 Which pin matched: WMTLS_PIN_CURRENT or WMTLS_PIN_NEXT; 0 if the endpoint has none.
 */
int32_t wmtls_probe_pin(const wmtls_probe *probe);

/*
 The TLS version, "TLSv1.3" or "TLSv1.2".
 */
const char *wmtls_probe_tls_version(const wmtls_probe *probe);

/*
 The address and port that were connected to.
 */
const char *wmtls_probe_address(const wmtls_probe *probe);

/*
 The whole result as JSON, in the form that every language shows.
 */
const char *wmtls_probe_json(const wmtls_probe *probe);

/*
 Frees a probe.
 */
void wmtls_probe_free(wmtls_probe *probe);

/*
 The HTTP status, 200 to 299; 0 for NULL.
 */
uint16_t wmtls_receipt_status(const wmtls_receipt *receipt);

/*
 The consumer id of the endpoint.
 */
const char *wmtls_receipt_consumer(const wmtls_receipt *receipt);

/*
 The event's id; NULL if the delivery has none.
 */
const char *wmtls_receipt_id(const wmtls_receipt *receipt);

/*
 Which pin matched: WMTLS_PIN_CURRENT or WMTLS_PIN_NEXT; 0 if the endpoint has none.
 */
int32_t wmtls_receipt_pin(const wmtls_receipt *receipt);

/*
 How many attempts it took. Only one of which nothing was sent is followed by another.
 */
uint32_t wmtls_receipt_attempts(const wmtls_receipt *receipt);

/*
 How long the delivery took in all, in milliseconds.
 */
double wmtls_receipt_elapsed_ms(const wmtls_receipt *receipt);

/*
 The TLS version, "TLSv1.3" or "TLSv1.2".
 */
const char *wmtls_receipt_tls_version(const wmtls_receipt *receipt);

/*
 Whether the consumer answered the head with 100 Continue before the payload left: 1 if it did, 0
 if it let the payload come by itself, -1 unless the payload was held: by "hold_payload", or for an
 identity that the consumer has not answered to yet.
 */
int32_t wmtls_receipt_hold_honored(const wmtls_receipt *receipt);

/*
 The peer as its certificate shows it. Belongs to the receipt; do not free it.
 */
const wmtls_peer *wmtls_receipt_peer(const wmtls_receipt *receipt);

/*
 The whole receipt as JSON, in the form that every language shows: the answer, TLS facts and
 timings.
 */
const char *wmtls_receipt_json(const wmtls_receipt *receipt);

/*
 Frees a receipt.
 */
void wmtls_receipt_free(wmtls_receipt *receipt);

/*
 A builder with the defaults: 8 attempts, 5 seconds after the first, at most an hour.
 */
wmtls_retry_policy *wmtls_retry_policy_new(void);

/*
 Sets an option of the policy by its name in docs/options.md: "attempts", "first" or "ceiling";
 the value as for wmtls_options_set.
 */
void wmtls_retry_policy_set(wmtls_retry_policy *policy, const char *name, const char *value);

/*
 Frees a policy.
 */
void wmtls_retry_policy_free(wmtls_retry_policy *policy);

/*
 Judges a failure. Pure: nothing is remembered, nothing waits.

 `policy`: NULL for the defaults.
 `attempt`: which attempt failed, from 1.

 Fails with WMTLS_OPTION_INVALID; `out` is left as it is then.
 */
wmtls_status wmtls_retry_decide(const wmtls_retry_policy *policy,
                                const wmtls_error *error,
                                uint32_t attempt,
                                wmtls_decision *out,
                                wmtls_error **err);

/*
 The tenant by the rule; without a rule, the certificate's one SAN URI, if that is a SPIFFE ID or
 another URI with one spelling; NULL if it names none.
 */
const char *wmtls_peer_tenant(const wmtls_peer *peer);

/*
 The certificate's subject as RFC 4514 text.
 */
const char *wmtls_peer_subject(const wmtls_peer *peer);

/*
 The pin of the public key, "sha256/...".
 */
const char *wmtls_peer_spki_pin(const wmtls_peer *peer);

/*
 The configured pin that matched; NULL if none was configured.
 */
const char *wmtls_peer_matched_pin(const wmtls_peer *peer);

/*
 The first instant of the certificate's validity, in Unix seconds; 0 for NULL.
 */
int64_t wmtls_peer_not_before(const wmtls_peer *peer);

/*
 The last instant of the certificate's validity, in Unix seconds; 0 for NULL.
 */
int64_t wmtls_peer_not_after(const wmtls_peer *peer);

/*
 The whole identity as JSON, in the form that every language shows.
 */
const char *wmtls_peer_json(const wmtls_peer *peer);

/*
 Frees a peer that wmtls_verify_peer made.
 */
void wmtls_peer_free(wmtls_peer *peer);

/*
 A builder for peers of a role, below a trust's anchors.

 `role`: what the peers are: WMTLS_ROLE_CLIENT or WMTLS_ROLE_SERVER. For clients, a tenant rule
 or an authorization must be said as well: to be issued by the CA is not yet a permission.
 */
wmtls_verifier_options *wmtls_verifier_options_new(int32_t role, const wmtls_trust *trust);

/*
 Adds a key that a peer may have, beside a valid chain; as wmtls_endpoint_options_pin.
 */
void wmtls_verifier_options_pin(wmtls_verifier_options *options, const char *pin, int32_t slot);

/*
 Says all pins of a slot at once; as wmtls_endpoint_options_pins.
 */
void wmtls_verifier_options_pins(wmtls_verifier_options *options,
                                 const char *const *pins,
                                 size_t count,
                                 int32_t slot);

/*
 Reads the pins from a file, as wmtls_endpoint_options_pins_file.
 */
void wmtls_verifier_options_pins_file(wmtls_verifier_options *options, const char *path);

/*
 The tenant is a segment of a SAN URI: "spiffe://corp/tenant/{tenant}". The last rule said holds.
 */
void wmtls_verifier_options_tenant_san_uri(wmtls_verifier_options *options, const char *template_);

/*
 The tenant is the label before a suffix in a SAN DNS name: "tenants.corp" takes "acme" from
 "acme.tenants.corp".
 */
void wmtls_verifier_options_tenant_san_dns_suffix(wmtls_verifier_options *options,
                                                  const char *suffix);

/*
 The tenant is the subject's common name. Only for CAs that name tenants there and nowhere else.
 */
void wmtls_verifier_options_tenant_subject_cn(wmtls_verifier_options *options);

/*
 Peers with one of these SAN URIs may pass. The last authorization said holds.
 */
void wmtls_verifier_options_authorize_san_uris(wmtls_verifier_options *options,
                                               const char *const *uris,
                                               size_t count);

/*
 Peers with a SPIFFE id of this trust domain may pass.
 */
void wmtls_verifier_options_authorize_trust_domain(wmtls_verifier_options *options,
                                                   const char *domain);

/*
 Every peer that the CA certifies may pass.
 */
void wmtls_verifier_options_authorize_ca_members(wmtls_verifier_options *options);

/*
 Sets an option of the verifier by its name in docs/options.md, such as "strict_purpose"; the
 value as for wmtls_options_set.
 */
void wmtls_verifier_options_set(wmtls_verifier_options *options,
                                const char *name,
                                const char *value);

/*
 Frees a builder that nothing consumed.
 */
void wmtls_verifier_options_free(wmtls_verifier_options *options);

/*
 Makes a verifier.

 Fails with WMTLS_OPTION_INVALID or WMTLS_PIN_INVALID.
 */
wmtls_status wmtls_verifier_new(wmtls_verifier_options *consumed,
                                wmtls_verifier **out,
                                wmtls_error **err);

/*
 Judges the chain that a peer presented.

 `chain`: PEM, or concatenated DER, leaf first.
 `server_name`: the DNS name or IP address that was asked for, where servers are verified; NULL
 for clients.
 `at`: the instant to judge at, in Unix seconds, or WMTLS_NOW.

 Fails with the kind of what is wrong with the peer and WMTLS_STAGE_VERIFY; with
 WMTLS_PEM_INVALID or WMTLS_OPTION_INVALID if the arguments cannot be used.
 */
wmtls_status wmtls_verify_peer(const wmtls_verifier *verifier,
                               const void *chain,
                               size_t chain_len,
                               const char *server_name,
                               int64_t at,
                               wmtls_peer **out,
                               wmtls_error **err);

/*
 Turns the memory of signatures off or on again, in the whole process: a switch for measurements.
 It is on at the start; what was remembered before it went off counts again when it is back.

 `enabled`: whether a signature once found good stays good. Verdicts are made anew each time.
 */
void wmtls_remember_signatures(bool enabled);

/*
 Frees a verifier.
 */
void wmtls_verifier_free(wmtls_verifier *verifier);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* WEBHOOK_MTLS_H */
