#include "controlplane/blobs/s3.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "controlplane/blobs/backend.h"
#include "controlplane/identity/url.h"

enum {
    TRIES = 3,
    FIRST_PAUSE_MS = 100, /* four times as long before each next try */
    KEPT_HANDLES = 8,     /* that keep their connection */
    SECRET_MAX = 1024,
    URL_MAX_SIZE = 2048,
};
static const int64_t ns_of_ms = 1000000;

struct s3 {
    struct blobs blobs;
    char *base;                        /* owned: what the name comes after */
    char *ca_file;                     /* owned; may be NULL */
    char *sigv4, *key_id, *secret_key; /* owned; keys are wiped */
    long timeout_ms;
    bool is_plain;
    pthread_mutex_t mutex;
    CURL *kept[KEPT_HANDLES];
    size_t kept_count;
};

/* ---- life ------------------------------------------------------------------------------------ */

static void secret_free(char *secret)
{
    if (secret != NULL) {
        bytes_wipe(secret, strlen(secret));
        free(secret);
    }
}

static void destroy(struct blobs *blobs)
{
    struct s3 *s = (struct s3 *)blobs;
    for (size_t i = 0; i < s->kept_count; i++) {
        curl_easy_cleanup(s->kept[i]);
    }
    (void)pthread_mutex_destroy(&s->mutex);
    secret_free(s->key_id);
    secret_free(s->secret_key);
    free(s->base);
    free(s->ca_file);
    free(s->sigv4);
    free(s);
}

/* ---- handles --------------------------------------------------------------------------------- */

static CURL *handle_take(struct s3 *s)
{
    CURL *c = NULL;
    (void)pthread_mutex_lock(&s->mutex);
    if (s->kept_count > 0) {
        c = s->kept[--s->kept_count];
    }
    (void)pthread_mutex_unlock(&s->mutex);
    return c == NULL ? curl_easy_init() : c;
}

static void handle_give(struct s3 *s, CURL *c)
{
    curl_easy_reset(c); /* nothing of ours stays behind; the connection does */
    (void)pthread_mutex_lock(&s->mutex);
    bool is_kept = s->kept_count < KEPT_HANDLES;
    if (is_kept) {
        s->kept[s->kept_count++] = c;
    }
    (void)pthread_mutex_unlock(&s->mutex);
    if (!is_kept) {
        curl_easy_cleanup(c);
    }
}

/* ---- one exchange ---------------------------------------------------------------------------- */

struct exchange {
    const char *method;
    char url[URL_MAX_SIZE];
    char hash[sizeof("x-amz-content-sha256: ") + BLOBS_NAME_TEXT_SIZE];
    struct bytes content;
    struct buffer *out; /* NULL: what is answered is not wanted */
    bool is_too_large;
    long status;
};

static size_t write_body(char *data, size_t size, size_t count, void *context)
{
    struct exchange *x = context;
    if (x->out != NULL && buffer_append(x->out, bytes_of(data, size * count)) != OK) {
        x->is_too_large = true;
        return 0; /* ends the transfer */
    }
    return size * count;
}

static bool set_transport(const struct s3 *s, CURL *c, struct exchange *x, char *error)
{
    bool ok =
        curl_easy_setopt(c, CURLOPT_URL, x->url) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, s->is_plain ? "http" : "https") == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, s->timeout_ms) == CURLE_OK &&
        /* Timeouts without signals: there are other threads. */
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_USERAGENT, "chaperone-controlplane") == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, write_body) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_WRITEDATA, x) == CURLE_OK;
    if (ok && s->is_plain) {
        /* A proxy of the environment must not see what is meant for this machine. */
        ok = curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK;
    }
    if (ok && s->ca_file != NULL) {
        ok = curl_easy_setopt(c, CURLOPT_CAINFO, s->ca_file) == CURLE_OK;
    }
    return ok;
}

static bool set_request(const struct s3 *s, CURL *c, const struct exchange *x,
                        const struct curl_slist *headers)
{
    bool ok = curl_easy_setopt(c, CURLOPT_AWS_SIGV4, s->sigv4) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_USERNAME, s->key_id) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_PASSWORD, s->secret_key) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, x->method) == CURLE_OK;
    if (ok && x->content.data != NULL) {
        /* A body that is in memory: it is signed, and can be sent again. */
        ok = curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)x->content.size) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_POSTFIELDS, x->content.data) == CURLE_OK;
    }
    return ok;
}

