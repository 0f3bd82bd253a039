/* The connections of a dispatcher that delivers to more endpoints than it may have connections. */

#include "webhook_mtls_testing.h"

#include "check.h"

static void thrashed_connections_are_an_event(void) {
    enum { CONSUMERS = 3, ROUNDS = 10 };
    wmtls_lab *lab;
    wmtls_lab_consumer *consumers[CONSUMERS];
    wmtls_endpoint *endpoints[CONSUMERS];
    wmtls_dispatcher *dispatcher;
    wmtls_error *error = NULL;
    static const char *const names[CONSUMERS] = {"a", "b", "c"};
    CHECK(wmtls_lab_start(&lab, NULL) == WMTLS_OK);
    wmtls_options *options = wmtls_lab_options(lab);
    wmtls_options_max_connections(options, 2);
    CHECK_STATUS(wmtls_dispatcher_new(options, &dispatcher, &error), WMTLS_OK, error);
    for (int i = 0; i < CONSUMERS; i++) {
        CHECK(wmtls_lab_consumer_new(lab, names[i], &consumers[i], NULL) == WMTLS_OK);
        wmtls_endpoint_options *own = wmtls_endpoint_options_new();
        wmtls_endpoint_options_no_pins(own);
        CHECK_STATUS(wmtls_dispatcher_endpoint(dispatcher, names[i],
                                               wmtls_lab_consumer_url(consumers[i]), own,
                                               &endpoints[i], &error),
                     WMTLS_OK, error);
    }
    /* The first call starts the recording of events. */
    CHECK(wmtls_next_event(dispatcher, 0) == NULL);
    for (int i = 0; i < CONSUMERS * ROUNDS; i++) {
        wmtls_receipt *receipt;
        wmtls_delivery *delivery = wmtls_delivery_new(endpoints[i % CONSUMERS], "{}", 2);
        CHECK_STATUS(wmtls_deliver(dispatcher, delivery, &receipt, &error), WMTLS_OK, error);
        wmtls_receipt_free(receipt);
        wmtls_delivery_free(delivery);
    }
    wmtls_event *event = wmtls_next_event(dispatcher, 20000);
    CHECK(event != NULL);
    CHECK_TEXT(wmtls_event_name(event), "connections_thrashed");
    CHECK_TEXT(wmtls_event_field(event, "closed"), "16");
    CHECK_TEXT(wmtls_event_field(event, "max_connections"), "2");
    wmtls_event_free(event);
    CHECK(wmtls_next_event(dispatcher, 0) == NULL);
    for (int i = 0; i < CONSUMERS; i++) {
        wmtls_endpoint_free(endpoints[i]);
        wmtls_lab_consumer_free(consumers[i]);
    }
    wmtls_dispatcher_free(dispatcher);
    wmtls_lab_free(lab);
}

int main(void) {
    RUN(thrashed_connections_are_an_event);
    return 0;
}
