/* audit replay: a recorded session again, in the terminal or as an asciicast. */
#include "cli/command_audit_replay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/dev/upstream.h"
#include "cli/replay/cast.h"
#include "cli/replay/pace.h"
#include "cli/replay/player.h"
#include "cli/replay/screen.h"
#include "cli/replay/script.h"

enum { SHOWN_ROWS = 5, SHOWN_ROWS_MAX = 1000000, CAST_COLUMNS = 120, CAST_ROWS = 36 };

const struct option_spec command_audit_replay_options[] = {
    {"speed", 0, OPTION_TEXT, "N", "times as fast, 0.1 to 100, or max (1)", NULL},
    {"idle-limit", 0, OPTION_TEXT, "SECONDS", "wait no longer than that between two records", NULL},
    {"rows", 0, OPTION_TEXT, "N", "rows shown of each answer (5)", NULL},
    {"export", 0, OPTION_FILE, "FILE", "write an asciicast v3 there instead", NULL},
    {"into", 0, OPTION_TEXT, "URL", "execute it again in this database, and compare", NULL},
    {"yes", 'y', OPTION_FLAG, NULL, "with --into: do not ask", NULL},
    {"json", 0, OPTION_FLAG, NULL, "with --into: one JSON object a line", NULL},
    {0},
};

struct replaying {
    struct invocation *i;
    double speed;
    int64_t idle_limit_ns;
    uint32_t rows;
    const char *export_file;
    char *url; /* of --into; owned, a secret; NULL: not asked for */
};

/* --- the records -------------------------------------------------------------------------------
 */

struct loading {
    struct recording *recording;
    enum err failed;
};

static bool on_entries(void *context, const ProtobufCMessage *message)
{
    struct loading *l = context;
    const Chaperone__V1__SearchResponse *r = (const Chaperone__V1__SearchResponse *)message;
    for (size_t n = 0; n < r->n_entries && l->failed == OK; n++) {
        l->failed = recording_add(l->recording, r->entries[n]);
    }
    return l->failed == OK;
}

static int load(const struct invocation *i, struct remote *remote, struct recording *recording)
{
    const char *session = i->options.arguments[0];
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    struct loading loading = {.recording = recording};
    struct client_end end;
    request.session = (char *)(uintptr_t)session;
    client_stream(remote->client, &chaperone__v1__audit__descriptor, "Search", &request.base,
                  on_entries, &loading, &end);
    int code = remote_exit(i, remote, &end);
    if (code == EXIT_YES && loading.failed == ERR_LIMIT) {
        return command_fail(i, EXIT_NO,
                            "the session's records are more than the %d MiB that can be replayed; "
                            "audit show prints them",
                            RECORDING_SIZE_MAX >> 20);
    }
    if (code == EXIT_YES && loading.failed != OK) {
        return command_fail(i, EXIT_NO, "a record cannot be read: %s", err_name(loading.failed));
    }
    if (code == EXIT_YES && recording_count(recording) == 0) {
        return command_fail(i, EXIT_NO, "no session %s in the audit log", session);
    }
    return code;
}

/* --- an asciicast ------------------------------------------------------------------------------
 */

static bool is_closed(const struct recording *recording)
{
    size_t last = recording_count(recording) - 1;
    return recording_get(recording, last)->event_case ==
           CHAPERONE__V1__RECORD__EVENT_SESSION_CLOSED;
}

static enum err write_cast(const struct replaying *p, const struct recording *recording,
                           const struct script *script, FILE *out)
{
    char title[128];
    (void)snprintf(title, sizeof(title), "session %.64s", p->i->options.arguments[0]);
    const struct cast_header header = {.columns = CAST_COLUMNS,
                                       .rows = CAST_ROWS,
                                       .started_unix_ns = recording_get(recording, 0)->time_unix_ns,
                                       .title = title,
                                       .idle_limit_ns = p->idle_limit_ns};
    struct cast cast;
    int64_t due_ns = 0;
    enum err e = cast_start(&cast, out, &header);
    for (size_t n = 0; e == OK && n < script_count(script); n++) {
        const struct script_step *step = script_step(script, n);
        due_ns = step->due_ns;
        e = step->is_statement ? cast_add_marker(&cast, due_ns, step->label) : OK;
        e = e == OK ? cast_add_output(&cast, due_ns, step->text) : e;
    }
    /* Without its end on record it has none here. */
    return e == OK && is_closed(recording) ? cast_add_exit(&cast, due_ns, 0) : e;
}

static int fail_write(const struct replaying *p, enum err e)
{
    return command_fail(p->i, EXIT_NO, "cannot write %s: %s", p->export_file,
                        e == ERR_IO ? strerror(errno) : err_name(e));
}

