#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "controlplane/export/export_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { AWAIT_S = 60, POLL_US = 5000 };

static int64_t shifted_wall(void *context)
{
    const struct test *t = context;
    const struct clock system = clock_system();
    return clock_wall(&system) + t->wall_shift;
}

static int64_t monotonic(void *context)
{
    (void)context;
    const struct clock system = clock_system();
    return clock_monotonic(&system);
}

char *export_path(struct test *t, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", t->directory, name);
    char *copy = arena_copy_string(t->arena, bytes_of_string(path));
    assert_non_null(copy);
    return copy;
}

int export_setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    (void)signal(SIGPIPE, SIG_IGN);
    scratch_create(t->directory);
    t->arena = arena_create(1 << 16, 256 << 20);
    t->feed = audit_feed_create();
    assert_int_equal(store_open_sqlite(export_path(t, "db"), NULL, &t->store, NULL), OK);
    struct clock clock = {.wall_ns = shifted_wall, .monotonic_ns = monotonic, .context = t};
    t->ingest = (struct audit_ingest){.store = t->store, .feed = t->feed, .clock = clock};
    t->maker = stream_maker_start("s1", t->arena);
    int fd = open(export_path(t, "log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    t->log = (struct log){.fd = fd, .format = LOG_JSON, .level = LOG_INFO, .clock = clock};
    const struct exports_options options = {
        .store = t->store, .feed = t->feed, .clock = clock, .log = &t->log};
    assert_int_equal(exports_create(&options, &t->exports), OK);
    *state = t;
    return 0;
}

int export_teardown(void **state)
{
    struct test *t = *state;
    export_end(t);
    audit_feed_destroy(t->feed);
    store_close(t->store);
    arena_destroy(t->arena);
    (void)close(t->log.fd);
    scratch_remove(t->directory);
    free(t);
    return 0;
}

static ProtobufCBinaryData make_record(struct test *t, const char *session, size_t i)
{
    char text[64];
    (void)snprintf(text, sizeof(text), "SELECT %zu -- %s", i, session);
    return i == 0 ? stream_maker_opened(&t->maker, session, "bot", "orders",
                                        CHAPERONE__V1__VERDICT__ALLOW)
                  : stream_maker_intent(&t->maker, session, text, "orders",
                                        i % 2 == 0 ? CHAPERONE__V1__VERDICT__DENY
                                                   : CHAPERONE__V1__VERDICT__ALLOW);
}

void export_ship(struct test *t, const char *session, size_t count)
{
    enum { BATCH = 1000 };
    static struct store_audit_record records[BATCH];
    struct store_audit_appended appended = {0};
    size_t filled = 0;
    for (size_t i = 0; i <= count; i++) {
        struct audit_record record;
        ProtobufCBinaryData bytes = make_record(t, session, i);
        assert_int_equal(
            audit_record_parse(bytes_of(bytes.data, bytes.len), t->arena, &record, NULL), OK);
        records[filled++] = record.stored;
        if (filled == BATCH || i == count) {
            assert_int_equal(store_audit_append(t->store, "s1", records, filled,
                                                clock_wall(&t->ingest.clock), &appended, NULL,
                                                NULL),
                             OK);
            filled = 0;
        }
    }
    audit_feed_publish(t->feed, appended.last_position);
}

void export_configure(struct test *t, const char *exports)
{
    struct buffer text;
    struct config *config = NULL;
    struct err_text why = {0};
    buffer_init(&text, 1 << 16);
    assert_int_equal(buffer_append_string(&text, "data: d\nexports:\n"), OK);
    for (const char *c = exports; *c != '\0'; c++) {
        struct bytes one = *c == '@' ? bytes_of_string(t->directory) : bytes_of(c, 1);
        assert_int_equal(buffer_append(&text, one), OK);
    }
    if (config_load_text("/etc/cp.yaml", buffer_bytes(&text), &config, &why) != OK) {
        fail_msg("%s", why.text);
    }
    buffer_finish(&text);
    assert_int_equal(exports_configure(t->exports, config), OK);
    config_release(config);
}

void export_end(struct test *t)
{
    exports_destroy(t->exports);
    t->exports = NULL;
}

struct exports_job export_first(struct test *t)
{
    struct exports_job *jobs = NULL;
    size_t count = 0;
    assert_int_equal(exports_list(t->exports, t->arena, &jobs, &count), OK);
    assert_true(count > 0);
    return jobs[0];
}

void export_await_position(struct test *t, uint64_t position)
{
    for (int i = 0; i < AWAIT_S * 1000000 / POLL_US; i++) {
        if (export_first(t).status.position >= position) {
            return;
        }
        (void)usleep(POLL_US);
    }
    fail_msg("position %llu, expected %llu (%s)",
             (unsigned long long)export_first(t).status.position, (unsigned long long)position,
             export_first(t).status.error.text);
}

void export_await_state(struct test *t, enum export_state state)
{
    for (int i = 0; i < AWAIT_S * 1000000 / POLL_US; i++) {
        if (export_first(t).status.state == state) {
            return;
        }
        (void)usleep(POLL_US);
    }
    fail_msg("%s, expected %s", export_state_name(export_first(t).status.state),
             export_state_name(state));
}

char *export_read(const char *path)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return NULL;
    }
    char *text = NULL;
    size_t size = 0;
    ssize_t n = getdelim(&text, &size, '\0', f);
    (void)fclose(f);
    if (n < 0) {
        free(text);
        return strdup("");
    }
    return text;
}
