#include "sidecar/protocol/http/body/http_coding.h"

#include <limits.h>
#include <stdlib.h>

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

enum {
    GZIP_LEVEL = 1,
    BR_QUALITY = 1,
    BR_WINDOW_LOG = 18, /* a megabyte of memory at this quality */
    ZSTD_LEVEL = 1,
    ZLIB_WINDOW_BITS = 15,
    ZLIB_GZIP = 16, /* added to the bits: zlib.h, deflateInit2 */
    ZLIB_MEMORY = 8,
    ROOM = 16 << 10, /* that is made in the output at a time */
};

struct http_encoder {
    enum http_coding coding;
    z_stream z;
    bool has_z;
    BrotliEncoderState *br;
    ZSTD_CStream *zstd;
};

static bool zlib_init(struct http_encoder *e, int bits)
{
    e->has_z =
        deflateInit2(&e->z, GZIP_LEVEL, Z_DEFLATED, bits, ZLIB_MEMORY, Z_DEFAULT_STRATEGY) == Z_OK;
    return e->has_z;
}

static bool br_init(struct http_encoder *e)
{
    e->br = BrotliEncoderCreateInstance(NULL, NULL, NULL);
    return e->br != NULL &&
           BrotliEncoderSetParameter(e->br, BROTLI_PARAM_QUALITY, BR_QUALITY) == BROTLI_TRUE &&
           BrotliEncoderSetParameter(e->br, BROTLI_PARAM_LGWIN, BR_WINDOW_LOG) == BROTLI_TRUE;
}

static bool zstd_init(struct http_encoder *e)
{
    e->zstd = ZSTD_createCStream();
    return e->zstd != NULL &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL));
}

enum err http_encoder_create(enum http_coding coding, struct http_encoder **out)
{
    struct http_encoder *e = calloc(1, sizeof(*e));
    if (e == NULL) {
        return ERR_NO_MEMORY;
    }
    e->coding = coding;
    bool ok = false;
    switch (coding) {
    case HTTP_CODING_GZIP: ok = zlib_init(e, ZLIB_WINDOW_BITS + ZLIB_GZIP); break;
    case HTTP_CODING_DEFLATE: ok = zlib_init(e, ZLIB_WINDOW_BITS); break;
    case HTTP_CODING_BR: ok = br_init(e); break;
    case HTTP_CODING_ZSTD: ok = zstd_init(e); break;
    }
    if (!ok) {
        http_encoder_destroy(e);
        return ERR_NO_MEMORY;
    }
    *out = e;
    return OK;
}

void http_encoder_destroy(struct http_encoder *e)
{
    if (e != NULL) {
        if (e->has_z) {
            (void)deflateEnd(&e->z);
        }
        if (e->br != NULL) {
            BrotliEncoderDestroyInstance(e->br);
        }
        (void)ZSTD_freeCStream(e->zstd); /* takes NULL */
        free(e);
    }
}

static enum err no_room(const struct buffer *out)
{
    return out->cap - buffer_size(out) < ROOM ? ERR_LIMIT : ERR_NO_MEMORY;
}

static enum err zlib_feed(struct http_encoder *e, struct bytes in, enum http_encoder_end end,
                          struct buffer *out)
{
    do {
        uInt in_size = in.size > UINT_MAX ? UINT_MAX : (uInt)in.size;
        bool is_last = in_size == in.size;
        int flush = !is_last ? Z_NO_FLUSH : end == HTTP_ENCODER_FINISH ? Z_FINISH : Z_SYNC_FLUSH;
        e->z.next_in = (Bytef *)(uintptr_t)in.data; /* deflate only reads it */
        e->z.avail_in = in_size;
        do {
            uint8_t *room = buffer_reserve(out, ROOM);
            if (room == NULL) {
                return no_room(out);
            }
            e->z.next_out = room;
            e->z.avail_out = ROOM;
            int z = deflate(&e->z, flush);
            /* Z_BUF_ERROR: there was nothing more to do, all of it had fitted exactly. */
            if (z != Z_OK && z != Z_STREAM_END && z != Z_BUF_ERROR) {
                return ERR_INTERNAL;
            }
            buffer_commit(out, ROOM - e->z.avail_out);
        } while (e->z.avail_out == 0);
        in = bytes_of(in.size == 0 ? NULL : in.data + in_size, in.size - in_size);
    } while (in.size > 0);
    return OK;
}

static enum err br_feed(struct http_encoder *e, struct bytes in, enum http_encoder_end end,
                        struct buffer *out)
{
    BrotliEncoderOperation operation =
        end == HTTP_ENCODER_FINISH ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_FLUSH;
    size_t in_size = in.size;
    const uint8_t *data = in.data;
    do {
        uint8_t *room = buffer_reserve(out, ROOM);
        if (room == NULL) {
            return no_room(out);
        }
        size_t room_size = ROOM;
        if (BrotliEncoderCompressStream(e->br, operation, &in_size, &data, &room_size, &room,
                                        NULL) != BROTLI_TRUE) {
            return ERR_NO_MEMORY;
        }
        buffer_commit(out, ROOM - room_size);
    } while (in_size > 0 || BrotliEncoderHasMoreOutput(e->br) == BROTLI_TRUE);
    return OK;
}

static enum err zstd_feed(struct http_encoder *e, struct bytes in, enum http_encoder_end end,
                          struct buffer *out)
{
    ZSTD_EndDirective directive = end == HTTP_ENCODER_FINISH ? ZSTD_e_end : ZSTD_e_flush;
    ZSTD_inBuffer from = {.src = in.data, .size = in.size};
    size_t left;
    do {
        uint8_t *room = buffer_reserve(out, ROOM);
        if (room == NULL) {
            return no_room(out);
        }
        ZSTD_outBuffer to = {.dst = room, .size = ROOM};
        left = ZSTD_compressStream2(e->zstd, &to, &from, directive);
        if (ZSTD_isError(left)) {
            return ERR_NO_MEMORY;
        }
        buffer_commit(out, to.pos);
    } while (left > 0 || from.pos < from.size);
    return OK;
}

enum err http_encoder_feed(struct http_encoder *e, struct bytes in, enum http_encoder_end end,
                           struct buffer *out)
{
    switch (e->coding) {
    case HTTP_CODING_GZIP:
    case HTTP_CODING_DEFLATE: return zlib_feed(e, in, end, out);
    case HTTP_CODING_BR: return br_feed(e, in, end, out);
    case HTTP_CODING_ZSTD: return zstd_feed(e, in, end, out);
    }
    return ERR_INTERNAL;
}
