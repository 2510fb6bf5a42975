/* How many shipped records a second are checked, indexed and made durable:
 *     audit_bench DIRECTORY [RECORDS [BATCH [SIDECARS]]]
 * Each sidecar ships on a thread of its own: a session, then intents and outcomes in turn, a
 * heartbeat in every thousand records. Beside them a thread reads each new hash, as the keeper of
 * the log does. What the disk can do is measured first: how often a page is written and synced. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/crypto/crypto.h"
#include "controlplane/audit/ingest.h"
#include "controlplane/audit/stream_maker.h"

enum {
    SIDECARS_MAX = 64,
    STEP_NS = 50000, /* records are of an agent at work: 10,000 statements a second */
};

struct shipper {
    struct audit_ingest ingest;
    struct stream_maker maker;
    struct crypto_ed25519 *key;
    char sidecar[32];
    ProtobufCBinaryData *records;
    size_t count, batch;
    pthread_t thread;
    enum err err;
    struct err_text why;
};

static void records_make(struct shipper *s)
{
    char text[256];
    for (size_t i = 0; i < s->count; i++) {
        if (i == 0) {
            s->records[i] = stream_maker_opened(&s->maker, s->sidecar, "agent@example.org", "shop",
                                                CHAPERONE__V1__VERDICT__ALLOW);
        } else if (i % 1000 == 999) {
            s->records[i] = stream_maker_heartbeat(&s->maker);
        } else if (i % 2 == 1) {
            (void)snprintf(text, sizeof(text),
                           "SELECT o.id, o.total, c.name FROM public.orders o JOIN customers c ON"
                           " c.id = o.customer_id WHERE o.id = %zu AND c.region = 'north'",
                           i * 7919 % 1000003);
            s->records[i] = stream_maker_intent(&s->maker, s->sidecar, text, "public.orders",
                                                CHAPERONE__V1__VERDICT__ALLOW);
        } else {
            s->records[i] = stream_maker_outcome(&s->maker, s->sidecar, 1);
        }
    }
}

static enum err shipper_make(struct shipper *s, const struct audit_ingest *ingest, size_t count,
                             size_t batch, size_t number)
{
    uint8_t key[CRYPTO_ED25519_PUBLIC_SIZE], der[CRYPTO_ED25519_DER_SIZE];
    struct store_sidecar sidecar = {.id = s->sidecar};
    (void)snprintf(s->sidecar, sizeof(s->sidecar), "sidecar-%zu", number);
    s->ingest = *ingest;
    s->count = count;
    s->batch = batch;
    s->records = calloc(count, sizeof(*s->records));
    struct arena *arena = arena_create(1 << 20, SIZE_MAX / 2);
    if (s->records == NULL || arena == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err err = crypto_ed25519_generate(&s->key);
    if (err == OK) {
        crypto_ed25519_public(s->key, key);
        err = crypto_ed25519_public_to_der(key, der);
    }
    if (err != OK) {
        return err;
    }
    crypto_sha256_of(bytes_of(der, sizeof(der)), sidecar.key_hash);
    s->maker = stream_maker_start(s->sidecar, arena);
    s->maker.step_ns = STEP_NS;
    s->maker.key = s->key;
    records_make(s);
    return store_sidecar_add(s->ingest.store, &sidecar);
}

static void *ship(void *argument)
{
    struct shipper *s = argument;
    for (size_t at = 0; at < s->count && s->err == OK; at += s->batch) {
        size_t left = s->count - at;
        struct store_audit_last last;
        s->err = audit_ingest_append(&s->ingest, s->sidecar, s->records + at,
                                     left < s->batch ? left : s->batch, &last, NULL, &s->why);
    }
    return NULL;
}

/* ---- the log's reader ----------------------------------------------------------------------- */

struct reader {
    struct store *store;
    atomic_bool is_done; /* all was appended: what is there now is the end */
    uint64_t read;
    enum err err;
    pthread_t thread;
};

static void *read_log(void *argument)
{
    enum { HASHES = 4096 };
    static uint8_t hashes[HASHES][STORE_HASH_SIZE];
    struct reader *r = argument;
    for (bool ends = false; r->err == OK && !ends;) {
        size_t count = 0;
        bool is_done = atomic_load(&r->is_done);
        r->err = store_log_read(r->store, r->read, HASHES, hashes, &count);
        for (size_t i = 0; r->err == OK && i < count; i++) { /* its leaf */
            uint8_t leaf[CRYPTO_SHA256_SIZE];
            struct crypto_sha256 hash;
            crypto_sha256_init(&hash);
            crypto_sha256_update(&hash, bytes_of("\0", 1));
            crypto_sha256_update(&hash, bytes_of(hashes[i], STORE_HASH_SIZE));
            crypto_sha256_finish(&hash, leaf);
        }
        r->read += count;
        ends = is_done && count == 0;
        if (count < HASHES && !is_done) {
            (void)usleep(100000); /* a keeper looks a few times a second */
        }
    }
    return NULL;
}

/* ---- the disk -------------------------------------------------------------------------------- */

/* How often a second a page is written and synced; 0: it cannot be told. */
static double syncs_measure(const char *directory, const struct clock *clock)
{
    enum { SYNCS = 500 };
    static const char page[4096];
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/audit_bench.sync", directory);
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) {
        return 0;
    }
    int64_t began = clock_monotonic(clock);
    int n = 0;
    while (n < SYNCS && pwrite(fd, page, sizeof(page), (off_t)n * (off_t)sizeof(page)) > 0 &&
           fdatasync(fd) == 0) {
        n++;
    }
    double seconds = (double)(clock_monotonic(clock) - began) / 1e9;
    (void)close(fd);
    (void)unlink(path);
    return n == SYNCS ? n / seconds : 0;
}

