/* Two threads change a number without a lock, between calls of the library: the thread sanitizer must stop it. */

#include <pthread.h>

#include "webhook_mtls_testing.h"

static int number;

static void *count(void *lab) {
    for (int i = 0; i < 1000; i++) {
        number++;
        wmtls_dispatcher_free(wmtls_lab_dispatcher((wmtls_lab *)lab));
    }
    return NULL;
}

int main(void) {
    wmtls_lab *lab;
    pthread_t threads[2];
    if (wmtls_lab_start(&lab, NULL) != WMTLS_OK) return 0;
    for (int i = 0; i < 2; i++) {
        if (pthread_create(&threads[i], NULL, count, lab) != 0) return 0;
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    wmtls_lab_free(lab);
    return 0;
}
