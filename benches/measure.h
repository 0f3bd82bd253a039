/* Common parts of the C clients: the arguments, and the printed line. */

#ifndef MEASURE_H
#define MEASURE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* A fleet has this many consumers, each on its own port. */
enum { IN_FLIGHT = 32, BODY = 1024, FLEET = 504 };

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

/* Returns a path in the directory. It is never freed. */
static char *file(const char *name) {
    size_t length = strlen(given.material) + strlen(name) + 2;
    char *path = malloc(length);
    snprintf(path, length, "%s/%s", given.material, name);
    return path;
}

static bool is_mode(const char *mode) { return strcmp(given.mode, mode) == 0; }

static bool has_fleet(void) { return is_mode("fleet") || is_mode("again") || is_mode("idle"); }

static size_t url_count(void) { return has_fleet() ? FLEET : 1; }

/* Returns one of the URLs, which the deliveries use in rotation. It is never freed. */
static char *url(size_t at) {
    const char *port = strrchr(given.url, ':') + 1;
    size_t length = strlen(given.url) + 8;
    char *text = malloc(length);
    snprintf(text, length, "%.*s%lu%s", (int)(port - given.url), given.url,
             strtoul(port, NULL, 10) + at, strchr(port, '/'));
    return text;
}

/* Returns the number of deliveries before the measured ones. */
static size_t before(void) {
    if (is_mode("again")) {
        return FLEET;
    }
    return has_fleet() || strncmp(given.mode, "cold", 4) == 0 ? 4 : 4 * IN_FLIGHT;
}

/* Returns the resident memory of the process, in KiB. */
static long resident(void) {
    long size = 0, pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm == NULL || fscanf(statm, "%ld %ld", &size, &pages) != 2) {
        exit(2);
    }
    fclose(statm);
    return pages * 4;
}

static double seconds(struct timeval time) {
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Makes some deliveries, then n, and prints the cost of these. `deliver` returns the number of
 * failures. */
static void measured(const char *client, size_t (*deliver)(size_t)) {
    struct rusage from, to;
    deliver(before());
    long held = resident();
    getrusage(RUSAGE_SELF, &from);
    double started = now();
    size_t errors = deliver(given.n);
    double wall = now() - started;
    getrusage(RUSAGE_SELF, &to);
    printf("{\"client\":\"%s\",\"mode\":\"%s\",\"n\":%zu,\"user_s\":%.6f,\"sys_s\":%.6f,"
           "\"wall_s\":%.6f,\"rss_kib\":%ld,\"errors\":%zu}\n",
           client, given.mode, given.n, seconds(to.ru_utime) - seconds(from.ru_utime),
           seconds(to.ru_stime) - seconds(from.ru_stime), wall, resident() - held, errors);
}

#endif
