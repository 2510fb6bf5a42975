/* policy check, test: what needs no control plane. */
#include <glob.h>
#include <stdio.h>

#include "base/conf/conf.h"
#include "cli/commands.h"
#include "cli/policy/golden.h"
#include "cli/remote.h"
#include "formats/json.h"
#include "formats/text.h"
#include "policies/policy.h"

enum { PATTERN_SIZE = 4096 };

/* --- check -------------------------------------------------------------------------------------
 */

static enum err check(const char *path, struct err_text *error)
{
    struct conf *c = NULL;
    struct policy *policy = NULL;
    enum err e = conf_load_file(path, &c, error);
    e = e == OK ? policy_compile_conf(conf_root(c), 1, &policy, error) : e;
    policy_destroy(policy);
    conf_destroy(c);
    return e;
}

static enum err print_check(const struct invocation *i, const char *file, const char *reason)
{
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "file", file);
    json_add_bool(&j, j.root, "valid", reason == NULL);
    json_add_string(&j, j.root, "error", reason);
    enum err e = json_write_line(&j, i->out.out);
    json_finish(&j);
    return e;
}

int command_policy_check(struct invocation *i)
{
    int code = EXIT_YES;
    for (int n = 0; n < i->options.argument_count; n++) {
        const char *file = i->options.arguments[n];
        struct err_text error = {0};
        enum err e = check(file, &error);
        const char *reason = e == OK ? NULL : error.text[0] != '\0' ? error.text : err_name(e);
        if (options_flag(&i->options, "json")) {
            if (print_check(i, file, reason) != OK) {
                return command_fail(i, EXIT_NO, "out of memory");
            }
        } else if (reason == NULL) {
            text_write(i->out.out, bytes_of_string(file), TEXT_ESCAPED);
            (void)fputs(": ok\n", i->out.out);
        } else {
            (void)command_fail(i, EXIT_NO, "%s", reason);
        }
        code = reason == NULL ? code : EXIT_NO;
    }
    int flushed = remote_flush(i);
    return code != EXIT_YES ? code : flushed;
}

/* --- test --------------------------------------------------------------------------------------
 */

struct tally {
    const struct invocation *i;
    size_t count, failed;
    enum err e;
};

static void print_result_json(struct tally *t, const struct golden_result *r)
{
    struct json j;
    json_init(&j);
    json_add_string(&j, j.root, "file", r->file);
    json_add_string(&j, j.root, "name", r->name);
    json_add_bool(&j, j.root, "passed", r->passed);
    json_add_string(&j, j.root, "expected", r->expected);
    json_add_string(&j, j.root, "found", r->found);
    enum err e = json_write_line(&j, t->i->out.out);
    t->e = e != OK ? e : t->e;
    json_finish(&j);
}

static void report(void *context, const struct golden_result *r)
{
    struct tally *t = context;
    FILE *out = t->i->out.out;
    t->count++;
    t->failed += r->passed ? 0 : 1;
    if (options_flag(&t->i->options, "json")) {
        print_result_json(t, r);
        return;
    }
    (void)fprintf(out, "%s %zu - ", r->passed ? "ok" : "not ok", t->count);
    text_write(out, bytes_of_string(r->name), TEXT_SQUEEZED);
    (void)fputc('\n', out);
    if (!r->passed) {
        (void)fputs("# ", out);
        text_write(out, bytes_of_string(r->file), TEXT_ESCAPED);
        (void)fputs(": expected ", out);
        text_write(out, bytes_of_string(r->expected), TEXT_ESCAPED);
        (void)fputs(", found ", out);
        text_write(out, bytes_of_string(r->found), TEXT_ESCAPED);
        (void)fputc('\n', out);
    }
}

/* Files that are no golden cases are mistakes: they would else be tests that never run. */
static int run_files(struct tally *t, const glob_t *files)
{
    for (size_t n = 0; n < files->gl_pathc; n++) {
        struct err_text error = {0};
        enum err e = golden_run(files->gl_pathv[n], report, t, &error);
        e = e == OK ? t->e : e;
        if (e != OK) {
            return command_fail(t->i, EXIT_NO, "%s",
                                error.text[0] != '\0' ? error.text : err_name(e));
        }
    }
    if (!options_flag(&t->i->options, "json")) {
        (void)fprintf(t->i->out.out, "1..%zu\n# %zu cases, %zu failed\n", t->count, t->count,
                      t->failed);
    }
    return t->failed == 0 ? EXIT_YES : EXIT_NO;
}

int command_policy_test(struct invocation *i)
{
    static const char *const endings[] = {"yaml", "yml", "json"};
    const char *directory = i->options.arguments[0];
    struct tally tally = {.i = i};
    glob_t files = {0};
    int found = 0;
    for (size_t n = 0; n < sizeof(endings) / sizeof(endings[0]) && found == 0; n++) {
        char pattern[PATTERN_SIZE];
        int size = snprintf(pattern, sizeof(pattern), "%.4000s/*.%s", directory, endings[n]);
        found = size < 0 ? GLOB_NOSPACE : glob(pattern, n == 0 ? 0 : GLOB_APPEND, NULL, &files);
        found = found == GLOB_NOMATCH ? 0 : found;
    }
    int code = found != 0 ? command_fail(i, EXIT_NO, "%s: cannot be read", directory)
               : files.gl_pathc == 0
                   ? command_fail(i, EXIT_NO, "%s: no .yaml, .yml or .json file", directory)
                   : run_files(&tally, &files);
    globfree(&files);
    int flushed = remote_flush(i);
    return code != EXIT_YES ? code : flushed;
}
