#include "sidecar/audit/recorder_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "sidecar/audit/segment.h"

static int64_t read_wall(void *context)
{
    struct fixture *f = context;
    return atomic_load(&f->wall);
}

static int64_t read_monotonic(void *context)
{
    struct fixture *f = context;
    return atomic_load(&f->monotonic);
}

static int allocate(void *context, int fd, off_t size)
{
    struct fixture *f = context;
    int failed = atomic_load(&f->allocate_fails);
    return failed != 0 ? failed : spool_system_real().allocate(NULL, fd, size);
}

static int sync_file(void *context, int fd)
{
    struct fixture *f = context;
    int failed = atomic_load(&f->sync_fails);
    if (failed != 0) {
        return failed;
    }
    atomic_fetch_add(&f->syncs, 1);
    return spool_system_real().sync(NULL, fd);
}

static void *map_file(void *context, int fd, size_t size, int protection)
{
    struct fixture *f = context;
    int left = atomic_load(&f->maps_left);
    if (left == 0) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    atomic_store(&f->maps_left, left < 0 ? left : left - 1);
    return spool_system_real().map(NULL, fd, size, protection);
}

int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    const char *tmp = getenv("TEST_TMPDIR");
    (void)snprintf(f->dir, sizeof(f->dir), "%s/spool-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    assert_non_null(mkdtemp(f->dir));
    atomic_store(&f->wall, 1700000000000000000);
    atomic_store(&f->maps_left, -1);
    atomic_store(&f->monotonic, 1000000000000);
    f->clock = (struct clock){.wall_ns = read_wall, .monotonic_ns = read_monotonic, .context = f};
    f->system = (struct spool_system){
        .allocate = allocate, .sync = sync_file, .map = map_file, .context = f};
    f->options = (struct recorder_options){.dir = f->dir,
                                           .sidecar = "0193a3c2-0000-7000-8000-000000000001",
                                           .segment_size = FIXTURE_SEGMENT,
                                           .cap = (uint64_t)64 * FIXTURE_SEGMENT,
                                           .clock = &f->clock,
                                           .system = &f->system};
    *state = f;
    return 0;
}

static void remove_directory(const char *path)
{
    DIR *d = opendir(path);
    if (d == NULL) {
        return;
    }
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        (void)unlinkat(dirfd(d), e->d_name, 0);
    }
    (void)closedir(d);
    (void)rmdir(path);
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    recorder_close(f->recorder);
    loop_destroy(f->loop);
    remove_directory(f->dir);
    free(f);
    return 0;
}

void fixture_open(struct fixture *f)
{
    struct err_text why = {.text = ""};
    f->options.loop = f->loop;
    enum err result = recorder_open(&f->options, &f->recorder, &why);
    if (result != OK) {
        fail_msg("%s: %s", err_name(result), why.text);
    }
}

void fixture_close(struct fixture *f)
{
    recorder_close(f->recorder);
    f->recorder = NULL;
}

void fixture_reopen(struct fixture *f)
{
    fixture_close(f);
    fixture_open(f);
}

enum err fixture_write_intent(struct fixture *f, size_t size, uint64_t *out_sequence)
{
    uint8_t *text = malloc(size + 1);
    assert_non_null(text);
    memset(text, 's', size);
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    intent.text = (ProtobufCBinaryData){.data = text, .len = size};
    intent.verb = "query";
    record.session = "0193a3c2-7a1b-7cc3-98c4-dc0c0c07398f";
    record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    record.intent = &intent;
    enum err result = recorder_write(f->recorder, &record, out_sequence);
    free(text);
    return result;
}

