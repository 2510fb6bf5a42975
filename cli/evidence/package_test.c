#include "cli/evidence/package.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/audit.pb-c.h"
#include "base/crypto/crypto.h"

enum { NAMES_MAX = 8192, MANY = 1500 };

static char agent[] = "agent-7", intent_kind[] = "intent", empty[] = "";

struct test {
    char path[64];
    int fd;
    struct collection *c;
    struct zip *zip;
    struct err_text why;
    uint64_t position;
    uint64_t stop_at; /* entries; 0: never */
    Chaperone__V1__SearchRequest filter;
    Chaperone__V1__ExportRequest request;
    char *names[NAMES_MAX];
    size_t count;
};

static int setup(void **state)
{
    static const struct collection_options options = {.directory = "/tmp"};
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    (void)snprintf(t->path, sizeof(t->path), "/tmp/package_test-XXXXXX");
    t->fd = mkstemp(t->path);
    assert_true(t->fd >= 0);
    chaperone__v1__search_request__init(&t->filter);
    chaperone__v1__export_request__init(&t->request);
    t->request.filter = &t->filter;
    assert_int_equal(collection_create(&options, &t->c, &t->why), OK);
    const struct zip_options zip = {.fd = t->fd, .folder = "evidence", .directory = "/tmp"};
    assert_int_equal(zip_create(&zip, &t->zip, &t->why), OK);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    zip_destroy(t->zip);
    collection_destroy(t->c);
    for (size_t i = 0; i < t->count; i++) {
        free(t->names[i]);
    }
    assert_int_equal(close(t->fd), 0);
    assert_int_equal(unlink(t->path), 0);
    free(t);
    return 0;
}

static void begin(struct test *t, uint64_t matching)
{
    static uint8_t root[COLLECTION_HASH_SIZE] = {0x1a, 0x2b, 0x3c, 0x4d, 0x5e};
    Chaperone__V1__ExportPart part = CHAPERONE__V1__EXPORT_PART__INIT;
    Chaperone__V1__ExportHeader header = CHAPERONE__V1__EXPORT_HEADER__INIT;
    Chaperone__V1__Checkpoint checkpoint = CHAPERONE__V1__CHECKPOINT__INIT;
    checkpoint.size = UINT32_MAX;
    checkpoint.root = (ProtobufCBinaryData){.data = root, .len = sizeof(root)};
    header.checkpoint = &checkpoint;
    header.matching = matching;
    header.made_unix_ns = INT64_C(1795250580000000000);
    part.part_case = CHAPERONE__V1__EXPORT_PART__PART_HEADER;
    part.header = &header;
    assert_int_equal(collection_add(t->c, &part, &t->why), OK);
}

static void add_refusal(struct test *t, char *session)
{
    uint8_t bytes[512] = {0}, hash[COLLECTION_HASH_SIZE];
    Chaperone__V1__ExportPart part = CHAPERONE__V1__EXPORT_PART__INIT;
    Chaperone__V1__ExportEntries entries = CHAPERONE__V1__EXPORT_ENTRIES__INIT;
    Chaperone__V1__Entry entry = CHAPERONE__V1__ENTRY__INIT, *list = &entry;
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    intent.verdict = CHAPERONE__V1__VERDICT__DENY;
    record.session = session;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    record.intent = &intent;
    size_t size = chaperone__v1__record__get_packed_size(&record);
    assert_true(size < sizeof(bytes));
    (void)chaperone__v1__record__pack(&record, bytes + 1);
    crypto_sha256_of(bytes_of(bytes, size + 1), hash);
    entry.record = (ProtobufCBinaryData){.data = bytes + 1, .len = size};
    entry.hash = (ProtobufCBinaryData){.data = hash, .len = sizeof(hash)};
    entry.position = ++t->position;
    entry.session = session;
    entry.identity = agent;
    entry.kind = intent_kind;
    entries.entries = &list;
    entries.n_entries = 1;
    part.part_case = CHAPERONE__V1__EXPORT_PART__PART_ENTRIES;
    part.entries = &entries;
    assert_int_equal(collection_add(t->c, &part, &t->why), OK);
}

static void end(struct test *t)
{
    Chaperone__V1__ExportPart part = CHAPERONE__V1__EXPORT_PART__INIT;
    Chaperone__V1__ExportEnd last = CHAPERONE__V1__EXPORT_END__INIT;
    last.entries = t->position;
    part.part_case = CHAPERONE__V1__EXPORT_PART__PART_END;
    part.end = &last;
    assert_int_equal(collection_add(t->c, &part, &t->why), OK);
    assert_int_equal(collection_finish(t->c, &t->why), OK);
}

