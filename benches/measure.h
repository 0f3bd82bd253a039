/* What the clients in C have in common: their arguments, and the line that they print. */

#ifndef MEASURE_H
#define MEASURE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* A fleet has so many consumers, each with a port of its own. */
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

/* A path in the directory; never freed. */
static char *file(const char *name) {
    size_t length = strlen(given.material) + strlen(name) + 2;
    char *path = malloc(length);
    snprintf(path, length, "%s/%s", given.material, name);
    return path;
}

static bool is_mode(const char *mode) { return strcmp(given.mode, mode) == 0; }

static bool has_fleet(void) { return is_mode("fleet") || is_mode("again") || is_mode("idle"); }

static size_t url_count(void) { return has_fleet() ? FLEET : 1; }

/* One of the URLs to deliver to in turn; never freed. */
static char *url(size_t at) {
    const char *port = strrchr(given.url, ':') + 1;
    size_t length = strlen(given.url) + 8;
    char *text = malloc(length);
    snprintf(text, length, "%.*s%lu%s", (int)(port - given.url), given.url,
             strtoul(port, NULL, 10) + at, strchr(port, '/'));
    return text;
}

/* How many deliveries go before those that are measured. */
static size_t before(void) {
    if (is_mode("again")) {
        return FLEET;
    }
    return has_fleet() || strncmp(given.mode, "cold", 4) == 0 ? 4 : 4 * IN_FLIGHT;
}

/* Resident memory of the process, in KiB. */
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

/* Delivers some, then n, and prints what these cost; `deliver` returns how many failed. */
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