/* What S3 says to be signed, of the body; and no wait for a 100. NULL: memory. */
static struct curl_slist *headers_make(const struct exchange *x)
{
    const char *const lines[] = {x->hash, "Content-Type: application/octet-stream", "Expect:"};
    size_t count = x->content.data != NULL ? 3 : 1;
    struct curl_slist *headers = NULL;
    for (size_t i = 0; i < count; i++) {
        struct curl_slist *more = curl_slist_append(headers, lines[i]);
        if (more == NULL) {
            curl_slist_free_all(headers);
            return NULL;
        }
        headers = more;
    }
    return headers;
}

/* OK: there is an answer. */
static enum err exchange_try(struct s3 *s, struct exchange *x, struct err_text *why)
{
    char error[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = headers_make(x);
    CURL *c = headers == NULL ? NULL : handle_take(s);
    enum err e = OK;
    if (c == NULL) {
        curl_slist_free_all(headers);
        return ERR_NO_MEMORY;
    }
    if (x->out != NULL) {
        buffer_clear(x->out);
    }
    x->is_too_large = false;
    x->status = 0;
    if (!set_transport(s, c, x, error) || !set_request(s, c, x, headers)) {
        e = err_set(why, ERR_INTERNAL, "libcurl refuses an option: %s", error);
    } else {
        CURLcode code = curl_easy_perform(c);
        if (x->is_too_large) {
            e = ERR_LIMIT;
        } else if (code != CURLE_OK) {
            e = err_set(why, ERR_UNAVAILABLE, "the store of blobs cannot be reached: %s",
                        error[0] == '\0' ? curl_easy_strerror(code) : error);
        }
        (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &x->status);
    }
    handle_give(s, c);
    curl_slist_free_all(headers);
    return e;
}

static void pause_before(int attempt)
{
    int64_t ms = FIRST_PAUSE_MS;
    for (int i = 1; i < attempt; i++) {
        ms *= 4;
    }
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * ns_of_ms};
    (void)nanosleep(&pause, NULL);
}

static bool is_passing(enum err e, long status)
{
    return e == ERR_UNAVAILABLE || (e == OK && (status >= 500 || status == 429));
}

static enum err exchange_do(struct s3 *s, struct exchange *x, const uint8_t name[BLOBS_NAME_SIZE],
                            struct err_text *why)
{
    char text[BLOBS_NAME_TEXT_SIZE];
    uint8_t hash[BLOBS_NAME_SIZE];
    blobs_name_text(name, text);
    int n = snprintf(x->url, sizeof(x->url), "%s%.2s/%s", s->base, text, text);
    if (n < 0 || (size_t)n >= sizeof(x->url)) {
        return err_set(why, ERR_INVALID, "the address of a blob is too long");
    }
    blobs_name_of(x->content, hash);
    blobs_name_text(hash, text);
    (void)snprintf(x->hash, sizeof(x->hash), "x-amz-content-sha256: %s", text);
    enum err e = exchange_try(s, x, why);
    for (int attempt = 1; attempt < TRIES && is_passing(e, x->status); attempt++) {
        pause_before(attempt);
        e = exchange_try(s, x, why);
    }
    return e;
}

static enum err refused(const struct exchange *x, struct err_text *why)
{
    return err_set(why, ERR_UNAVAILABLE, "the store of blobs answers HTTP status %ld to a %s",
                   x->status, x->method);
}

/* ---- the functions --------------------------------------------------------------------------- */

static enum err put(struct blobs *blobs, const uint8_t name[BLOBS_NAME_SIZE], struct bytes content,
                    struct err_text *why)
{
    struct exchange x = {.method = "PUT", .content = content};
    enum err e = exchange_do((struct s3 *)blobs, &x, name, why);
    return e == OK && (x.status < 200 || x.status > 299) ? refused(&x, why) : e;
}

static enum err get(struct blobs *blobs, const uint8_t name[BLOBS_NAME_SIZE], struct buffer *out,
                    struct err_text *why)
{
    struct exchange x = {.method = "GET", .out = out};
    enum err e = exchange_do((struct s3 *)blobs, &x, name, why);
    if (e == OK && x.status == 404) {
        return err_set(why, ERR_NOT_FOUND, "the blob %s is missing", x.url);
    }
    return e == OK && x.status != 200 ? refused(&x, why) : e;
}

