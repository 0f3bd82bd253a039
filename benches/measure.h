/* What the clients in C have in common: their arguments, and the line that they print. */

#ifndef MEASURE_H
#define MEASURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { IN_FLIGHT = 32, BODY = 1024 };

static struct {
    const char *mode;
    size_t n;
    const char *url;
    const char *material;
    const char *pin;
} given;

static char body[BODY];

static void read_arguments(int argc, char **argv) {
    if (argc != 6) {
        fputs("usage: <mode> <n> <url> <directory> <pin>\n", stderr);
        exit(2);
    }
    given.mode = argv[1];
    given.n = strtoul(argv[2], NULL, 10);
    given.url = argv[3];
    given.material = argv[4];
    given.pin = argv[5];
    memset(body, 'x', sizeof body);
}

/* A path in the directory; never freed. */
static char *file(const char *name) {
    size_t length = strlen(given.material) + strlen(name) + 2;
    char *path = malloc(length);
    snprintf(path, length, "%s/%s", given.material, name);
    return path;
}

static double seconds(struct timeval time) {
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Delivers some, then n, and prints what these cost; `deliver` returns how many failed. */
static void measured(const char *client, size_t (*deliver)(size_t)) {
    struct rusage before, after;
    deliver(strncmp(given.mode, "cold", 4) == 0 ? 4 : 4 * IN_FLIGHT);
    getrusage(RUSAGE_SELF, &before);
    double started = now();
    size_t errors = deliver(given.n);
    double wall = now() - started;
    getrusage(RUSAGE_SELF, &after);
    printf("{\"client\":\"%s\",\"mode\":\"%s\",\"n\":%zu,\"user_s\":%.6f,\"sys_s\":%.6f,"
           "\"wall_s\":%.6f,\"errors\":%zu}\n",
           client, given.mode, given.n, seconds(after.ru_utime) - seconds(before.ru_utime),
           seconds(after.ru_stime) - seconds(before.ru_stime), wall, errors);
}

#endif
