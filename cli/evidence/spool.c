#include "cli/evidence/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    /* Written at once: many records. */
    BLOCK = 256 << 10,
    /* What one item may need in memory when it is read. */
    READ_MAX = 256 << 20,
};

struct spool {
    int fd;
    uint64_t written; /* in the file; `block` follows it */
    struct buffer block;
    struct buffer read;
};

/* For file systems that cannot make a file without a name: of one that is killed between the two
 * steps an empty file stays. */
static int open_and_unlink(const char *directory)
{
    char *name = NULL;
    if (asprintf(&name, "%s/.chaperone-export-XXXXXX", directory) < 0) {
        errno = ENOMEM;
        return -1;
    }
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0 && unlink(name) != 0) {
        int reason = errno;
        (void)close(fd);
        errno = reason;
        fd = -1;
    }
    free(name);
    return fd;
}

static int open_unnamed(const char *directory)
{
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
    /* EISDIR: a kernel of before O_TMPFILE; EOPNOTSUPP: network file systems. */
    bool can = fd >= 0 || (errno != EISDIR && errno != EOPNOTSUPP);
    return can ? fd : open_and_unlink(directory);
}

enum err spool_create(const char *directory, struct spool **out, struct err_text *why)
{
    struct spool *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    s->fd = open_unnamed(directory);
    if (s->fd < 0) {
        enum err e =
            err_set(why, errno == ENOSPC ? ERR_FULL : ERR_IO,
                    "no temporary file can be made in %.300s: %s", directory, strerror(errno));
        free(s);
        return e;
    }
    buffer_init(&s->block, BLOCK);
    buffer_init(&s->read, READ_MAX);
    *out = s;
    return OK;
}

void spool_destroy(struct spool *s)
{
    if (s != NULL) {
        (void)close(s->fd);
        buffer_finish(&s->block);
        buffer_finish(&s->read);
        free(s);
    }
}

static enum err write_all(struct spool *s, struct bytes data)
{
    while (data.size > 0) {
        ssize_t n = pwrite(s->fd, data.data, data.size, (off_t)s->written);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_IO;
        }
        s->written += (uint64_t)n;
        data = bytes_of(data.data + n, data.size - (size_t)n);
    }
    return OK;
}

static enum err flush(struct spool *s)
{
    enum err e = write_all(s, buffer_bytes(&s->block));
    buffer_clear(&s->block);
    return e;
}

enum err spool_put(struct spool *s, struct bytes data, struct spool_item *out)
{
    enum err e = OK;
    if (data.size > READ_MAX) {
        return ERR_LIMIT;
    }
    const struct spool_item item = {.offset = s->written + buffer_size(&s->block),
                                    .size = (uint32_t)data.size};
    if (data.size > BLOCK - buffer_size(&s->block)) {
        e = flush(s);
    }
    if (e == OK) {
        e = data.size > BLOCK ? write_all(s, data) : buffer_append(&s->block, data);
    }
    if (e == OK) {
        *out = item;
    }
    return e;
}

static enum err read_all(struct spool *s, uint8_t *out, struct spool_item item)
{
    for (size_t done = 0; done < item.size;) {
        ssize_t n = pread(s->fd, out + done, item.size - done, (off_t)(item.offset + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return ERR_IO;
        }
        done += (size_t)n;
    }
    return OK;
}

enum err spool_get(struct spool *s, struct spool_item item, struct bytes *out)
{
    enum err e = buffer_size(&s->block) > 0 ? flush(s) : OK;
    if (e != OK) {
        return e;
    }
    buffer_clear(&s->read);
    uint8_t *room = buffer_reserve(&s->read, (size_t)item.size + 1);
    if (room == NULL) {
        return ERR_NO_MEMORY;
    }
    e = read_all(s, room, item);
    if (e == OK) {
        buffer_commit(&s->read, item.size);
        *out = buffer_bytes(&s->read);
    }
    return e;
}
