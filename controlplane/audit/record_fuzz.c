/* Any bytes as a record: parsed and, when they are one, indexed and searched for. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "controlplane/audit/ingest.h"
#include "controlplane/audit/record.h"
#include "controlplane/audit/record_plain_compare.h"

/* One store for all inputs: opening one for each would leave the fuzzer no time to fuzz. */
static struct store *store;
static char directory[] = "/tmp/record_fuzz-XXXXXX";
static char path[64];

/* The contexts of its keys are named only in locked memory, where nobody looks for leaks before the
 * process ends. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
    return "leak:store_open_sqlite";
}

static void store_remove(void)
{
    store_close(store);
    (void)unlink(path);
    (void)rmdir(directory);
}

static struct store *store_get(void)
{
    if (store == NULL) {
        if (mkdtemp(directory) == NULL) {
            abort();
        }
        (void)snprintf(path, sizeof(path), "%s/db", directory);
        if (store_open_sqlite(path, NULL, &store, NULL) != OK || atexit(store_remove) != 0) {
            abort();
        }
    }
    return store;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create(1 << 16, 80 << 20);
    struct audit_record record;
    struct err_text why = {.text = ""};
    if (arena == NULL) {
        return 0;
    }
    if (record_plain_compare(bytes_of(data, size)) == PLAIN_SAID_OTHER) {
        abort();
    }
    if (audit_record_parse(bytes_of(data, size), arena, &record, &why) == OK) {
        struct store_audit_appended done;
        uint8_t key_hash[STORE_HASH_SIZE] = {0};
        uint64_t count = 0;
        char sidecar[32];
        if (record.stored.index.kind == STORE_HEARTBEAT &&
            audit_record_check_heartbeat(record.message, key_hash, &why) == OK) {
            abort(); /* no key has this hash */
        }
        /* Each as the first record of a stream of its own. */
        if (store_audit_count(store_get(), &count) != OK) {
            abort();
        }
        (void)snprintf(sidecar, sizeof(sidecar), "s%llu", (unsigned long long)count);
        record.stored.sequence = 1;
        memset(record.stored.previous, 0, STORE_HASH_SIZE);
        if (store_audit_append(store_get(), sidecar, &record.stored, 1, INT64_MAX / 4, &done, NULL,
                               &why) != OK) {
            (void)fprintf(stderr, "append: %s\n", why.text);
            abort();
        }
    }
    arena_destroy(arena);
    return 0;
}