/* Of the processors, of all threads so far: what does not change with what else runs. */
static double cpu_seconds(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static size_t argument(int argc, char **argv, int at, size_t otherwise)
{
    return argc > at ? strtoul(argv[at], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    static struct shipper shippers[SIDECARS_MAX];
    struct err_text why = {.text = ""};
    struct store *store = NULL;
    struct clock clock = clock_system();
    char path[4096];
    size_t records = argument(argc, argv, 2, 200000), batch = argument(argc, argv, 3, 500);
    size_t sidecars = argument(argc, argv, 4, 4);
    if (argc < 2 || batch == 0 || sidecars == 0 || sidecars > SIDECARS_MAX) {
        (void)fprintf(stderr, "usage: audit_bench DIRECTORY [RECORDS [BATCH [SIDECARS]]]\n");
        return 2;
    }
    (void)snprintf(path, sizeof(path), "%s/audit_bench.db", argv[1]);
    enum err err = store_open_sqlite(path, NULL, &store, &why);
    const struct audit_ingest ingest = {
        .store = store, .arrivals = arrivals_create(), .clock = clock};
    for (size_t i = 0; err == OK && i < sidecars; i++) {
        err = shipper_make(&shippers[i], &ingest, records / sidecars, batch, i);
    }
    if (err != OK) {
        (void)fprintf(stderr, "%s: %s %s (it must be new)\n", path, err_name(err), why.text);
        return 1;
    }
    double syncs = syncs_measure(argv[1], &clock);
    struct reader reader = {.store = store};
    atomic_init(&reader.is_done, false);
    double cpu_began = cpu_seconds();
    int64_t began = clock_monotonic(&clock);
    if (pthread_create(&reader.thread, NULL, read_log, &reader) != 0) {
        return 1;
    }
    for (size_t i = 0; i < sidecars; i++) {
        if (pthread_create(&shippers[i].thread, NULL, ship, &shippers[i]) != 0) {
            return 1;
        }
    }
    for (size_t i = 0; i < sidecars; i++) {
        (void)pthread_join(shippers[i].thread, NULL);
        if (shippers[i].err != OK) {
            (void)fprintf(stderr, "%s: %s\n", err_name(shippers[i].err), shippers[i].why.text);
            return 1;
        }
    }
    double seconds = (double)(clock_monotonic(&clock) - began) / 1e9;
    double rate = (double)(records / sidecars * sidecars) / seconds;
    atomic_store(&reader.is_done, true);
    (void)pthread_join(reader.thread, NULL);
    printf("%zu records of %zu sidecars in batches of %zu: %.0f records/s, %.0f commits/s\n",
           records, sidecars, batch, rate, rate / (double)batch);
    printf("%.1f us of the processors' time for each\n",
           (cpu_seconds() - cpu_began) * 1e6 / (double)records);
    printf("the log's reader has %llu of them (%s); the disk syncs %.0f pages/s\n",
           (unsigned long long)reader.read, err_name(reader.err), syncs);
    arrivals_destroy(ingest.arrivals);
    store_close(store);
    return 0;
}