static enum err take_away(struct blobs *blobs, const uint8_t name[BLOBS_NAME_SIZE],
                          struct err_text *why)
{
    struct exchange x = {.method = "DELETE"};
    enum err e = exchange_do((struct s3 *)blobs, &x, name, why);
    bool is_done = (x.status >= 200 && x.status <= 299) || x.status == 404;
    return e == OK && !is_done ? refused(&x, why) : e;
}

static const struct blobs_backend backend = {
    .destroy = destroy, .put = put, .get = get, .remove = take_away};

/* ---- opening --------------------------------------------------------------------------------- */

/* What a path and a header may hold without being written in another way. */
static bool is_simple(const char *text, const char *more)
{
    for (const char *c = text; *c != '\0'; c++) {
        bool is_plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                        (*c >= '0' && *c <= '9') || strchr(more, *c) != NULL;
        if (!is_plain) {
            return false;
        }
    }
    return true;
}

static enum err options_check(const struct blobs_s3_options *o, struct err_text *why)
{
    const char *prefix = o->prefix == NULL ? "" : o->prefix;
    enum err e = url_check_issuer(o->endpoint, "the endpoint of the blobs", why);
    if (e != OK) {
        return e;
    }
    const char *host = strstr(o->endpoint, "://");
    if (host == NULL || strchr(host + 3, '/') != NULL) {
        return err_set(why, ERR_INVALID,
                       "the endpoint of the blobs has no path: expected https://HOST[:PORT]");
    }
    if (o->bucket[0] == '\0' || !is_simple(o->bucket, ".-_") || strstr(o->bucket, "..") != NULL) {
        return err_set(why, ERR_INVALID, "this is no name of a bucket");
    }
    if (o->region[0] == '\0' || !is_simple(o->region, "-_")) {
        return err_set(why, ERR_INVALID, "this is no name of a region");
    }
    if (!is_simple(prefix, "-_/") || prefix[0] == '/' || strstr(prefix, "//") != NULL) {
        return err_set(why, ERR_INVALID,
                       "a prefix of blobs has letters, digits, -, _ and / between them only");
    }
    if (o->key_id.size == 0 || o->secret_key.size == 0 || o->key_id.size > SECRET_MAX ||
        o->secret_key.size > SECRET_MAX) {
        return err_set(why, ERR_INVALID, "a key of the blobs is empty or too long");
    }
    return o->timeout_ns >= ns_of_ms
               ? OK
               : err_set(why, ERR_INVALID, "the timeout of blobs must be at least 1 ms");
}

static char *base_make(const struct blobs_s3_options *o)
{
    const char *prefix = o->prefix == NULL ? "" : o->prefix;
    const char *host = strstr(o->endpoint, "://") + 3;
    char *base = NULL;
    int n = o->is_virtual_host ? asprintf(&base, "%.*s%s.%s/%s", (int)(host - o->endpoint),
                                          o->endpoint, o->bucket, host, prefix)
                               : asprintf(&base, "%s/%s/%s", o->endpoint, o->bucket, prefix);
    return n < 0 ? NULL : base;
}

enum err blobs_open_s3(const struct blobs_s3_options *options, struct blobs **out,
                       struct err_text *why)
{
    enum err e = options_check(options, why);
    if (e != OK) {
        return e;
    }
    struct s3 *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    int64_t ms = options->timeout_ns / ns_of_ms;
    s->blobs.backend = &backend;
    (void)pthread_mutex_init(&s->mutex, NULL);
    s->timeout_ms = ms > INT32_MAX ? INT32_MAX : (long)ms;
    s->is_plain = url_is_plain(options->endpoint);
    s->base = base_make(options);
    s->key_id = bytes_to_string(options->key_id);
    s->secret_key = bytes_to_string(options->secret_key);
    s->ca_file = options->ca_file == NULL ? NULL : strdup(options->ca_file);
    bool is_short = asprintf(&s->sigv4, "aws:amz:%s:s3", options->region) < 0;
    if (is_short) {
        s->sigv4 = NULL;
    }
    if (is_short || s->base == NULL || s->key_id == NULL || s->secret_key == NULL ||
        (options->ca_file != NULL && s->ca_file == NULL)) {
        destroy(&s->blobs);
        return ERR_NO_MEMORY;
    }
    *out = &s->blobs;
    return OK;
}
