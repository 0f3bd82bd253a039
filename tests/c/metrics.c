/* What a dispatcher and a verifier count and log. */

#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "webhook_mtls_testing.h"

#include "check.h"
#include "patient.h"

enum { RECORDS = 8 };

/* The records of a log. Several threads may write. */
struct records {
    pthread_mutex_t lock;
    size_t count;
    int32_t levels[RECORDS];
    char fields[RECORDS][1024];
};

static void note(void *context, int32_t level, const char *message, const char *fields) {
    struct records *records = (struct records *)context;
    CHECK(strlen(message) + strlen(fields) < 1024);
    pthread_mutex_lock(&records->lock);
    CHECK(records->count < RECORDS);
    records->levels[records->count] = level;
    strcpy(records->fields[records->count], fields);
    records->count++;
    pthread_mutex_unlock(&records->lock);
}

static wmtls_lab *lab;
static wmtls_lab_consumer *acme;
static wmtls_dispatcher *dispatcher;
static wmtls_endpoint *endpoint;
static struct records records = {PTHREAD_MUTEX_INITIALIZER, 0, {0}, {{0}}};

static void start(void) {
    wmtls_error *error;
    CHECK_STATUS(wmtls_lab_start(&lab, &error), WMTLS_OK, error);
    CHECK_STATUS(wmtls_lab_consumer_new(lab, "acme", &acme, &error), WMTLS_OK, error);
    wmtls_options *options = patient_options(lab);
    wmtls_options_log(options, note, &records);
    wmtls_options_log(options, NULL, NULL);
    wmtls_options_set(options, "metrics_endpoints", "1");
    CHECK_STATUS(wmtls_dispatcher_new(options, &dispatcher, &error), WMTLS_OK, error);
    wmtls_endpoint_options *pins = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(pins);
    CHECK_STATUS(wmtls_dispatcher_endpoint(dispatcher, "acme", wmtls_lab_consumer_url(acme), pins,
                                           &endpoint, &error),
                 WMTLS_OK, error);
}

static void end(void) {
    wmtls_endpoint_free(endpoint);
    wmtls_dispatcher_close(dispatcher, 0);
    wmtls_dispatcher_free(dispatcher);
    wmtls_lab_consumer_free(acme);
    wmtls_lab_free(lab);
}

static wmtls_status deliver(wmtls_receipt **receipt, wmtls_error **error) {
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
    wmtls_status status = wmtls_deliver(dispatcher, delivery, receipt, error);
    wmtls_delivery_free(delivery);
    return status;
}

static int has_line(const wmtls_metrics *metrics, const char *line) {
    const char *text = wmtls_metrics_text(metrics, WMTLS_METRICS_FORMAT_PROMETHEUS);
    return strstr(text, line) != NULL;
}

static void deliveries_are_counted_and_logged(void) {
    wmtls_receipt *receipt;
    wmtls_error *error;
    CHECK(deliver(&receipt, NULL) == WMTLS_OK);
    CHECK(strstr(wmtls_receipt_log_json(receipt), "\"status\":200") != NULL);
    wmtls_receipt_free(receipt);
    CHECK_STATUS(wmtls_lab_consumer_misbehave(acme, "reset_after_body", 1, &error), WMTLS_OK,
                 error);
    CHECK(deliver(NULL, &error) == WMTLS_CONNECTION_LOST);
    CHECK(strlen(wmtls_error_log_json(error)) < 1024);
    CHECK(strstr(wmtls_error_log_json(error), "\"kind\":\"connection_lost\"") != NULL);
    wmtls_error_free(error);
    wmtls_metrics *metrics = wmtls_dispatcher_metrics(dispatcher);
    CHECK(has_line(metrics, "webhook_mtls_deliveries_total{kind=\"\",stage=\"\",blame=\"\","
                            "status_class=\"2xx\"} 1\n"));
    CHECK(has_line(metrics, "webhook_mtls_deliveries_total{kind=\"connection_lost\",stage="
                            "\"response\",blame=\"unknown\",status_class=\"\"} 1\n"));
    CHECK(has_line(metrics, "webhook_mtls_connection_reuse_total 1\n"));
    CHECK(has_line(metrics, "webhook_mtls_endpoint_deliveries_total{endpoint=\"acme\",outcome="
                            "\"failed\"} 1\n"));
    CHECK(strstr(wmtls_metrics_json(metrics), "\"webhook_mtls_deliveries_total\"") != NULL);
    wmtls_metrics_free(metrics);
    CHECK(records.count == 2);
    CHECK(records.levels[0] == WMTLS_LOG_LEVEL_INFO);
    CHECK(records.levels[1] == WMTLS_LOG_LEVEL_WARNING);
    CHECK(strstr(records.fields[0], "\"consumer\":\"acme\"") != NULL);
    CHECK(strstr(records.fields[1], "\"kind\":\"connection_lost\"") != NULL);
}

