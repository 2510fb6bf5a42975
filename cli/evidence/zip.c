#include "cli/evidence/zip.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crypto/crypto.h"
#include "cli/evidence/spool.h"

enum {
    /* A file up to this size has its size in its header; a larger one behind it (zip64). */
    HELD_MAX = 1 << 20,
    STDIO_BUFFER = 64 << 10,
    PATH_SIZE = 512,
    NANOSECONDS = 1000000000,
};

struct zip {
    int fd; /* borrows */
    struct archive *archive;
    char folder[128];
    int64_t made_s;
    struct spool *spool;      /* of the files' names, sizes and hashes */
    struct spool_item *files; /* in there */
    size_t count, capacity;
    /* The file that is being written. */
    FILE *out;
    char name[PATH_SIZE];
    struct buffer held; /* its beginning, until it is too much */
    bool is_streaming;
    uint64_t size;
    struct crypto_sha256 hash;
    enum err failed; /* stays */
    char error[256];
};

struct file_head {
    uint64_t size;
    uint8_t hash[CRYPTO_SHA256_SIZE];
};

static enum err fail(struct zip *z)
{
    if (z->failed == OK) {
        z->failed = ERR_IO;
        const char *text = archive_error_string(z->archive);
        (void)snprintf(z->error, sizeof(z->error), "%s",
                       text == NULL ? "the zip file cannot be written" : text);
    }
    return z->failed;
}

/* An error is remembered here and kept from libarchive, which would not free what it has after it.
 */
static la_ssize_t write_out(struct archive *archive, void *context, const void *data, size_t size)
{
    struct zip *z = context;
    (void)archive;
    for (size_t done = 0; z->failed == OK && done < size;) {
        ssize_t n = write(z->fd, (const char *)data + done, size - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            z->failed = errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_IO;
            (void)snprintf(z->error, sizeof(z->error), "the zip file cannot be written: %s",
                           strerror(errno));
        }
    }
    return (la_ssize_t)size;
}

static enum err open_archive(struct zip *z)
{
    z->archive = archive_write_new();
    if (z->archive == NULL) {
        return ERR_NO_MEMORY;
    }
    /* What is in there is hashes, which nothing makes smaller, and text, which everything does. */
    if (archive_write_set_format_zip(z->archive) != ARCHIVE_OK ||
        archive_write_set_options(z->archive, "zip:compression=deflate,zip:compression-level=1") !=
            ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(z->archive, 1) != ARCHIVE_OK ||
        archive_write_open(z->archive, z, NULL, write_out, NULL) != ARCHIVE_OK) {
        return fail(z);
    }
    return OK;
}

enum err zip_create(const struct zip_options *options, struct zip **out, struct err_text *why)
{
    struct zip *z = calloc(1, sizeof(*z));
    if (z == NULL) {
        return ERR_NO_MEMORY;
    }
    buffer_init(&z->held, HELD_MAX);
    z->fd = options->fd;
    z->made_s = options->made_unix_ns / NANOSECONDS;
    (void)snprintf(z->folder, sizeof(z->folder), "%s", options->folder);
    enum err e = spool_create(options->directory, &z->spool, why);
    if (e == OK) {
        e = open_archive(z);
        if (e != OK) {
            (void)err_set(why, e, "%s", z->error);
        }
    }
    if (e != OK) {
        zip_destroy(z);
        return e;
    }
    *out = z;
    return OK;
}

void zip_destroy(struct zip *z)
{
    if (z == NULL) {
        return;
    }
    z->failed =
        z->failed == OK ? ERR_CLOSED : z->failed; /* what is not written yet never will be */
    if (z->out != NULL) {
        (void)fclose(z->out);
    }
    if (z->archive != NULL) {
        (void)archive_write_free(z->archive);
    }
    spool_destroy(z->spool);
    buffer_finish(&z->held);
    free(z->files);
    free(z);
}

/* --- one file ----------------------------------------------------------------------------------
 */

/* `size` below 0: not known yet. */
static enum err put_header(struct zip *z, int64_t size)
{
    struct archive_entry *entry = archive_entry_new();
    char path[PATH_SIZE + sizeof(z->folder)];
    if (entry == NULL) {
        return z->failed = ERR_NO_MEMORY;
    }
    (void)snprintf(path, sizeof(path), "%s/%s", z->folder, z->name);
    archive_entry_set_pathname(entry, path);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, (time_t)z->made_s, 0);
    if (size >= 0) {
        archive_entry_set_size(entry, size);
    }
    enum err e = archive_write_header(z->archive, entry) == ARCHIVE_OK ? OK : fail(z);
    archive_entry_free(entry);
    return e;
}

static enum err put_data(struct zip *z, struct bytes data)
{
    while (data.size > 0) {
        la_ssize_t n = archive_write_data(z->archive, data.data, data.size);
        if (n <= 0) {
            return fail(z);
        }
        data = bytes_of(data.data + n, data.size - (size_t)n);
    }
    return OK;
}

