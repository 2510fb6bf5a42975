/* records.jsonl and records.csv come from an adversary: the same lines at any split. The first byte
 * says which of them it is, and where it is split. */
#include <stdlib.h>

#include "cli/verify/listing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err on_line(void *context, const struct listing_line *line)
{
    uint64_t *sum = context;
    *sum = *sum * 31 + line->position + line->text.size + line->hash[0];
    return OK;
}

static enum err read_split(enum listing_format format, struct bytes file, size_t split,
                           uint64_t *sum)
{
    struct listing l;
    listing_init(&l, format, on_line, sum);
    enum err e = listing_feed(&l, bytes_of(file.data, split));
    e = e == OK ? listing_feed(&l, bytes_of(file.data + split, file.size - split)) : e;
    enum err ended = listing_end(&l);
    listing_finish(&l);
    return e == OK ? ended : e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t whole = 0, parts = 0;
    if (size == 0) {
        return 0;
    }
    enum listing_format format = data[0] % 2 == 0 ? LISTING_JSON : LISTING_CSV;
    struct bytes file = bytes_of(data + 1, size - 1);
    enum err a = read_split(format, file, file.size, &whole);
    enum err b = read_split(format, file, data[0] / 2 % (file.size + 1), &parts);
    if (a != b || whole != parts) {
        abort();
    }
    return 0;
}
