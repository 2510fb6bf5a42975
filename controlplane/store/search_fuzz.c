/* Any bytes as what a person searches for: the first line is the text, the rest the table. The
 * answer is records or a reason, never an error of the database's own language. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "controlplane/store/store.h"
#include "controlplane/store/store_records.h"

static struct store *store;
static char directory[] = "/tmp/search_fuzz-XXXXXX";
static char path[64];

static void store_remove(void)
{
    store_close(store);
    (void)unlink(path);
    (void)rmdir(directory);
}

static struct store *store_get(void)
{
    static const struct store_audit_table table = {.name = {(const uint8_t *)"orders", 6},
                                                   .full = {(const uint8_t *)"public.orders", 13}};
    struct store_audit_record record = records_make(1, 1, STORE_INTENT, "s");
    struct store_audit_appended done;
    if (store != NULL) {
        return store;
    }
    record.index.text = bytes_of_string("select a from public.orders");
    record.index.tables = &table;
    record.index.table_count = 1;
    if (mkdtemp(directory) == NULL) {
        abort();
    }
    (void)snprintf(path, sizeof(path), "%s/db", directory);
    if (store_open_sqlite(path, NULL, &store, NULL) != OK || atexit(store_remove) != 0 ||
        store_audit_append(store, "s1", &record, 1, records_received_ns, &done, NULL, NULL) != OK) {
        abort();
    }
    return store;
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
        store_audit_page(store_get(), filter, 0, 10, 1, arena, &items, &count, &more, &why);
    if (err != OK && err != ERR_INVALID) {
        (void)fprintf(stderr, "page: %s\n", why.text);
        abort();
    }
    size_t found = err == OK ? count : 0;
    err = store_audit_follow(store_get(), filter, 0, 10, 1, arena, &items, &count, &position, &more,
                             &why);
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