static void one_text_shows_a_dispatcher_and_a_verifier(void) {
    wmtls_error *error;
    wmtls_verifier *verifier;
    wmtls_trust *trust = wmtls_lab_trust(lab);
    wmtls_verifier_options *options = wmtls_verifier_options_new(WMTLS_ROLE_CLIENT, trust);
    wmtls_verifier_options_authorize_ca_members(options);
    wmtls_verifier_options_log(options, note, &records);
    CHECK_STATUS(wmtls_verifier_new(options, &verifier, &error), WMTLS_OK, error);
    wmtls_trust_free(trust);
    size_t before = records.count;
    CHECK(wmtls_verify_peer(verifier, "none", 4, NULL, WMTLS_NOW, NULL, NULL) ==
          WMTLS_PEM_INVALID);
    CHECK(records.count == before + 1);
    CHECK(strstr(records.fields[before], "\"event\":\"verification\"") != NULL);
    wmtls_metrics *metrics = wmtls_dispatcher_metrics(dispatcher);
    wmtls_metrics *other = wmtls_verifier_metrics(verifier);
    wmtls_metrics_add(metrics, other);
    wmtls_metrics_add(metrics, NULL);
    wmtls_metrics_free(other);
    CHECK(has_line(metrics, "webhook_mtls_verifications_total{result=\"FAILED\""));
    CHECK(has_line(metrics, "webhook_mtls_deliveries_total{"));
    const char *open = wmtls_metrics_text(metrics, WMTLS_METRICS_FORMAT_OPENMETRICS);
    CHECK(strcmp(open + strlen(open) - 6, "# EOF\n") == 0);
    CHECK(wmtls_metrics_text(metrics, 77) == NULL);
    CHECK(wmtls_metrics_text(NULL, WMTLS_METRICS_FORMAT_PROMETHEUS) == NULL);
    CHECK_TEXT(wmtls_metrics_content_type(WMTLS_METRICS_FORMAT_PROMETHEUS),
               "text/plain; version=0.0.4; charset=utf-8");
    CHECK(wmtls_metrics_content_type(0) == NULL);
    CHECK(wmtls_dispatcher_metrics(NULL) == NULL && wmtls_verifier_metrics(NULL) == NULL);
    wmtls_metrics_free(metrics);
    wmtls_verifier_free(verifier);
}

static void a_forked_child_starts_at_zero(void) {
    if (!can_fork()) {
        return;
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        wmtls_metrics *metrics = wmtls_dispatcher_metrics(dispatcher);
        int is_zero = has_line(metrics, "status_class=\"2xx\"} 0\n") &&
                      !has_line(metrics, "kind=\"connection_lost\"") &&
                      has_line(metrics, "webhook_mtls_connection_reuse_total 0\n");
        wmtls_metrics_free(metrics);
        /* execl instead of _exit: memcheck would report the memory of the parent's other threads
           as lost. */
        if (is_zero) execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void) {
    start();
    RUN(deliveries_are_counted_and_logged);
    RUN(one_text_shows_a_dispatcher_and_a_verifier);
    RUN(a_forked_child_starts_at_zero);
    end();
    return 0;
}
