#include "controlplane/export/compress.h"

#include <zlib.h>
#include <zstd.h>

enum {
    GZIP_WINDOW = 15 + 16, /* zlib: with a gzip header */
    /* inflate and deflate count in unsigned int. */
    CHUNK_MAX = 1 << 30,
};

const char *export_compress_suffix(enum config_compression kind)
{
    static const char *const suffixes[] = {[CONFIG_COMPRESS_NONE] = "",
                                           [CONFIG_COMPRESS_GZIP] = ".gz",
                                           [CONFIG_COMPRESS_ZSTD] = ".zst"};
    return suffixes[kind];
}

static enum err compress_gzip(struct bytes in, struct buffer *out)
{
    z_stream z = {0};
    if (in.size > CHUNK_MAX) {
        return ERR_LIMIT;
    }
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        return ERR_NO_MEMORY;
    }
    size_t bound = deflateBound(&z, in.size);
    uint8_t *room = buffer_reserve(out, bound);
    int result = Z_MEM_ERROR;
    if (room != NULL) {
        z.next_in = (Bytef *)(uintptr_t)in.data;
        z.avail_in = (uInt)in.size;
        z.next_out = room;
        z.avail_out = (uInt)bound;
        result = deflate(&z, Z_FINISH);
    }
    if (result == Z_STREAM_END) {
        buffer_commit(out, z.total_out);
    }
    (void)deflateEnd(&z);
    return result == Z_STREAM_END ? OK : ERR_NO_MEMORY;
}

static enum err compress_zstd(struct bytes in, struct buffer *out)
{
    size_t bound = ZSTD_compressBound(in.size);
    uint8_t *room = buffer_reserve(out, bound);
    ZSTD_CCtx *context = room == NULL ? NULL : ZSTD_createCCtx();
    if (context == NULL) {
        return ERR_NO_MEMORY;
    }
    (void)ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    size_t size = ZSTD_compress2(context, room, bound, in.data, in.size);
    (void)ZSTD_freeCCtx(context);
    if (ZSTD_isError(size)) {
        return ERR_NO_MEMORY;
    }
    buffer_commit(out, size);
    return OK;
}

enum err export_compress(enum config_compression kind, struct bytes in, struct buffer *out)
{
    switch (kind) {
    case CONFIG_COMPRESS_GZIP: return compress_gzip(in, out);
    case CONFIG_COMPRESS_ZSTD: return compress_zstd(in, out);
    case CONFIG_COMPRESS_NONE: break;
    }
    return buffer_append(out, in);
}

/* --- what is whole ------------------------------------------------------------------------------
 */

/* The size of the member that `in` begins with; 0: it does not end, or is none. */
static size_t gzip_member(struct bytes in)
{
    z_stream z = {0};
    uint8_t scratch[16 << 10];
    if (inflateInit2(&z, GZIP_WINDOW) != Z_OK) {
        return 0;
    }
    z.next_in = (Bytef *)(uintptr_t)in.data;
    z.avail_in = (uInt)(in.size < CHUNK_MAX ? in.size : CHUNK_MAX);
    int result = Z_OK;
    while (result == Z_OK) {
        z.next_out = scratch;
        z.avail_out = sizeof(scratch);
        result = inflate(&z, Z_NO_FLUSH);
    }
    size_t size = result == Z_STREAM_END ? (size_t)z.total_in : 0;
    (void)inflateEnd(&z);
    return size;
}

/* A frame's size says nothing of its content, which a lost page may have left as zeros: only
 * what decompresses is whole. */
static size_t zstd_frame(struct bytes in)
{
    size_t size = ZSTD_findFrameCompressedSize(in.data, in.size);
    ZSTD_DCtx *context = ZSTD_isError(size) ? NULL : ZSTD_createDCtx();
    if (context == NULL) {
        return 0;
    }
    uint8_t scratch[16 << 10];
    ZSTD_inBuffer from = {.src = in.data, .size = size};
    size_t left = 1;
    while (left != 0 && !ZSTD_isError(left)) {
        ZSTD_outBuffer to = {.dst = scratch, .size = sizeof(scratch)};
        left = ZSTD_decompressStream(context, &to, &from);
        if (from.pos == from.size && to.pos == 0 && left != 0) {
            break;
        }
    }
    (void)ZSTD_freeDCtx(context);
    return left == 0 ? size : 0;
}

size_t export_compress_whole(enum config_compression kind, struct bytes file)
{
    size_t whole = 0;
    if (kind == CONFIG_COMPRESS_NONE) {
        whole = file.size;
        while (whole > 0 && file.data[whole - 1] != '\n') {
            whole--;
        }
        return whole;
    }
    for (size_t size = 1; size > 0 && whole < file.size;) {
        struct bytes rest = bytes_of(file.data + whole, file.size - whole);
        size = kind == CONFIG_COMPRESS_GZIP ? gzip_member(rest) : zstd_frame(rest);
        whole += size;
    }
    return whole;
}
