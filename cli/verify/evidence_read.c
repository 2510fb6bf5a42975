/* The files of a package as they come. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/tlog/proof_file.h"
#include "cli/verify/evidence.h"
#include "cli/verify/json_read.h"

static const char tiles_folder[] = "tiles/", records_folder[] = "records/";

static bool starts(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static bool ends(const char *name, const char *suffix)
{
    size_t size = strlen(name), n = strlen(suffix);
    return size >= n && strcmp(name + size - n, suffix) == 0;
}

/* ---- lines of records.jsonl, records.csv, sample.csv ---------------------------------------- */

/* An erased record has its kind and its session outside of its content only. */
static void declare_erased(struct evidence *e, size_t n, struct bytes text)
{
    const char *kind = NULL, *session = NULL;
    uint32_t number = 0;
    cJSON *line = json_read(text);
    if (json_read_string(line, "kind", &kind) &&
        json_read_string_or_null(line, "session", &session) &&
        name_table_put(records_sessions(e->records), bytes_of_string(session), &number) == OK) {
        records_declare(e->records, n, scan_kind_parse(bytes_of_string(kind)), number);
    }
    cJSON_Delete(line);
}

static void compare_line(struct evidence *e, const struct record_fact *f,
                         const struct listing_line *line)
{
    uint8_t shown[SHOWN_SIZE];
    if (shown_of_line(line->text, shown) != OK || memcmp(shown, f->shown, sizeof(shown)) != 0) {
        report_add(e->report, REPORT_CHANGED, f->position,
                   "records.jsonl: line %" PRIu64
                   " does not say what the record at position %" PRIu64 " says",
                   line->number, f->position);
    }
}

static enum err on_line(void *context, const struct listing_line *line)
{
    struct evidence *e = context;
    const char *file = e->listing.format == LISTING_JSON ? "records.jsonl" : "records.csv";
    size_t n = (size_t)line->number - 1;
    (*e->listed)++;
    if (e->is_broken) {
        return OK;
    }
    if (n >= records_count(e->records)) {
        e->is_broken = true;
        report_add(e->report, REPORT_INSERTED, line->position,
                   "%s: line %" PRIu64 " is of no record of records/", file, line->number);
        return OK;
    }
    const struct record_fact *f = records_at(e->records, n);
    if (f->position != line->position ||
        memcmp(f->hash.bytes, line->hash, sizeof(line->hash)) != 0) {
        e->is_broken = f->position != line->position;
        report_add(e->report, REPORT_CHANGED, f->position,
                   "%s: line %" PRIu64 " is not of the record at position %" PRIu64, file,
                   line->number, f->position);
    } else if (f->is_erased && e->listing.format == LISTING_JSON) {
        declare_erased(e, n, line->text);
    } else if (e->listing.format == LISTING_JSON && f->has_shown) {
        compare_line(e, f, line);
    }
    return OK;
}

static enum err on_sampled(void *context, const struct listing_line *line)
{
    struct evidence *e = context;
    uint64_t *more = realloc(e->sampled, (e->sampled_count + 1) * sizeof(*more));
    if (more == NULL) {
        return ERR_NO_MEMORY;
    }
    e->sampled = more;
    e->sampled[e->sampled_count++] = line->position;
    return OK;
}

enum err evidence_init(struct evidence *e, const struct verify_options *options,
                       struct report *report, struct verify_result *result)
{
    *e = (struct evidence){.options = options, .report = report, .result = result};
    buffer_init(&e->tile, TLOG_TILE_BYTES);
    e->records = records_create(report);
    e->tiles = known_tiles_create();
    return e->records == NULL || e->tiles == NULL ? ERR_NO_MEMORY : OK;
}

void evidence_finish(struct evidence *e)
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

/* ---- a file begins -------------------------------------------------------------------------- */

struct known {
    const char *name;
    size_t cap; /* 0: only hashed */
};

enum { MEGABYTE = 1 << 20 };

