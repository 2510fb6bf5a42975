#include "cli/verify/pack_internal.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cli/verify/zip_layout.h"

enum { BLOCK = 1 << 20 };

struct unzip {
    struct archive *archive;
    const struct pack_visitor *visitor;
    struct report *report;
    struct pack_names *names;
    char *folder;
    uint64_t size, cap, expanded;
    bool is_done;
};

static const char *reason(struct archive *a)
{
    const char *text = archive_error_string(a);
    return text == NULL ? "it cannot be read" : text;
}

static void say_damaged(struct unzip *u, const char *name)
{
    report_add(u->report, REPORT_MALFORMED, 0, "the zip file is damaged%s%.200s: %.200s",
               name == NULL ? "" : ", at ", name == NULL ? "" : name, reason(u->archive));
}

/* The name below the folder, which all have in common; NULL after it was reported. */
static const char *check_name(struct unzip *u, struct archive_entry *entry)
{
    const char *name = archive_entry_pathname(entry);
    const char *slash = name == NULL ? NULL : strchr(name, '/');
    if (name == NULL || slash == NULL || !pack_is_name(name)) {
        report_add(u->report, REPORT_INSERTED, 0, "%.200s: no package has such a name",
                   name == NULL ? "?" : name);
        return NULL;
    }
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_symlink(entry) != NULL ||
        archive_entry_hardlink(entry) != NULL || archive_entry_is_encrypted(entry) != 0) {
        report_add(u->report, REPORT_INSERTED, 0, "%.200s: it is no plain file", name);
        return NULL;
    }
    size_t n = (size_t)(slash - name);
    if (u->folder[0] == '\0') {
        memcpy(u->folder, name, n);
        u->folder[n] = '\0';
    }
    if (strlen(u->folder) != n || memcmp(u->folder, name, n) != 0) {
        report_add(u->report, REPORT_INSERTED, 0, "%.200s: it is outside of the package's folder",
                   name);
        return NULL;
    }
    if (pack_names_add(u->names, name) != OK) {
        report_add(u->report, REPORT_DUPLICATED, 0, "%.200s: the name is there twice", name);
        return NULL;
    }
    return slash + 1;
}

static enum err read_data(struct unzip *u, const char *name)
{
    enum err e = OK;
    int64_t next = 0;
    while (e == OK) {
        const void *data = NULL;
        size_t size = 0;
        la_int64_t offset = 0;
        int r = archive_read_data_block(u->archive, &data, &size, &offset);
        if (r == ARCHIVE_EOF) {
            return u->visitor->on_end(u->visitor->context);
        }
        if (r != ARCHIVE_OK || offset != next) {
            say_damaged(u, name);
            u->is_done = r == ARCHIVE_FATAL;
            return u->visitor->on_end(u->visitor->context);
        }
        next += (int64_t)size;
        u->expanded += size;
        if (u->expanded > u->cap) {
            report_add(u->report, REPORT_UNCHECKED, 0,
                       "the zip file expands to more than %d times its size: no package does, it "
                       "was not read further",
                       PACK_EXPANSION_MAX);
            u->is_done = true;
            return OK;
        }
        e = u->visitor->on_data(u->visitor->context, bytes_of(data, size));
        u->visitor->on_progress(u->visitor->context, (uint64_t)archive_filter_bytes(u->archive, -1),
                                u->size);
    }
    return e;
}

static enum err read_entry(struct unzip *u, struct archive_entry *entry)
{
    const char *name = check_name(u, entry);
    if (name == NULL) {
        return OK; /* its data is skipped by the next header */
    }
    enum err e = u->visitor->on_file(u->visitor->context, name);
    return e == OK ? read_data(u, name) : e;
}

static enum err read_entries(struct unzip *u)
{
    enum err e = OK;
    while (e == OK && !u->is_done) {
        struct archive_entry *entry = NULL;
        int r = archive_read_next_header(u->archive, &entry);
        if (r == ARCHIVE_EOF) {
            break;
        }
        if (r != ARCHIVE_OK) {
            say_damaged(u, NULL);
            u->is_done = r == ARCHIVE_FATAL || r == ARCHIVE_FAILED;
        }
        if (r == ARCHIVE_OK || r == ARCHIVE_WARN) {
            e = read_entry(u, entry);
        }
    }
    return e;
}

static enum err open_archive(struct unzip *u, const char *path, struct err_text *why)
{
    struct stat about;
    if (stat(path, &about) != 0 || !S_ISREG(about.st_mode)) {
        return err_set(why, ERR_IO, "%s: it is no file", path);
    }
    u->size = (uint64_t)about.st_size;
    u->cap = u->size > UINT64_MAX / PACK_EXPANSION_MAX ? UINT64_MAX : u->size * PACK_EXPANSION_MAX;
    u->cap = u->cap < PACK_EXPANSION_FLOOR ? PACK_EXPANSION_FLOOR : u->cap;
    if (archive_read_support_format_zip_seekable(u->archive) != ARCHIVE_OK ||
        archive_read_open_filename(u->archive, path, BLOCK) != ARCHIVE_OK) {
        return err_set(why, ERR_INVALID, "%s: %s", path, reason(u->archive));
    }
    return OK;
}

enum err pack_read_zip(const char *path, const struct pack_visitor *visitor, char *out_folder,
                       struct report *report, struct err_text *why)
{
    struct err_text layout = {0};
    struct unzip u = {.archive = archive_read_new(),
                      .visitor = visitor,
                      .report = report,
                      .names = pack_names_create(),
                      .folder = out_folder};
    enum err e = u.archive == NULL || u.names == NULL ? ERR_NO_MEMORY : open_archive(&u, path, why);
    if (e == OK && zip_layout_check_file(path, &layout) != OK) {
        report_add(report, REPORT_MALFORMED, 0, "the zip file is not laid out plainly: %s",
                   layout.text);
    }
    e = e == OK ? read_entries(&u) : e;
    if (u.archive != NULL) {
        (void)archive_read_free(u.archive);
    }
    pack_names_destroy(u.names);
    return e;
}
