#include "cli/verify/draw.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/tlog/proof_file.h"

struct lot {
    uint8_t number[CRYPTO_SHA256_SIZE];
    const struct record_fact *fact;
};

static int compare_lots(const void *a, const void *b)
{
    return memcmp(((const struct lot *)a)->number, ((const struct lot *)b)->number,
                  CRYPTO_SHA256_SIZE);
}

/* SHA-256(seed || 0x00 || hash) of each record of the kind, the smallest first. */
static struct lot *draw(const struct manifest_sample *sample, const struct records *records,
                        size_t *out_count)
{
    size_t count = 0;
    struct lot *lots = calloc(records_count(records) + 1, sizeof(*lots));
    for (size_t i = 0; lots != NULL && i < records_count(records); i++) {
        const struct record_fact *f = records_at(records, i);
        if (f->kind != sample->of) {
            continue;
        }
        struct crypto_sha256 hash;
        crypto_sha256_init(&hash);
        crypto_sha256_update(&hash, bytes_of(sample->seed, strlen(sample->seed) + 1));
        crypto_sha256_update(&hash, bytes_of(f->hash.bytes, sizeof(f->hash.bytes)));
        crypto_sha256_finish(&hash, lots[count].number);
        lots[count++].fact = f;
    }
    if (lots != NULL) {
        qsort(lots, count, sizeof(*lots), compare_lots);
    }
    *out_count = count;
    return lots;
}

static void check_proof(const struct record_fact *f, const struct kept *kept,
                        const struct trust *trust, const char *origin, struct report *report)
{
    char name[64];
    struct bytes file;
    struct err_text why = {0};
    uint64_t index = 0;
    struct tlog_trust believed = {.logs = trust->logs,
                                  .log_count = trust->log_count,
                                  .witnesses = trust->witnesses,
                                  .witness_count = trust->witness_count,
                                  .quorum =
                                      trust->has_quorum ? trust->quorum : trust->witness_count,
                                  .origin = origin};
    (void)snprintf(name, sizeof(name), "proofs/%" PRIu64 ".tlog-proof", f->position);
    if (!kept_find(kept, name, &file)) {
        report_add(report, REPORT_REMOVED, f->position, "the sample's %s is missing", name);
    } else if (tlog_proof_file_check(file, bytes_of(f->hash.bytes, sizeof(f->hash.bytes)),
                                     &believed, &index, NULL, &why) != OK ||
               index + 1 != f->position) {
        report_add(report, REPORT_CHANGED, f->position, "the sample's %s proves nothing: %s", name,
                   why.text);
    }
}

void draw_check(const struct manifest_sample *sample, const struct records *records,
                const struct kept *kept, const struct trust *trust, const char *origin,
                const uint64_t *listed, size_t listed_count, struct report *report)
{
    size_t count = 0;
    struct lot *lots = draw(sample, records, &count);
    if (lots == NULL) {
        report_add(report, REPORT_UNCHECKED, 0, "the sample: out of memory");
        return;
    }
    if (count != sample->population || sample->count > count) {
        report_add(report, REPORT_CHANGED, 0,
                   "the sample is said to be drawn from %" PRIu64 " records, but %zu are there",
                   sample->population, count);
    }
    for (size_t i = 0; i < sample->count && i < count; i++) {
        uint64_t position = lots[i].fact->position;
        if (sample->positions[i] != position || i >= listed_count || listed[i] != position) {
            report_add(report, REPORT_CHANGED, position,
                       "the sample is not the one of its seed: its number %zu is the record at "
                       "position %" PRIu64,
                       i + 1, position);
            break;
        }
        check_proof(lots[i].fact, kept, trust, origin, report);
    }
    if (listed_count != sample->count) {
        report_add(report, REPORT_CHANGED, 0, "sample.csv has %zu records, the manifest %zu",
                   listed_count, sample->count);
    }
    free(lots);
}
