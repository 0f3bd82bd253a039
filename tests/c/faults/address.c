/* Reads a text of the library after its handle was freed: the address sanitizer must stop it. */

#include <stdio.h>

#include "webhook_mtls_testing.h"

int main(void) {
    wmtls_error *error = wmtls_lab_error("canceled");
    const char *message = wmtls_error_message(error);
    wmtls_error_free(error);
    printf("%c\n", message[0]);
    return 0;
}
