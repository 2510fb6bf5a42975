/* login, logout, whoami. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/login/browser.h"
#include "cli/login/current.h"
#include "cli/output/moment.h"
#include "cli/remote.h"
#include "formats/json.h"
#include "formats/text.h"

static const char *const token_kinds[] = {"id", "access", NULL};

const struct option_spec command_login_options[] = {
    {"server", 0, OPTION_TEXT, "HOST:PORT", "the control plane that it is for", NULL},
    {"issuer", 0, OPTION_TEXT, "URL", "the OpenID provider", NULL},
    {"client-id", 0, OPTION_TEXT, "ID", "this command's name there: a public client", NULL},
    {"ca-file", 0, OPTION_FILE, "FILE", "the issuer's CA (PEM); without it the system's", NULL},
    {"device", 0, OPTION_FLAG, NULL, "with a code, in a browser on any device", NULL},
    {"no-browser", 0, OPTION_FLAG, NULL, "show the address, do not open it", NULL},
    {"scope", 0, OPTION_TEXT, "SCOPE", "instead of openid and what the issuer offers", NULL},
    {"audience", 0, OPTION_TEXT, "URI", "whom the access token is for (RFC 8707)", NULL},
    {"token", 0, OPTION_TEXT, "KIND", "what the control plane gets", token_kinds},
    {"json", 0, OPTION_FLAG, NULL, "the answer as a JSON object", NULL},
    {0},
};

const struct option_spec command_logout_options[] = {
    {"server", 0, OPTION_TEXT, "HOST:PORT", "the control plane", NULL},
    {"json", 0, OPTION_FLAG, NULL, "the answer as a JSON object", NULL},
    {0},
};

/* ---- login ------------------------------------------------------------------------------ */

static int fail(const struct invocation *i, int signal_fd, enum err e, const struct err_text *error)
{
    switch (e) {
    case ERR_CLOSED: return remote_signal_exit(signal_fd);
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT: return command_fail(i, EXIT_UNREACHABLE, "%s", error->text);
    default:
        return command_fail(i, EXIT_NO, "%s", error->text[0] == '\0' ? err_name(e) : error->text);
    }
}

static enum err copy(const char *text, char **out)
{
    if (text == NULL) {
        return OK;
    }
    *out = strdup(text);
    return *out == NULL ? ERR_NO_MEMORY : OK;
}

/* What the stored login remembers of how it was made. */
static enum err fill_stored(const struct settings_login *from, bool is_access,
                            struct login_stored *out)
{
    enum err e = copy(from->server, &out->server);
    e = e != OK ? e : copy(from->issuer, &out->issuer);
    e = e != OK ? e : copy(from->client_id, &out->client_id);
    e = e != OK ? e : copy(from->ca_file, &out->ca_file);
    e = e != OK ? e : copy(from->audience, &out->audience);
    out->is_access = is_access;
    return e;
}

static enum err keep(const struct settings_login *from, bool is_access, struct login_result *result,
                     struct login_stored *out, struct err_text *error)
{
    int lock = -1;
    enum err e = fill_stored(from, is_access, out);
    e = e != OK ? e : login_store_lock(&lock, error);
    e = e != OK ? e : login_current_keep(out, result, error);
    if (lock >= 0) {
        (void)close(lock);
    }
    return e;
}

/* Whether it can be kept is found out before somebody looks for their second factor. */
static enum err check_store(struct err_text *error)
{
    int lock = -1;
    enum err e = login_store_lock(&lock, error);
    if (e == OK) {
        (void)close(lock);
    }
    return e;
}

static enum err run_flow(const struct invocation *i, struct login_flow *f, struct login_result *out,
                         struct err_text *error)
{
    bool opens = !options_flag(&i->options, "no-browser") && login_browser_is_there();
    bool device = options_flag(&i->options, "device");
    enum err e = login_flow_discover(f, error);
    e = e != OK ? e : check_store(error);
    if (e != OK) {
        return e;
    }
    /* Without a browser here, a code can be typed into one elsewhere. */
    device =
        device || (!opens && !options_flag(&i->options, "no-browser") && f->server.device != NULL);
    return device ? login_flow_device(f, out, error) : login_flow_browser(f, opens, out, error);
}

static int report_login(const struct invocation *i, const struct login_stored *s)
{
    char until[MOMENT_SIZE] = "";
    FILE *out = i->out.out;
    if (options_flag(&i->options, "json")) {
        struct json j;
        json_init(&j);
        json_add_string(&j, j.root, "server", s->server);
        json_add_string(&j, j.root, "issuer", s->issuer);
        json_add_string(&j, j.root, "subject", s->subject);
        json_add_string(&j, j.root, "name", s->name);
        if (s->expires_ns == 0) {
            json_add_null(&j, j.root, "expires");
        } else {
            json_add_time(&j, j.root, "expires", s->expires_ns);
        }
        json_add_bool(&j, j.root, "refreshes", s->refresh_token != NULL);
        enum err e = json_write_line(&j, out);
        json_finish(&j);
        return e == OK ? remote_flush(i) : command_fail(i, EXIT_NO, "%s", err_name(e));
    }
    (void)fputs("logged in", out);
    if (s->subject != NULL) {
        (void)fputs(" as ", out);
        text_write(out, bytes_of_string(s->subject), TEXT_ESCAPED);
    }
    (void)fputs(" for ", out);
    text_write(out, bytes_of_string(s->server), TEXT_ESCAPED);
    if (s->refresh_token == NULL && s->expires_ns != 0) {
        moment_format(s->expires_ns, until);
        (void)fprintf(out, " until %s", until);
    }
    (void)fputc('\n', out);
    return remote_flush(i);
}

