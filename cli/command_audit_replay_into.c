/* audit replay --into: a recorded session executed again in a sandbox database. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command_audit_replay.h"
#include "cli/replay/operations.h"
#include "cli/replay/sandbox.h"
#include "formats/json.h"
#include "formats/text.h"

enum { TEXT_COLUMNS = 100, SKIPPED = COMPARE_UNKNOWN + 1, RESULTS };

struct rerun {
    const struct invocation *i;
    const char *url;
    bool json;
    uint64_t counts[RESULTS];
};

/* --- may it be done ----------------------------------------------------------------------------
 */

enum err replay_into_check(const struct invocation *i, struct err_text *error)
{
    static const char *const others[] = {"speed", "idle-limit", "rows", "export"};
    const char *url = options_value(&i->options, "into");
    struct sandbox_place place;
    if (url == NULL) {
        return options_flag(&i->options, "yes") || options_flag(&i->options, "json")
                   ? err_set(error, ERR_INVALID, "--yes and --json are for --into")
                   : OK;
    }
    for (size_t n = 0; n < sizeof(others) / sizeof(others[0]); n++) {
        if (options_value(&i->options, others[n]) != NULL) {
            return err_set(error, ERR_INVALID, "--into cannot be together with --%s", others[n]);
        }
    }
    if (!options_flag(&i->options, "yes") && isatty(STDIN_FILENO) == 0) {
        return err_set(error, ERR_INVALID, "--into without a terminal to ask on needs --yes");
    }
    enum err e = sandbox_find_place(url, &place, error);
    if (e == OK) {
        sandbox_place_finish(&place);
    }
    return e;
}

static const Chaperone__V1__SessionOpened *find_opened(const struct recording *recording)
{
    const Chaperone__V1__Record *first = recording_get(recording, 0);
    return first->event_case == CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED ? first->session_opened
                                                                            : NULL;
}

/* By name only: that a sandbox is none under another name is for who runs this to know. */
static bool is_original(const Chaperone__V1__SessionOpened *opened,
                        const struct sandbox_place *place)
{
    char address[512];
    (void)snprintf(address, sizeof(address), "%s:%s", place->host, place->port);
    return strcmp(opened->target_address, address) == 0 &&
           strcmp(opened->database, place->database) == 0;
}

static int check_place(const struct invocation *i, const struct recording *recording,
                       const struct sandbox_place *place)
{
    const Chaperone__V1__SessionOpened *opened = find_opened(recording);
    if (opened == NULL) {
        return command_fail(i, EXIT_NO, "the session's beginning is not recorded");
    }
    if (strcmp(opened->protocol, "postgres") != 0) {
        return command_fail(i, EXIT_NO, "only PostgreSQL sessions can be executed again, not %.32s",
                            opened->protocol);
    }
    if (is_original(opened, place)) {
        return command_fail(i, EXIT_NO,
                            "database %s on %s:%s is the one the session ran on; nothing was done",
                            place->database, place->host, place->port);
    }
    return EXIT_YES;
}

static bool is_confirmed(const struct invocation *i, const struct sandbox_place *place,
                         size_t count)
{
    char text[1024], line[16] = "";
    (void)snprintf(text, sizeof(text),
                   "Execute %zu operations again in database %s on %s:%s, where they change what "
                   "they change? [y/N] ",
                   count, place->database, place->host, place->port);
    text_write(i->errors.out, bytes_of_string(text), TEXT_ESCAPED);
    (void)fflush(i->errors.out);
    return fgets(line, sizeof(line), stdin) != NULL &&
           (strcmp(line, "y\n") == 0 || strcmp(line, "yes\n") == 0);
}

/* --- the report --------------------------------------------------------------------------------
 */

/* Of one operation; the parts that do not apply are empty. */
struct report {
    int result; /* of enum compare_result, or SKIPPED */
    const char *why;
    uint64_t row;
    struct bytes recorded, now;
};

static const char *result_name(int result)
{
    return result == SKIPPED ? "skipped" : compare_result_name((enum compare_result)result);
}