static const struct known known[] = {
    {"manifest.json", MANIFEST_SIZE_MAX},
    {"checkpoint", TLOG_NOTE_SIZE_MAX},
    {"keys.json", MEGABYTE},
    {"sidecars.json", 64 * MEGABYTE},
    {"issuers.json", 64 * MEGABYTE},
    {"identities.json", 0},
    {"masking.jsonl", 0},
    {"index.html", 0},
    {"VERIFY.md", 0},
    {NULL, 0},
};

static const struct {
    const char *folder, *suffix;
    size_t cap;
} folders[] = {
    {"policies/", "", 16 * MEGABYTE}, {"proofs/", ".tlog-proof", TLOG_PROOF_FILE_MAX},
    {"approvals/", ".json", 0},       {"sessions/", ".txt", 0},
    {"sessions/", ".jsonl", 0},       {"replay/", ".cast", 0},
    {"pages/", ".html", 0},           {NULL, NULL, 0},
};

static enum err begin_kept(struct evidence *e, const char *name, size_t cap)
{
    e->use = cap == 0 ? EVIDENCE_ONLY_HASHED : EVIDENCE_KEPT;
    return cap == 0 ? OK : kept_begin(&e->kept, name, cap);
}

/* "records/000000.rec", the next number each time */
static bool begin_records(struct evidence *e, const char *name)
{
    char expected[PACK_NAME_MAX + 1];
    (void)snprintf(expected, sizeof(expected), "%s%06" PRIu64 ".rec", records_folder,
                   e->record_files);
    if (strcmp(name, expected) != 0) {
        return false;
    }
    e->record_files++;
    e->use = EVIDENCE_RECORDS;
    return true;
}

static enum err on_record(void *context, const struct rec_item *item)
{
    struct evidence *e = context;
    return records_add(e->records, item);
}

static bool begin_listing(struct evidence *e, const char *name)
{
    bool json = strcmp(name, "records.jsonl") == 0, csv = strcmp(name, "records.csv") == 0;
    if (!json && !csv && strcmp(name, "sample.csv") != 0) {
        return false;
    }
    e->use = EVIDENCE_LISTING;
    e->listed = json ? &e->listed_json : csv ? &e->listed_csv : NULL;
    listing_init(&e->listing, json ? LISTING_JSON : LISTING_CSV,
                 e->listed == NULL ? on_sampled : on_line, e);
    return true;
}

static enum err begin_use(struct evidence *e, const char *name)
{
    size_t prefix = sizeof(tiles_folder) - 1;
    for (size_t i = 0; known[i].name != NULL; i++) {
        if (strcmp(name, known[i].name) == 0) {
            return begin_kept(e, name, known[i].cap);
        }
    }
    for (size_t i = 0; folders[i].folder != NULL; i++) {
        if (starts(name, folders[i].folder) && ends(name, folders[i].suffix)) {
            e->approvals += folders[i].folder[0] == 'a' ? 1 : 0;
            return begin_kept(e, name, folders[i].cap);
        }
    }
    if (begin_listing(e, name)) {
        return OK;
    }
    if (starts(name, tiles_folder) &&
        tlog_tile_parse_path(bytes_of_string(name + prefix), &e->tile_name) == OK &&
        e->tile_name.kind == TLOG_TILE_HASHES) {
        e->use = EVIDENCE_TILE;
        return OK;
    }
    if (!begin_records(e, name)) {
        report_add(e->report, REPORT_INSERTED, 0, "%s: a package has no such file, or not here",
                   name);
    }
    return OK;
}

