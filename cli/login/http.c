#include "cli/login/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/identity/url.h"

enum {
    TIMEOUT_MS = 20000,
    CONNECT_TIMEOUT_MS = 10000,
    /* Key sets with certificate chains are the largest answers; none is near to it. */
    BODY_MAX = 256 << 10,
    POLL_MS = 1000,
};

struct login_http {
    CURLM *multi;
    struct curl_slist *headers;
    char *ca_file;
    int interrupt_fd;
};

enum err login_http_create(const struct login_http_options *options, struct login_http **out,
                           struct err_text *why)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return err_set(why, ERR_INTERNAL, "libcurl cannot be started");
    }
    struct login_http *h = calloc(1, sizeof(*h));
    if (h == NULL) {
        curl_global_cleanup();
        return err_set(why, ERR_NO_MEMORY, "out of memory");
    }
    h->interrupt_fd = options->interrupt_fd;
    h->multi = curl_multi_init();
    h->headers = curl_slist_append(NULL, "Accept: application/json");
    h->ca_file = options->ca_file == NULL ? NULL : strdup(options->ca_file);
    if (h->multi == NULL || h->headers == NULL ||
        (options->ca_file != NULL && h->ca_file == NULL)) {
        login_http_destroy(h);
        return err_set(why, ERR_NO_MEMORY, "out of memory");
    }
    *out = h;
    return OK;
}

void login_http_destroy(struct login_http *h)
{
    if (h == NULL) {
        return;
    }
    curl_slist_free_all(h->headers);
    if (h->multi != NULL) {
        (void)curl_multi_cleanup(h->multi);
    }
    free(h->ca_file);
    free(h);
    curl_global_cleanup();
}

void login_buffer_init(struct buffer *b, size_t cap)
{
    buffer_init(b, cap);
    if (buffer_reserve(b, cap) == NULL) {
        return; /* the first append says so */
    }
}

void login_http_answer_init(struct login_http_answer *a)
{
    *a = (struct login_http_answer){0};
    login_buffer_init(&a->body, BODY_MAX);
}

void login_http_answer_finish(struct login_http_answer *a)
{
    buffer_wipe(&a->body);
}

/* ---- one exchange ----------------------------------------------------------------------- */

struct exchange {
    CURL *curl;
    const char *url;
    const struct buffer *form; /* NULL: GET */
    struct buffer *body;
    bool too_large;
    char error[CURL_ERROR_SIZE];
};

static size_t write_body(char *data, size_t size, size_t count, void *context)
{
    struct exchange *x = context;
    if (buffer_append(x->body, bytes_of(data, size * count)) != OK) {
        x->too_large = true;
        return 0; /* ends the transfer */
    }
    return size * count;
}

static bool set_options(const struct login_http *h, struct exchange *x)
{
    CURL *c = x->curl;
    bool plain = url_is_plain(x->url);
    /* Without CURLOPT_NOSIGNAL: a server that goes away in the middle of TLS must not end us with
     * SIGPIPE. */
    bool ok =
        curl_easy_setopt(c, CURLOPT_URL, x->url) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https") == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_ERRORBUFFER, x->error) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_USERAGENT, "chaperone") == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, h->headers) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, write_body) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_WRITEDATA, x) == CURLE_OK;
    if (ok && plain) {
        /* A proxy of the environment must not see what is meant for this machine. */
        ok = curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK;
    }
    if (ok && h->ca_file != NULL) {
        ok = curl_easy_setopt(c, CURLOPT_CAINFO, h->ca_file) == CURLE_OK;
    }
    if (ok && x->form != NULL) {
        struct bytes form = buffer_bytes(x->form);
        ok = curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)form.size) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_POSTFIELDS, form.data) == CURLE_OK;
    }
    return ok;
}

/* Runs the transfer to its end; ERR_CLOSED when it was interrupted. */
static enum err run(const struct login_http *h, const struct exchange *x, CURLcode *out_code)
{
    int running = 1;
    CURLMcode m = curl_multi_add_handle(h->multi, x->curl);
    while (m == CURLM_OK && running > 0) {
        struct curl_waitfd interrupt = {.fd = h->interrupt_fd, .events = CURL_WAIT_POLLIN};
        unsigned more = h->interrupt_fd >= 0 ? 1 : 0;
        m = curl_multi_perform(h->multi, &running);
        if (m == CURLM_OK && running > 0) {
            m = curl_multi_poll(h->multi, &interrupt, more, POLL_MS, NULL);
        }
        if (m == CURLM_OK && interrupt.revents != 0) {
            return ERR_CLOSED;
        }
    }
    int left = 0;
    const CURLMsg *message = curl_multi_info_read(h->multi, &left);
    if (m != CURLM_OK || message == NULL) {
        return ERR_INTERNAL;
    }
    *out_code = message->data.result;
    return OK;
}

