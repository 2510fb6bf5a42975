#include "cli/verify/zip_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cursor.h"

/* APPNOTE.TXT 4.3.7 to 4.3.16 */
#define LOCAL_SIGNATURE UINT32_C(0x04034b50)
#define CENTRAL_SIGNATURE UINT32_C(0x02014b50)
#define DESCRIPTOR_SIGNATURE UINT32_C(0x08074b50)
#define END64_SIGNATURE UINT32_C(0x06064b50)
#define LOCATOR_SIGNATURE UINT32_C(0x07064b50)
#define END_SIGNATURE UINT32_C(0x06054b50)
#define IN_ZIP64 UINT32_C(0xffffffff)

enum {
    END_SIZE = 22,
    LOCATOR_SIZE = 20,
    END64_SIZE = 56,
    FLAG_ENCRYPTED = 1 << 0,
    FLAG_DESCRIPTOR = 1 << 3,
    EXTRA_ZIP64 = 1,
    METHOD_STORED = 0,
    METHOD_DEFLATED = 8,
};

/* Little-endian, as all numbers of a zip file. */
static uint64_t read_little(struct cursor *c, size_t size)
{
    struct bytes b = cursor_read_bytes(c, size);
    uint64_t value = 0;
    for (size_t i = b.size; i > 0; i--) {
        value = value << 8 | b.data[i - 1];
    }
    return value;
}

static uint16_t read_16(struct cursor *c)
{
    return (uint16_t)read_little(c, 2);
}

static uint32_t read_32(struct cursor *c)
{
    return (uint32_t)read_little(c, 4);
}

static uint64_t read_64(struct cursor *c)
{
    return read_little(c, 8);
}

/* What the end of the file says of the central directory. */
struct end {
    uint64_t count, size, offset;
    size_t at; /* where the directory must end */
};

static enum err read_end64(struct bytes file, size_t locator_at, struct end *out,
                           struct err_text *why)
{
    struct cursor c = cursor_of(bytes_of(file.data + locator_at, LOCATOR_SIZE));
    bool good = read_32(&c) == LOCATOR_SIGNATURE && read_32(&c) == 0;
    uint64_t at = read_64(&c);
    good = good && read_32(&c) == 1;
    if (!good || locator_at < END64_SIZE || at != locator_at - END64_SIZE) {
        return err_set(why, ERR_INVALID, "its zip64 end is not where it must be");
    }
    c = cursor_of(bytes_of(file.data + at, END64_SIZE));
    good = read_32(&c) == END64_SIGNATURE && read_64(&c) == END64_SIZE - 12;
    (void)read_32(&c); /* versions */
    good = good && read_32(&c) == 0 && read_32(&c) == 0;
    uint64_t here = read_64(&c);
    out->count = read_64(&c);
    out->size = read_64(&c);
    out->offset = read_64(&c);
    out->at = (size_t)at;
    return good && here == out->count
               ? OK
               : err_set(why, ERR_INVALID, "its zip64 end contradicts itself");
}

static enum err read_end(struct bytes file, struct end *out, struct err_text *why)
{
    if (file.size < END_SIZE) {
        return err_set(why, ERR_INVALID, "it is too short");
    }
    size_t at = file.size - END_SIZE;
    struct cursor c = cursor_of(bytes_of(file.data + at, END_SIZE));
    bool good = read_32(&c) == END_SIGNATURE && read_16(&c) == 0 && read_16(&c) == 0;
    uint16_t here = read_16(&c);
    *out = (struct end){.at = at};
    out->count = read_16(&c);
    out->size = read_32(&c);
    out->offset = read_32(&c);
    if (!good || here != out->count || read_16(&c) != 0) {
        return err_set(why, ERR_INVALID, "it does not end with the end of its directory");
    }
    struct end low = *out;
    bool has_locator = false;
    if (at >= LOCATOR_SIZE) {
        c = cursor_of(bytes_of(file.data + at - LOCATOR_SIZE, LOCATOR_SIZE));
        has_locator = read_32(&c) == LOCATOR_SIGNATURE;
    }
    enum err e = has_locator ? read_end64(file, at - LOCATOR_SIZE, out, why) : OK;
    if (e == OK && has_locator &&
        ((low.count != UINT16_MAX && low.count != out->count) ||
         (low.size != IN_ZIP64 && low.size != out->size) ||
         (low.offset != IN_ZIP64 && low.offset != out->offset))) {
        e = err_set(why, ERR_INVALID, "its two ends contradict each other");
    }
    return e;
}

/* A member, as a header describes it. */
struct member {
    uint16_t flags, method;
    uint32_t crc;
    uint64_t packed, unpacked, offset;
    struct bytes name;
};

/* The zip64 field holds those numbers that did not fit, in this order (4.5.3). */
static bool read_extra(struct bytes extra, struct member *m, bool has_offset)
{
    struct cursor c = cursor_of(extra);
    bool seen = false;
    while (!c.failed && c.remaining > 0) {
        uint16_t id = read_16(&c), size = read_16(&c);
        struct cursor field = cursor_of(cursor_read_bytes(&c, size));
        if (c.failed || id != EXTRA_ZIP64) {
            continue;
        }
        if (seen) {
            return false;
        }
        seen = true;
        m->unpacked = m->unpacked == IN_ZIP64 ? read_64(&field) : m->unpacked;
        m->packed = m->packed == IN_ZIP64 ? read_64(&field) : m->packed;
        m->offset = has_offset && m->offset == IN_ZIP64 ? read_64(&field) : m->offset;
        if (field.failed) {
            return false;
        }
    }
    return !c.failed;
}

