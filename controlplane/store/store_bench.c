/* How many records a second the store takes, and how long a search of them takes:
 *     store_bench STORE [RECORDS [BATCH [STREAMS [THREADS]]]]
 * Sessions of 200 operations: an intent with a statement of its own and an outcome each, from 20
 * identities on 5 resources. STORE is a file for SQLite, or a URL of PostgreSQL (postgresql://...).
 * One that has records already is only searched; it stays for a look. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "controlplane/store/postgres/postgres.h"
#include "controlplane/store/store.h"

enum { OPERATIONS = 200, IDENTITIES = 20, RESOURCES = 5, BATCH_MAX = 4096 };

static const int64_t start_ns = INT64_C(1700000000000000000);
static const int64_t step_ns = 50000; /* 20,000 records in each second of the audit's time */

struct text {
    char bytes[320];
    size_t size;
};

struct bench {
    struct store *store;
    struct clock clock;
    uint64_t records, batch, streams, threads;
    uint64_t thread; /* this one's: of each `threads` streams it appends one */
    int64_t worst;   /* of its batches, ns */
    struct store_audit_record items[BATCH_MAX];
    struct text texts[BATCH_MAX], sessions[BATCH_MAX], identities[BATCH_MAX], resources[BATCH_MAX];
    struct store_audit_opened opened[BATCH_MAX];
    uint8_t bytes[400];
};

static struct bytes text_print(struct text *t, const char *format, unsigned long long a,
                               unsigned long long b) __attribute__((format(printf, 2, 0)));

static struct bytes text_print(struct text *t, const char *format, unsigned long long a,
                               unsigned long long b)
{
    t->size = (size_t)snprintf(t->bytes, sizeof(t->bytes), format, a, b);
    return bytes_of(t->bytes, t->size);
}

static const struct store_audit_table tables[] = {
    {.name = {(const uint8_t *)"orders", 6}, .full = {(const uint8_t *)"public.orders", 13}},
    {.name = {(const uint8_t *)"customers", 9}, .full = {(const uint8_t *)"customers", 9}},
};

static void hash_make(uint64_t stream, uint64_t sequence, uint8_t out[STORE_HASH_SIZE])
{
    memset(out, 0, STORE_HASH_SIZE);
    if (sequence > 0) {
        memcpy(out, &sequence, sizeof(sequence));
        memcpy(out + 8, &stream, sizeof(stream));
        out[31] = 1;
    }
}

static void record_make(struct bench *b, uint64_t stream, uint64_t sequence, uint64_t number,
                        size_t at)
{
    struct store_audit_record *r = &b->items[at];
    uint64_t in_session = (sequence - 1) % (2 * OPERATIONS + 1);
    uint64_t session = (sequence - 1) / (2 * OPERATIONS + 1) * b->streams + stream;
    *r = (struct store_audit_record){
        .sequence = sequence,
        .canonical = bytes_of(b->bytes, in_session % 2 == 1 ? 400 : 220),
        .index = {.kind = in_session % 2 == 1 ? STORE_INTENT : STORE_OUTCOME,
                  .time_ns = start_ns + (int64_t)number * step_ns,
                  .verdict = in_session % 2 == 1 ? 1 + (sequence % 1000 == 0) : 0},
    };
    hash_make(stream, sequence, r->hash);
    hash_make(stream, sequence - 1, r->previous);
    r->index.session =
        text_print(&b->sessions[at], "018f0000-0000-7000-8000-%012llx%.0llu", session, 0);
    if (in_session == 0) {
        b->opened[at] = (struct store_audit_opened){
            .identity = text_print(&b->identities[at], "agent-%llu@example.org%.0llu",
                                   session % IDENTITIES, 0),
            .resource =
                text_print(&b->resources[at], "database-%llu%.0llu", session % RESOURCES, 0),
        };
        r->index.kind = STORE_SESSION_OPENED;
        r->index.opened = &b->opened[at];
    } else if (r->index.kind == STORE_INTENT) {
        r->index.tables = tables;
        r->index.table_count = 2;
        r->index.text = text_print(
            &b->texts[at],
            "SELECT o.id, o.total, c.name FROM public.orders o JOIN customers c ON c.id ="
            " o.customer_id WHERE o.id = %llu AND o.note <> 'n%llu' AND c.region = 'north'",
            sequence * 7919 % 1000003, number);
        if (in_session % 4 == 1) { /* as many say south: the two words never meet */
            memcpy(&b->texts[at].bytes[r->index.text.size - 6], "south", 5);
        }
    }
}

