/* One byte says where to cut and whether it is JSON: cut or whole, the same is found, within it. */
#include "sidecar/masking/detector.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, ROOM = 16 * PAGE };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* Behind it nothing can be read: Hyperscan is not built with the sanitizer that would see it try.
 */
static struct bytes at_the_end_of_memory(struct bytes text)
{
    static uint8_t *room;
    if (room == NULL) {
        room = mmap(NULL, ROOM + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        require(room != MAP_FAILED && mprotect(room + ROOM, PAGE, PROT_NONE) == 0);
    }
    if (text.size == 0 || text.size > ROOM) {
        return text;
    }
    uint8_t *copy = room + ROOM - text.size;
    memcpy(copy, text.data, text.size);
    return bytes_of(copy, text.size);
}

static void check(struct detector *detector, struct bytes text, size_t cut, bool is_json)
{
    struct detector_stream *a = NULL, *b = NULL;
    struct detector_result x, y;
    require(detector_stream_create(detector, &a) == OK);
    require(detector_stream_create(detector, &b) == OK);
    require(detector_scan(a, text, is_json, &x) == OK);
    require(detector_stream_start(b, is_json) == OK);
    require(detector_stream_feed(b, bytes_of(text.data, cut)) == OK);
    require(detector_stream_feed(b, bytes_of(text.data + cut, text.size - cut)) == OK);
    require(detector_stream_finish(b, &y) == OK);
    require(x.is_overflowed == y.is_overflowed && (x.is_overflowed || x.count == y.count));
    for (size_t i = 0; i < x.count && !x.is_overflowed; i++) {
        require(x.spans[i].start < x.spans[i].end && x.spans[i].end <= text.size);
        require(x.spans[i].start == y.spans[i].start && x.spans[i].end == y.spans[i].end &&
                x.spans[i].id == y.spans[i].id);
    }
    detector_stream_destroy(a);
    detector_stream_destroy(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct detector *detector, *built_in; /* compiled once for the process */
    if (size == 0) {
        return 0;
    }
    if (detector == NULL) {
        const struct detector_custom custom = {"custom", "ab[0-9]{1,9}c", false};
        const struct detector_config config = {UINT32_MAX, &custom, 1};
        const struct detector_config without = {.built_in = UINT32_MAX};
        require(detector_create(&config, &detector, NULL) == OK);
        require(detector_create(&without, &built_in, NULL) == OK);
    }
    struct bytes text = at_the_end_of_memory(bytes_of(data + 1, size - 1));
    size_t cut = text.size == 0 ? 0 : (size_t)(data[0] >> 1) * text.size / 127;
    check(detector, text, cut, data[0] & 1);
    check(built_in, text, cut, data[0] & 1); /* after a look at its characters */
    return 0;
}
