#include "cli/verify/manifest.h"

#include <stdlib.h>

#include "cli/output/moment.h"
#include "cli/verify/json_read.h"

struct manifest {
    cJSON *root;
    struct manifest_file *files; /* owned, as the positions */
    uint64_t *positions;
    struct manifest_sample sample;
    struct manifest_view view;
};

static const char *const root_keys[] = {"format",     "made",   "made_by", "version",
                                        "reason",     "filter", "counts",  "kinds",
                                        "checkpoint", "sample", "files",   NULL};
static const char *const filter_keys[] = {"since",    "until",   "identity",
                                          "resource", "session", NULL};
static const char *const count_keys[] = {"entries",     "erased",   "sessions",
                                         "approvals",   "policies", "sidecars",
                                         "issuer_keys", "tiles",    NULL};
static const char *const checkpoint_keys[] = {"origin", "size", "root", NULL};
static const char *const sample_keys[] = {"seed", "of", "population", "positions", NULL};
static const char *const file_keys[] = {"name", "size", "sha256", NULL};

static const cJSON *member(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static bool read_time(const cJSON *object, const char *key, int64_t *out)
{
    const char *text = NULL;
    /* moment_parse also takes spans and days: a manifest has neither. */
    return json_read_string_or_null(object, key, &text) &&
           (text == NULL || (strlen(text) >= sizeof("2026-10-01T00:00:00Z") - 1 &&
                             moment_parse(text, 0, out, NULL) == OK));
}

static bool read_filter(const cJSON *root, struct manifest_view *v)
{
    const cJSON *f = member(root, "filter");
    return json_read_has_keys(f, filter_keys) && read_time(f, "since", &v->since_ns) &&
           read_time(f, "until", &v->until_ns) &&
           json_read_string_or_null(f, "identity", &v->identity) &&
           json_read_string_or_null(f, "resource", &v->resource) &&
           json_read_string_or_null(f, "session", &v->session);
}

static bool read_counts(const cJSON *root, struct manifest_view *v)
{
    const cJSON *c = member(root, "counts");
    return json_read_has_keys(c, count_keys) && json_read_number(c, "entries", &v->entries) &&
           json_read_number(c, "erased", &v->erased) &&
           json_read_number(c, "sessions", &v->sessions) &&
           json_read_number(c, "approvals", &v->approvals) &&
           json_read_number(c, "policies", &v->policies) &&
           json_read_number(c, "sidecars", &v->sidecars) &&
           json_read_number(c, "issuer_keys", &v->issuer_keys) &&
           json_read_number(c, "tiles", &v->tiles);
}

static bool read_kinds(const cJSON *root, struct manifest_view *v)
{
    const cJSON *kinds = member(root, "kinds"), *item;
    if (!cJSON_IsObject(kinds)) {
        return false;
    }
    cJSON_ArrayForEach(item, kinds)
    {
        enum scan_kind kind = scan_kind_parse(bytes_of_string(item->string));
        /* "unknown": kinds that are newer than the program that made the package. */
        bool is_known = kind != SCAN_UNKNOWN || strcmp(item->string, "unknown") == 0;
        if (!is_known || !json_read_number(item, NULL, &v->kinds[kind]) || v->kinds[kind] == 0) {
            return false;
        }
    }
    return true;
}

static bool read_checkpoint(const cJSON *root, struct manifest_view *v)
{
    const cJSON *c = member(root, "checkpoint");
    return json_read_has_keys(c, checkpoint_keys) && json_read_string(c, "origin", &v->origin) &&
           json_read_number(c, "size", &v->size) &&
           json_read_hex(c, "root", v->root, sizeof(v->root));
}

static bool read_sample(struct manifest *m)
{
    const cJSON *s = member(m->root, "sample"), *item;
    const char *of = NULL;
    if (cJSON_IsNull(s)) {
        return true;
    }
    const cJSON *positions = member(s, "positions");
    if (!json_read_has_keys(s, sample_keys) || !json_read_string(s, "seed", &m->sample.seed) ||
        !json_read_string(s, "of", &of) ||
        !json_read_number(s, "population", &m->sample.population) || !cJSON_IsArray(positions)) {
        return false;
    }
    m->sample.of = scan_kind_parse(bytes_of_string(of));
    m->positions = calloc((size_t)cJSON_GetArraySize(positions) + 1, sizeof(*m->positions));
    bool good = m->positions != NULL && m->sample.of != SCAN_UNKNOWN;
    cJSON_ArrayForEach(item, positions)
    {
        good = good && json_read_number(item, NULL, &m->positions[m->sample.count]);
        m->sample.count++;
    }
    m->sample.positions = m->positions;
    m->view.sample = &m->sample;
    return good;
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct manifest_file *)a)->name, ((const struct manifest_file *)b)->name);
}

