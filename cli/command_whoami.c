/* whoami: what the token says that a command would use now. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/output/moment.h"
#include "cli/remote.h"
#include "controlplane/identity/strict_json.h"
#include "controlplane/identity/token.h"
#include "formats/json.h"
#include "formats/text.h"

static const int64_t SECOND = 1000000000;

static int64_t expiry_ns(const cJSON *claims)
{
    const cJSON *exp = cJSON_GetObjectItemCaseSensitive(claims, "exp");
    bool plausible = cJSON_IsNumber(exp) && exp->valuedouble > 0 && exp->valuedouble < 9e9;
    return plausible ? (int64_t)exp->valuedouble * SECOND : 0;
}

/* A text or a list of texts, as a list. */
static void add_texts(struct json *j, const char *name, const cJSON *value)
{
    cJSON *list = json_add_array(j, j->root, name);
    const cJSON *item = NULL;
    if (cJSON_IsString(value)) {
        json_add_string(j, list, NULL, value->valuestring);
    }
    cJSON_ArrayForEach(item, value)
    {
        if (cJSON_IsString(item)) {
            json_add_string(j, list, NULL, item->valuestring);
        }
    }
}

static enum err print_json(const struct invocation *i, const struct settings *s,
                           const cJSON *claims)
{
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "server", s->server);
    json_add_string(&j, j.root, "subject", strict_json_string(claims, "sub"));
    json_add_string(&j, j.root, "name", strict_json_string(claims, "name"));
    json_add_string(&j, j.root, "issuer", strict_json_string(claims, "iss"));
    add_texts(&j, "audience", cJSON_GetObjectItemCaseSensitive(claims, "aud"));
    add_texts(&j, "groups", cJSON_GetObjectItemCaseSensitive(claims, "groups"));
    if (expiry_ns(claims) == 0) {
        json_add_null(&j, j.root, "expires");
    } else {
        json_add_time(&j, j.root, "expires", expiry_ns(claims));
    }
    json_add_string(&j, j.root, "token_from", s->origin);
    enum err e = json_write_line(&j, i->out.out);
    json_finish(&j);
    return e;
}

static void print_line(FILE *out, const char *label, const char *value)
{
    if (value != NULL && value[0] != '\0') {
        (void)fprintf(out, "%-11s ", label);
        text_write(out, bytes_of_string(value), TEXT_ESCAPED);
        (void)fputc('\n', out);
    }
}

static void print_list(FILE *out, const char *label, const cJSON *value)
{
    const cJSON *item = NULL;
    const char *gap = "";
    print_line(out, label, cJSON_GetStringValue(value));
    if (!cJSON_IsArray(value)) {
        return;
    }
    (void)fprintf(out, "%-11s ", label);
    cJSON_ArrayForEach(item, value)
    {
        const char *text = cJSON_GetStringValue(item);
        (void)fputs(gap, out);
        text_write(out, bytes_of_string(text), TEXT_ESCAPED);
        gap = ", ";
    }
    (void)fputc('\n', out);
}

static void print_text(const struct invocation *i, const struct settings *s, const cJSON *claims)
{
    FILE *out = i->out.out;
    char expires[MOMENT_SIZE];
    print_line(out, "subject", strict_json_string(claims, "sub"));
    print_line(out, "name", strict_json_string(claims, "name"));
    print_list(out, "groups", cJSON_GetObjectItemCaseSensitive(claims, "groups"));
    print_line(out, "issuer", strict_json_string(claims, "iss"));
    print_list(out, "audience", cJSON_GetObjectItemCaseSensitive(claims, "aud"));
    if (expiry_ns(claims) != 0) {
        moment_format(expiry_ns(claims), expires);
        print_line(out, "expires", expires);
    }
    print_line(out, "server", s->server);
    print_line(out, "token from", s->origin);
}

static int show(const struct invocation *i, const struct settings *s)
{
    struct token token;
    struct err_text error = {0};
    enum err e = token_init(&token, bytes_of_string(s->token), &error);
    if (e != OK) {
        return command_fail(i, EXIT_NO, "the token of %s: %s", s->origin, error.text);
    }
    if (options_flag(&i->options, "json")) {
        e = print_json(i, s, token.claims);
    } else {
        print_text(i, s, token.claims);
    }
    token_finish(&token);
    return e == OK ? remote_flush(i) : command_fail(i, EXIT_NO, "%s", err_name(e));
}

int command_whoami(struct invocation *i)
{
    struct remote remote;
    int code = remote_open(i, &remote);
    if (code == EXIT_YES) {
        code = show(i, &remote.settings);
        remote_close(&remote);
    }
    return code;
}
