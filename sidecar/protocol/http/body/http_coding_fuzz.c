/* The first byte says which coding, the second where to cut, the third how large the room is. Cut
 * or whole, in a small room or a large one, the same comes of it; and what was decoded is decoded
 * again when it is encoded. */
#include "sidecar/protocol/http/body/http_coding.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 3, OUT_MAX = 1 << 20, ROOM_MAX = 4096 };

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* ERR_LIMIT: there is more of it than is looked at. */
static enum err step_all(struct http_decoder *d, struct bytes in, size_t room_size,
                         struct buffer *out)
{
    size_t written = 0;
    do {
        uint8_t *room = buffer_reserve(out, room_size);
        if (room == NULL) {
            return ERR_LIMIT;
        }
        enum err e = http_decoder_step(d, &in, room, room_size, &written);
        if (e != OK) {
            return e;
        }
        require(written <= room_size && (written > 0 || in.size == 0));
        buffer_commit(out, written);
    } while (written > 0);
    return OK;
}

static enum err decode(enum http_coding coding, struct bytes in, size_t cut, size_t room_size,
                       struct buffer *out)
{
    struct http_decoder *d = NULL;
    require(http_decoder_create(coding, &d) == OK);
    enum err e = step_all(d, bytes_of(in.data, cut), room_size, out);
    e = e == OK ? step_all(d, bytes_of(in.data + cut, in.size - cut), room_size, out) : e;
    if (e == OK && !http_decoder_is_complete(d)) {
        e = ERR_INVALID;
    }
    http_decoder_destroy(d);
    return e;
}

static void check_again(enum http_coding coding, struct bytes plain)
{
    struct http_encoder *e = NULL;
    struct buffer coded, again;
    buffer_init(&coded, 2 * OUT_MAX);
    buffer_init(&again, OUT_MAX + ROOM_MAX);
    require(http_encoder_create(coding, &e) == OK);
    size_t half = plain.size / 2;
    require(http_encoder_feed(e, bytes_of(plain.data, half), HTTP_ENCODER_FLUSH, &coded) == OK);
    require(http_encoder_feed(e, bytes_of(plain.data + half, plain.size - half),
                              HTTP_ENCODER_FINISH, &coded) == OK);
    http_encoder_destroy(e);
    require(decode(coding, buffer_bytes(&coded), 0, ROOM_MAX, &again) == OK);
    require(bytes_equal(buffer_bytes(&again), plain));
    buffer_finish(&coded);
    buffer_finish(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD) {
        return 0;
    }
    enum http_coding coding = (enum http_coding)(data[0] % 4);
    struct bytes in = bytes_of(data + HEAD, size - HEAD);
    size_t cut = in.size * data[1] / 255;
    struct buffer whole, pieces;
    buffer_init(&whole, OUT_MAX);
    buffer_init(&pieces, OUT_MAX);
    enum err a = decode(coding, in, in.size, ROOM_MAX, &whole),
             b = decode(coding, in, cut, 16 + (size_t)data[2], &pieces);
    /* libzstd compares a frame's content with the size in its header only where it has the whole
     * frame at once. */
    require(a == b || a == ERR_LIMIT || b == ERR_LIMIT || coding == HTTP_CODING_ZSTD);
    if (a == OK && b == OK) {
        require(bytes_equal(buffer_bytes(&whole), buffer_bytes(&pieces)));
        if (buffer_size(&whole) > 0) {
            check_again(coding, buffer_bytes(&whole));
        }
    }
    buffer_finish(&whole);
    buffer_finish(&pieces);
    return 0;
}
