/* Input of any size gets a typed error: too large input is refused by its length, before it is
   copied. Runs with little memory beyond that of the inputs. */
/* MAP_ANONYMOUS, MAP_NORESERVE */
#define _DEFAULT_SOURCE

#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "webhook_mtls_testing.h"

#include "check.h"

static const char NOWHERE[] = "https://127.0.0.1:1/";

/* The limit beyond the program's memory after its inputs are made. */
#define SPARE (48UL * 1024 * 1024)

/* Larger than any body, than the memory, and than any object may be. */
static const size_t LENGTHS[] = {3UL << 30, PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1, SIZE_MAX};
#define EACH(length) \
    for (size_t at = 0, length; at < 4 && ((length = LENGTHS[at]), 1); at++)

static wmtls_lab *lab;
static wmtls_dispatcher *dispatcher;
static wmtls_endpoint *endpoint;
static wmtls_identity *identity;
static wmtls_trust *trust;

/* Untouched pages, and a text longer than allowed. */
static const void *data;
static char *text;

static wmtls_endpoint_options *unpinned(void) {
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(options);
    return options;
}

static void check_dispatcher(wmtls_options *options, wmtls_status wanted) {
    wmtls_dispatcher *made;
    wmtls_error *error;
    CHECK_STATUS(wmtls_dispatcher_new(options, &made, &error), wanted, error);
    wmtls_dispatcher_free(made);
}

static void check_endpoint(const char *consumer, const char *url, wmtls_endpoint_options *options,
                           wmtls_status wanted) {
    wmtls_endpoint *made;
    wmtls_error *error;
    wmtls_status status =
        wmtls_dispatcher_endpoint(dispatcher, consumer, url, options, &made, &error);
    CHECK_STATUS(status, wanted, error);
    CHECK(made == NULL);
}

static void check_verifier(wmtls_verifier_options *options, wmtls_status wanted) {
    wmtls_verifier *made;
    wmtls_error *error;
    CHECK_STATUS(wmtls_verifier_new(options, &made, &error), wanted, error);
    CHECK(made == NULL);
}

static void check_delivery(wmtls_delivery *delivery, wmtls_status wanted) {
    wmtls_receipt *receipt;
    wmtls_error *error;
    CHECK_STATUS(wmtls_deliver(dispatcher, delivery, &receipt, &error), wanted, error);
    CHECK(receipt == NULL);
    wmtls_delivery_free(delivery);
}

static void a_body_is_refused_by_its_length(void) {
    wmtls_error *error;
    EACH(length) {
        check_delivery(wmtls_delivery_new(endpoint, data, length), WMTLS_BODY_TOO_LARGE);
        wmtls_body *body = wmtls_body_new(data, length);
        check_delivery(wmtls_delivery_of_body(endpoint, body), WMTLS_BODY_TOO_LARGE);
        wmtls_body_free(body);
        wmtls_delivery *delivery = wmtls_delivery_new(endpoint, data, length);
        wmtls_status status = wmtls_submit(dispatcher, delivery, &error);
        CHECK_STATUS(status, WMTLS_BODY_TOO_LARGE, error);
        status = wmtls_deliver_once(NOWHERE, data, length, wmtls_options_new(), unpinned(), NULL,
                                    &error);
        CHECK_STATUS(status, WMTLS_BODY_TOO_LARGE, error);
        /* No bytes, and a length. */
        check_delivery(wmtls_delivery_new(endpoint, NULL, length), WMTLS_OPTION_INVALID);
    }
    check_delivery(wmtls_delivery_new(endpoint, NULL, 1), WMTLS_OPTION_INVALID);
    wmtls_status status =
        wmtls_deliver_once(NOWHERE, NULL, 1, wmtls_options_new(), unpinned(), NULL, &error);
    CHECK_STATUS(status, WMTLS_OPTION_INVALID, error);
}

static void material_is_refused_by_its_length(void) {
    wmtls_identity *made_identity;
    wmtls_trust *made_trust;
    wmtls_peer *peer;
    wmtls_verifier *verifier;
    wmtls_error *error;
    char pin[WMTLS_PIN_SIZE];
    wmtls_verifier_options *options = wmtls_verifier_options_new(WMTLS_ROLE_SERVER, trust);
    CHECK_STATUS(wmtls_verifier_new(options, &verifier, &error), WMTLS_OK, error);
    EACH(length) {
        const void *const none = NULL;
        const struct {
            const void *bytes;
            size_t length;
        } sets[3][3] = {{{data, length}, {none, 0}, {none, 0}},
                        {{"", 0}, {data, length}, {none, 0}},
                        {{"", 0}, {none, 0}, {data, length}}};
        wmtls_status status;
        for (size_t i = 0; i < 3; i++) {
            status = wmtls_trust_from_pem(sets[i][0].bytes, sets[i][0].length, sets[i][1].bytes,
                                          sets[i][1].length, sets[i][2].bytes, sets[i][2].length,
                                          &made_trust, &error);
            CHECK_STATUS(status, WMTLS_PEM_INVALID, error);
            status = wmtls_trust_dangerous_public(sets[i][0].bytes, sets[i][0].length,
                                                  sets[i][1].bytes, sets[i][1].length,
                                                  sets[i][2].bytes, sets[i][2].length,
                                                  &made_trust, &error);
            CHECK_STATUS(status, WMTLS_PEM_INVALID, error);
        }
        status = wmtls_identity_from_pem(data, length, "", 0, NULL, &made_identity, &error);
        CHECK_STATUS(status, WMTLS_PEM_INVALID, error);
        status = wmtls_identity_from_pem("", 0, data, length, NULL, &made_identity, &error);
        CHECK_STATUS(status, WMTLS_PEM_INVALID, error);
        status = wmtls_identity_from_pkcs12(data, length, "", &made_identity, &error);
        CHECK_STATUS(status, WMTLS_PEM_INVALID, error);
        CHECK_STATUS(wmtls_pin_of(data, length, pin, &error), WMTLS_PEM_INVALID, error);
        status = wmtls_verify_peer(verifier, data, length, "a.example", WMTLS_NOW, &peer, &error);
        CHECK(wmtls_error_stage(error) == WMTLS_STAGE_VERIFY);
        CHECK_STATUS(status, WMTLS_PEM_INVALID, error);
    }
    wmtls_verifier_free(verifier);
}