/* What both headers have behind their versions. */
static void read_common(struct cursor *c, struct member *out)
{
    out->flags = read_16(c);
    out->method = read_16(c);
    (void)read_32(c); /* time */
    out->crc = read_32(c);
    out->packed = read_32(c);
    out->unpacked = read_32(c);
}

static bool read_central(struct cursor *c, struct member *out)
{
    bool good = read_32(c) == CENTRAL_SIGNATURE;
    (void)read_32(c); /* versions */
    read_common(c, out);
    uint16_t name = read_16(c), extra = read_16(c), comment = read_16(c);
    good = good && read_16(c) == 0; /* disk */
    (void)read_16(c);
    (void)read_32(c); /* attributes */
    out->offset = read_32(c);
    out->name = cursor_read_bytes(c, name);
    struct bytes fields = cursor_read_bytes(c, extra);
    return good && comment == 0 && !c->failed && read_extra(fields, out, true);
}

static bool read_local(struct cursor *c, struct member *out)
{
    bool good = read_32(c) == LOCAL_SIGNATURE;
    (void)read_16(c); /* version */
    read_common(c, out);
    uint16_t name = read_16(c), extra = read_16(c);
    out->name = cursor_read_bytes(c, name);
    struct bytes fields = cursor_read_bytes(c, extra);
    return good && !c->failed && read_extra(fields, out, false);
}

/* Behind the data: with or without a signature, with sizes of 32 or of 64 bits (4.3.9). */
static bool take_descriptor(struct cursor *c, const struct member *m)
{
    for (size_t wide = 0; wide < 2; wide++) {
        for (size_t with_signature = 0; with_signature < 2; with_signature++) {
            struct cursor at = *c;
            size_t width = wide == 0 ? 4 : 8;
            bool good = with_signature == 0 || read_32(&at) == DESCRIPTOR_SIGNATURE;
            good = good && read_32(&at) == m->crc && read_little(&at, width) == m->packed &&
                   read_little(&at, width) == m->unpacked;
            struct cursor next = at;
            uint32_t signature = read_32(&next);
            /* What follows decides between two readings that both fit. */
            if (good && !at.failed &&
                (signature == LOCAL_SIGNATURE || signature == CENTRAL_SIGNATURE ||
                 signature == END64_SIGNATURE || signature == END_SIGNATURE)) {
                *c = at;
                return true;
            }
        }
    }
    return false;
}

static bool is_same(const struct member *central, const struct member *local)
{
    bool later = (local->flags & FLAG_DESCRIPTOR) != 0;
    bool sized = local->crc == central->crc && local->packed == central->packed &&
                 local->unpacked == central->unpacked;
    bool blank = (local->crc == 0 || local->crc == central->crc) &&
                 (local->packed == 0 || local->packed == central->packed) &&
                 (local->unpacked == 0 || local->unpacked == central->unpacked);
    return bytes_equal(central->name, local->name) && central->flags == local->flags &&
           central->method == local->method && (sized || (later && blank));
}

static enum err check_members(struct bytes file, const struct end *end, struct err_text *why)
{
    struct cursor directory = cursor_of(bytes_of(file.data + end->offset, (size_t)end->size));
    struct cursor c = cursor_of(file);
    for (uint64_t n = 0; n < end->count; n++) {
        struct member central, local = {0};
        uint64_t at = file.size - c.remaining;
        if (!read_central(&directory, &central)) {
            return err_set(why, ERR_INVALID, "entry %" PRIu64 " of its directory is wrong", n + 1);
        }
        if (central.offset != at || !read_local(&c, &local) || !is_same(&central, &local)) {
            return err_set(why, ERR_INVALID, "member %" PRIu64 " is not as its directory says",
                           n + 1);
        }
        if ((central.flags & FLAG_ENCRYPTED) != 0 ||
            (central.method != METHOD_STORED && central.method != METHOD_DEFLATED) ||
            (central.method == METHOD_STORED && central.packed != central.unpacked)) {
            return err_set(why, ERR_INVALID, "member %" PRIu64 " is neither stored nor deflated",
                           n + 1);
        }
        (void)cursor_read_bytes(&c, central.packed > SIZE_MAX ? SIZE_MAX : (size_t)central.packed);
        if (c.failed ||
            ((central.flags & FLAG_DESCRIPTOR) != 0 && !take_descriptor(&c, &central))) {
            return err_set(why, ERR_INVALID, "the data of member %" PRIu64 " ends elsewhere",
                           n + 1);
        }
    }
    return cursor_is_complete(&directory) && file.size - c.remaining == end->offset
               ? OK
               : err_set(why, ERR_INVALID, "it has bytes that belong to no member");
}

enum err zip_layout_check(struct bytes file, struct err_text *why)
{
    struct end end = {0};
    enum err e = read_end(file, &end, why);
    if (e == OK && (end.offset > end.at || end.size != end.at - end.offset)) {
        e = err_set(why, ERR_INVALID, "its directory is not where it must be");
    }
    return e == OK ? check_members(file, &end, why) : e;
}

enum err zip_layout_check_file(const char *path, struct err_text *why)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) != 0) {
        enum err e = err_set(why, ERR_IO, "%s: %s", path, strerror(errno));
        if (fd >= 0) {
            (void)close(fd);
        }
        return e;
    }
    size_t size = (size_t)about.st_size;
    void *data = size == 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    (void)close(fd);
    if (data == MAP_FAILED) {
        return err_set(why, ERR_INVALID, "it is empty, or cannot be mapped");
    }
    enum err e = zip_layout_check(bytes_of(data, size), why);
    (void)munmap(data, size);
    return e;
}
