/* A test is a function named after the behavior that it checks. */

#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program at the first failed check. */
#define CHECK(condition) \
    ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, __func__, #condition))

/* Compares two texts; either may be NULL. */
#define CHECK_TEXT(seen, wanted) check_text(__FILE__, __LINE__, __func__, (seen), (wanted))

/* Compares a status. Prints the error if the status differs, and frees the error. Two steps,
   because a call among the arguments may run after `error` was read. */
#define CHECK_STATUS(call, wanted, error)                                         \
    do {                                                                          \
        wmtls_status status_of_call = (call);                                     \
        check_status(__FILE__, __LINE__, __func__, status_of_call, (wanted), (error)); \
    } while (0)

#define RUN(test) (printf("%s\n", #test), fflush(stdout), test())

/* Returns whether a memory checker or a sanitizer runs the program. It then takes up to fifty times
   as long, and the checker needs memory of its own. */
static inline int is_checked(void) {
#ifdef SANITIZED
    return 1;
#else
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
#endif
}

/* Returns whether a test may fork. A child of a process under a sanitizer inherits the locks of its
   allocator, which another thread may hold, and ThreadSanitizer refuses threads of a child. */
static inline int can_fork(void) {
#ifdef SANITIZED
    return 0;
#else
    return 1;
#endif
}

static inline void check_failed(const char *file, int line, const char *test, const char *what) {
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, test, what);
    exit(1);
}

static inline void check_text(const char *file, int line, const char *test, const char *seen,
                              const char *wanted) {
    if (seen == NULL || wanted == NULL ? seen != wanted : strcmp(seen, wanted) != 0) {
        fprintf(stderr, "got \"%s\", expected \"%s\"\n", seen ? seen : "NULL",
                wanted ? wanted : "NULL");
        check_failed(file, line, test, "the texts differ");
    }
}

static inline void check_status(const char *file, int line, const char *test, wmtls_status status,
                                wmtls_status wanted, wmtls_error *error) {
    if (status != wanted || wmtls_error_kind(error) != wanted) {
        fprintf(stderr, "got %d, expected %d: %s\n", (int)status, (int)wanted,
                error ? wmtls_error_json(error) : "no error");
        check_failed(file, line, test, "the status differs");
    }
    wmtls_error_free(error);
}

#endif
