#include "cli/verify/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cli/verify/directory.h"
#include "cli/verify/evidence.h"

static void evidence_finish(struct evidence *e)
{
    for (size_t i = 0; i < e->file_count; i++) {
        free(e->files[i].name);
    }
    free(e->files);
    free(e->sampled);
    kept_finish(&e->kept);
    rec_finish(&e->rec);
    listing_finish(&e->listing);
    buffer_finish(&e->tile);
    records_destroy(e->records);
    known_tiles_destroy(e->tiles);
}

static enum err verify_package(const char *path, const struct verify_options *options,
                               struct report *report, struct verify_result *out,
                               struct err_text *why)
{
    struct evidence e = {.options = options, .report = report, .result = out};
    e.records = records_create(report);
    e.tiles = known_tiles_create();
    struct pack_visitor visitor = evidence_visitor(&e);
    enum err failed = e.records == NULL || e.tiles == NULL
                          ? ERR_NO_MEMORY
                          : pack_read(path, &visitor, e.folder, report, why);
    failed = failed == OK ? evidence_check(&e, why) : failed;
    evidence_finish(&e);
    return failed;
}

static bool exists(const char *path, const char *name)
{
    char full[4096];
    struct stat about;
    int n = snprintf(full, sizeof(full), "%s/%s", path, name);
    return n > 0 && (size_t)n < sizeof(full) && stat(full, &about) == 0;
}

enum err verify_path(const char *path, const struct verify_options *options, struct report *report,
                     struct verify_result *out, struct err_text *why)
{
    *out = (struct verify_result){.subject = VERIFY_PACKAGE};
    if (exists(path, "tile") && !exists(path, "manifest.json")) {
        out->subject = VERIFY_LOG;
        return directory_verify(path, options, report, out, why);
    }
    return verify_package(path, options, report, out, why);
}