static int login(const struct invocation *i, const struct settings_login *settings, int signal_fd)
{
    const char *kind = options_value(&i->options, "token");
    struct login_http_options http = {.ca_file = settings->ca_file, .interrupt_fd = signal_fd};
    struct login_flow f = {.request = {.issuer = settings->issuer,
                                       .client_id = settings->client_id,
                                       .ca_file = settings->ca_file,
                                       .scope = settings->scope,
                                       .audience = settings->audience,
                                       .wants_access = kind != NULL && strcmp(kind, "access") == 0},
                           .interrupt_fd = signal_fd,
                           .clock = i->clock,
                           .random = crypto_random_system(),
                           .say = i->errors};
    struct login_result result = {0};
    struct login_stored stored = {0};
    struct err_text error = {0};
    enum err e = login_http_create(&http, &f.http, &error);
    e = e != OK ? e : run_flow(i, &f, &result, &error);
    e = e != OK ? e : keep(settings, f.request.wants_access, &result, &stored, &error);
    int code = e == OK ? report_login(i, &stored) : fail(i, signal_fd, e, &error);
    login_stored_finish(&stored);
    login_result_finish(&result);
    login_flow_finish(&f);
    login_http_destroy(f.http);
    return code;
}

int command_login(struct invocation *i)
{
    struct settings_login settings = {0};
    struct err_text error = {0};
    if (options_flag(&i->options, "device") && options_flag(&i->options, "no-browser")) {
        (void)err_set(&error, ERR_INVALID, "--device opens no browser: leave --no-browser away");
        return command_misuse(i, &error);
    }
    enum err e = settings_find_login(&i->options, true, &settings, &error);
    if (e != OK) {
        return e == ERR_INVALID ? command_misuse(i, &error) : fail(i, -1, e, &error);
    }
    int signal_fd = remote_open_signals();
    int code = signal_fd < 0 ? command_fail(i, EXIT_NO, "signalfd: %s", strerror(errno))
                             : login(i, &settings, signal_fd);
    if (signal_fd >= 0) {
        (void)close(signal_fd);
    }
    settings_login_finish(&settings);
    return code;
}

/* ---- logout ----------------------------------------------------------------------------- */

static int report_logout(const struct invocation *i, const char *server, bool revoked)
{
    if (options_flag(&i->options, "json")) {
        struct json j;
        json_init(&j);
        json_add_string(&j, j.root, "server", server);
        json_add_bool(&j, j.root, "revoked", revoked);
        enum err e = json_write_line(&j, i->out.out);
        json_finish(&j);
        return e == OK ? remote_flush(i) : command_fail(i, EXIT_NO, "%s", err_name(e));
    }
    (void)fputs("logged out of ", i->out.out);
    text_write(i->out.out, bytes_of_string(server), TEXT_ESCAPED);
    (void)fputc('\n', i->out.out);
    return remote_flush(i);
}

static int logout(const struct invocation *i, const char *server)
{
    struct login_stored stored = {0};
    struct err_text error = {0};
    struct err_text revoking = {0};
    int lock = -1;
    enum err e = login_store_lock(&lock, &error);
    enum err known = e != OK ? e : login_store_read(server, &stored, &error);
    if (known == ERR_NOT_FOUND) {
        (void)close(lock);
        return command_fail(i, EXIT_NO, "not logged in to %s", server);
    }
    /* First the file: whatever the issuer says, this machine forgets. */
    e = e != OK ? e : login_store_remove(server, &error);
    if (lock >= 0) {
        (void)close(lock);
    }
    enum err revoked =
        e == OK && known == OK ? login_current_revoke(&stored, &i->clock, &revoking) : ERR_CLOSED;
    if (e == OK && revoked != OK && revoking.text[0] != '\0') {
        (void)command_fail(i, EXIT_YES,
                           "the issuer was not told, and its refresh token may stay valid: %s",
                           revoking.text);
    }
    login_stored_finish(&stored);
    return e == OK ? report_logout(i, server, revoked == OK) : fail(i, -1, e, &error);
}

int command_logout(struct invocation *i)
{
    struct settings_login settings = {0};
    struct err_text error = {0};
    enum err e = settings_find_login(&i->options, false, &settings, &error);
    if (e != OK) {
        return e == ERR_INVALID ? command_misuse(i, &error) : fail(i, -1, e, &error);
    }
    int code = logout(i, settings.server);
    settings_login_finish(&settings);
    return code;
}
