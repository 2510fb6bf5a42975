/* Two control planes on one PostgreSQL: one of them does the jobs, the other one takes over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/testing/scratch.h"
#include "controlplane/audit/record.h"
#include "controlplane/audit/stream_maker.h"
#include "controlplane/export/export.h"
#include "controlplane/store/postgres/postgres.h"
#include "controlplane/store/postgres/test_server.h"

enum { REPLICAS = 2, RECORDS = 500, TRIES = 6000, TRY_US = 5000 };

struct replica {
    struct store *store;
    struct audit_feed *feed;
    struct exports *exports;
};

struct shared {
    struct test_server server;
    char directory[SCRATCH_SIZE];
    struct arena *arena;
    struct stream_maker maker;
    struct log log;
    struct replica replicas[REPLICAS];
};

static void start_replica(struct shared *s, struct replica *r)
{
    char url[256], text[256];
    struct config *config = NULL;
    test_server_url(&s->server, url, sizeof(url));
    assert_int_equal(store_open_postgres(url, NULL, &r->store, NULL), OK);
    r->feed = audit_feed_create();
    const struct exports_options options = {
        .store = r->store, .feed = r->feed, .clock = clock_system(), .log = &s->log};
    assert_int_equal(exports_create(&options, &r->exports), OK);
    (void)snprintf(text, sizeof(text),
                   "data: d\nexports: [{name: x, from: beginning, file: {directory: '%s/out'}}]\n",
                   s->directory);
    assert_int_equal(config_load_text("cp.yaml", bytes_of_string(text), &config, NULL), OK);
    assert_int_equal(exports_configure(r->exports, config), OK);
    config_release(config);
}

static void end_replica(struct replica *r)
{
    exports_destroy(r->exports);
    audit_feed_destroy(r->feed);
    store_close(r->store);
    *r = (struct replica){0};
}

static void ship(struct shared *s, struct store *store, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct audit_record record;
        struct store_audit_appended appended;
        ProtobufCBinaryData bytes =
            stream_maker_opened(&s->maker, "a", "bot", "orders", CHAPERONE__V1__VERDICT__ALLOW);
        assert_int_equal(
            audit_record_parse(bytes_of(bytes.data, bytes.len), s->arena, &record, NULL), OK);
        assert_int_equal(
            store_audit_append(store, "s1", &record.stored, 1, 1, &appended, NULL, NULL), OK);
    }
}

static struct export_status status_of(struct shared *s, const struct replica *r)
{
    struct exports_job *jobs = NULL;
    size_t count = 0;
    assert_int_equal(exports_list(r->exports, s->arena, &jobs, &count), OK);
    assert_int_equal(count, 1);
    return jobs[0].status;
}

/* The one that does the job, once it has done all up to here. */
static struct replica *await_done(struct shared *s, uint64_t position)
{
    for (int i = 0; i < TRIES; i++) {
        for (size_t n = 0; n < REPLICAS; n++) {
            struct replica *r = &s->replicas[n];
            if (r->store == NULL) {
                continue;
            }
            struct export_status status = status_of(s, r);
            if (status.state == EXPORT_RUNNING && status.position >= position) {
                return r;
            }
        }
        (void)usleep(TRY_US);
    }
    fail_msg("nobody did it up to %llu", (unsigned long long)position);
    return NULL;
}

static void assert_whole(const struct shared *s, uint64_t newest)
{
    char pattern[128], line[4096];
    uint64_t expected = 1;
    glob_t found;
    (void)snprintf(pattern, sizeof(pattern), "%s/out/x-*.jsonl", s->directory);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        FILE *f = fopen(found.gl_pathv[i], "re");
        assert_non_null(f);
        while (fgets(line, sizeof(line), f) != NULL) {
            const char *at = strstr(line, "\"position\":");
            assert_non_null(at);
            assert_int_equal(strtoull(at + strlen("\"position\":"), NULL, 10), expected++);
        }
        (void)fclose(f);
    }
    globfree(&found);
    assert_int_equal(expected, newest + 1);
}

static void another_one_takes_over_where_the_first_was(void **state)
{
    (void)state;
    struct shared s = {.log = {.fd = STDERR_FILENO, .level = LOG_ERROR, .clock = clock_system()}};
    test_server_start(&s.server, false);
    test_server_create_database(&s.server, "");
    scratch_create(s.directory);
    s.arena = arena_create(1 << 16, 256 << 20);
    s.maker = stream_maker_start("s1", s.arena);
    for (size_t n = 0; n < REPLICAS; n++) {
        start_replica(&s, &s.replicas[n]);
    }
    ship(&s, s.replicas[0].store, RECORDS);
    struct replica *first = await_done(&s, RECORDS);
    struct replica *other = first == s.replicas ? s.replicas + 1 : s.replicas;
    assert_int_equal(status_of(&s, other).state, EXPORT_STANDBY);
    assert_int_equal(status_of(&s, other).position, RECORDS); /* it knows from the store */
    end_replica(first);
    ship(&s, other->store, RECORDS);
    assert_ptr_equal(await_done(&s, UINT64_C(2) * RECORDS), other);
    end_replica(other);
    assert_whole(&s, UINT64_C(2) * RECORDS);
    arena_destroy(s.arena);
    scratch_remove(s.directory);
    test_server_stop(&s.server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_one_takes_over_where_the_first_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
