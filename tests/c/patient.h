/* A dispatcher for tests on a slow machine, and under a memory checker or a sanitizer, where all
   threads may share one processor: no part of a delivery has a short time limit. */

#ifndef PATIENT_H
#define PATIENT_H

#include "webhook_mtls_testing.h"

#include "check.h"

static inline wmtls_options *patient_options(const wmtls_lab *lab) {
    static const char *const limits[] = {"timeout", "connect_timeout", "handshake_timeout",
                                         "write_timeout", "response_timeout"};
    wmtls_options *options = wmtls_lab_options(lab);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        wmtls_options_set(options, limits[i], "120000");
    }
    return options;
}

static inline wmtls_dispatcher *patient_dispatcher(const wmtls_lab *lab) {
    wmtls_dispatcher *made;
    wmtls_error *error;
    CHECK_STATUS(wmtls_dispatcher_new(patient_options(lab), &made, &error), WMTLS_OK, error);
    return made;
}

#endif
