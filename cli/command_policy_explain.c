/* policy explain: which rule decides, for each part of a text, and why. */
#include <inttypes.h>
#include <stdio.h>

#include "api/policy.pb-c.h"
#include "base/conf/conf.h"
#include "cli/command_policy.h"
#include "cli/commands.h"
#include "cli/policy/decision_http.h"
#include "cli/policy/masking.h"
#include "cli/policy/tables.h"
#include "cli/remote.h"
#include "cli/text_file.h"
#include "formats/json.h"
#include "formats/text.h"

const struct option_spec command_policy_explain_options[] = {
    {"as", 0, OPTION_TEXT, "sub=NAME,groups=A+B", "who asks; also on_behalf_of=C", NULL},
    {"resource", 0, OPTION_TEXT, "NAME", "where (default)", NULL},
    {"file", 'f', OPTION_FILE, "FILE", "by this policy; without it by the newest one", NULL},
    {"http", 0, OPTION_TEXT, "REQUEST", "a request in place of SQL: \"GET https://HOST/PATH\"",
     NULL},
    {"header", 0, OPTION_TEXT, "NAME:VALUE", "of the request; may be given more than once", NULL},
    {"body", 0, OPTION_FILE, "FILE", "of the request; JSON unless a header says otherwise", NULL},
    {"websocket", 0, OPTION_FLAG, NULL, "the request asks for a WebSocket", NULL},
    {"catalog", 0, OPTION_FILE, "FILE", "the target's tables: what of them is masked", NULL},
    {"json", 0, OPTION_FLAG, NULL, "the answer as a JSON object", NULL},
    {0},
};

/* --- the policy --------------------------------------------------------------------------------
 */

int command_policy_load_file(const struct invocation *i, const char *path, struct policy **out)
{
    struct conf *c = NULL;
    struct err_text error = {0};
    enum err e = conf_load_file(path, &c, &error);
    e = e == OK ? policy_compile_conf(conf_root(c), 0, out, &error) : e;
    conf_destroy(c);
    return e == OK
               ? EXIT_YES
               : command_fail(i, EXIT_NO, "%s", error.text[0] != '\0' ? error.text : err_name(e));
}