static void a_list_is_refused_by_its_count(void) {
    const char *const *texts = (const char *const *)data;
    wmtls_trust *made;
    wmtls_error *error;
    EACH(count) {
        wmtls_status status = wmtls_trust_distrusting(trust, texts, count, &made, &error);
        CHECK_STATUS(status, WMTLS_PIN_INVALID, error);
        wmtls_endpoint_options *options = unpinned();
        wmtls_endpoint_options_pins(options, texts, count, WMTLS_PIN_CURRENT);
        check_endpoint("other", NOWHERE, options, WMTLS_PIN_INVALID);
        options = unpinned();
        wmtls_endpoint_options_signing(options, texts, count);
        check_endpoint("other", NOWHERE, options, WMTLS_OPTION_INVALID);
        wmtls_verifier_options *expected = wmtls_verifier_options_new(WMTLS_ROLE_CLIENT, trust);
        wmtls_verifier_options_authorize_san_uris(expected, texts, count);
        check_verifier(expected, WMTLS_OPTION_INVALID);
        expected = wmtls_verifier_options_new(WMTLS_ROLE_SERVER, trust);
        wmtls_verifier_options_pins(expected, texts, count, WMTLS_PIN_CURRENT);
        check_verifier(expected, WMTLS_PIN_INVALID);
    }
}

static void a_text_is_refused_by_its_length(void) {
    wmtls_identity *made;
    wmtls_trust *made_trust;
    wmtls_error *error;
    check_endpoint(text, NOWHERE, unpinned(), WMTLS_OPTION_INVALID);
    check_endpoint("other", text, unpinned(), WMTLS_URL_INVALID);
    CHECK(!wmtls_dispatcher_remove(dispatcher, text));
    wmtls_status status = wmtls_identity_from_files(text, "tls.key", NULL, &made, &error);
    CHECK_STATUS(status, WMTLS_OPTION_INVALID, error);
    status = wmtls_identity_from_pem("", 0, "", 0, text, &made, &error);
    CHECK_STATUS(status, WMTLS_OPTION_INVALID, error);
    status = wmtls_trust_from_files(text, NULL, NULL, &made_trust, &error);
    CHECK_STATUS(status, WMTLS_OPTION_INVALID, error);
    status = wmtls_trust_distrusting(trust, (const char *const *)&text, 1, &made_trust, &error);
    CHECK_STATUS(status, WMTLS_PIN_INVALID, error);

    wmtls_options *options = wmtls_options_new();
    wmtls_options_set(options, "proxy", text);
    check_dispatcher(options, WMTLS_OPTION_INVALID);
    options = wmtls_options_new();
    wmtls_options_set(options, text, "1");
    check_dispatcher(options, WMTLS_OPTION_INVALID);
    options = wmtls_options_new();
    wmtls_options_egress_allow(options, text);
    check_dispatcher(options, WMTLS_OPTION_INVALID);

    wmtls_endpoint_options *pinned = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pin(pinned, text, WMTLS_PIN_CURRENT);
    check_endpoint("other", NOWHERE, pinned, WMTLS_PIN_INVALID);

    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
    wmtls_delivery_id(delivery, text);
    check_delivery(delivery, WMTLS_OPTION_INVALID);
    delivery = wmtls_delivery_new(endpoint, "{}", 2);
    wmtls_delivery_header(delivery, "x-event", text);
    check_delivery(delivery, WMTLS_OPTION_INVALID);
}

static void bound(void) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    rlim_t most = pages * (rlim_t)sysconf(_SC_PAGESIZE) + SPARE;
    const struct rlimit limit = {most, most};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

int main(void) {
    wmtls_error *error;
    CHECK_STATUS(wmtls_lab_start(&lab, &error), WMTLS_OK, error);
    identity = wmtls_lab_identity(lab);
    trust = wmtls_lab_trust(lab);
    dispatcher = wmtls_lab_dispatcher(lab);
    wmtls_status status =
        wmtls_dispatcher_endpoint(dispatcher, "acme", NOWHERE, unpinned(), &endpoint, &error);
    CHECK_STATUS(status, WMTLS_OK, error);
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    data = mmap(NULL, LENGTHS[0], PROT_READ, flags, -1, 0);
    CHECK(data != MAP_FAILED);
    const size_t length = 2 * SPARE;
    text = (char *)malloc(length + 1);
    CHECK(text != NULL);
    memset(text, 'x', length);
    text[length] = '\0';
    if (!is_checked()) bound();

    RUN(a_body_is_refused_by_its_length);
    RUN(material_is_refused_by_its_length);
    RUN(a_list_is_refused_by_its_count);
    RUN(a_text_is_refused_by_its_length);

    free(text);
    wmtls_endpoint_free(endpoint);
    wmtls_dispatcher_free(dispatcher);
    wmtls_trust_free(trust);
    wmtls_identity_free(identity);
    wmtls_lab_free(lab);
    return 0;
}