static enum err report_json(const struct rerun *r, const struct operation *op,
                            const struct report *report)
{
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "kind", "operation");
    json_add_unsigned(&j, j.root, "operation", op->intent->operation);
    json_add_string(&j, j.root, "result", result_name(report->result));
    json_add_string(&j, j.root, "why", report->why);
    json_add_text(&j, j.root, "text", record_bytes(op->intent->text));
    if (report->row > 0) {
        json_add_unsigned(&j, j.root, "row", report->row);
        json_add_text(&j, j.root, "recorded", report->recorded);
        json_add_text(&j, j.root, "now", report->now);
    }
    enum err e = json_write_line(&j, r->i->out.out);
    json_finish(&j);
    return e;
}

static void put_row(FILE *out, const char *name, struct bytes row)
{
    (void)fprintf(out, "    %-9s ", name);
    if (row.size == 0) {
        (void)fputs("no such row", out);
    }
    text_write(out, row, TEXT_ESCAPED);
    (void)fputc('\n', out);
}

static enum style result_style(int result)
{
    return result == COMPARE_AGREES    ? STYLE_GOOD
           : result == COMPARE_DIFFERS ? STYLE_BAD
           : result == SKIPPED         ? STYLE_DIM
                                       : STYLE_WARNING;
}

static void report_text(const struct rerun *r, const struct operation *op,
                        const struct report *report)
{
    const struct terminal *t = &r->i->out;
    struct bytes text = record_bytes(op->intent->text);
    (void)fprintf(t->out, "#%" PRIu64 "\t", op->intent->operation);
    terminal_style(t, result_style(report->result));
    (void)fputs(result_name(report->result), t->out);
    terminal_style(t, STYLE_PLAIN);
    (void)fputc('\t', t->out);
    text_write(t->out, bytes_of_string(report->why), TEXT_ESCAPED);
    (void)fputc('\t', t->out);
    if (t->is_terminal) {
        (void)text_write_cut(t->out, text, TEXT_SQUEEZED, TEXT_COLUMNS);
    } else {
        text_write(t->out, text, TEXT_ESCAPED);
    }
    (void)fputc('\n', t->out);
    if (report->row > 0) {
        (void)fprintf(t->out, "    row %" PRIu64 " is the first that differs\n", report->row);
        put_row(t->out, "recorded:", report->recorded);
        put_row(t->out, "now:", report->now);
    }
}

static enum err report(struct rerun *r, const struct operation *op, const struct report *report)
{
    enum err e = OK;
    r->counts[report->result]++;
    if (r->json) {
        e = report_json(r, op, report);
    } else {
        report_text(r, op, report);
    }
    (void)fflush(r->i->out.out);
    return e;
}

static int report_summary(const struct rerun *r)
{
    const uint64_t *c = r->counts;
    if (r->json) {
        struct json j;
        json_init(&j);
        json_add_string(&j, j.root, "kind", "summary");
        for (int n = 0; n < RESULTS; n++) {
            json_add_unsigned(&j, j.root, result_name(n), c[n]);
        }
        enum err e = json_write_line(&j, r->i->out.out);
        json_finish(&j);
        if (e != OK) {
            return command_fail(r->i, EXIT_NO, "%s", err_name(e));
        }
    } else {
        (void)fprintf(r->i->out.out,
                      "%" PRIu64 " agree, %" PRIu64 " differ, %" PRIu64
                      " cannot agree because they were masked, %" PRIu64
                      " cannot be compared, %" PRIu64 " skipped\n",
                      c[COMPARE_AGREES], c[COMPARE_DIFFERS], c[COMPARE_MASKED], c[COMPARE_UNKNOWN],
                      c[SKIPPED]);
    }
    int code = remote_flush(r->i);
    return code == EXIT_YES && c[COMPARE_DIFFERS] + c[COMPARE_UNKNOWN] > 0 ? EXIT_NO : code;
}

/* --- the run -----------------------------------------------------------------------------------
 */

/* A simple query has but one form (or that of a cursor, which is made again). */
static bool is_simple(const struct operation *op)
{
    return strcmp(op->intent->verb, "execute") != 0 || op->outcome->bytes == 0;
}

