#include "cli/login/flow.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/login/flow_internal.h"
#include "controlplane/identity/discovery.h"
#include "controlplane/identity/identity.h"
#include "controlplane/identity/url.h"

enum err login_flow_discover(struct login_flow *f, struct err_text *why)
{
    struct login_http_answer answer;
    enum err e = url_check_issuer(f->request.issuer, "the issuer", why);
    if (e != OK) {
        return e;
    }
    char *url = discovery_url(f->request.issuer);
    if (url == NULL) {
        return err_set(why, ERR_NO_MEMORY, "out of memory");
    }
    login_http_answer_init(&answer);
    e = login_http_get(f->http, url, &answer, why);
    if (e == OK && answer.status != 200) {
        e = err_set(why, ERR_INVALID, "%s is no issuer: %s gives HTTP status %ld",
                    f->request.issuer, url, answer.status);
    }
    if (e == OK) {
        e = login_server_parse(buffer_bytes(&answer.body), f->request.issuer, &f->server, why);
    }
    login_http_answer_finish(&answer);
    free(url);
    return e;
}

void login_flow_finish(struct login_flow *f)
{
    login_server_finish(&f->server);
}

void login_result_finish(struct login_result *r)
{
    login_tokens_finish(&r->tokens);
    free(r->subject);
    free(r->name);
    *r = (struct login_result){0};
}

enum err login_flow_scope(const struct login_flow *f, char out[LOGIN_SCOPE_SIZE],
                          struct err_text *why)
{
    /* Groups give the role, a refresh token spares logging in every hour; an issuer that names its
     * scopes is not asked for others, because some refuse what they do not know. */
    static const char *const useful[] = {"profile", "email", "groups", "offline_access"};
    int size = snprintf(out, LOGIN_SCOPE_SIZE, "%s",
                        f->request.scope == NULL ? "openid" : f->request.scope);
    for (size_t i = 0; f->request.scope == NULL && i < sizeof(useful) / sizeof(useful[0]); i++) {
        bool standard = strcmp(useful[i], "groups") != 0; /* the only one that no standard has */
        if (login_server_offers(&f->server, "scopes_supported", useful[i], standard)) {
            size += snprintf(out + size, LOGIN_SCOPE_SIZE - (size_t)size, " %s", useful[i]);
        }
    }
    return size < LOGIN_SCOPE_SIZE ? OK : err_set(why, ERR_INVALID, "the scope is too long");
}

enum err login_flow_refused(const char *what, const struct login_refusal *refusal, long status,
                            struct err_text *why)
{
    if (refusal->code[0] == '\0') {
        return err_set(why, status >= 500 ? ERR_UNAVAILABLE : ERR_DENIED,
                       "the issuer refuses %s: HTTP status %ld", what, status);
    }
    return err_set(why, ERR_DENIED, "the issuer refuses %s: %s%s%s", what, refusal->code,
                   refusal->description[0] == '\0' ? "" : ": ", refusal->description);
}

enum err login_flow_ask_tokens(struct login_flow *f, const struct buffer *form,
                               struct login_tokens *out, struct login_refusal *refusal,
                               struct err_text *why)
{
    struct login_http_answer answer;
    *refusal = (struct login_refusal){0};
    login_http_answer_init(&answer);
    enum err e = login_http_post(f->http, f->server.token, form, &answer, why);
    if (e == OK && answer.status == 200) {
        e = login_tokens_parse(buffer_bytes(&answer.body), out, why);
    } else if (e == OK) {
        login_refusal_parse(buffer_bytes(&answer.body), refusal);
        e = login_flow_refused("to give tokens", refusal, answer.status, why);
    }
    login_http_answer_finish(&answer);
    return e;
}

/* ---- checking ID tokens ----------------------------------------------------------------- */

static enum err verify(struct login_flow *f, const char *token, struct identity **out,
                       struct err_text *why)
{
    struct identity_provider_config provider = identity_provider_config_default();
    struct identity_fetcher fetcher = login_http_fetcher(f->http);
    struct identity_verifier *verifier = NULL;
    provider.name = "issuer";
    provider.issuer = f->request.issuer;
    provider.audiences = &f->request.client_id;
    provider.audience_count = 1;
    provider.ca_file = f->request.ca_file;
    enum err e = identity_verifier_create(&provider, 1, &f->clock, &fetcher, &verifier, why);
    e = e != OK ? e : identity_verify(verifier, bytes_of_string(token), out, why);
    identity_verifier_destroy(verifier);
    return e;
}