static int load_newest(const struct invocation *i, struct policy **out)
{
    Chaperone__V1__GetPolicyRequest request = CHAPERONE__V1__GET_POLICY_REQUEST__INIT;
    struct remote remote;
    ProtobufCMessage *reply = NULL;
    int code = remote_open(i, &remote);
    if (code != EXIT_YES) {
        return code;
    }
    code =
        remote_call(i, &remote, &chaperone__v1__policies__descriptor, "Get", &request.base, &reply);
    if (code == EXIT_YES) {
        const Chaperone__V1__GetPolicyResponse *r = (const Chaperone__V1__GetPolicyResponse *)reply;
        struct err_text error = {0};
        if (policy_compile(bytes_of(r->document.data, r->document.len), r->policy->revision, out,
                           &error) != OK) {
            code = command_fail(i, EXIT_NO, "%s", error.text);
        }
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    remote_close(&remote);
    return code;
}

/* --- the answer --------------------------------------------------------------------------------
 */

static const char *message_of(const struct policy_verdict *v)
{
    return v->message == NULL || v->message[0] == '\0' ? NULL : v->message;
}

static void add_verdict(struct json *j, cJSON *to, const struct policy_verdict *v)
{
    json_add_string(j, to, "verdict", decision_effect_name(v->effect));
    json_add_string(j, to, "rule", v->rule);
    json_add_string(j, to, "message", message_of(v));
}

static void add_hold(struct json *j, const struct policy_hold *h)
{
    if (h == NULL) {
        json_add_null(j, j->root, "hold");
        return;
    }
    cJSON *hold = json_add_object(j, j->root, "hold");
    cJSON *groups = json_add_array(j, hold, "groups");
    for (size_t n = 0; n < h->group_count; n++) {
        json_add_string(j, groups, NULL, h->groups[n]);
    }
    json_add_unsigned(j, hold, "people", h->people);
    json_add_unsigned(j, hold, "expires_s", (uint64_t)h->lifetime_s);
    json_add_unsigned(j, hold, "in_transaction_s", (uint64_t)h->in_transaction_s);
    json_add_string(j, hold, "mode", h->is_retry ? "retry" : "wait");
}

static void add_masking(struct json *j, const struct decision *d, bool has_catalog)
{
    const struct masking_result *m = decision_masking(d);
    if (!has_catalog) {
        json_add_null(j, j->root, "masked");
        return;
    }
    cJSON *list = json_add_array(j, j->root, "masked");
    for (size_t n = 0; n < m->column_count; n++) {
        const struct masking_column *c = &m->columns[n];
        cJSON *item = json_add_object(j, list, NULL);
        json_add_unsigned(j, item, "statement", c->statement);
        if (c->number == 0) {
            json_add_null(j, item, "column");
        } else {
            json_add_unsigned(j, item, "column", c->number);
        }
        json_add_string(j, item, "name", c->name);
        json_add_string(j, item, "origin", c->origin);
        json_add_string(j, item, "rule", c->rule);
        json_add_bool(j, item, "is_null", c->is_null);
    }
}

static void add_limit(struct json *j, const char *name, uint64_t limit)
{
    if (limit == 0) {
        json_add_null(j, j->root, name);
    } else {
        json_add_unsigned(j, j->root, name, limit);
    }
}

/* Of a request: what goes with it. */
static void add_http(struct json *j, const struct policy_verdict *v)
{
    json_add_string(j, j->root, "path", v->path);
    add_limit(j, "max_request_bytes", v->max_request_bytes);
    add_limit(j, "max_response_bytes", v->max_response_bytes);
    cJSON *rates = json_add_array(j, j->root, "rates");
    for (size_t n = 0; n < v->rate_count; n++) {
        cJSON *rate = json_add_object(j, rates, NULL);
        json_add_string(j, rate, "rule", v->rates[n].rule);
        json_add_unsigned(j, rate, "requests", v->rates[n].requests);
        json_add_unsigned(j, rate, "per_s", (uint64_t)v->rates[n].per_s);
    }
}

static enum err print_json(const struct invocation *i, const struct policy *policy,
                           const struct decision *d, bool has_catalog)
{
    struct json j;
    json_init(&j);
    add_verdict(&j, j.root, decision_verdict(d));
    if (policy_revision(policy) == 0) {
        json_add_null(&j, j.root, "revision");
    } else {
        json_add_unsigned(&j, j.root, "revision", policy_revision(policy));
    }
    cJSON *parts = json_add_array(&j, j.root, "parts");
    for (size_t n = 0; n < decision_part_count(d); n++) {
        const struct decision_part *part = decision_part(d, n);
        cJSON *item = json_add_object(&j, parts, NULL);
        json_add_unsigned(&j, item, "statement", part->statement);
        json_add_string(&j, item, "command", part->is_command ? part->name : NULL);
        json_add_string(&j, item, "access", part->is_command ? NULL : part->access);
        json_add_string(&j, item, "kind", part->is_command ? NULL : part->kind);
        json_add_string(&j, item, "name", part->is_command ? NULL : part->name);
        add_verdict(&j, item, &part->verdict);
    }
    add_hold(&j, decision_verdict(d)->hold);
    add_masking(&j, d, has_catalog);
    if (options_value(&i->options, "http") != NULL) {
        add_http(&j, decision_verdict(d));
    }
    enum err e = json_write_line(&j, i->out.out);
    json_finish(&j);
    return e;
}

static void print_verdict(FILE *out, const struct policy_verdict *v)
{
    (void)fprintf(out, "%s by rule ", decision_effect_name(v->effect));
    text_write(out, bytes_of_string(v->rule), TEXT_ESCAPED);
    if (message_of(v) != NULL) {
        (void)fputs(": ", out);
        text_write(out, bytes_of_string(v->message), TEXT_ESCAPED);
    }
    (void)fputc('\n', out);
}

static void print_duration(FILE *out, int64_t seconds)
{
    static const struct {
        int64_t size;
        char letter;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    size_t unit = 0;
    while (seconds % units[unit].size != 0) {
        unit++;
    }
    (void)fprintf(out, "%" PRId64 "%c", seconds / units[unit].size, units[unit].letter);
}

/* "people: 2 of dba or security, within 15m, or 60s in a transaction" */
static void print_hold(FILE *out, const struct policy_hold *h)
{
    (void)fprintf(out, "people: %u of ", h->people);
    for (size_t n = 0; n < h->group_count; n++) {
        (void)fputs(n == 0 ? "" : " or ", out);
        text_write(out, bytes_of_string(h->groups[n]), TEXT_ESCAPED);
    }
    (void)fputs(", within ", out);
    print_duration(out, h->lifetime_s);
    if (h->in_transaction_s != h->lifetime_s) {
        (void)fputs(", or ", out);
        print_duration(out, h->in_transaction_s);
        (void)fputs(" in a transaction", out);
    }
    (void)fputs(h->is_retry ? "; the agent comes again\n" : "\n", out);
}

static void print_masking(FILE *out, const struct masking_result *m)
{
    for (size_t n = 0; n < m->column_count; n++) {
        const struct masking_column *c = &m->columns[n];
        (void)fprintf(out, "masked: statement %zu, ", c->statement);
        if (c->number == 0) {
            (void)fputs("every column", out);
        } else {
            (void)fprintf(out, "column %zu ", c->number);
            text_write(out, bytes_of_string(c->name), TEXT_ESCAPED);
        }
        if (c->origin != NULL) {
            (void)fputs(" (", out);
            text_write(out, bytes_of_string(c->origin), TEXT_ESCAPED);
            (void)fputc(')', out);
        }
        (void)fprintf(out, "%s by rule ", c->is_null ? " is NULL" : "");
        text_write(out, bytes_of_string(c->rule), TEXT_ESCAPED);
        (void)fputc('\n', out);
    }
}

static void print_http(FILE *out, const struct policy_verdict *v)
{
    if (v->path != NULL) {
        (void)fputs("path: ", out);
        text_write(out, bytes_of_string(v->path), TEXT_ESCAPED);
        (void)fputc('\n', out);
    }
    for (size_t n = 0; n < v->rate_count; n++) {
        (void)fprintf(out, "rate: %u in ", v->rates[n].requests);
        print_duration(out, v->rates[n].per_s);
        (void)fputs(" by rule ", out);
        text_write(out, bytes_of_string(v->rates[n].rule), TEXT_ESCAPED);
        (void)fputc('\n', out);
    }
    if (v->max_request_bytes > 0) {
        (void)fprintf(out, "request: at most %" PRIu64 " bytes\n", v->max_request_bytes);
    }
    if (v->max_response_bytes > 0) {
        (void)fprintf(out, "response: at most %" PRIu64 " bytes\n", v->max_response_bytes);
    }
}

static void print_text(const struct invocation *i, const struct policy *policy,
                       const struct decision *d, bool has_catalog)
{
    FILE *out = i->out.out;
    for (size_t n = 0; n < decision_part_count(d); n++) {
        const struct decision_part *part = decision_part(d, n);
        if (part->is_command) {
            (void)fprintf(out, "statement %zu: ", part->statement);
        } else {
            (void)fprintf(out, "  %s %s ", part->access, part->kind);
        }
        text_write(out, bytes_of_string(part->name), TEXT_ESCAPED);
        (void)fputs(" -> ", out);
        print_verdict(out, &part->verdict);
    }
    print_masking(out, decision_masking(d));
    bool is_as_it_is =
        decision_verdict(d)->effect != POLICY_DENY && decision_masking(d)->column_count == 0;
    (void)fputs(has_catalog && is_as_it_is ? "masked: no column by its name or type\n" : "", out);
    (void)fputs("verdict: ", out);
    print_verdict(out, decision_verdict(d));
    print_http(out, decision_verdict(d));
    if (decision_verdict(d)->hold != NULL) {
        print_hold(out, decision_verdict(d)->hold);
    }
    if (policy_revision(policy) != 0) {
        (void)fprintf(out, "policy: revision %" PRIu64 "\n", policy_revision(policy));
    }
}

enum { BODY_SIZE_MAX = 16 << 20 };

static enum err decide_http(const struct invocation *i, const struct policy *policy,
                            const struct identity_option *as, const char *resource,
                            struct decision **out, struct err_text *error)
{
    struct decision_http asked = {.request = options_value(&i->options, "http"),
                                  .is_websocket = options_flag(&i->options, "websocket")};
    const char *file = options_value(&i->options, "body"), *header = NULL;
    struct buffer body;
    enum err e = OK;
    buffer_init(&body, BODY_SIZE_MAX);
    while ((header = options_each(&i->options, "header", asked.header_count)) != NULL) {
        if (asked.header_count == DECISION_HTTP_HEADERS_MAX) {
            return err_set(error, ERR_LIMIT, "at most %d headers are allowed",
                           DECISION_HTTP_HEADERS_MAX);
        }
        asked.headers[asked.header_count++] = header;
    }
    if (file != NULL) {
        e = text_file_read(file, BODY_SIZE_MAX, &body, error);
        asked.body = buffer_bytes(&body);
    }
    e = e == OK ? decision_make_http(policy, as, resource, &asked, out, error) : e;
    buffer_finish(&body);
    return e;
}

static int explain(const struct invocation *i, const struct policy *policy,
                   const struct identity_option *as, struct masking *masking)
{
    const char *resource = options_value(&i->options, "resource");
    struct decision *d = NULL;
    struct err_text error = {0};
    resource = resource == NULL ? "default" : resource;
    enum err e = options_value(&i->options, "http") != NULL
                     ? decide_http(i, policy, as, resource, &d, &error)
                     : decision_make(policy, as, resource, masking, i->options.arguments[0], &d);
    if (e == OK && options_flag(&i->options, "json")) {
        e = print_json(i, policy, d, masking != NULL);
    } else if (e == OK) {
        print_text(i, policy, d, masking != NULL);
    }
    int code =
        e != OK ? command_fail(i, EXIT_NO, "%s", error.text[0] != '\0' ? error.text : err_name(e))
        : decision_verdict(d)->effect == POLICY_ALLOW ? EXIT_YES
                                                      : EXIT_NO;
    decision_destroy(d);
    int flushed = remote_flush(i);
    return code != EXIT_YES ? code : flushed;
}

/* `*out` stays NULL without --catalog. */
static int load_masking(const struct invocation *i, struct masking **out)
{
    const char *file = options_value(&i->options, "catalog");
    struct catalog *catalog = NULL;
    struct err_text error = {0};
    if (file == NULL) {
        return EXIT_YES;
    }
    enum err e = tables_load(file, &catalog, &error);
    if (e == OK) {
        *out = masking_create(catalog);
        e = *out == NULL ? ERR_NO_MEMORY : OK;
    }
    catalog_unref(catalog);
    return e == OK
               ? EXIT_YES
               : command_fail(i, EXIT_NO, "%s", error.text[0] != '\0' ? error.text : err_name(e));
}

/* SQL or a request. */
static enum err check_question(const struct invocation *i, struct err_text *error)
{
    static const char *const of_http[] = {"header", "body"};
    bool is_http = options_value(&i->options, "http") != NULL;
    if (is_http == (i->options.argument_count > 0)) {
        return err_set(error, ERR_INVALID,
                       is_http ? "SQL or --http, not both" : "what is asked? SQL, or --http");
    }
    for (size_t n = 0; n < 2 && !is_http; n++) {
        if (options_value(&i->options, of_http[n]) != NULL) {
            return err_set(error, ERR_INVALID, "--%s is about --http", of_http[n]);
        }
    }
    if (!is_http && options_flag(&i->options, "websocket")) {
        return err_set(error, ERR_INVALID, "--websocket is about --http");
    }
    if (is_http && options_value(&i->options, "catalog") != NULL) {
        return err_set(error, ERR_INVALID, "--catalog is about SQL");
    }
    return OK;
}

int command_policy_explain(struct invocation *i)
{
    const char *as_text = options_value(&i->options, "as");
    const char *file = options_value(&i->options, "file");
    struct identity_option as;
    struct err_text error = {0};
    struct policy *policy = NULL;
    struct masking *masking = NULL;
    if (as_text == NULL) {
        (void)err_set(&error, ERR_INVALID, "--as is missing: who asks?");
        return command_misuse(i, &error);
    }
    if (check_question(i, &error) != OK ||
        decision_parse_identity("--as", as_text, &as, &error) != OK) {
        return command_misuse(i, &error);
    }
    int code = load_masking(i, &masking);
    if (code == EXIT_YES) {
        code = file == NULL ? load_newest(i, &policy) : command_policy_load_file(i, file, &policy);
    }
    code = code == EXIT_YES ? explain(i, policy, &as, masking) : code;
    masking_destroy(masking);
    policy_destroy(policy);
    return code;
}
