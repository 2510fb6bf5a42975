/* A file of records comes from an adversary: the same records at any split, and nothing read behind
 * the end. The first byte says where the file is split. */
#include <stdlib.h>

#include "cli/verify/rec.h"
#include "cli/verify/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sum {
    uint64_t items, bytes;
};

static enum err on_item(void *context, const struct rec_item *item)
{
    struct sum *sum = context;
    struct scan s;
    sum->items++;
    sum->bytes += item->canonical.size + item->hash.size;
    if (item->canonical.size > 0 && scan_record(item->canonical, &s) == OK &&
        s.sidecar.size + s.event.size > item->canonical.size) {
        abort();
    }
    return OK;
}

static enum err read_split(struct bytes file, size_t split, struct sum *sum)
{
    struct rec_reader reader;
    rec_init(&reader, on_item, sum);
    enum err e = rec_feed(&reader, bytes_of(file.data, split));
    e = e == OK ? rec_feed(&reader, bytes_of(file.data + split, file.size - split)) : e;
    enum err ended = rec_end(&reader);
    rec_finish(&reader);
    return e == OK ? ended : e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sum whole = {0}, parts = {0};
    if (size == 0) {
        return 0;
    }
    struct bytes file = bytes_of(data + 1, size - 1);
    enum err a = read_split(file, file.size, &whole);
    enum err b = read_split(file, file.size == 0 ? 0 : data[0] % (file.size + 1), &parts);
    if (a != b || whole.items != parts.items || whole.bytes != parts.bytes) {
        abort();
    }
    return 0;
}