static void fail(const char *what, enum err err, const struct err_text *why)
{
    (void)fprintf(stderr, "%s: %s: %s\n", what, err_name(err), why->text);
    exit(1);
}

static void *append_main(void *argument)
{
    struct bench *b = argument;
    struct err_text why = {.text = ""};
    for (uint64_t batch = 0; batch * b->batch < b->records; batch++) {
        uint64_t stream = batch % b->streams;
        uint64_t first = batch / b->streams * b->batch + 1;
        if (stream % b->threads != b->thread) {
            continue;
        }
        for (size_t i = 0; i < b->batch; i++) {
            record_make(b, stream, first + i, batch * b->batch + i, i);
        }
        char sidecar[32];
        (void)snprintf(sidecar, sizeof(sidecar), "sidecar-%llu", (unsigned long long)stream);
        struct store_audit_appended done;
        int64_t before = clock_monotonic(&b->clock);
        enum err err = store_audit_append(b->store, sidecar, b->items, b->batch, INT64_MAX / 4,
                                          &done, NULL, &why);
        int64_t took = clock_monotonic(&b->clock) - before;
        b->worst = took > b->worst ? took : b->worst;
        if (err != OK) {
            fail("append", err, &why);
        }
    }
    return NULL;
}

static void append(struct bench *b)
{
    enum { THREADS_MAX = 64 };
    pthread_t threads[THREADS_MAX];
    struct bench *workers[THREADS_MAX];
    int64_t worst = 0, began = clock_monotonic(&b->clock);
    b->threads = b->threads == 0 || b->threads > THREADS_MAX ? 1 : b->threads;
    for (uint64_t i = 0; i < b->threads; i++) {
        workers[i] = malloc(sizeof(*b));
        if (workers[i] == NULL) {
            exit(1);
        }
        *workers[i] = *b;
        workers[i]->thread = i;
        if (pthread_create(&threads[i], NULL, append_main, workers[i]) != 0) {
            exit(1);
        }
    }
    for (uint64_t i = 0; i < b->threads; i++) {
        (void)pthread_join(threads[i], NULL);
        worst = workers[i]->worst > worst ? workers[i]->worst : worst;
        free(workers[i]);
    }
    double seconds = (double)(clock_monotonic(&b->clock) - began) / 1e9;
    printf("%llu records in batches of %llu from %llu streams, %llu threads: %.0f records/s,"
           " %.0f batches/s, longest batch %.1f ms\n",
           (unsigned long long)b->records, (unsigned long long)b->batch,
           (unsigned long long)b->streams, (unsigned long long)b->threads,
           (double)b->records / seconds, (double)b->records / (double)b->batch / seconds,
           (double)worst / 1e6);
}

static void search(struct bench *b, const char *name, struct store_audit_filter filter)
{
    struct arena *arena = arena_create(1 << 20, 64 << 20);
    struct store_audit_entry *items = NULL;
    struct err_text why = {.text = ""};
    size_t count = 0;
    bool more = false;
    int64_t key = 0;
    int64_t began = clock_monotonic(&b->clock);
    enum err err = store_audit_nth_newest(b->store, &filter, 100, &key, &why);
    if (err == OK) {
        err = store_audit_page(b->store, &filter, key, 100, 1 << 22, arena, &items, &count, &more,
                               &why);
    }
    int64_t took = clock_monotonic(&b->clock) - began;
    if (err != OK && err != ERR_NOT_FOUND) {
        fail(name, err, &why);
    }
    printf("%-34s %4zu records %9.2f ms\n", name, count, (double)took / 1e6);
    arena_destroy(arena);
}

