/* Talking to an authorization server: libcurl, one exchange at a time, which Ctrl-C ends.
 *
 * https only, or http to this machine itself; no redirects; answers up to 256 KiB. */
#ifndef CHAPERONE_CLI_LOGIN_HTTP_H
#define CHAPERONE_CLI_LOGIN_HTTP_H

#include "base/bytes.h"
#include "controlplane/identity/fetch.h"

struct login_http;

struct login_http_options {
    const char *ca_file; /* PEM; borrows; NULL: the system's roots */
    int interrupt_fd;    /* borrows; readable: give up; -1: none */
};

/* Returns owned. */
enum err login_http_create(const struct login_http_options *options, struct login_http **out,
                           struct err_text *why) MUST_USE;
void login_http_destroy(struct login_http *h); /* takes NULL */

/* A buffer that has all of its memory from the start: growing would leave secrets behind. */
void login_buffer_init(struct buffer *b, size_t cap);

struct login_http_answer {
    long status;
    struct buffer body; /* may hold tokens: login_http_answer_finish wipes it */
};

void login_http_answer_init(struct login_http_answer *a);
void login_http_answer_finish(struct login_http_answer *a);

/* GETs, or POSTs a form (RFC 6749 section 4.1.3). Any HTTP status is an answer. `why` says which
 * host it was about. ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_LIMIT, ERR_INVALID: no URL that may be
 * asked; ERR_CLOSED: interrupted. */
enum err login_http_get(struct login_http *h, const char *url, struct login_http_answer *out,
                        struct err_text *why) MUST_USE;
enum err login_http_post(struct login_http *h, const char *url, const struct buffer *form,
                         struct login_http_answer *out, struct err_text *why) MUST_USE;

/* Appends "&name=value", encoded (application/x-www-form-urlencoded); NULL values are left out. */
enum err login_form_add(struct buffer *form, const char *name, const char *value) MUST_USE;

/* For the verifier of ID tokens; valid as long as `h`. */
struct identity_fetcher login_http_fetcher(struct login_http *h);

/* ERR_CLOSED: interrupted before the time was over. */
enum err login_http_pause(const struct login_http *h, int64_t ms) MUST_USE;

#endif
