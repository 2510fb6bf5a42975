#include "cli/login/current.h"

#include <stdlib.h>
#include <unistd.h>

/* A call must not be refused because its token ran out on the way, nor because of a clock that is
 * wrong by some seconds. */
static const int64_t EARLY_NS = 60LL * 1000000000;

static bool has_run_out(const struct login_stored *s, const struct clock *clock)
{
    return s->expires_ns != 0 && clock_wall(clock) + EARLY_NS >= s->expires_ns;
}

static void replace(char **to, char **from)
{
    if (*to != NULL) {
        bytes_wipe(*to, strlen(*to));
        free(*to);
    }
    *to = *from;
    *from = NULL;
}

enum err login_current_keep(struct login_stored *s, struct login_result *result,
                            struct err_text *why)
{
    replace(&s->token, s->is_access ? &result->tokens.access_token : &result->tokens.id_token);
    replace(&s->refresh_token, &result->tokens.refresh_token);
    if (result->subject != NULL) {
        replace(&s->subject, &result->subject);
        replace(&s->name, &result->name);
    }
    s->expires_ns = result->expires_ns;
    return login_store_write(s, why);
}

/* No interruption: between the issuer's answer and the file nothing may get lost. The exchanges
 * have their own time limits. */
static enum err open_flow(const struct login_stored *s, const struct clock *clock,
                          struct login_flow *f, struct err_text *why)
{
    struct login_http_options http = {.ca_file = s->ca_file, .interrupt_fd = -1};
    *f = (struct login_flow){.request = {.issuer = s->issuer,
                                         .client_id = s->client_id,
                                         .ca_file = s->ca_file,
                                         .audience = s->audience,
                                         .wants_access = s->is_access},
                             .interrupt_fd = -1,
                             .clock = *clock,
                             .random = crypto_random_system()};
    enum err e = login_http_create(&http, &f->http, why);
    return e != OK ? e : login_flow_discover(f, why);
}

static void close_flow(struct login_flow *f)
{
    login_flow_finish(f);
    login_http_destroy(f->http);
}

static enum err refresh(struct login_stored *s, const struct clock *clock, struct err_text *why)
{
    struct login_flow flow;
    struct login_result result = {0};
    struct err_text cause = {0};
    enum err e = open_flow(s, clock, &flow, &cause);
    e = e != OK ? e : login_flow_refresh(&flow, s->refresh_token, s->subject, &result, &cause);
    e = e != OK ? e : login_current_keep(s, &result, &cause);
    login_result_finish(&result);
    close_flow(&flow);
    if (e != OK) {
        (void)err_set(why, e, "the login at %s has run out and cannot be refreshed: %s%s",
                      s->issuer, cause.text,
                      e == ERR_DENIED ? "\nlog in again: chaperone login" : "");
    }
    return e;
}

/* Under the lock. Somebody else may have refreshed since. */
static enum err refresh_stored(const char *server, const struct clock *clock,
                               struct login_stored *s, struct err_text *why)
{
    login_stored_finish(s);
    enum err e = login_store_read(server, s, why);
    if (e != OK || !has_run_out(s, clock)) {
        return e;
    }
    if (s->refresh_token == NULL) {
        return err_set(why, ERR_DENIED,
                       "the login at %s has run out; log in again: chaperone login", s->issuer);
    }
    return refresh(s, clock, why);
}

enum err login_current_token(const char *server, const struct clock *clock, char **out,
                             struct err_text *why)
{
    struct login_stored s = {0};
    int lock = -1;
    enum err e = login_store_read(server, &s, why);
    if (e == OK && has_run_out(&s, clock)) {
        e = login_store_lock(&lock, why);
        e = e != OK ? e : refresh_stored(server, clock, &s, why);
    }
    if (lock >= 0) {
        (void)close(lock);
    }
    if (e == OK) {
        *out = s.token;
        s.token = NULL;
    }
    login_stored_finish(&s);
    return e;
}

enum err login_current_revoke(const struct login_stored *s, const struct clock *clock,
                              struct err_text *why)
{
    struct login_flow flow;
    if (s->refresh_token == NULL) {
        return OK;
    }
    enum err e = open_flow(s, clock, &flow, why);
    e = e != OK ? e : login_flow_revoke(&flow, s->refresh_token, why);
    close_flow(&flow);
    return e == ERR_NOT_FOUND ? OK : e;
}
