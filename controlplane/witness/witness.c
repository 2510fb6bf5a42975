#include "controlplane/witness/witness.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/tlog/witness_request.h"
#include "controlplane/identity/url.h"

enum {
    /* What the witness saw may change between its answer and our next question, where others ask
     * it for the same log. */
    ATTEMPTS_MAX = 4,
    /* How far its clock may be ahead of ours. */
    LEEWAY_S = 300,
    SENTENCE_MAX = 300,
};

#define PATH "add-checkpoint"
static const int64_t ns_of_ms = 1000000, ns_of_s = 1000000000;

struct witness {
    char *url;     /* owned: the prefix and PATH */
    char *ca_file; /* owned; may be NULL */
    struct tlog_verifier verifier;
    long timeout_ms;
    struct clock clock;
    CURL *curl;    /* owned: keeps its connection */
    uint64_t seen; /* the size that it saw last, as far as we know; 0: ask */
};

/* An answer: the status, and the body up to its cap. */
struct answer {
    long status;
    struct buffer body;
    bool is_too_large;
    bool is_size; /* by its content type */
};

/* ---- life ------------------------------------------------------------------------------------ */

static enum err options_check(const struct witness_options *o, struct err_text *why)
{
    if (o->verifier->type != TLOG_KEY_COSIGNATURE) {
        return err_set(why, ERR_INVALID,
                       "the key of the witness %s is of type %d; expected a cosignature key (%d)",
                       o->verifier->name, (int)o->verifier->type, (int)TLOG_KEY_COSIGNATURE);
    }
    if (o->timeout_ns < ns_of_ms) {
        return err_set(why, ERR_INVALID, "the timeout of a witness must be at least 1 ms");
    }
    return url_check_issuer(o->url, "the address of a witness", why);
}

static char *url_join(const char *prefix)
{
    size_t size = strlen(prefix);
    char *url = NULL;
    return asprintf(&url, "%s%s" PATH, prefix, size > 0 && prefix[size - 1] == '/' ? "" : "/") < 0
               ? NULL
               : url;
}

enum err witness_create(const struct witness_options *options, struct witness **out,
                        struct err_text *why)
{
    enum err e = options_check(options, why);
    if (e != OK) {
        return e;
    }
    struct witness *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    int64_t ms = options->timeout_ns / ns_of_ms;
    w->verifier = *options->verifier;
    w->timeout_ms = ms > INT32_MAX ? INT32_MAX : (long)ms;
    w->clock = options->clock.wall_ns == NULL ? clock_system() : options->clock;
    w->url = url_join(options->url);
    w->ca_file = options->ca_file == NULL ? NULL : strdup(options->ca_file);
    w->curl = curl_easy_init();
    if (w->url == NULL || w->curl == NULL || (options->ca_file != NULL && w->ca_file == NULL)) {
        witness_destroy(w);
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    *out = w;
    return OK;
}

void witness_destroy(struct witness *witness)
{
    if (witness != NULL) {
        if (witness->curl != NULL) {
            curl_easy_cleanup(witness->curl);
        }
        free(witness->url);
        free(witness->ca_file);
        free(witness);
    }
}

/* ---- one exchange ---------------------------------------------------------------------------- */

static size_t write_body(char *data, size_t size, size_t count, void *context)
{
    struct answer *a = context;
    if (buffer_append(&a->body, bytes_of(data, size * count)) != OK) {
        a->is_too_large = true;
        return 0; /* ends the transfer */
    }
    return size * count;
}

static bool set_transport(struct witness *w, char *error)
{
    CURL *c = w->curl;
    bool plain = url_is_plain(w->url);
    bool ok = curl_easy_setopt(c, CURLOPT_URL, w->url) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https") == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, w->timeout_ms) == CURLE_OK &&
              /* Timeouts without signals: there are other threads. */
              curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_USERAGENT, "chaperone-controlplane") == CURLE_OK;
    if (ok && plain) {
        /* A proxy of the environment must not see what is meant for this machine. */
        ok = curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK;
    }
    if (ok && w->ca_file != NULL) {
        ok = curl_easy_setopt(c, CURLOPT_CAINFO, w->ca_file) == CURLE_OK;
    }
    return ok;
}