static enum err run_one(struct rerun *r, struct sandbox *sandbox, const struct operation *op,
                        struct err_text *error)
{
    struct comparison *c = compare_create(op->outcome);
    struct sandbox_end end;
    struct err_text why = {0};
    struct report one = {.why = why.text};
    bool is_sure = false;
    enum compare_format format = compare_find_format(op->outcome, &is_sure);
    if (c == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = sandbox_run(sandbox, op->intent, format, c, &end, error);
    if (e == OK) {
        const struct compare_end how = {.tag = end.tag,
                                        .was_startup = strcmp(op->intent->verb, "startup") == 0,
                                        .sqlstate = end.sqlstate[0] == '\0' ? NULL : end.sqlstate,
                                        .format = format,
                                        .is_format_known = is_sure || is_simple(op)};
        one.result = (int)compare_finish(c, &how, &why);
        if (one.result == COMPARE_DIFFERS) {
            one.row = compare_first_difference(c, &one.recorded, &one.now);
        }
        if (one.result == COMPARE_DIFFERS && how.sqlstate != NULL) {
            size_t used = strlen(why.text);
            (void)snprintf(why.text + used, sizeof(why.text) - used, ": %s", end.error);
        }
        e = report(r, op, &one);
    }
    compare_destroy(c);
    return e;
}

static int run_all(struct rerun *r, struct sandbox *sandbox, const struct operation *ops,
                   size_t count, int signal_fd)
{
    struct err_text error = {0};
    enum err e = OK;
    for (size_t n = 0; e == OK && n < count; n++) {
        if (ops[n].skipped == NULL) {
            e = run_one(r, sandbox, &ops[n], &error);
            continue;
        }
        if (ops[n].fails_transaction) {
            sandbox_fail_transaction(sandbox);
        }
        e = report(r, &ops[n], &(struct report){.result = SKIPPED, .why = ops[n].skipped});
    }
    if (e == ERR_CLOSED && strcmp(error.text, "interrupted") == 0) {
        return remote_signal_exit(signal_fd);
    }
    return e == OK ? report_summary(r)
                   : command_fail(r->i, EXIT_NO, "%s; what follows was not executed",
                                  error.text[0] == '\0' ? err_name(e) : error.text);
}

static int connect_and_run(struct rerun *r, const struct operation *ops, size_t count,
                           int signal_fd)
{
    struct sandbox *sandbox = NULL;
    struct err_text error = {0};
    enum err e = sandbox_open(r->url, signal_fd, &sandbox, &error);
    if (e != OK) {
        return command_fail(r->i, EXIT_NO, "%s", error.text[0] == '\0' ? err_name(e) : error.text);
    }
    int code = run_all(r, sandbox, ops, count, signal_fd);
    sandbox_close(sandbox);
    return code;
}

static size_t count_executed(const struct operation *ops, size_t count)
{
    size_t executed = 0;
    for (size_t n = 0; n < count; n++) {
        executed += ops[n].skipped == NULL ? 1 : 0;
    }
    return executed;
}

int replay_into(const struct invocation *i, const char *url, const struct recording *recording,
                int signal_fd)
{
    struct rerun r = {.i = i, .url = url, .json = options_flag(&i->options, "json")};
    struct sandbox_place place = {0};
    struct operation *ops = NULL;
    size_t count = 0;
    struct err_text error = {0};
    enum err e = sandbox_find_place(url, &place, &error);
    e = e == OK ? operations_list(recording, &ops, &count) : e;
    int code =
        e == OK ? check_place(i, recording, &place)
                : command_fail(i, EXIT_NO, "%s", error.text[0] == '\0' ? err_name(e) : error.text);
    if (code == EXIT_YES && !options_flag(&i->options, "yes") &&
        !is_confirmed(i, &place, count_executed(ops, count))) {
        code = command_fail(i, EXIT_NO, "nothing was done");
    }
    if (code == EXIT_YES) {
        code = connect_and_run(&r, ops, count, signal_fd);
    }
    free(ops);
    sandbox_place_finish(&place);
    return code;
}