/* The newest statement in the older half. */
static uint64_t rare_find(const struct bench *b)
{
    uint64_t number = b->records / 2;
    for (; number > 0; number--) {
        uint64_t before = number / b->batch / b->streams * b->batch + number % b->batch;
        if (before % (2 * OPERATIONS + 1) % 2 == 1) {
            break;
        }
    }
    return number;
}

static void searches(struct bench *b)
{
    int64_t end = start_ns + (int64_t)b->records * step_ns;
    char rare[32];
    (void)snprintf(rare, sizeof(rare), "n%llu", (unsigned long long)rare_find(b));
    search(b, "newest", (struct store_audit_filter){0});
    search(b, "identity", (struct store_audit_filter){.identity = "agent-7@example.org"});
    search(b, "identity, last second",
           (struct store_audit_filter){.identity = "agent-7@example.org",
                                       .since_ns = end - 1000000000});
    search(b, "identity, first second",
           (struct store_audit_filter){.identity = "agent-7@example.org",
                                       .until_ns = start_ns + 1000000000});
    search(b, "common words", (struct store_audit_filter){.text = "select orders"});
    search(b, "rare word", (struct store_audit_filter){.text = rare});
    search(b, "common words of an identity",
           (struct store_audit_filter){.text = "select orders", .identity = "agent-7@example.org"});
    search(b, "common words, first second",
           (struct store_audit_filter){.text = "select", .until_ns = start_ns + 1000000000});
    search(b, "common words that never meet", (struct store_audit_filter){.text = "north south"});
    search(b, "phrase", (struct store_audit_filter){.text = "\"orders o join\""});
    search(b, "rare word of an identity",
           (struct store_audit_filter){.text = rare, .identity = "agent-7@example.org"});
    search(b, "beginning of a word", (struct store_audit_filter){.text = "custom*"});
    search(b, "beginning of many words", (struct store_audit_filter){.text = "n1*"});
    search(b, "table", (struct store_audit_filter){.table = "orders"});
    search(b, "table of an identity, first second",
           (struct store_audit_filter){.table = "orders",
                                       .identity = "agent-7@example.org",
                                       .until_ns = start_ns + 1000000000});
    search(b, "refused", (struct store_audit_filter){.verdict = 2});
    search(b, "sessions opened",
           (struct store_audit_filter){.kinds = store_kind_bit(STORE_SESSION_OPENED)});
    search(b, "unknown identity", (struct store_audit_filter){.identity = "nobody"});
}

static uint64_t argument(int argc, char **argv, int at, uint64_t otherwise)
{
    return argc > at ? strtoull(argv[at], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: store_bench STORE [RECORDS [BATCH [STREAMS [THREADS]]]]\n");
        return 2;
    }
    struct bench *b = calloc(1, sizeof(*b));
    struct err_text why = {.text = ""};
    if (b == NULL) {
        return 1;
    }
    b->clock = clock_system();
    b->records = argument(argc, argv, 2, 200000);
    b->batch = argument(argc, argv, 3, 500);
    b->streams = argument(argc, argv, 4, 4);
    b->threads = argument(argc, argv, 5, 1);
    if (b->batch == 0 || b->batch > BATCH_MAX || b->streams == 0) {
        free(b);
        return 2;
    }
    memset(b->bytes, 'x', sizeof(b->bytes));
    uint64_t there = 0;
    enum err err = strncmp(argv[1], "postgresql://", 13) == 0
                       ? store_open_postgres(argv[1], NULL, &b->store, &why)
                       : store_open_sqlite(argv[1], NULL, &b->store, &why);
    if (err == OK) {
        err = store_audit_count(b->store, &there);
    }
    if (err != OK) {
        fail("open", err, &why);
    }
    if (there == 0) {
        append(b);
    }
    searches(b);
    store_close(b->store);
    free(b);
    return 0;
}
