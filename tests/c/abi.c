/* The sizes and versions that docs/abi.md promises. */

#include <assert.h>
#include <stddef.h>
#include <stdio.h>

#include "webhook_mtls.h"

#include "check.h"

static_assert(sizeof(wmtls_status) == 4, "a status is an int32_t");
static_assert(sizeof(wmtls_decision) == 24, "docs/abi.md has its size");
static_assert(offsetof(wmtls_decision, action) == 0, "docs/abi.md has its fields");
static_assert(offsetof(wmtls_decision, counts) == 4, "docs/abi.md has its fields");
static_assert(offsetof(wmtls_decision, delay_ms) == 8, "docs/abi.md has its fields");
static_assert(offsetof(wmtls_decision, reason) == 16, "docs/abi.md has its fields");

static void header_and_library_have_one_version(void) {
    char parts[32];
    snprintf(parts, sizeof parts, "%d.%d.%d", WMTLS_VERSION_MAJOR, WMTLS_VERSION_MINOR,
             WMTLS_VERSION_PATCH);
    CHECK_TEXT(parts, WMTLS_VERSION);
    CHECK_TEXT(wmtls_version(), WMTLS_VERSION);
    CHECK(WMTLS_VERSION_NUMBER ==
          (WMTLS_VERSION_MAJOR * 1000 + WMTLS_VERSION_MINOR) * 1000 + WMTLS_VERSION_PATCH);
}

int main(void) {
    RUN(header_and_library_have_one_version);
    return 0;
}