static enum err on_file(void *context, const char *name)
{
    struct evidence *e = context;
    if (e->file_count == e->file_capacity) {
        size_t capacity = e->file_capacity == 0 ? 64 : 2 * e->file_capacity;
        struct evidence_file *files = realloc(e->files, capacity * sizeof(*files));
        if (files == NULL) {
            return ERR_NO_MEMORY;
        }
        e->files = files;
        e->file_capacity = capacity;
    }
    struct evidence_file *f = &e->files[e->file_count];
    *f = (struct evidence_file){.name = strdup(name)};
    if (f->name == NULL) {
        return ERR_NO_MEMORY;
    }
    e->file_count++;
    e->use = EVIDENCE_ONLY_HASHED;
    e->is_broken = false;
    crypto_sha256_init(&e->hash);
    buffer_clear(&e->tile);
    enum err failed = begin_use(e, name);
    if (failed == OK && e->use == EVIDENCE_RECORDS) {
        rec_init(&e->rec, on_record, e);
    }
    return failed;
}

/* ---- its bytes ------------------------------------------------------------------------------ */

/* What cannot be read is wrong; what is too large or too much to hold could not be checked. */
static enum err break_off(struct evidence *e, enum err failed)
{
    const char *name = e->files[e->file_count - 1].name;
    if (failed == OK || failed == ERR_NO_MEMORY) {
        return failed;
    }
    if (!e->is_broken && failed == ERR_LIMIT) {
        report_add(e->report, REPORT_UNCHECKED, 0, "%s: it is larger than what is read of it",
                   name);
    } else if (!e->is_broken) {
        report_add(e->report, REPORT_MALFORMED, 0,
                   "%s: it is not of its form, behind byte %" PRIu64, name,
                   e->files[e->file_count - 1].size);
    }
    e->is_broken = true;
    return OK;
}

static enum err on_data(void *context, struct bytes data)
{
    struct evidence *e = context;
    crypto_sha256_update(&e->hash, data);
    enum err failed = OK;
    if (!e->is_broken || e->use == EVIDENCE_LISTING) {
        switch (e->use) {
        case EVIDENCE_KEPT: failed = kept_append(&e->kept, data); break;
        case EVIDENCE_TILE:
            failed = buffer_append(&e->tile, data);
            failed = failed == ERR_LIMIT ? ERR_INVALID : failed; /* no tile is so large */
            break;
        case EVIDENCE_RECORDS: failed = rec_feed(&e->rec, data); break;
        case EVIDENCE_LISTING: failed = listing_feed(&e->listing, data); break;
        case EVIDENCE_ONLY_HASHED:
        default: break;
        }
    }
    failed = break_off(e, failed);
    e->files[e->file_count - 1].size += data.size;
    return failed;
}

static void end_records(struct evidence *e)
{
    if (!e->is_broken && rec_end(&e->rec) != OK) {
        report_add(e->report, REPORT_TRUNCATED, 0, "%s: it ends in the middle of a record",
                   e->files[e->file_count - 1].name);
    }
    rec_finish(&e->rec);
}

static enum err on_end(void *context)
{
    struct evidence *e = context;
    enum err failed = OK;
    crypto_sha256_finish(&e->hash, e->files[e->file_count - 1].sha256);
    if (e->use == EVIDENCE_RECORDS) {
        end_records(e);
    } else if (e->use == EVIDENCE_LISTING) {
        failed = break_off(e, e->is_broken ? OK : listing_end(&e->listing));
        listing_finish(&e->listing);
    } else if (e->use == EVIDENCE_TILE && !e->is_broken) {
        failed = break_off(e, known_tiles_add(e->tiles, &e->tile_name, buffer_bytes(&e->tile)));
    }
    e->use = EVIDENCE_ONLY_HASHED;
    return failed;
}

static void on_progress(void *context, uint64_t done, uint64_t total)
{
    struct evidence *e = context;
    if (e->options->on_progress != NULL) {
        e->options->on_progress(e->options->context, done, total);
    }
}

struct pack_visitor evidence_visitor(struct evidence *e)
{
    return (struct pack_visitor){.on_file = on_file,
                                 .on_data = on_data,
                                 .on_end = on_end,
                                 .on_progress = on_progress,
                                 .context = e};
}
