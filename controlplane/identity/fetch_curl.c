#include "controlplane/identity/fetch_curl.h"

#include <curl/curl.h>
#include <stdio.h>

#include "controlplane/identity/url.h"

enum {
    /* A connection that is not there in half of the time will not give its answer in the rest. */
    CONNECT_SHARE = 2,
};

struct sink {
    struct buffer *body;
    bool too_large;
};

static size_t write_body(char *data, size_t size, size_t count, void *context)
{
    struct sink *sink = context;
    if (buffer_append(sink->body, bytes_of(data, size * count)) != OK) {
        sink->too_large = true;
        return 0; /* ends the transfer */
    }
    return size * count;
}

static bool set_options(CURL *c, const struct identity_fetch_request *r, struct sink *sink,
                        char *error)
{
    bool plain = url_is_plain(r->url);
    long timeout = (long)r->timeout_ms;
    bool ok =
        curl_easy_setopt(c, CURLOPT_URL, r->url) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https") == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, timeout) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, timeout / CONNECT_SHARE + 1) == CURLE_OK &&
        /* Timeouts without signals: there are other threads. */
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_USERAGENT, "chaperone-controlplane") == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, write_body) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_WRITEDATA, sink) == CURLE_OK;
    if (ok && plain) {
        /* A proxy of the environment must not see what is meant for this machine. */
        ok = curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK;
    }
    if (ok && r->ca_file != NULL) {
        ok = curl_easy_setopt(c, CURLOPT_CAINFO, r->ca_file) == CURLE_OK;
    }
    return ok;
}

static enum err judge(CURL *c, CURLcode code, const struct sink *sink, const char *error,
                      struct err_text *why)
{
    if (sink->too_large) {
        return err_set(why, ERR_LIMIT, "the answer is larger than %zu bytes", sink->body->cap);
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return err_set(why, ERR_TIMEOUT, "no answer in time");
    }
    if (code != CURLE_OK) {
        return err_set(why, ERR_UNAVAILABLE, "%s",
                       error[0] == '\0' ? curl_easy_strerror(code) : error);
    }
    long status = 0;
    (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 300 && status < 400) {
        return err_set(why, ERR_UNAVAILABLE, "HTTP status %ld: redirects are not followed", status);
    }
    if (status != 200) {
        return err_set(why, ERR_UNAVAILABLE, "HTTP status %ld", status);
    }
    return OK;
}

static void copy_cache_control(CURL *c, struct identity_fetch_response *out)
{
    struct curl_header *header = NULL;
    out->cache_control[0] = '\0';
    if (curl_easy_header(c, "Cache-Control", 0, CURLH_HEADER, -1, &header) == CURLHE_OK) {
        (void)snprintf(out->cache_control, sizeof out->cache_control, "%s", header->value);
    }
}

static enum err fetch(void *context, const struct identity_fetch_request *request,
                      struct identity_fetch_response *out, struct err_text *why)
{
    (void)context;
    struct sink sink = {.body = &out->body};
    char error[CURL_ERROR_SIZE] = "";
    CURL *c = curl_easy_init();
    if (c == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    enum err e = ERR_INTERNAL;
    if (!set_options(c, request, &sink, error)) {
        e = err_set(why, ERR_INTERNAL, "libcurl refuses an option: %s", error);
    } else {
        e = judge(c, curl_easy_perform(c), &sink, error, why);
    }
    if (e == OK) {
        copy_cache_control(c, out);
    }
    curl_easy_cleanup(c);
    return e;
}

struct identity_fetcher identity_fetcher_curl(void)
{
    return (struct identity_fetcher){.fetch = fetch};
}