static bool read_files(struct manifest *m)
{
    const cJSON *files = member(m->root, "files"), *item;
    if (!cJSON_IsArray(files)) {
        return false;
    }
    m->files = calloc((size_t)cJSON_GetArraySize(files) + 1, sizeof(*m->files));
    size_t n = 0;
    bool good = m->files != NULL;
    for (item = files->child; good && item != NULL; item = item->next) {
        struct manifest_file *f = &m->files[n++];
        good = json_read_has_keys(item, file_keys) && json_read_string(item, "name", &f->name) &&
               json_read_number(item, "size", &f->size) &&
               json_read_hex(item, "sha256", f->sha256, sizeof(f->sha256));
    }
    if (good) {
        qsort(m->files, n, sizeof(*m->files), compare_files);
    }
    for (size_t i = 1; good && i < n; i++) {
        good = strcmp(m->files[i - 1].name, m->files[i].name) != 0;
    }
    m->view.files = m->files;
    m->view.file_count = n;
    return good;
}

static enum err read_all(struct manifest *m, struct err_text *why)
{
    const char *format = NULL, *text = NULL;
    int64_t made = 0;
    if (!json_read_string(m->root, "format", &format) ||
        strcmp(format, "chaperone-evidence/1") != 0) {
        return err_set(why, ERR_INVALID,
                       "the manifest is not of the format chaperone-evidence/1, which this "
                       "program knows");
    }
    const char *wrong = !json_read_has_keys(m->root, root_keys)               ? "its keys"
                        : !read_time(m->root, "made", &made) || made == 0     ? "made"
                        : !json_read_string(m->root, "made_by", &text)        ? "made_by"
                        : !json_read_string(m->root, "version", &text)        ? "version"
                        : !json_read_string_or_null(m->root, "reason", &text) ? "reason"
                        : !read_filter(m->root, &m->view)                     ? "filter"
                        : !read_counts(m->root, &m->view)                     ? "counts"
                        : !read_kinds(m->root, &m->view)                      ? "kinds"
                        : !read_checkpoint(m->root, &m->view)                 ? "checkpoint"
                        : !read_sample(m)                                     ? "sample"
                        : !read_files(m)                                      ? "files"
                                                                              : NULL;
    return wrong == NULL ? OK
                         : err_set(why, ERR_INVALID,
                                   "the manifest is not as docs/evidence.md says: %s", wrong);
}

enum err manifest_parse(struct bytes json, struct manifest **out, struct err_text *why)
{
    if (json.size > MANIFEST_SIZE_MAX) {
        return err_set(why, ERR_LIMIT, "the manifest is larger than %d bytes", MANIFEST_SIZE_MAX);
    }
    struct manifest *m = calloc(1, sizeof(*m));
    if (m == NULL) {
        return ERR_NO_MEMORY;
    }
    m->root = json_read(json);
    enum err e = m->root == NULL
                     ? err_set(why, ERR_INVALID, "the manifest is no JSON, or has a key twice")
                     : read_all(m, why);
    if (e != OK) {
        manifest_destroy(m);
        return e;
    }
    *out = m;
    return OK;
}

void manifest_destroy(struct manifest *m)
{
    if (m == NULL) {
        return;
    }
    cJSON_Delete(m->root);
    free(m->files);
    free(m->positions);
    free(m);
}

const struct manifest_view *manifest_view(const struct manifest *m)
{
    return &m->view;
}

const struct manifest_file *manifest_find(const struct manifest *m, const char *name)
{
    const struct manifest_file key = {.name = name};
    return m->view.file_count == 0
               ? NULL
               : bsearch(&key, m->files, m->view.file_count, sizeof(*m->files), compare_files);
}