/* It holds what the audit log holds: for its owner only. Nothing is overwritten. */
static int export_file(const struct replaying *p, const struct recording *recording,
                       const struct script *script)
{
    if (strcmp(p->export_file, "-") == 0) {
        enum err e = write_cast(p, recording, script, p->i->out.out);
        return e == OK || e == ERR_IO ? remote_flush(p->i) : fail_write(p, e);
    }
    int fd = open(p->export_file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (out == NULL) {
        return fail_write(p, ERR_IO);
    }
    enum err e = write_cast(p, recording, script, out);
    if (fclose(out) != 0 && e == OK) {
        e = ERR_IO;
    }
    if (e != OK) {
        int code = fail_write(p, e);
        (void)unlink(p->export_file);
        return code;
    }
    return EXIT_YES;
}

static int export_cast(const struct replaying *p, const struct recording *recording)
{
    /* As a terminal of its own would show it, whatever this one is. */
    const struct terminal page = {.is_terminal = true, .colour = true, .width = CAST_COLUMNS};
    struct script *script = NULL;
    /* The times stay those of the record: how long to wait is for the player, which is told. */
    enum err e = script_create(recording, &page, p->rows, 0, &script);
    if (e != OK) {
        return command_fail(p->i, EXIT_NO, "the session cannot be shown: %s", err_name(e));
    }
    int code = export_file(p, recording, script);
    script_destroy(script);
    return code;
}

/* --- the terminal ------------------------------------------------------------------------------
 */

static int play(const struct replaying *p, const struct recording *recording, int signal_fd)
{
    const struct invocation *i = p->i;
    bool has_keys = i->out.is_terminal && isatty(STDIN_FILENO) != 0;
    struct terminal terminal = i->out;
    terminal.is_terminal = has_keys;
    struct script *script = NULL;
    enum err e = script_create(recording, &i->out, p->rows, p->idle_limit_ns, &script);
    struct player *player =
        e != OK ? NULL : player_create(script, &terminal, p->speed, clock_monotonic(&i->clock));
    int code = EXIT_NO;
    if (player == NULL) {
        code = command_fail(i, EXIT_NO, "the session cannot be shown: %s",
                            err_name(e == OK ? ERR_NO_MEMORY : e));
    } else {
        enum screen_end end =
            screen_run(player, &i->clock, has_keys ? STDIN_FILENO : -1, signal_fd);
        code = end == SCREEN_SIGNAL   ? remote_signal_exit(signal_fd)
               : end == SCREEN_FAILED ? command_fail(i, EXIT_NO, "poll: %s", strerror(errno))
                                      : remote_flush(i);
    }
    player_destroy(player);
    script_destroy(script);
    return code;
}

/* --- the command -------------------------------------------------------------------------------
 */

static enum err read_pace(struct replaying *p, struct err_text *error)
{
    const char *speed = options_value(&p->i->options, "speed");
    const char *limit = options_value(&p->i->options, "idle-limit");
    struct err_text why = {0};
    if (speed != NULL && pace_parse_speed(speed, &p->speed, &why) != OK) {
        return err_set(error, ERR_INVALID, "--speed: %s", why.text);
    }
    if (limit != NULL && pace_parse_seconds(limit, &p->idle_limit_ns, &why) != OK) {
        return err_set(error, ERR_INVALID, "--idle-limit: %s", why.text);
    }
    if (speed != NULL && p->export_file != NULL) {
        return err_set(error, ERR_INVALID,
                       "--speed is for the terminal: an asciicast has the times of the record");
    }
    return options_number(&p->i->options, "rows", SHOWN_ROWS, SHOWN_ROWS_MAX, &p->rows, error);
}

/* Every process of the machine can read the command line: the password does not stay there. */
static char *take_url(const struct invocation *i)
{
    const char *url = options_value(&i->options, "into");
    char *copy = url == NULL ? NULL : strdup(url);
    if (copy != NULL) {
        upstream_hide_password((char *)(uintptr_t)url);
    }
    return copy;
}

static int replay(const struct replaying *p, struct remote *remote, struct recording *recording)
{
    int code = load(p->i, remote, recording);
    if (code != EXIT_YES) {
        return code;
    }
    if (p->url != NULL) {
        return replay_into(p->i, p->url, recording, remote->signal_fd);
    }
    return p->export_file != NULL ? export_cast(p, recording)
                                  : play(p, recording, remote->signal_fd);
}

int command_audit_replay(struct invocation *i)
{
    struct replaying p = {.i = i, .speed = 1, .export_file = options_value(&i->options, "export")};
    struct err_text error = {0};
    struct remote remote;
    if (read_pace(&p, &error) != OK || replay_into_check(i, &error) != OK) {
        return command_misuse(i, &error);
    }
    struct recording *recording = recording_create();
    p.url = take_url(i);
    if (recording == NULL || (p.url == NULL && options_value(&i->options, "into") != NULL)) {
        recording_destroy(recording);
        return command_fail(i, EXIT_NO, "out of memory");
    }
    int code = remote_open(i, &remote);
    if (code == EXIT_YES) {
        code = replay(&p, &remote, recording);
        remote_close(&remote);
    }
    if (p.url != NULL) {
        bytes_wipe(p.url, strlen(p.url));
    }
    free(p.url);
    recording_destroy(recording);
    return code;
}