static bool on_progress(void *context, uint64_t done, uint64_t total)
{
    const struct test *t = context;
    assert_true(done <= total);
    return t->stop_at == 0 || done < t->stop_at;
}

static enum err write_package(struct test *t)
{
    const struct package_options options = {.collection = t->c,
                                            .zip = t->zip,
                                            .request = &t->request,
                                            .with_replay = true,
                                            .on_progress = on_progress,
                                            .context = t};
    return package_write(&options, &t->why);
}

static void read_names(struct test *t)
{
    struct archive *a = archive_read_new();
    struct archive_entry *entry = NULL;
    assert_int_equal(archive_read_support_format_zip(a), ARCHIVE_OK);
    assert_int_equal(archive_read_open_filename(a, t->path, 1 << 16), ARCHIVE_OK);
    while (archive_read_next_header(a, &entry) == ARCHIVE_OK) {
        assert_true(t->count < NAMES_MAX);
        t->names[t->count] = strdup(archive_entry_pathname(entry));
        assert_non_null(t->names[t->count++]);
    }
    assert_int_equal(archive_read_free(a), ARCHIVE_OK);
}

static bool has(const struct test *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void test_the_folder_says_when_and_what(void **state)
{
    struct test *t = *state;
    char folder[PACKAGE_FOLDER_SIZE];
    begin(t, 0);
    package_folder(collection_header(t->c), folder);
    assert_string_equal(folder, "evidence-2026-11-21-1a2b3c4d");
}

/* An id comes from a sidecar: it is no path. */
static void test_ids_are_no_paths(void **state)
{
    static char up[] = "../../etc/passwd", upper[] = "01900000-0000-7000-8000-00000000000A",
                device[] = "con", good[] = "01900000-0000-7000-8000-00000000000a";
    char *ids[] = {up, upper, device, good};
    struct test *t = *state;
    size_t hashed = 0;
    begin(t, 4);
    for (size_t i = 0; i < 4; i++) {
        add_refusal(t, ids[i]);
    }
    end(t);
    assert_int_equal(write_package(t), OK);
    read_names(t);
    assert_true(has(t, "evidence/sessions/01900000-0000-7000-8000-00000000000a.txt"));
    assert_true(has(t, "evidence/replay/01900000-0000-7000-8000-00000000000a.cast"));
    for (size_t i = 0; i < t->count; i++) {
        assert_null(strstr(t->names[i], ".."));
        assert_null(strstr(t->names[i], "etc"));
        hashed += strstr(t->names[i], "sessions/x-") != NULL;
    }
    assert_int_equal(hashed, 3 * 2);
    assert_string_equal(t->names[t->count - 1], "evidence/manifest.json");
}

static void test_long_tables_have_pages_of_their_own(void **state)
{
    struct test *t = *state;
    char session[64];
    begin(t, MANY);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(session, sizeof(session), "01900000-0000-7000-8000-%012d", i);
        add_refusal(t, session);
    }
    end(t);
    assert_int_equal(write_package(t), OK);
    read_names(t);
    assert_true(has(t, "evidence/pages/sessions-00001.html"));
    assert_true(has(t, "evidence/pages/sessions-00002.html"));
    assert_false(has(t, "evidence/pages/sessions-00003.html"));
    assert_true(has(t, "evidence/pages/refusals-00002.html"));
    assert_false(has(t, "evidence/pages/approvals-00001.html"));
    /* Of each session three files, and what is there always. */
    assert_true(t->count > 3 * MANY);
}

static void test_records_of_no_session_have_no_session(void **state)
{
    struct test *t = *state;
    begin(t, 1);
    add_refusal(t, empty);
    end(t);
    assert_int_equal(write_package(t), OK);
    assert_int_equal(collection_session_count(t->c), 0);
}

static void test_it_stops_when_it_is_told_to(void **state)
{
    struct test *t = *state;
    char session[64];
    t->stop_at = 700;
    begin(t, MANY);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(session, sizeof(session), "01900000-0000-7000-8000-%012d", i % 3);
        add_refusal(t, session);
    }
    end(t);
    assert_int_equal(write_package(t), ERR_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_folder_says_when_and_what, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ids_are_no_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_tables_have_pages_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_records_of_no_session_have_no_session, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_it_stops_when_it_is_told_to, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