static enum err check_identity(const struct login_flow *f, const struct identity *id,
                               const struct login_expected *expected, struct err_text *why)
{
    struct identity_claim nonce = identity_claim(id, "nonce");
    struct identity_claim party = identity_claim(id, "azp");
    /* What ties the token to this login: a stolen one from elsewhere has another nonce. */
    if (expected->nonce != NULL &&
        (nonce.kind != IDENTITY_CLAIM_TEXT ||
         !crypto_equal(bytes_of_string(nonce.text), bytes_of_string(expected->nonce)))) {
        return err_set(why, ERR_DENIED, "the ID token is not of this login: its nonce is another");
    }
    /* Core section 3.1.3.7, steps 4 and 5. */
    if (party.kind != IDENTITY_CLAIM_NONE &&
        (party.kind != IDENTITY_CLAIM_TEXT || strcmp(party.text, f->request.client_id) != 0)) {
        return err_set(why, ERR_DENIED, "the ID token was made for another client (azp)");
    }
    if (expected->subject != NULL && strcmp(id->subject, expected->subject) != 0) {
        return err_set(why, ERR_DENIED, "the issuer gave the token of another person");
    }
    return OK;
}

static enum err read_identity(struct login_flow *f, const char *token,
                              const struct login_expected *expected, struct login_result *r,
                              struct err_text *why)
{
    struct identity *id = NULL;
    struct err_text cause = {0};
    enum err e = verify(f, token, &id, &cause);
    if (e != OK) {
        return err_set(why, e, "the issuer's ID token cannot be accepted: %s", cause.text);
    }
    e = check_identity(f, id, expected, why);
    if (e == OK) {
        r->subject = strdup(id->subject);
        r->name = strdup(id->name);
        r->expires_ns = id->expires_ns;
        if (r->subject == NULL || r->name == NULL) {
            e = err_set(why, ERR_NO_MEMORY, "out of memory");
        }
    }
    identity_destroy(id);
    return e;
}

enum err login_flow_accept(struct login_flow *f, struct login_tokens *tokens,
                           const struct login_expected *expected, struct login_result *out,
                           struct err_text *why)
{
    static const int64_t second = 1000000000;
    struct login_result r = {.tokens = *tokens};
    enum err e = OK;
    *tokens = (struct login_tokens){0};
    if (r.tokens.id_token != NULL) {
        e = read_identity(f, r.tokens.id_token, expected, &r, why);
    } else if (!f->request.wants_access) {
        e = err_set(why, ERR_INVALID, "the issuer gave no ID token: its scope must have `openid`%s",
                    expected->subject == NULL ? "" : "; log in again");
    }
    if (e == OK && f->request.wants_access) {
        r.expires_ns =
            r.tokens.lifetime_s == 0 ? 0 : clock_wall(&f->clock) + r.tokens.lifetime_s * second;
    }
    if (e != OK) {
        login_result_finish(&r);
        return e;
    }
    *out = r;
    return OK;
}

/* ---- refresh and revocation ------------------------------------------------------------- */

enum err login_flow_refresh(struct login_flow *f, const char *refresh_token, const char *subject,
                            struct login_result *out, struct err_text *why)
{
    struct login_expected expected = {.subject = subject};
    struct login_tokens tokens = {0};
    struct login_refusal refusal;
    struct buffer form;
    login_buffer_init(&form, LOGIN_FORM_MAX);
    enum err e = login_form_add(&form, "grant_type", "refresh_token");
    e = e != OK ? e : login_form_add(&form, "refresh_token", refresh_token);
    e = e != OK ? e : login_form_add(&form, "client_id", f->request.client_id);
    e = e != OK ? e : login_form_add(&form, "resource", f->request.audience);
    e = e != OK ? e : login_flow_ask_tokens(f, &form, &tokens, &refusal, why);
    if (e == OK && tokens.refresh_token == NULL) {
        /* RFC 6749 section 6: the old one stays in use. */
        tokens.refresh_token = strdup(refresh_token);
    }
    e = e != OK ? e : login_flow_accept(f, &tokens, &expected, out, why);
    login_tokens_finish(&tokens);
    buffer_wipe(&form);
    return e;
}

enum err login_flow_revoke(struct login_flow *f, const char *refresh_token, struct err_text *why)
{
    struct login_http_answer answer;
    struct buffer form;
    if (f->server.revocation == NULL) {
        return err_set(why, ERR_NOT_FOUND, "the issuer offers no revocation");
    }
    login_buffer_init(&form, LOGIN_FORM_MAX);
    login_http_answer_init(&answer);
    enum err e = login_form_add(&form, "token", refresh_token);
    e = e != OK ? e : login_form_add(&form, "token_type_hint", "refresh_token");
    e = e != OK ? e : login_form_add(&form, "client_id", f->request.client_id);
    e = e != OK ? e : login_http_post(f->http, f->server.revocation, &form, &answer, why);
    if (e == OK && answer.status != 200) {
        e = err_set(why, ERR_DENIED, "the issuer refuses to revoke: HTTP status %ld",
                    answer.status);
    }
    login_http_answer_finish(&answer);
    buffer_wipe(&form);
    return e;
}
