/* libcurl, the usual alternative in C. Its multi interface makes many deliveries in flight. */

#define _POSIX_C_SOURCE 200809L

#include <curl/curl.h>

#include "measure.h"

static CURL *handles[IN_FLIGHT];
static CURLM *multi;
static struct curl_slist *headers;

static size_t swallow(char *data, size_t size, size_t count, void *unused) {
    (void)data;
    (void)unused;
    return size * count;
}

static CURL *handle(void) {
    CURL *curl = curl_easy_init();
    curl_easy_setopt(curl, CURLOPT_SSLCERT, file("tls.crt"));
    curl_easy_setopt(curl, CURLOPT_SSLKEY, file("tls.key"));
    curl_easy_setopt(curl, CURLOPT_CAINFO, file("ca.pem"));
    curl_easy_setopt(curl, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)sizeof body);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, swallow);
    return curl;
}

static size_t refused(CURL *curl) {
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status != 200;
}

/* Sets the next URL of the rotation on the handle. */
static CURL *in_turn(CURL *curl) {
    static char *urls[FLEET];
    static size_t next;
    size_t at = next++ % url_count();
    if (urls[at] == NULL) {
        urls[at] = url(at);
    }
    curl_easy_setopt(curl, CURLOPT_URL, urls[at]);
    return curl;
}

static size_t one_by_one(size_t n) {
    size_t errors = 0;
    for (size_t i = 0; i < n; i++) {
        errors += curl_easy_perform(in_turn(handles[0])) != CURLE_OK || refused(handles[0]);
    }
    return errors;
}

static size_t in_flight(size_t n) {
    size_t errors = 0, started = 0, done = 0;
    while (started < IN_FLIGHT && started < n) {
        curl_multi_add_handle(multi, in_turn(handles[started++]));
    }
    while (done < n) {
        int running, left;
        CURLMsg *message;
        curl_multi_perform(multi, &running);
        while ((message = curl_multi_info_read(multi, &left)) != NULL) {
            CURL *curl = message->easy_handle;
            errors += message->data.result != CURLE_OK || refused(curl);
            done++;
            curl_multi_remove_handle(multi, curl);
            if (started < n) {
                curl_multi_add_handle(multi, in_turn(curl));
                started++;
            }
        }
        if (done < n) {
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
        }
    }
    return errors;
}

int main(int argc, char **argv) {
    read_arguments(argc, argv);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    headers = curl_slist_append(NULL, "content-type: application/json");
    headers = curl_slist_append(headers, "expect:");
    multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)FLEET);
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        handles[i] = handle();
    }
    measured("libcurl", is_mode("flight") || has_fleet() ? in_flight : one_by_one);
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        curl_easy_cleanup(handles[i]);
    }
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
    curl_global_cleanup();
    return 0;
}
