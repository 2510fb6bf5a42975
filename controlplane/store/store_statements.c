#include "controlplane/store/store_statements.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum err statements_append_one(struct store *store, uint64_t sequence)
{
    static const char zeros[2000];
    struct store_audit_record r = records_make(1, sequence, STORE_INTENT, "x");
    struct store_audit_appended done;
    r.canonical = bytes_of(zeros, sizeof(zeros));
    r.index.text = bytes_of_string("select something");
    return store_audit_append(store, "s1", &r, 1, records_received_ns, &done, NULL, NULL);
}

void statements_append(struct store *store, uint64_t first, uint64_t count)
{
    for (uint64_t i = first; i < first + count; i++) {
        assert_int_equal(statements_append_one(store, i), OK);
    }
}

enum err statements_append_batch(struct store *store, uint64_t stream, uint64_t first,
                                 uint64_t count, struct store_audit_appended *out)
{
    struct store_audit_record records[64];
    char sidecar[16];
    (void)snprintf(sidecar, sizeof(sidecar), "s%d", (int)stream);
    assert_true(count <= 64);
    for (uint64_t i = 0; i < count; i++) {
        records[i] = records_make(stream, first + i, STORE_INTENT, sidecar);
        records[i].index.text = bytes_of_string("select something");
    }
    return store_audit_append(store, sidecar, records, count, records_received_ns, out, NULL, NULL);
}

void statements_append_words(struct store *store)
{
    enum { RECORDS = 300 };
    static char texts[RECORDS][128];
    static struct store_audit_record records[RECORDS];
    const struct store_audit_opened opened = {.identity = bytes_of_string("alice"),
                                              .resource = bytes_of_string("db1")};
    struct store_audit_appended done;
    for (uint64_t i = 0; i < RECORDS; i++) {
        struct store_audit_record *r = &records[i];
        const char *session = i % 2 == 0 ? "x" : "y";
        *r = records_make(1, i + 1, i < 2 ? STORE_SESSION_OPENED : STORE_INTENT, session);
        r->index.time_ns = i < 200 ? records_start_ns + (int64_t)i * 1000 : r->index.time_ns;
        int size =
            snprintf(texts[i], sizeof(texts[i]), "select quokka%d from wombat where a = 'numbat%s'",
                     (int)i + 1, session);
        r->index.text = bytes_of(texts[i], (size_t)size);
        r->canonical = r->index.text;
        r->index.opened = i < 2 ? &opened : NULL;
    }
    records[RECORDS - 1] = records_make(1, RECORDS, STORE_SESSION_CLOSED, "x");
    assert_int_equal(
        store_audit_append(store, "s1", records, RECORDS, records_received_ns, &done, NULL, NULL),
        OK);
}

size_t statements_erase(struct store *store, const char *resource)
{
    const struct store_erase what = {
        .resource = resource, .closed_before_ns = records_received_ns, .max = 10};
    struct arena *arena = arena_create(4096, 1 << 20);
    const char **sessions = NULL;
    size_t count = 0, total = 0;
    do {
        assert_int_equal(
            store_audit_erase(store, &what, records_received_ns, arena, &sessions, &count), OK);
        total += count;
    } while (count > 0);
    arena_destroy(arena);
    return total;
}

size_t statements_count(struct store *store, const char *text)
{
    struct arena *arena = arena_create(4096, 16 << 20);
    const struct store_audit_filter filter = {.text = text};
    struct store_audit_entry *items = NULL;
    size_t count = 0;
    bool more = false;
    assert_int_equal(store_audit_page(store, &filter, INT64_MIN, 1000, SIZE_MAX, arena, &items,
                                      &count, &more, NULL),
                     OK);
    arena_destroy(arena);
    return count;
}
