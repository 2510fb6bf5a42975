#include "controlplane/export/file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/export/compress.h"
#include "controlplane/export/writer.h"
#include "controlplane/files/files.h"

struct file_sink {
    struct export_sink base;
    struct export_sink_options with;
    int directory;
    struct export_writer writer;
    int64_t opened_ns; /* of the file that is open */
};

enum { POSITION_DIGITS = 20, TIME_SIZE = 17 }; /* "20261121T184500Z" and its end */

enum err export_file_directory(const struct config_export *config, int *out, struct err_text *why)
{
    enum err e = files_make_directory(config->file.directory, 0700, why);
    if (e != OK) {
        return e;
    }
    int fd = open(config->file.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return err_set(why, ERR_IO, "%s cannot be opened: %s", config->file.directory,
                       strerror(errno));
    }
    *out = fd;
    return OK;
}

/* --- what was left behind -----------------------------------------------------------------------
 */

static bool has_digits(const char *text, size_t from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!isdigit((unsigned char)text[from + i])) {
            return false;
        }
    }
    return true;
}

/* The name of another job may begin with ours: all of it is looked at. */
static bool is_ours(const struct file_sink *f, const char *name)
{
    const struct config_export *config = f->with.config;
    size_t stem = strlen(config->name);
    char expected[EXPORT_FILE_NAME_SIZE];
    int size =
        snprintf(expected, sizeof(expected), "%s-%0*d-00000000T000000Z.jsonl%s.part", config->name,
                 POSITION_DIGITS, 0, export_compress_suffix(config->file.compress));
    size_t tail = stem + 1 + POSITION_DIGITS + 1 + TIME_SIZE - 1;
    return strlen(name) == (size_t)size && strncmp(name, expected, stem + 1) == 0 &&
           has_digits(name, stem + 1, POSITION_DIGITS) &&
           has_digits(name, stem + POSITION_DIGITS + 2, 8) &&
           name[stem + POSITION_DIGITS + 10] == 'T' && strcmp(name + tail, expected + tail) == 0;
}

static enum err recover(struct file_sink *f, struct err_text *why)
{
    int fd = dup(f->directory);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    enum err e = OK;
    if (directory == NULL) {
        return err_set(why, ERR_IO, "%s cannot be listed: %s", f->with.config->file.directory,
                       strerror(errno));
    }
    rewinddir(directory);
    for (struct dirent *d = readdir(directory); e == OK && d != NULL; d = readdir(directory)) {
        if (is_ours(f, d->d_name)) {
            e = export_writer_recover(f->directory, d->d_name, f->with.config->file.compress, why);
        }
    }
    (void)closedir(directory);
    return e;
}

/* --- writing ------------------------------------------------------------------------------------
 */

static enum err open_file(struct file_sink *f, uint64_t position, struct err_text *why)
{
    char name[EXPORT_FILE_NAME_SIZE], moment[TIME_SIZE];
    struct tm t;
    int64_t now = clock_wall(&f->with.clock);
    time_t seconds = (time_t)(now / 1000000000);
    if (gmtime_r(&seconds, &t) == NULL) {
        return ERR_INTERNAL;
    }
    (void)strftime(moment, sizeof(moment), "%Y%m%dT%H%M%SZ", &t);
    (void)snprintf(name, sizeof(name), "%s-%0*" PRIu64 "-%s.jsonl%s", f->with.config->name,
                   POSITION_DIGITS, position, moment,
                   export_compress_suffix(f->with.config->file.compress));
    enum err e = recover(f, why); /* of an error before, too */
    if (e == OK) {
        e = export_writer_open(&f->writer, name, why);
        f->opened_ns = now;
    }
    return e;
}

static enum err file_send(struct export_sink *sink, const struct export_line *lines, size_t count,
                          size_t *out_refused, struct err_text *why)
{
    (void)out_refused;
    struct file_sink *f = (struct file_sink *)sink;
    enum err e = f->writer.fd >= 0 ? OK : open_file(f, lines[0].entry->position, why);
    if (e == OK) {
        e = export_writer_append(&f->writer, lines, count, why);
    }
    if (e == OK && f->writer.size >= f->with.config->file.rotate_size) {
        e = export_writer_complete(&f->writer, why);
    }
    return e;
}

static enum err file_tend(struct export_sink *sink, struct err_text *why)
{
    struct file_sink *f = (struct file_sink *)sink;
    int64_t age = clock_wall(&f->with.clock) - f->opened_ns;
    return f->writer.fd >= 0 && age >= f->with.config->file.rotate_every_ns
               ? export_writer_complete(&f->writer, why)
               : OK;
}

static void file_destroy(struct export_sink *sink)
{
    struct file_sink *f = (struct file_sink *)sink;
    struct err_text why;
    /* Where it cannot have its name now, the next one gives it. */
    (void)!export_writer_complete(&f->writer, &why);
    export_writer_finish(&f->writer);
    if (f->directory >= 0) {
        (void)close(f->directory);
    }
    free(f);
}

enum err export_file_create(const struct export_sink_options *options, struct export_sink **out,
                            struct err_text *why)
{
    static const struct export_sink_ops ops = {
        .send = file_send, .tend = file_tend, .destroy = file_destroy};
    struct file_sink *f = calloc(1, sizeof(*f));
    if (f == NULL) {
        return ERR_NO_MEMORY;
    }
    f->base = (struct export_sink){.ops = &ops, .line_max = SIZE_MAX};
    f->with = *options;
    f->directory = -1;
    enum err e = export_file_directory(options->config, &f->directory, why);
    export_writer_init(&f->writer, f->directory, options->config->file.compress);
    e = e == OK ? recover(f, why) : e;
    if (e != OK) {
        file_destroy(&f->base);
        return e;
    }
    *out = &f->base;
    return OK;
}
