/* The device authorization grant (RFC 8628): the person types a code on another device. */
#include <stdio.h>

#include "cli/login/flow_internal.h"
#include "formats/text.h"

enum { SLOWER_S = 5, MS = 1000, INTERVAL_MAX_S = 120 };

static const int64_t NS = 1000000000;

static enum err start(struct login_flow *f, struct login_device *out, struct err_text *why)
{
    char scope[LOGIN_SCOPE_SIZE];
    struct login_http_answer answer;
    struct login_refusal refusal;
    struct buffer form;
    if (f->server.device == NULL) {
        return err_set(why, ERR_INVALID,
                       "the issuer offers no login with a device code (RFC 8628)");
    }
    login_buffer_init(&form, LOGIN_FORM_MAX);
    login_http_answer_init(&answer);
    enum err e = login_flow_scope(f, scope, why);
    e = e != OK ? e : login_form_add(&form, "client_id", f->request.client_id);
    e = e != OK ? e : login_form_add(&form, "scope", scope);
    e = e != OK ? e : login_form_add(&form, "resource", f->request.audience);
    e = e != OK ? e : login_http_post(f->http, f->server.device, &form, &answer, why);
    if (e == OK && answer.status == 200) {
        e = login_device_parse(buffer_bytes(&answer.body), out, why);
    } else if (e == OK) {
        login_refusal_parse(buffer_bytes(&answer.body), &refusal);
        e = login_flow_refused("the login", &refusal, answer.status, why);
    }
    login_http_answer_finish(&answer);
    buffer_wipe(&form);
    return e;
}

static void tell(const struct login_flow *f, const struct login_device *d)
{
    FILE *out = f->say.out;
    (void)fputs("Open ", out);
    text_write(out, bytes_of_string(d->uri), TEXT_ESCAPED);
    (void)fputs(" in a browser, on any device, and enter the code ", out);
    terminal_style(&f->say, STYLE_HEADING);
    text_write(out, bytes_of_string(d->user_code), TEXT_ESCAPED);
    terminal_style(&f->say, STYLE_PLAIN);
    (void)fputc('\n', out);
    if (d->uri_complete != NULL) {
        (void)fputs("or open ", out);
        text_write(out, bytes_of_string(d->uri_complete), TEXT_ESCAPED);
        /* Section 3.3.1: it must be compared, lest somebody else's device is let in. */
        (void)fputs(" and compare the code\n", out);
    }
    (void)fprintf(out, "Waiting (%lld min at most; Ctrl-C gives up)...\n",
                  (long long)((d->lifetime_s + 59) / 60));
    (void)fflush(out);
}

/* Section 3.5: what an answer means for the polling. OK: ask again. */
static enum err judge(const struct login_refusal *refusal, enum err asked, int64_t *interval_s,
                      struct err_text *why)
{
    if (strcmp(refusal->code, "authorization_pending") == 0) {
        return OK;
    }
    if (strcmp(refusal->code, "slow_down") == 0) {
        *interval_s += SLOWER_S;
        return OK;
    }
    if (asked == ERR_TIMEOUT || asked == ERR_UNAVAILABLE) {
        /* The network may come back while the code is valid. */
        *interval_s = *interval_s * 2 < INTERVAL_MAX_S ? *interval_s * 2 : INTERVAL_MAX_S;
        return OK;
    }
    if (strcmp(refusal->code, "access_denied") == 0) {
        return err_set(why, ERR_DENIED, "the login was refused in the browser");
    }
    if (strcmp(refusal->code, "expired_token") == 0) {
        return err_set(why, ERR_TIMEOUT, "the code was not entered in time; log in again");
    }
    return asked;
}

static enum err poll_tokens(struct login_flow *f, const struct login_device *d,
                            const struct buffer *form, struct login_tokens *out,
                            struct err_text *why)
{
    int64_t end_ns = clock_monotonic(&f->clock) + d->lifetime_s * NS;
    int64_t interval_s = d->interval_s;
    while (clock_monotonic(&f->clock) < end_ns) {
        struct login_refusal refusal;
        if (login_http_pause(f->http, interval_s * MS) != OK) {
            return err_set(why, ERR_CLOSED, "interrupted");
        }
        enum err asked = login_flow_ask_tokens(f, form, out, &refusal, why);
        if (asked == OK) {
            return OK;
        }
        enum err e = judge(&refusal, asked, &interval_s, why);
        if (e != OK) {
            return e;
        }
    }
    return err_set(why, ERR_TIMEOUT, "the code was not entered in time; log in again");
}

enum err login_flow_device(struct login_flow *f, struct login_result *out, struct err_text *why)
{
    static const char grant[] = "urn:ietf:params:oauth:grant-type:device_code";
    const struct login_expected expected = {0}; /* this grant carries no nonce */
    struct login_device device = {0};
    struct login_tokens tokens = {0};
    struct buffer form;
    login_buffer_init(&form, LOGIN_FORM_MAX);
    enum err e = start(f, &device, why);
    if (e == OK) {
        tell(f, &device);
        e = login_form_add(&form, "grant_type", grant);
    }
    e = e != OK ? e : login_form_add(&form, "device_code", device.device_code);
    e = e != OK ? e : login_form_add(&form, "client_id", f->request.client_id);
    e = e != OK ? e : login_form_add(&form, "resource", f->request.audience);
    e = e != OK ? e : poll_tokens(f, &device, &form, &tokens, why);
    e = e != OK ? e : login_flow_accept(f, &tokens, &expected, out, why);
    login_tokens_finish(&tokens);
    login_device_finish(&device);
    buffer_wipe(&form);
    return e;
}
