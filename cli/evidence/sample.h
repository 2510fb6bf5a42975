/* A sample that anybody can draw again: of the records of one kind, those with the smallest
 * SHA-256(seed || 0x00 || hash of the record). Memory is that of the sample. */
#ifndef CHAPERONE_CLI_EVIDENCE_SAMPLE_H
#define CHAPERONE_CLI_EVIDENCE_SAMPLE_H

#include "base/bytes.h"

enum {
    SAMPLE_MAX = 100000, /* far more than anybody looks at */
    SAMPLE_HASH_SIZE = 32,
};

struct sample;

/* At most `size` of them. Copies the seed. Returns owned; NULL when memory is short. */
struct sample *sample_create(uint32_t size, const char *seed) MUST_USE;
void sample_destroy(struct sample *s); /* takes NULL */

/* A record of the population: its hash, and the number by which the caller knows it. */
void sample_offer(struct sample *s, const uint8_t hash[SAMPLE_HASH_SIZE], uint32_t number);

/* After the last offer: puts what was drawn in order, the smallest first. */
void sample_sort(struct sample *s);
uint64_t sample_population(const struct sample *s);
size_t sample_count(const struct sample *s);
uint32_t sample_get(const struct sample *s, size_t index); /* the caller's number */

#endif
