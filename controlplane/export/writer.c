#include "controlplane/export/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controlplane/export/compress.h"

enum {
    /* Of one batch: far beyond what a job gathers (job.c). */
    TEXT_CAP = 256 << 20,
    NAMES_MAX = 1000,
    PART_NAME_SIZE = EXPORT_FILE_NAME_SIZE + 8,
};

static enum err failed(struct err_text *why, const char *what, const char *name)
{
    bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
    return err_set(why, full ? ERR_FULL : ERR_IO, "%s %s: %s", name, what, strerror(errno));
}

static void part_name(const char *name, char out[PART_NAME_SIZE])
{
    (void)snprintf(out, PART_NAME_SIZE, "%s.part", name);
}

void export_writer_init(struct export_writer *w, int directory, enum config_compression compress)
{
    *w = (struct export_writer){.directory = directory, .fd = -1, .compress = compress};
    buffer_init(&w->text, TEXT_CAP);
    buffer_init(&w->compressed, TEXT_CAP);
}

static void close_file(struct export_writer *w)
{
    if (w->fd >= 0) {
        (void)close(w->fd);
        w->fd = -1;
    }
}

void export_writer_finish(struct export_writer *w)
{
    close_file(w);
    buffer_finish(&w->text);
    buffer_finish(&w->compressed);
}

enum err export_writer_open(struct export_writer *w, const char *name, struct err_text *why)
{
    char part[PART_NAME_SIZE];
    part_name(name, part);
    int fd = openat(w->directory, part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return errno == EEXIST ? err_set(why, ERR_EXISTS, "%s is there already", part)
                               : failed(why, "cannot be made", part);
    }
    w->fd = fd;
    w->size = 0;
    w->records = 0;
    (void)snprintf(w->name, sizeof(w->name), "%s", name);
    crypto_sha256_init(&w->hash);
    /* Without its name in the directory, what is in it is lost with the machine's power. */
    if (fsync(w->directory) != 0) {
        enum err e = failed(why, "cannot be made durable", part);
        export_writer_abandon(w);
        return e;
    }
    return OK;
}

static bool write_all(int fd, struct bytes content, uint64_t at)
{
    for (size_t done = 0; done < content.size;) {
        ssize_t n = pwrite(fd, content.data + done, content.size - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n == 0 ? ENOSPC : errno;
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

static enum err write_batch(struct export_writer *w, struct bytes content, struct err_text *why)
{
    if (!write_all(w->fd, content, w->size)) {
        enum err e = failed(why, "cannot be written", w->name);
        if (ftruncate(w->fd, (off_t)w->size) != 0 || e != ERR_FULL) {
            close_file(w);
        }
        return e;
    }
    if (fdatasync(w->fd) != 0) {
        enum err e = failed(why, "cannot be made durable", w->name);
        /* The kernel may have dropped the pages: trying again would succeed without them. */
        close_file(w);
        return e;
    }
    return OK;
}

enum err export_writer_append(struct export_writer *w, const struct export_line *lines,
                              size_t count, struct err_text *why)
{
    enum err e = OK;
    buffer_clear(&w->text);
    buffer_clear(&w->compressed);
    for (size_t i = 0; e == OK && i < count; i++) {
        e = buffer_append(&w->text, lines[i].text);
        e = e == OK ? buffer_append_string(&w->text, "\n") : e;
    }
    if (e == OK) {
        e = export_compress(w->compress, buffer_bytes(&w->text), &w->compressed);
    }
    if (e != OK) {
        return err_set(why, e, "%s: no memory for %zu records", w->name, count);
    }
    struct bytes content = buffer_bytes(&w->compressed);
    e = write_batch(w, content, why);
    if (e == OK) {
        crypto_sha256_update(&w->hash, content);
        w->size += content.size;
        w->records += count;
    }
    return e;
}

/* --- the end of a file --------------------------------------------------------------------------
 */

/* "a.jsonl.zst", 2 -> "a-2.jsonl.zst". */
static void numbered(const char *name, int n, char out[EXPORT_FILE_NAME_SIZE])
{
    const char *dot = strstr(name, ".jsonl");
    size_t stem = dot == NULL ? strlen(name) : (size_t)(dot - name);
    if (n == 1) {
        (void)snprintf(out, EXPORT_FILE_NAME_SIZE, "%s", name);
    } else {
        (void)snprintf(out, EXPORT_FILE_NAME_SIZE, "%.*s-%d%s", (int)stem, name, n, name + stem);
    }
}

/* Never over another file: link and unlink, where rename would replace. */
static enum err give_name(int directory, const char *part, char name[EXPORT_FILE_NAME_SIZE],
                          struct err_text *why)
{
    char candidate[EXPORT_FILE_NAME_SIZE] = "";
    int result = -1;
    for (int n = 1; n <= NAMES_MAX; n++) {
        numbered(name, n, candidate);
        result = renameat2(directory, part, directory, candidate, RENAME_NOREPLACE);
        if (result != 0 && errno == EINVAL) { /* a file system without it */
            result = linkat(directory, part, directory, candidate, 0);
            result = result == 0 ? unlinkat(directory, part, 0) : result;
        }
        if (result == 0 || errno != EEXIST) {
            break;
        }
    }
    if (result != 0 || fsync(directory) != 0) {
        return failed(why, "cannot be given its name", part);
    }
    (void)snprintf(name, EXPORT_FILE_NAME_SIZE, "%s", candidate);
    return OK;
}

enum err export_writer_complete(struct export_writer *w, struct err_text *why)
{
    char part[PART_NAME_SIZE];
    if (w->fd < 0) {
        return OK;
    }
    if (w->records == 0) {
        export_writer_abandon(w);
        return OK;
    }
    part_name(w->name, part);
    close_file(w);
    return give_name(w->directory, part, w->name, why);
}

void export_writer_abandon(struct export_writer *w)
{
    char part[PART_NAME_SIZE];
    if (w->fd >= 0) {
        part_name(w->name, part);
        close_file(w);
        (void)unlinkat(w->directory, part, 0);
    }
}

/* Cuts off what is not whole; `*out_size` is what stays. */
static enum err cut(int fd, const char *part, enum config_compression compress, size_t *out_size,
                    struct err_text *why)
{
    struct stat s;
    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode)) {
        errno = errno == 0 ? EINVAL : errno;
        return failed(why, "cannot be read", part);
    }
    size_t size = (size_t)s.st_size, whole = 0;
    if (size > 0) {
        void *content = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        if (content == MAP_FAILED) {
            return failed(why, "cannot be read", part);
        }
        whole = export_compress_whole(compress, bytes_of(content, size));
        (void)munmap(content, size);
    }
    if (whole != size && (ftruncate(fd, (off_t)whole) != 0 || fsync(fd) != 0)) {
        return failed(why, "cannot be cut to its last whole record", part);
    }
    *out_size = whole;
    return OK;
}

enum err export_writer_recover(int directory, const char *part, enum config_compression compress,
                               struct err_text *why)
{
    static const char suffix[] = ".part";
    char name[EXPORT_FILE_NAME_SIZE];
    size_t size = 0;
    size_t length = strlen(part) - (sizeof(suffix) - 1);
    (void)snprintf(name, sizeof(name), "%.*s", (int)length, part);
    int fd = openat(directory, part, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return failed(why, "cannot be opened", part);
    }
    enum err e = cut(fd, part, compress, &size, why);
    (void)close(fd);
    if (e == OK && size == 0) {
        return unlinkat(directory, part, 0) == 0 ? OK : failed(why, "cannot be removed", part);
    }
    return e == OK ? give_name(directory, part, name, why) : e;
}
