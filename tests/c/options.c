/* Every option of the core's table that C sets by its name: a value of its type is accepted, and
   another is refused with the option's name. */

#include "webhook_mtls_testing.h"

#include "check.h"
#include "options.h"

static wmtls_dispatcher *dispatcher;
static wmtls_lab_consumer *acme;

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
    if (strcmp(kind, "text") != 0) return NULL;
    if (word[0]) return word;
    if (strcmp(OPTIONS[i].name, "proxy") == 0) return "http://127.0.0.1:1";
    if (strcmp(OPTIONS[i].name, "server_uri") == 0) return "spiffe://corp/a";
    return "a";
}

/* Sets one option and uses the builder. */
static wmtls_status set(size_t i, const char *value, wmtls_error **error) {
    if (strcmp(OPTIONS[i].of, "endpoint") == 0) {
        wmtls_endpoint_options *options = wmtls_endpoint_options_new();
        wmtls_endpoint_options_no_pins(options);
        wmtls_endpoint_options_set(options, OPTIONS[i].name, value);
        return wmtls_dispatcher_endpoint(dispatcher, "acme", wmtls_lab_consumer_url(acme), options,
                                         NULL, error);
    }
    wmtls_options *options = wmtls_options_new();
    if (strcmp(OPTIONS[i].name, "proxy_credentials") == 0) {
        wmtls_options_set(options, "proxy", "http://127.0.0.1:1");
        value = strcmp(value, "a") == 0 ? "user:password" : value;
    }
    wmtls_options_set(options, OPTIONS[i].name, value);
    return wmtls_dispatcher_new(options, NULL, error);
}

static void every_option_takes_its_type_and_refuses_another(void) {
    char pair[64];
    int count = 0;
    for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; i++) {
        const char *of = OPTIONS[i].of, *value = valid(i, pair, sizeof pair);
        if (value == NULL || (strcmp(of, "dispatcher") != 0 && strcmp(of, "endpoint") != 0)) {
            continue;
        }
        wmtls_error *error;
        CHECK_STATUS(set(i, value, &error), WMTLS_OK, error);
        count++;
        /* Any text is of the type text. */
        if (strcmp(OPTIONS[i].kind, "text") == 0) continue;
        CHECK(set(i, "neither", &error) == WMTLS_OPTION_INVALID);
        CHECK_TEXT(wmtls_error_context(error, "option"), OPTIONS[i].name);
        wmtls_error_free(error);
    }
    CHECK(count > 15);
}

int main(void) {
    wmtls_lab *lab;
    CHECK(wmtls_lab_start(&lab, NULL) == WMTLS_OK);
    CHECK(wmtls_lab_consumer_new(lab, "acme", &acme, NULL) == WMTLS_OK);
    dispatcher = wmtls_lab_dispatcher(lab);
    RUN(every_option_takes_its_type_and_refuses_another);
    wmtls_dispatcher_free(dispatcher);
    wmtls_lab_consumer_free(acme);
    wmtls_lab_free(lab);
    return 0;
}