enum err fixture_write_outcome(struct fixture *f, size_t size, uint64_t *out_sequence)
{
    uint8_t *rows = malloc(size + 1);
    assert_non_null(rows);
    memset(rows, 'r', size);
    Chaperone__V1__Outcome outcome = CHAPERONE__V1__OUTCOME__INIT;
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    outcome.response = (ProtobufCBinaryData){.data = rows, .len = size};
    record.session = "0193a3c2-7a1b-7cc3-98c4-dc0c0c07398f";
    record.event_case = CHAPERONE__V1__RECORD__EVENT_OUTCOME;
    record.outcome = &outcome;
    enum err result = recorder_write(f->recorder, &record, out_sequence);
    free(rows);
    return result;
}

void fixture_write_many(struct fixture *f, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(fixture_write_intent(f, 40, NULL), OK);
    }
}

/* ---- reading ---- */

static void check_record(struct fixture *f, struct fixture_stream *s, struct bytes bytes,
                         uint64_t sequence, uint8_t *previous)
{
    Chaperone__V1__Record *r = chaperone__v1__record__unpack(NULL, bytes.size, bytes.data);
    assert_non_null(r);
    assert_string_equal(r->sidecar, f->options.sidecar);
    assert_int_equal(r->sequence, sequence);
    assert_true(sequence > s->last);
    assert_int_equal(r->previous.len, SEGMENT_HASH_SIZE);
    if (s->count == 0) {
        s->first = sequence;
    } else if (sequence != s->last + 1) {
        s->gaps++;
        s->missing += sequence - s->last - 1;
    } else {
        assert_memory_equal(r->previous.data, previous, SEGMENT_HASH_SIZE);
    }
    if (r->event_case == CHAPERONE__V1__RECORD__EVENT_LOSS) {
        s->losses++;
        s->loss_first = r->loss->first_sequence;
        s->loss_last = r->loss->last_sequence;
    }
    segment_hash(bytes, previous);
    s->last = sequence;
    s->count++;
    chaperone__v1__record__free_unpacked(r, NULL);
}

struct fixture_stream fixture_read_all(struct fixture *f)
{
    struct recorder_status status;
    struct recorder_reader *reader = NULL;
    struct recorder_batch batch;
    struct fixture_stream s = {.count = 0};
    uint8_t previous[SEGMENT_HASH_SIZE] = {0};
    recorder_status(f->recorder, &status);
    s.last = status.acknowledged;
    assert_int_equal(recorder_reader_create(f->recorder, status.acknowledged, &reader), OK);
    while (recorder_reader_next(reader, 7, 3000, &batch) == OK) {
        assert_in_range(batch.count, 1, 7);
        for (size_t i = 0; i < batch.count; i++) {
            check_record(f, &s, batch.records[i], batch.sequences[i], previous);
        }
        assert_memory_equal(previous, batch.last_hash, SEGMENT_HASH_SIZE);
    }
    recorder_reader_destroy(reader);
    return s;
}

/* ---- files ---- */

static int is_segment(const struct dirent *e)
{
    return strncmp(e->d_name, "segment-", 8) == 0;
}

void fixture_segment_path(const struct fixture *f, size_t n, char *out, size_t size)
{
    struct dirent **names = NULL;
    int count = scandir(f->dir, &names, is_segment, alphasort);
    assert_true(count > (int)n);
    (void)snprintf(out, size, "%s/%s", f->dir, names[n]->d_name);
    for (int i = 0; i < count; i++) {
        free(names[i]);
    }
    free(names);
}

size_t fixture_segment_count(const struct fixture *f)
{
    struct dirent **names = NULL;
    int count = scandir(f->dir, &names, is_segment, alphasort);
    assert_true(count >= 0);
    for (int i = 0; i < count; i++) {
        free(names[i]);
    }
    free(names);
    return (size_t)count;
}

void fixture_poke(const char *path, long offset, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

long fixture_find(const char *path, const char *text)
{
    static uint8_t content[FIXTURE_SEGMENT * 4];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(content, 1, sizeof(content), file);
    (void)fclose(file);
    uint8_t *at = memmem(content, size, text, strlen(text));
    assert_non_null(at);
    return at - content;
}