static bool set_request(CURL *c, const struct curl_slist *headers, struct bytes body,
                        struct answer *a)
{
    return curl_easy_setopt(c, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)body.size) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_POSTFIELDS, body.data) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, write_body) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEDATA, a) == CURLE_OK;
}

static enum err perform(struct witness *w, struct answer *a, const char *error,
                        struct err_text *why)
{
    CURLcode code = curl_easy_perform(w->curl);
    char *type = NULL;
    if (a->is_too_large) {
        return err_set(why, ERR_DENIED, "the witness %s answers with more than %zu bytes",
                       w->verifier.name, a->body.cap);
    }
    if (code != CURLE_OK) {
        return err_set(why, ERR_UNAVAILABLE, "the witness %s cannot be asked: %.*s",
                       w->verifier.name, (int)SENTENCE_MAX - (int)TLOG_NAME_MAX / 2,
                       error[0] == '\0' ? curl_easy_strerror(code) : error);
    }
    (void)curl_easy_getinfo(w->curl, CURLINFO_RESPONSE_CODE, &a->status);
    (void)curl_easy_getinfo(w->curl, CURLINFO_CONTENT_TYPE, &type);
    a->is_size = type != NULL && strcasecmp(type, TLOG_WITNESS_SIZE_TYPE) == 0;
    return OK;
}

static enum err post(struct witness *w, struct bytes body, struct answer *a, struct err_text *why)
{
    char error[CURL_ERROR_SIZE] = "";
    /* No wait for a 100: the body is small. */
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    struct curl_slist *more =
        headers == NULL ? NULL : curl_slist_append(headers, "Content-Type: text/plain");
    enum err e = OK;
    if (more == NULL) {
        e = err_set(why, ERR_NO_MEMORY, "memory is short");
    } else if (!set_transport(w, error) || !set_request(w->curl, more, body, a)) {
        e = err_set(why, ERR_INTERNAL, "libcurl refuses an option: %s", error);
    } else {
        e = perform(w, a, error, why);
    }
    curl_slist_free_all(headers);
    curl_easy_reset(w->curl); /* nothing of ours stays behind; the connection does */
    return e;
}

/* ---- what an answer means -------------------------------------------------------------------- */

enum step { STEP_DONE, STEP_AGAIN };

/* One question: what is asked, and how it is answered. */
struct question {
    struct bytes note;
    uint64_t size, old;
    struct buffer *out_line;
    uint64_t *out_seen;
    struct err_text *why;
};

static enum err nonsense(const struct witness *w, const struct question *q, const struct answer *a)
{
    return err_set(q->why, ERR_DENIED,
                   "the witness %s answers %ld to a tree of %llu records after %llu, which makes "
                   "no sense",
                   w->verifier.name, a->status, (unsigned long long)q->size,
                   (unsigned long long)q->old);
}

static enum err fork_found(const struct witness *w, const struct question *q)
{
    *q->out_seen = q->old;
    return err_set(q->why, ERR_INVALID,
                   "the witness %s has seen another tree of %llu records than ours",
                   w->verifier.name, (unsigned long long)q->old);
}

static enum err take_signature(struct witness *w, const struct question *q, const struct answer *a)
{
    struct err_text reason = {.text = ""};
    struct buffer line;
    uint64_t time = 0;
    buffer_init(&line, TLOG_WITNESS_ANSWER_MAX);
    enum err e = tlog_witness_answer_take(buffer_bytes(&a->body), q->note, &w->verifier, &line,
                                          &time, &reason);
    uint64_t now = (uint64_t)(clock_wall(&w->clock) / ns_of_s);
    if (e == ERR_INVALID || e == ERR_LIMIT || e == ERR_DENIED) {
        e = err_set(q->why, ERR_DENIED, "the witness %s: %.*s", w->verifier.name, (int)SENTENCE_MAX,
                    reason.text);
    } else if (e == OK && time > now + LEEWAY_S) {
        e = err_set(q->why, ERR_DENIED,
                    "the witness %s signed with a time %llu s ahead of this machine's",
                    w->verifier.name, (unsigned long long)(time - now));
    } else if (e == OK) {
        e = buffer_append(q->out_line, buffer_bytes(&line));
        w->seen = e == OK ? q->size : w->seen;
    }
    buffer_finish(&line);
    return e;
}

