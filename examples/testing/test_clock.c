/* Tests what happens when certificates grow old. Link it with webhook_mtls_testing. */

#include <assert.h>
#include <stdio.h>
#include <time.h>

#include "webhook_mtls_testing.h"

int main(void) {
    const int64_t hour = 3600;
    wmtls_lab *lab = NULL;
    wmtls_lab_consumer *acme = NULL;
    wmtls_endpoint *endpoint = NULL;
    wmtls_status status = wmtls_lab_start(&lab, NULL);
    assert(status == WMTLS_OK);
    wmtls_dispatcher *dispatcher = wmtls_lab_dispatcher(lab);
    /* certificates of a lab are valid for a day */
    status = wmtls_lab_consumer_new(lab, "acme", &acme, NULL);
    assert(status == WMTLS_OK);
    wmtls_endpoint_options *pinned = wmtls_endpoint_options_new();
    wmtls_endpoint_options_pin(pinned, wmtls_lab_consumer_pin(acme), WMTLS_PIN_CURRENT);
    status = wmtls_dispatcher_endpoint(dispatcher, "acme", wmtls_lab_consumer_url(acme), pinned,
                                       &endpoint, NULL);
    assert(status == WMTLS_OK);
    wmtls_delivery *delivery = wmtls_delivery_new(endpoint, "{}", 2);
    status = wmtls_deliver(dispatcher, delivery, NULL, NULL);
    assert(status == WMTLS_OK);

    wmtls_lab_set_clock(time(NULL) + 22 * hour); /* the clock of the library; time() stays */
    const char *what = NULL;
    double left = wmtls_least_lifetime_left(dispatcher, &what);
    printf("%s: %.0f%% of its lifetime left\n", what, 100 * left);
    assert(left < 0.1);

    wmtls_lab_set_clock(time(NULL) + 48 * hour);
    wmtls_error *error = NULL;
    status = wmtls_deliver(dispatcher, delivery, NULL, &error);
    assert(status == WMTLS_CLIENT_CERTIFICATE_UNUSABLE); /* ours has expired */
    assert(wmtls_error_blame(error) == WMTLS_BLAME_OURS);
    wmtls_lab_set_clock(WMTLS_NOW);

    wmtls_error_free(error);
    wmtls_delivery_free(delivery);
    wmtls_endpoint_free(endpoint);
    wmtls_dispatcher_free(dispatcher);
    wmtls_lab_consumer_free(acme);
    wmtls_lab_free(lab);
    (void)status;
    return 0;
}
