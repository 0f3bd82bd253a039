/* The statuses of several processes as one. The shared vectors have the rules. */

#include "webhook_mtls_testing.h"

#include "check.h"
#include "patient.h"

static wmtls_endpoint *endpoint_of(wmtls_dispatcher *dispatcher, const wmtls_lab_consumer *acme) {
    wmtls_endpoint *endpoint;
    wmtls_error *error;
    wmtls_endpoint_options *options = wmtls_endpoint_options_new();
    wmtls_endpoint_options_no_pins(options);
    CHECK_STATUS(wmtls_dispatcher_endpoint(dispatcher, "acme", wmtls_lab_consumer_url(acme),
                                           options, &endpoint, &error),
                 WMTLS_OK, error);
    return endpoint;
}

static wmtls_fleet_status *status_of(const wmtls_dispatcher *dispatcher, const char *process) {
    wmtls_fleet_status *status;
    wmtls_error *error;
    CHECK_STATUS(wmtls_dispatcher_process_status(dispatcher, process, &status, &error), WMTLS_OK,
                 error);
    return status;
}

static void refused(const char *const *statuses, size_t count) {
    wmtls_fleet_status *fleet;
    wmtls_error *error;
    CHECK(wmtls_merge(statuses, count, &fleet, &error) == WMTLS_OPTION_INVALID);
    CHECK(fleet == NULL);
    CHECK_TEXT(wmtls_error_context(error, "option"), "statuses");
    wmtls_error_free(error);
}

static void the_statuses_of_two_processes_are_merged(void) {
    wmtls_lab *lab;
    wmtls_lab_consumer *acme;
    wmtls_error *error = NULL;
    wmtls_receipt *receipt;
    wmtls_fleet_status *fleet;
    CHECK(wmtls_lab_start(&lab, NULL) == WMTLS_OK);
    CHECK(wmtls_lab_consumer_new(lab, "acme", &acme, NULL) == WMTLS_OK);
    wmtls_dispatcher *one = patient_dispatcher(lab), *two = patient_dispatcher(lab);
    wmtls_endpoint *of_one = endpoint_of(one, acme), *of_two = endpoint_of(two, acme);
    wmtls_delivery *delivery = wmtls_delivery_new(of_one, "{}", 2);
    CHECK_STATUS(wmtls_deliver(one, delivery, &receipt, &error), WMTLS_OK, error);
    CHECK_STATUS(wmtls_endpoint_open_circuit(of_two, 600000, &error), WMTLS_OK, error);
    wmtls_fleet_status *first = status_of(one, "one"), *second = status_of(two, "two");
    const char *statuses[] = {wmtls_fleet_status_json(first), wmtls_fleet_status_json(second)};
    CHECK_STATUS(wmtls_merge(statuses, 2, &fleet, &error), WMTLS_OK, error);
    const char *json = wmtls_fleet_status_json(fleet);
    CHECK(strstr(json, "\"state_by\":{\"current\":[\"one\"],\"unknown\":[\"two\"]}") != NULL);
    CHECK(strstr(json, "\"circuit_by\":{\"closed\":[\"one\"],\"open\":[\"two\"]}") != NULL);
    wmtls_fleet_status_free(fleet);
    refused(NULL, 0);
    statuses[1] = statuses[0];
    refused(statuses, 2);
    statuses[0] = "{}";
    refused(statuses, 1);
    CHECK(wmtls_fleet_status_json(NULL) == NULL);
    wmtls_fleet_status_free(NULL);
    CHECK(wmtls_dispatcher_process_status(one, "", &fleet, &error) == WMTLS_OPTION_INVALID);
    CHECK_TEXT(wmtls_error_context(error, "option"), "process");
    wmtls_error_free(error);
    wmtls_fleet_status_free(first);
    wmtls_fleet_status_free(second);
    wmtls_receipt_free(receipt);
    wmtls_delivery_free(delivery);
    wmtls_endpoint_free(of_one);
    wmtls_endpoint_free(of_two);
    wmtls_dispatcher_free(one);
    wmtls_dispatcher_free(two);
    wmtls_lab_consumer_free(acme);
    wmtls_lab_free(lab);
}

static void an_identity_is_retired_if_no_process_of_the_fleet_needs_it(void) {
    wmtls_lab *lab;
    wmtls_lab_consumer *acme;
    wmtls_error *error = NULL;
    wmtls_fleet_status *fleet;
    CHECK(wmtls_lab_start(&lab, NULL) == WMTLS_OK);
    CHECK(wmtls_lab_consumer_new(lab, "acme", &acme, NULL) == WMTLS_OK);
    wmtls_dispatcher *one = patient_dispatcher(lab), *two = patient_dispatcher(lab);
    wmtls_endpoint *of_two = endpoint_of(two, acme);
    wmtls_identity *identity = wmtls_lab_identity(lab);
    wmtls_fleet_status *first = status_of(one, "one"), *second = status_of(two, "two");
    const char *statuses[] = {wmtls_fleet_status_json(first), wmtls_fleet_status_json(second)};
    CHECK_STATUS(wmtls_merge(statuses, 2, &fleet, &error), WMTLS_OK, error);
    const char *json = wmtls_fleet_status_json(fleet);
    CHECK(wmtls_retire_in_fleet(one, identity, json, true, &error) == WMTLS_IDENTITY_IN_USE);
    CHECK_TEXT(wmtls_error_context(error, "processes"), "[\"two\"]");
    CHECK_TEXT(wmtls_error_context(error, "consumers"), "[\"acme\"]");
    wmtls_error_free(error);
    wmtls_fleet_status_free(fleet);
    CHECK_STATUS(wmtls_merge(statuses, 1, &fleet, &error), WMTLS_OK, error);
    json = wmtls_fleet_status_json(fleet);
    CHECK_STATUS(wmtls_retire_in_fleet(one, identity, json, false, &error), WMTLS_OK, error);
    CHECK(wmtls_retire_in_fleet(one, identity, NULL, false, &error) == WMTLS_OPTION_INVALID);
    CHECK_TEXT(wmtls_error_context(error, "option"), "fleet");
    wmtls_error_free(error);
    CHECK(wmtls_retire_in_fleet(one, NULL, json, false, &error) == WMTLS_OPTION_INVALID);
    wmtls_error_free(error);
    CHECK(wmtls_retire_in_fleet(NULL, identity, json, false, &error) == WMTLS_OPTION_INVALID);
    wmtls_error_free(error);
    wmtls_fleet_status_free(fleet);
    wmtls_fleet_status_free(first);
    wmtls_fleet_status_free(second);
    wmtls_identity_free(identity);
    wmtls_endpoint_free(of_two);
    wmtls_dispatcher_free(one);
    wmtls_dispatcher_free(two);
    wmtls_lab_consumer_free(acme);
    wmtls_lab_free(lab);
}

int main(void) {
    RUN(the_statuses_of_two_processes_are_merged);
    RUN(an_identity_is_retired_if_no_process_of_the_fleet_needs_it);
    return 0;
}
