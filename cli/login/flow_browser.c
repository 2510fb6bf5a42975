/* The authorization code grant with PKCE, in the person's browser (RFC 8252, RFC 7636). */
#include <stdio.h>
#include <stdlib.h>

#include "cli/login/browser.h"
#include "cli/login/callback.h"
#include "cli/login/flow_internal.h"
#include "cli/login/secret.h"
#include "formats/text.h"

/* A person may have to find a second factor. */
enum { WAIT_MS = 10 * 60 * 1000, URL_MAX = 16 << 10 };

/* The secrets of one login; wiped. */
struct attempt {
    char verifier[LOGIN_SECRET_SIZE], state[LOGIN_SECRET_SIZE], nonce[LOGIN_SECRET_SIZE];
    char challenge[LOGIN_SECRET_SIZE];
};

static enum err make_attempt(const struct login_flow *f, struct attempt *out, struct err_text *why)
{
    enum err e = login_secret_make(&f->random, out->verifier);
    e = e != OK ? e : login_secret_make(&f->random, out->state);
    e = e != OK ? e : login_secret_make(&f->random, out->nonce);
    e = e != OK ? e : login_secret_challenge(out->verifier, out->challenge);
    return e == OK ? OK : err_set(why, e, "the system gives no randomness");
}

static bool has_word(const char *text, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        bool begins = at == text || at[-1] == ' ';
        if (begins && (at[size] == '\0' || at[size] == ' ')) {
            return true;
        }
    }
    return false;
}

/* Appends to `url`, which is empty before. */
static enum err make_url(const struct login_flow *f, const struct attempt *a, const char *redirect,
                         struct buffer *url, struct err_text *why)
{
    char scope[LOGIN_SCOPE_SIZE];
    struct buffer query;
    login_buffer_init(&query, URL_MAX);
    enum err e = login_flow_scope(f, scope, why);
    e = e != OK ? e : login_form_add(&query, "response_type", "code");
    e = e != OK ? e : login_form_add(&query, "client_id", f->request.client_id);
    e = e != OK ? e : login_form_add(&query, "redirect_uri", redirect);
    e = e != OK ? e : login_form_add(&query, "scope", scope);
    e = e != OK ? e : login_form_add(&query, "state", a->state);
    e = e != OK ? e : login_form_add(&query, "nonce", a->nonce);
    e = e != OK ? e : login_form_add(&query, "code_challenge", a->challenge);
    e = e != OK ? e : login_form_add(&query, "code_challenge_method", "S256");
    e = e != OK ? e : login_form_add(&query, "resource", f->request.audience);
    if (e == OK && has_word(scope, "offline_access")) {
        /* OpenID Connect Core section 11: without it there is no refresh token. */
        e = login_form_add(&query, "prompt", "consent");
    }
    struct bytes q = buffer_bytes(&query);
    const char *endpoint = f->server.authorization;
    e = e != OK ? e
                : buffer_append_format(url, "%s%s%.*s", endpoint,
                                       strchr(endpoint, '?') == NULL ? "?" : "&", (int)q.size,
                                       (const char *)q.data);
    e = e != OK ? e : buffer_append(url, bytes_of("", 1));
    buffer_wipe(&query);
    return e;
}

static void tell(const struct login_flow *f, const char *url, bool opened)
{
    FILE *out = f->say.out;
    (void)fputs(opened ? "Log in in the browser that was opened; if there is none, open\n"
                       : "Open this address in a browser on this machine:\n",
                out);
    text_write(out, bytes_of_string(url), TEXT_ESCAPED);
    (void)fprintf(out, "\nWaiting (%d min at most; Ctrl-C gives up)...\n", WAIT_MS / 60000);
    (void)fflush(out);
}

static enum err redeem(struct login_flow *f, const struct attempt *a, const char *redirect,
                       const char *code, struct login_result *out, struct err_text *why)
{
    const struct login_expected expected = {.nonce = a->nonce};
    struct login_tokens tokens = {0};
    struct login_refusal refusal;
    struct buffer form;
    login_buffer_init(&form, LOGIN_FORM_MAX);
    enum err e = login_form_add(&form, "grant_type", "authorization_code");
    e = e != OK ? e : login_form_add(&form, "code", code);
    e = e != OK ? e : login_form_add(&form, "redirect_uri", redirect);
    e = e != OK ? e : login_form_add(&form, "client_id", f->request.client_id);
    e = e != OK ? e : login_form_add(&form, "code_verifier", a->verifier);
    e = e != OK ? e : login_form_add(&form, "resource", f->request.audience);
    e = e != OK ? e : login_flow_ask_tokens(f, &form, &tokens, &refusal, why);
    e = e != OK ? e : login_flow_accept(f, &tokens, &expected, out, why);
    login_tokens_finish(&tokens);
    buffer_wipe(&form);
    return e;
}

/* Sends the person to the issuer and waits until they come back. */
static enum err visit(struct login_flow *f, const struct attempt *a, struct login_callback *back,
                      bool opens_browser, char **out_code, struct err_text *why)
{
    struct buffer url;
    login_buffer_init(&url, URL_MAX);
    enum err e = make_url(f, a, login_callback_uri(back), &url, why);
    if (e == OK) {
        const char *text = (const char *)buffer_bytes(&url).data;
        tell(f, text, opens_browser && login_browser_open(text));
        e = login_callback_wait(back, f->interrupt_fd, WAIT_MS, out_code, why);
    }
    if (login_callback_refused(back) > 0) {
        (void)fprintf(f->say.out, "%u answers that did not belong to this login were refused\n",
                      login_callback_refused(back));
    }
    buffer_wipe(&url);
    return e;
}

static enum err check_offer(const struct login_flow *f, struct err_text *why)
{
    if (f->server.authorization == NULL) {
        return err_set(why, ERR_INVALID, "the issuer offers no login in a browser; try --device");
    }
    /* RFC 8414: without the list it may have PKCE or not; with one that lacks it, it has not. */
    if (!login_server_offers(&f->server, "code_challenge_methods_supported", "S256", true)) {
        return err_set(why, ERR_INVALID, "the issuer offers no PKCE (S256); try --device");
    }
    return OK;
}

enum err login_flow_browser(struct login_flow *f, bool opens_browser, struct login_result *out,
                            struct err_text *why)
{
    struct attempt a;
    struct login_callback *back = NULL;
    char *code = NULL;
    const struct login_callback_expected expected = {
        .state = a.state, .issuer = f->request.issuer, .needs_issuer = f->server.names_itself};
    enum err e = check_offer(f, why);
    e = e != OK ? e : make_attempt(f, &a, why);
    e = e != OK ? e : login_callback_start(&expected, &back, why);
    e = e != OK ? e : visit(f, &a, back, opens_browser, &code, why);
    e = e != OK ? e : redeem(f, &a, login_callback_uri(back), code, out, why);
    login_callback_stop(back);
    if (code != NULL) {
        bytes_wipe(code, strlen(code));
        free(code);
    }
    bytes_wipe(&a, sizeof(a));
    return e;
}
