/* Any bytes as what a person searches for: the first line is the text, the rest the table. The
 * answer is records or a reason, never an error of the database's own language. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "controlplane/store/store.h"
#include "controlplane/store/store_records.h"

enum { FIRST = 4, RECORDS = 6 };

static struct store *store;
static char directory[] = "/tmp/search_fuzz-XXXXXX";
static char path[64];

static void store_remove(void)
{
    store_close(store);
    (void)unlink(path);
    (void)rmdir(directory);
}

/* Two sessions of one append, and a third that comes later with times between those. */
static bool store_fill(void)
{
    static const struct store_audit_table tables[] = {
        {.name = {(const uint8_t *)"orders", 6}, .full = {(const uint8_t *)"public.orders", 13}},
        {.name = {(const uint8_t *)"reef", 4}, .full = {(const uint8_t *)"sales.reef", 10}}};
    static const char *const texts[RECORDS] = {
        "select a from public.orders", "SELECT 'a' FROM b, reef", "",
        "größe \xff from a",           "from public from orders", "a"};
    struct store_audit_record records[RECORDS];
    struct store_audit_appended done;
    for (size_t i = 0; i < RECORDS; i++) {
        const bool is_late = i >= FIRST;
        records[i] = records_make(is_late ? 2 : 1, is_late ? i - FIRST + 1 : i + 1, STORE_INTENT,
                                  is_late      ? "u"
                                  : i % 2 == 0 ? "s"
                                               : "t");
        records[i].index.time_ns = records_start_ns + (int64_t)(i % FIRST) * 1000;
        records[i].index.text = bytes_of_string(texts[i]);
        records[i].index.tables = &tables[i % 2];
        records[i].index.table_count = i % 3 == 2 ? 0 : 1;
    }
    return store_audit_append(store, "s1", records, FIRST, records_received_ns, &done, NULL,
                              NULL) == OK &&
           store_audit_append(store, "s2", records + FIRST, RECORDS - FIRST, records_received_ns,
                              &done, NULL, NULL) == OK;
}

static struct store *store_get(void)
{
    if (store != NULL) {
        return store;
    }
    if (mkdtemp(directory) == NULL) {
        abort();
    }
    (void)snprintf(path, sizeof(path), "%s/db", directory);
    if (store_open_sqlite(path, NULL, &store, NULL) != OK || atexit(store_remove) != 0 ||
        !store_fill()) {
        abort();
    }
    return store;
}

/* The oldest of all that match is the one that so many newest begin with. */
static void oldest_check(const struct store_audit_filter *filter,
                         const struct store_audit_entry *items, size_t count)
{
    int64_t key = 0;
    enum err err = store_audit_nth_newest(store_get(), filter, count == 0 ? 1 : count, &key, NULL);
    if (count == 0 ? err != ERR_NOT_FOUND : err != OK || key != items[0].key) {
        (void)fprintf(stderr, "nth_newest: %s\n", err_name(err));
        abort();
    }
}

static void search(const struct store_audit_filter *filter, struct arena *arena)
{
    struct store_audit_entry *items = NULL;
    struct err_text why = {.text = ""};
    size_t count = 0;
    uint64_t position = 0;
    bool more = false;
    arena_reset(arena);
    enum err err =
        store_audit_page(store_get(), filter, 0, 10, SIZE_MAX, arena, &items, &count, &more, &why);
    if (err != OK && err != ERR_INVALID) {
        (void)fprintf(stderr, "page: %s\n", why.text);
        abort();
    }
    size_t found = err == OK ? count : 0;
    if (err == OK) {
        oldest_check(filter, items, count);
    }
    err = store_audit_follow(store_get(), filter, 0, 10, SIZE_MAX, arena, &items, &count, &position,
                             &more, &why);
    if ((err != OK && err != ERR_INVALID) || (err == OK && count != found)) {
        (void)fprintf(stderr, "follow: %s\n", why.text);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create(4096, 16 << 20);
    char *input = bytes_to_string(bytes_of(data, size));
    if (input != NULL && arena != NULL) {
        char *end = strchr(input, '\n');
        const char *table = end == NULL ? "" : end + 1;
        if (end != NULL) {
            *end = '\0';
        }
        search(&(struct store_audit_filter){.text = input}, arena);
        search(&(struct store_audit_filter){.table = table}, arena);
        search(&(struct store_audit_filter){.text = input, .table = table, .session = "s"}, arena);
    }
    free(input);
    arena_destroy(arena);
    return 0;
}