static enum err put_held(struct zip *z, int64_t size)
{
    enum err e = put_header(z, size);
    e = e == OK ? put_data(z, buffer_bytes(&z->held)) : e;
    buffer_clear(&z->held);
    return e;
}

static enum err take(struct zip *z, struct bytes data)
{
    crypto_sha256_update(&z->hash, data);
    z->size += data.size;
    if (!z->is_streaming && data.size <= HELD_MAX - buffer_size(&z->held)) {
        return buffer_append(&z->held, data);
    }
    enum err e = z->is_streaming ? OK : put_held(z, -1);
    z->is_streaming = true;
    return e == OK ? put_data(z, data) : e;
}

static ssize_t on_write(void *cookie, const char *data, size_t size)
{
    struct zip *z = cookie;
    if (z->failed == OK) {
        enum err e = take(z, bytes_of(data, size));
        z->failed = z->failed == OK ? e : z->failed;
    }
    if (z->failed != OK) {
        errno = EIO;
        return 0;
    }
    return (ssize_t)size;
}

FILE *zip_begin(struct zip *z, const char *name)
{
    static const cookie_io_functions_t functions = {.write = on_write};
    if (z->failed != OK || z->out != NULL || strlen(name) >= sizeof(z->name)) {
        return NULL;
    }
    z->out = fopencookie(z, "w", functions);
    if (z->out != NULL) {
        (void)setvbuf(z->out, NULL, _IOFBF, STDIO_BUFFER);
        (void)snprintf(z->name, sizeof(z->name), "%s", name);
        buffer_clear(&z->held);
        z->is_streaming = false;
        z->size = 0;
        crypto_sha256_init(&z->hash);
    } else {
        z->failed = ERR_NO_MEMORY;
    }
    return z->out;
}

static enum err remember(struct zip *z)
{
    struct file_head head = {.size = z->size};
    uint8_t bytes[sizeof(head) + PATH_SIZE];
    size_t length = strlen(z->name);
    crypto_sha256_finish(&z->hash, head.hash);
    memcpy(bytes, &head, sizeof(head));
    memcpy(bytes + sizeof(head), z->name, length + 1);
    if (z->count == z->capacity) {
        size_t capacity = z->capacity == 0 ? 64 : z->capacity * 2;
        struct spool_item *files = realloc(z->files, capacity * sizeof(*files));
        if (files == NULL) {
            return ERR_NO_MEMORY;
        }
        z->files = files;
        z->capacity = capacity;
    }
    enum err e =
        spool_put(z->spool, bytes_of(bytes, sizeof(head) + length + 1), &z->files[z->count]);
    z->count += e == OK;
    return e;
}

enum err zip_end(struct zip *z)
{
    bool is_whole = z->out != NULL && fclose(z->out) == 0;
    z->out = NULL;
    enum err e = z->failed != OK ? z->failed : is_whole ? OK : ERR_IO;
    if (e == OK && !z->is_streaming) {
        e = put_held(z, (int64_t)z->size);
    }
    if (e == OK && archive_write_finish_entry(z->archive) != ARCHIVE_OK) {
        e = fail(z);
    }
    e = e == OK ? remember(z) : e;
    z->failed = z->failed == OK ? e : z->failed;
    return z->failed;
}

enum err zip_add(struct zip *z, const char *name, struct bytes data)
{
    FILE *out = zip_begin(z, name);
    if (out == NULL) {
        return z->failed != OK ? z->failed : ERR_NO_MEMORY;
    }
    if (data.size > 0) {
        (void)fwrite(data.data, 1, data.size, out); /* what failed is known at its end */
    }
    return zip_end(z);
}

/* --- all of them -------------------------------------------------------------------------------
 */

size_t zip_count(const struct zip *z)
{
    return z->count;
}

enum err zip_describe(struct zip *z, size_t index, struct json *j, cJSON *list)
{
    struct bytes data;
    struct file_head head;
    char hash[2 * CRYPTO_SHA256_SIZE + 1];
    enum err e = spool_get(z->spool, z->files[index], &data);
    if (e != OK) {
        return e;
    }
    memcpy(&head, data.data, sizeof(head));
    crypto_hex_encode(bytes_of(head.hash, sizeof(head.hash)), hash);
    cJSON *item = json_add_object(j, list, NULL);
    json_add_string(j, item, "name", (const char *)data.data + sizeof(head));
    json_add_unsigned(j, item, "size", head.size);
    json_add_string(j, item, "sha256", hash);
    return j->failed ? ERR_NO_MEMORY : OK;
}

enum err zip_finish(struct zip *z)
{
    if (z->failed == OK && archive_write_close(z->archive) != ARCHIVE_OK) {
        return fail(z);
    }
    return z->failed;
}

const char *zip_error(const struct zip *z)
{
    return z->error[0] != '\0' ? z->error : err_name(z->failed);
}
