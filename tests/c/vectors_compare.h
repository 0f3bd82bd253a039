/* Compares results with the expectations of the shared vectors. */

#ifndef VECTORS_COMPARE_H
#define VECTORS_COMPARE_H

#include "vectors_input.h"

static int disagreed;

static void disagree(const char *file, const cJSON *vector, const char *where, const cJSON *seen,
                     const cJSON *wanted) {
    char *shown = seen != NULL ? cJSON_PrintUnformatted(seen) : NULL;
    char *expected = wanted != NULL ? cJSON_PrintUnformatted(wanted) : NULL;
    printf("%s: %s: %s is %s, expected %s\n", file, text(vector, "name"), where,
           shown ? shown : "missing", expected ? expected : "nothing");
    free(shown);
    free(expected);
    disagreed++;
}

static void subset(const char *file, const cJSON *vector, const char *where, const cJSON *wanted,
                   const cJSON *seen) {
    const cJSON *item;
    if (!cJSON_IsObject(wanted) || !cJSON_IsObject(seen)) {
        if (!cJSON_Compare(wanted, seen, 1)) {
            disagree(file, vector, where, seen, wanted);
        }
        return;
    }
    cJSON_ArrayForEach(item, wanted) {
        char path[256];
        snprintf(path, sizeof path, "%s.%s", where, item->string);
        subset(file, vector, path, item, get(seen, item->string));
    }
}

#endif
