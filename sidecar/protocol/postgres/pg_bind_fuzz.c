/* The first byte is the size of the pieces: the events must be those of the body in one piece. */
#include "sidecar/protocol/postgres/pg_bind.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the events come to. */
struct result {
    enum pg_bind_event last;
    uint64_t sum;
    size_t values, ends, data;
};

static void add(struct result *r, uint64_t v)
{
    r->sum = (r->sum ^ v) * 1099511628211U; /* FNV */
}

static void add_event(struct result *r, const struct pg_bind_reader *reader,
                      enum pg_bind_event event, struct bytes data)
{
    switch (event) {
    case PG_BIND_NAMES:
        for (size_t i = 0; i < reader->portal.size; i++) {
            add(r, reader->portal.data[i]);
        }
        for (size_t i = 0; i < reader->statement.size; i++) {
            add(r, reader->statement.data[i]);
        }
        add(r, reader->value_count);
        break;
    case PG_BIND_VALUE:
        add(r, reader->value_index);
        add(r, reader->value_size);
        add(r, (uint64_t)reader->value_is_null << 1 | reader->value_is_binary);
        r->values++;
        break;
    case PG_BIND_DATA:
        for (size_t i = 0; i < data.size; i++) {
            add(r, data.data[i]);
        }
        r->data += data.size;
        break;
    case PG_BIND_VALUE_END: r->ends++; break;
    case PG_BIND_END:
        for (size_t i = 0; i < reader->results.count; i++) {
            add(r, pg_result_formats_is_binary(&reader->results, i));
        }
        break;
    case PG_BIND_NEED_MORE:
    case PG_BIND_MALFORMED: break;
    }
}

static struct result read_all(struct bytes body, size_t piece)
{
    struct pg_bind_reader reader;
    struct result r = {.last = PG_BIND_NEED_MORE};
    pg_bind_init(&reader, (uint32_t)body.size);
    while (r.last != PG_BIND_END && r.last != PG_BIND_MALFORMED) {
        size_t size = piece < body.size ? piece : body.size;
        struct bytes in = bytes_of(body.data, size), data = {0};
        do {
            r.last = pg_bind_next(&reader, &in, &data);
            add_event(&r, &reader, r.last, data);
        } while (r.last != PG_BIND_NEED_MORE && r.last != PG_BIND_END &&
                 r.last != PG_BIND_MALFORMED);
        if (r.last == PG_BIND_NEED_MORE && body.size == size) {
            abort(); /* a whole body leaves no question open */
        }
        body = bytes_of(body.data + size, body.size - size);
    }
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct bytes body = bytes_of(data + 1, size - 1);
    struct result whole = read_all(body, body.size);
    struct result cut = read_all(body, (size_t)data[0] % 16 + 1);
    if (whole.last != cut.last || whole.values != cut.values || whole.ends != cut.ends) {
        abort();
    }
    /* A malformed end may be known before or after the last pieces of a value. */
    if (whole.last == PG_BIND_END && (whole.sum != cut.sum || whole.values != whole.ends)) {
        abort();
    }
    return 0;
}