static const char *host_of(const char *url, char *out, size_t size)
{
    const char *host = strstr(url, "://");
    host = host == NULL ? url : host + 3;
    (void)snprintf(out, size, "%.*s", (int)strcspn(host, "/?#"), host);
    return out;
}

static enum err judge(const struct exchange *x, CURLcode code, struct err_text *why)
{
    char host[128];
    (void)host_of(x->url, host, sizeof(host));
    if (x->too_large) {
        return err_set(why, ERR_LIMIT, "%s: the answer is larger than %zu bytes", host,
                       x->body->cap);
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return err_set(why, ERR_TIMEOUT, "%s: no answer in time", host);
    }
    if (code != CURLE_OK) {
        return err_set(why, ERR_UNAVAILABLE, "%s: %s", host,
                       x->error[0] == '\0' ? curl_easy_strerror(code) : x->error);
    }
    return OK;
}

static enum err exchange(struct login_http *h, const char *url, const struct buffer *form,
                         struct login_http_answer *out, struct err_text *why)
{
    struct exchange x = {.url = url, .form = form, .body = &out->body};
    CURLcode code = CURLE_OK;
    enum err e = url_check(url, "the address", why);
    if (e != OK) {
        return e;
    }
    buffer_clear(&out->body);
    x.curl = curl_easy_init();
    if (x.curl == NULL) {
        return err_set(why, ERR_NO_MEMORY, "out of memory");
    }
    e = set_options(h, &x) ? run(h, &x, &code) : ERR_INTERNAL;
    if (e == OK) {
        e = judge(&x, code, why);
    } else {
        (void)err_set(why, e, "%s", e == ERR_CLOSED ? "interrupted" : "libcurl failed");
    }
    if (e == OK) {
        (void)curl_easy_getinfo(x.curl, CURLINFO_RESPONSE_CODE, &out->status);
    }
    (void)curl_multi_remove_handle(h->multi, x.curl);
    curl_easy_cleanup(x.curl);
    return e;
}

enum err login_http_get(struct login_http *h, const char *url, struct login_http_answer *out,
                        struct err_text *why)
{
    return exchange(h, url, NULL, out, why);
}

enum err login_http_post(struct login_http *h, const char *url, const struct buffer *form,
                         struct login_http_answer *out, struct err_text *why)
{
    return exchange(h, url, form, out, why);
}

enum err login_form_add(struct buffer *form, const char *name, const char *value)
{
    if (value == NULL) {
        return OK;
    }
    char *encoded = curl_easy_escape(NULL, value, 0);
    if (encoded == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e =
        buffer_append_format(form, "%s%s=%s", buffer_size(form) == 0 ? "" : "&", name, encoded);
    bytes_wipe(encoded, strlen(encoded));
    curl_free(encoded);
    return e;
}

/* ---- for the verifier ------------------------------------------------------------------- */

static enum err fetch(void *context, const struct identity_fetch_request *request,
                      struct identity_fetch_response *out, struct err_text *why)
{
    struct login_http_answer answer;
    login_http_answer_init(&answer);
    enum err e = exchange(context, request->url, NULL, &answer, why);
    if (e == OK && answer.status != 200) {
        e = err_set(why, ERR_UNAVAILABLE, "HTTP status %ld", answer.status);
    }
    if (e == OK) {
        e = buffer_append(&out->body, buffer_bytes(&answer.body));
        if (e != OK) {
            (void)err_set(why, e, "the answer is larger than %zu bytes", out->body.cap);
        }
    }
    out->cache_control[0] = '\0';
    login_http_answer_finish(&answer);
    return e;
}

struct identity_fetcher login_http_fetcher(struct login_http *h)
{
    return (struct identity_fetcher){.fetch = fetch, .context = h};
}

enum err login_http_pause(const struct login_http *h, int64_t ms)
{
    struct pollfd interrupt = {.fd = h->interrupt_fd, .events = POLLIN};
    int n = 0;
    do {
        n = poll(&interrupt, 1, (int)ms);
    } while (n < 0 && errno == EINTR);
    return n > 0 ? ERR_CLOSED : OK;
}
