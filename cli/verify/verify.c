#include "cli/verify/verify.h"

#include <stdio.h>
#include <sys/stat.h>

#include "cli/verify/directory.h"
#include "cli/verify/evidence.h"

static enum err verify_package(const char *path, const struct verify_options *options,
                               struct report *report, struct verify_result *out,
                               struct err_text *why)
{
    struct evidence e;
    enum err failed = evidence_init(&e, options, report, out);
    struct pack_visitor visitor = evidence_visitor(&e);
    failed = failed == OK ? pack_read(path, &visitor, e.folder, report, why) : failed;
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