/* 409: it saw another size than we said, or at this very size another tree. */
static enum err take_conflict(struct witness *w, const struct question *q, const struct answer *a,
                              enum step *out_step)
{
    uint64_t seen = 0;
    if (!a->is_size || tlog_witness_size_parse(buffer_bytes(&a->body), &seen) != OK) {
        /* For another tree of the same size, a body is not asked for. */
        return q->old == q->size ? fork_found(w, q) : nonsense(w, q, a);
    }
    if (seen == q->old) {
        return q->old == q->size ? fork_found(w, q) : nonsense(w, q, a);
    }
    w->seen = seen;
    if (seen > q->size) {
        *q->out_seen = seen;
        return err_set(q->why, ERR_EXISTS,
                       "the witness %s has seen a tree of %llu records; ours has %llu",
                       w->verifier.name, (unsigned long long)seen, (unsigned long long)q->size);
    }
    *out_step = STEP_AGAIN;
    return OK;
}

static enum err take_answer(struct witness *w, const struct question *q, const struct answer *a,
                            enum step *out_step)
{
    const char *name = w->verifier.name;
    switch (a->status) {
    case 200: return take_signature(w, q, a);
    case 409: return take_conflict(w, q, a, out_step);
    case 422:
        /* Every tree extends the empty one. */
        return q->old == 0 ? nonsense(w, q, a) : fork_found(w, q);
    case 404:
        return err_set(q->why, ERR_DENIED, "the witness %s does not know this log (HTTP 404)",
                       name);
    case 403:
        return err_set(q->why, ERR_DENIED,
                       "the witness %s knows none of the keys that signed (HTTP 403)", name);
    case 429: break;
    default:
        if (a->status >= 400 && a->status < 500) {
            return err_set(q->why, ERR_DENIED, "the witness %s refuses the request (HTTP %ld)",
                           name, a->status);
        }
        break;
    }
    return err_set(q->why, ERR_UNAVAILABLE, "the witness %s cannot answer now (HTTP %ld)", name,
                   a->status);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static enum err request_make(const struct question *q, const struct tlog_reader *reader,
                             struct buffer *out)
{
    struct tlog_witness_request request = {.old_size = q->old, .note = q->note};
    enum err e = tlog_tree_prove_consistency(reader, q->size, q->old, &request.proof);
    if (e == OK) {
        e = tlog_witness_request_format(&request, out);
    }
    return e == OK ? OK
                   : err_set(q->why, e, "no request to a witness can be made from %llu to %llu: %s",
                             (unsigned long long)q->old, (unsigned long long)q->size, err_name(e));
}

static enum err ask(struct witness *w, const struct question *q, const struct tlog_reader *reader,
                    enum step *out_step)
{
    struct buffer request;
    struct answer a = {.status = 0};
    buffer_init(&request, TLOG_WITNESS_REQUEST_MAX);
    buffer_init(&a.body, TLOG_WITNESS_ANSWER_MAX);
    enum err e = request_make(q, reader, &request);
    if (e == OK) {
        e = post(w, buffer_bytes(&request), &a, q->why);
    }
    if (e == OK) {
        e = take_answer(w, q, &a, out_step);
    }
    buffer_finish(&request);
    buffer_finish(&a.body);
    return e;
}

enum err witness_cosign(struct witness *witness, struct bytes note, uint64_t size,
                        const struct tlog_reader *reader, struct buffer *out_line,
                        uint64_t *out_seen, struct err_text *why)
{
    struct question q = {
        .note = note, .size = size, .out_line = out_line, .out_seen = out_seen, .why = why};
    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        enum step step = STEP_DONE;
        /* What is remembered may be of a tree that was larger: it says itself what it has. */
        q.old = witness->seen <= size ? witness->seen : 0;
        enum err e = ask(witness, &q, reader, &step);
        if (e != OK || step == STEP_DONE) {
            return e;
        }
    }
    return err_set(why, ERR_UNAVAILABLE, "the witness %s names another size each time",
                   witness->verifier.name);
}
