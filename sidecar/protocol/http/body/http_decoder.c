#include "sidecar/protocol/http/body/http_coding.h"

#include <limits.h>
#include <stdlib.h>

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

enum {
    /* RFC 9659 section 3: a decoder of the content coding has to support 8 MB, and no encoder may
     * use more. */
    ZSTD_WINDOW_LOG = 23,
    ZLIB_WINDOW_BITS = 15,
    ZLIB_GZIP_ONLY = 16, /* added to the bits: zlib.h, inflateInit2 */
};

enum decoder_state {
    DECODER_EMPTY,  /* nothing came yet */
    DECODER_INSIDE, /* of a stream, member or frame */
    DECODER_BETWEEN /* after a complete one */
};

struct http_decoder {
    enum http_coding coding;
    enum decoder_state state;
    z_stream z;
    BrotliDecoderState *br;
    ZSTD_DStream *zstd;
};

enum err http_decoder_create(enum http_coding coding, struct http_decoder **out)
{
    struct http_decoder *d = calloc(1, sizeof(*d));
    if (d == NULL) {
        return ERR_NO_MEMORY;
    }
    d->coding = coding;
    bool ok = false;
    switch (coding) {
    case HTTP_CODING_GZIP:
        ok = inflateInit2(&d->z, ZLIB_WINDOW_BITS + ZLIB_GZIP_ONLY) == Z_OK;
        break;
    case HTTP_CODING_DEFLATE: ok = inflateInit2(&d->z, ZLIB_WINDOW_BITS) == Z_OK; break;
    case HTTP_CODING_BR:
        d->br = BrotliDecoderCreateInstance(NULL, NULL, NULL);
        ok = d->br != NULL;
        break;
    case HTTP_CODING_ZSTD:
        d->zstd = ZSTD_createDStream();
        ok = d->zstd != NULL &&
             !ZSTD_isError(ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG));
        break;
    }
    if (!ok) {
        http_decoder_destroy(d);
        return ERR_NO_MEMORY;
    }
    *out = d;
    return OK;
}

void http_decoder_destroy(struct http_decoder *d)
{
    if (d != NULL) {
        (void)inflateEnd(&d->z); /* of one that was never begun: does nothing */
        if (d->br != NULL) {
            BrotliDecoderDestroyInstance(d->br);
        }
        (void)ZSTD_freeDStream(d->zstd); /* takes NULL */
        free(d);
    }
}

static enum err zlib_begin(struct http_decoder *d)
{
    if (d->state == DECODER_BETWEEN) {
        /* RFC 1952 section 2.2: members follow one another. A zlib stream is one only. */
        if (d->coding != HTTP_CODING_GZIP || inflateReset(&d->z) != Z_OK) {
            return ERR_INVALID;
        }
    }
    d->state = DECODER_INSIDE;
    return OK;
}

static enum err zlib_step(struct http_decoder *d, struct bytes *io_in, uint8_t *room, size_t size,
                          size_t *out_written)
{
    /* A member without content gives nothing, and another may follow it. */
    size_t room_left = size;
    while (room_left == size) {
        if (d->state != DECODER_INSIDE) {
            if (io_in->size == 0) {
                break;
            }
            if (zlib_begin(d) != OK) {
                return ERR_INVALID;
            }
        }
        uInt in_size = io_in->size > UINT_MAX ? UINT_MAX : (uInt)io_in->size;
        uInt out_size = size > UINT_MAX ? UINT_MAX : (uInt)size;
        d->z.next_in = (Bytef *)(uintptr_t)io_in->data; /* inflate only reads it */
        d->z.avail_in = in_size;
        d->z.next_out = room;
        d->z.avail_out = out_size;
        int z = inflate(&d->z, Z_NO_FLUSH);
        size_t used = in_size - d->z.avail_in;
        *io_in = bytes_of(io_in->size == 0 ? NULL : io_in->data + used, io_in->size - used);
        room_left = size - (out_size - d->z.avail_out);
        if (z == Z_STREAM_END) {
            d->state = DECODER_BETWEEN;
        } else if (z == Z_BUF_ERROR || (z == Z_OK && io_in->size == 0)) {
            break; /* needs more */
        } else if (z != Z_OK) {
            return z == Z_MEM_ERROR ? ERR_NO_MEMORY : ERR_INVALID;
        }
    }
    *out_written = size - room_left;
    return OK;
}

static enum err br_step(struct http_decoder *d, struct bytes *io_in, uint8_t *room, size_t size,
                        size_t *out_written)
{
    size_t in_size = io_in->size, out_size = size;
    const uint8_t *in = io_in->data;
    if (d->state == DECODER_BETWEEN) {
        *out_written = 0;
        return in_size == 0 ? OK : ERR_INVALID;
    }
    if (in_size > 0) {
        d->state = DECODER_INSIDE;
    }
    BrotliDecoderResult r =
        BrotliDecoderDecompressStream(d->br, &in_size, &in, &out_size, &room, NULL);
    if (r == BROTLI_DECODER_RESULT_ERROR) {
        return ERR_INVALID;
    }
    if (r == BROTLI_DECODER_RESULT_SUCCESS) {
        d->state = DECODER_BETWEEN;
        if (in_size > 0) {
            return ERR_INVALID;
        }
    }
    *io_in = bytes_of(in, in_size);
    *out_written = size - out_size;
    return OK;
}

static enum err zstd_step(struct http_decoder *d, struct bytes *io_in, uint8_t *room, size_t size,
                          size_t *out_written)
{
    ZSTD_inBuffer in = {.src = io_in->data, .size = io_in->size};
    ZSTD_outBuffer out = {.dst = room, .size = size};
    /* Skippable frames give nothing. */
    while (out.pos == 0 && (in.pos < in.size || d->state == DECODER_INSIDE)) {
        size_t before = in.pos;
        size_t r = ZSTD_decompressStream(d->zstd, &out, &in);
        if (ZSTD_isError(r)) {
            return ERR_INVALID;
        }
        d->state = r == 0 ? DECODER_BETWEEN : DECODER_INSIDE;
        if (in.pos == before && out.pos == 0) {
            break; /* needs more */
        }
    }
    *io_in = bytes_of(io_in->size == 0 ? NULL : io_in->data + in.pos, in.size - in.pos);
    *out_written = out.pos;
    return OK;
}

enum err http_decoder_step(struct http_decoder *d, struct bytes *io_in, uint8_t *room, size_t size,
                           size_t *out_written)
{
    switch (d->coding) {
    case HTTP_CODING_GZIP:
    case HTTP_CODING_DEFLATE: return zlib_step(d, io_in, room, size, out_written);
    case HTTP_CODING_BR: return br_step(d, io_in, room, size, out_written);
    case HTTP_CODING_ZSTD: return zstd_step(d, io_in, room, size, out_written);
    }
    return ERR_INTERNAL;
}

bool http_decoder_is_complete(const struct http_decoder *d)
{
    return d->state != DECODER_INSIDE;
}
