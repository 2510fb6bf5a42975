#include "cli/evidence/sample.h"

#include <stdlib.h>

#include "base/crypto/crypto.h"

struct drawn {
    uint8_t rank[CRYPTO_SHA256_SIZE];
    uint32_t number;
};

struct sample {
    struct crypto_sha256 prefix; /* of the seed and the zero byte */
    struct drawn *items;         /* a heap: the greatest rank is the first */
    size_t count, size;
    uint64_t population;
};

struct sample *sample_create(uint32_t size, const char *seed)
{
    static const uint8_t zero = 0;
    struct sample *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    s->items = calloc((size_t)size + 1, sizeof(*s->items));
    if (s->items == NULL) {
        free(s);
        return NULL;
    }
    s->size = size;
    crypto_sha256_init(&s->prefix);
    crypto_sha256_update(&s->prefix, bytes_of_string(seed));
    crypto_sha256_update(&s->prefix, bytes_of(&zero, 1));
    return s;
}

void sample_destroy(struct sample *s)
{
    if (s != NULL) {
        free(s->items);
        free(s);
    }
}

static int compare(const void *a, const void *b)
{
    const struct drawn *x = a, *y = b;
    int order = memcmp(x->rank, y->rank, sizeof(x->rank));
    /* The same record cannot be there twice; were it, the order would still be one. */
    return order != 0 ? order : (x->number > y->number) - (x->number < y->number);
}

static void swap(struct drawn *a, struct drawn *b)
{
    struct drawn kept = *a;
    *a = *b;
    *b = kept;
}

static void sift_up(struct sample *s, size_t at)
{
    while (at > 0 && compare(&s->items[(at - 1) / 2], &s->items[at]) < 0) {
        swap(&s->items[(at - 1) / 2], &s->items[at]);
        at = (at - 1) / 2;
    }
}

static void sift_down(struct sample *s)
{
    for (size_t at = 0;;) {
        size_t child = 2 * at + 1;
        if (child >= s->count) {
            return;
        }
        if (child + 1 < s->count && compare(&s->items[child], &s->items[child + 1]) < 0) {
            child++;
        }
        if (compare(&s->items[at], &s->items[child]) >= 0) {
            return;
        }
        swap(&s->items[at], &s->items[child]);
        at = child;
    }
}

void sample_offer(struct sample *s, const uint8_t hash[SAMPLE_HASH_SIZE], uint32_t number)
{
    struct crypto_sha256 rank = s->prefix;
    struct drawn item = {.number = number};
    crypto_sha256_update(&rank, bytes_of(hash, SAMPLE_HASH_SIZE));
    crypto_sha256_finish(&rank, item.rank);
    s->population++;
    if (s->count < s->size) {
        s->items[s->count] = item;
        sift_up(s, s->count++);
    } else if (s->size > 0 && compare(&item, &s->items[0]) < 0) {
        s->items[0] = item;
        sift_down(s);
    }
}

void sample_sort(struct sample *s)
{
    if (s->count > 0) {
        qsort(s->items, s->count, sizeof(*s->items), compare);
    }
}

uint64_t sample_population(const struct sample *s)
{
    return s->population;
}

size_t sample_count(const struct sample *s)
{
    return s->count;
}

uint32_t sample_get(const struct sample *s, size_t index)
{
    return s->items[index].number;
}
