/* What was read of a package, compared. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/verify/draw.h"
#include "cli/verify/evidence.h"
#include "cli/verify/json_read.h"

/* ---- the files and the manifest -------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct evidence_file *)a)->name, ((const struct evidence_file *)b)->name);
}

static void check_file(struct evidence *e, const struct manifest *m, struct evidence_file *f)
{
    const struct manifest_file *says = manifest_find(m, f->name);
    if (strcmp(f->name, "manifest.json") == 0) {
        if (says != NULL) {
            report_add(e->report, REPORT_MALFORMED, 0, "the manifest lists itself");
        }
        return;
    }
    f->is_listed = says != NULL;
    if (says == NULL) {
        report_add(e->report, REPORT_INSERTED, 0, "%s: the manifest has no such file", f->name);
    } else if (says->size != f->size) {
        report_add(e->report, REPORT_CHANGED, 0,
                   "%s: it has %" PRIu64 " bytes, the manifest says %" PRIu64, f->name, f->size,
                   says->size);
    } else if (memcmp(says->sha256, f->sha256, sizeof(f->sha256)) != 0) {
        report_add(e->report, REPORT_CHANGED, 0, "%s: its SHA-256 is not the one in the manifest",
                   f->name);
    }
}

static bool was_read(const struct evidence *e, const char *name)
{
    const struct evidence_file key = {.name = (char *)(uintptr_t)name};
    return bsearch(&key, e->files, e->file_count, sizeof(*e->files), compare_names) != NULL;
}

static const char *const always[] = {"index.html",    "VERIFY.md",          "checkpoint",
                                     "keys.json",     "records.jsonl",      "records.csv",
                                     "masking.jsonl", "identities.json",    "issuers.json",
                                     "sidecars.json", "records/000000.rec", NULL};

static void check_files(struct evidence *e, const struct manifest *m)
{
    const struct manifest_view *v = manifest_view(m);
    if (e->file_count > 0) {
        qsort(e->files, e->file_count, sizeof(*e->files), compare_names);
    }
    for (size_t i = 0; i < e->file_count; i++) {
        check_file(e, m, &e->files[i]);
    }
    for (size_t i = 0; i < v->file_count; i++) {
        if (!was_read(e, v->files[i].name)) {
            report_add(e->report, REPORT_REMOVED, 0,
                       "%.200s: the manifest names it, but it is not there", v->files[i].name);
        }
    }
    for (size_t i = 0; always[i] != NULL; i++) {
        if (!was_read(e, always[i])) {
            report_add(e->report, REPORT_REMOVED, 0, "%s: every package has this file", always[i]);
        }
    }
}

/* ---- the checkpoint -------------------------------------------------------------------------- */

/* Whom to believe: what the caller says, or with a warning what the package says. */
static void choose_trust(struct evidence *e, struct trust *out, const char **out_origin,
                         char origin[TLOG_ORIGIN_MAX + 1])
{
    const struct trust *given = e->options->trust;
    struct trust own = {0};
    struct bytes keys;
    *out = *given;
    *out_origin = e->options->origin;
    origin[0] = '\0';
    if (!kept_find(&e->kept, "keys.json", &keys) ||
        trust_read_keys(keys, &own, origin, e->report) != OK) {
        return;
    }
    if (given->log_count == 0) {
        e->result->has_own_keys = true;
        memcpy(out->logs, own.logs, sizeof(own.logs));
        out->log_count = own.log_count;
        *out_origin = *out_origin != NULL ? *out_origin : origin;
    }
    /* Their cosignatures are looked at; how many are asked for, the caller says. */
    if (given->witness_count == 0) {
        memcpy(out->witnesses, own.witnesses, sizeof(own.witnesses));
        out->witness_count = own.witness_count;
        out->quorum = given->has_quorum ? given->quorum : 0;
        out->has_quorum = true;
    }
}

static void check_checkpoint(struct evidence *e, const struct trust *trust, const char *origin,
                             const struct manifest_view *says)
{
    struct bytes note;
    struct trust_checkpoint *c = &e->result->checkpoint;
    if (!kept_find(&e->kept, "checkpoint", &note)) {
        report_add(e->report, REPORT_UNCHECKED, 0,
                   "there is no checkpoint to check the records with");
        return;
    }
    e->result->has_checkpoint =
        trust_open(trust, "the checkpoint", note, origin, c, e->report) == OK ||
        c->origin[0] != '\0';
    if (says != NULL && (c->size != says->size || strcmp(c->origin, says->origin) != 0 ||
                         memcmp(c->root.bytes, says->root, sizeof(says->root)) != 0)) {
        report_add(e->report, REPORT_CHANGED, 0,
                   "the manifest names another checkpoint than the one that is there");
    }
}

/* "evidence-2026-11-21-1a2b3c4d" */
static void check_folder(struct evidence *e)
{
    char root[9];
    crypto_hex_encode(bytes_of(e->result->checkpoint.root.bytes, 4), root);
    const char *dash = strrchr(e->folder, '-');
    if (e->folder[0] != '\0' &&
        (strncmp(e->folder, "evidence-", 9) != 0 || dash == NULL || strcmp(dash + 1, root) != 0)) {
        report_add(e->report, REPORT_CHANGED, 0,
                   "the folder %s is not named by the root of the checkpoint", e->folder);
    }
}

/* ---- what the manifest counts ---------------------------------------------------------------- */

static void compare_counts(struct evidence *e, const char *what, uint64_t says, uint64_t is)
{
    if (says != is) {
        report_add(e->report, is < says ? REPORT_REMOVED : REPORT_INSERTED, 0,
                   "the manifest counts %" PRIu64 " %s, the package has %" PRIu64, says, what, is);
    }
}

static void check_counts(struct evidence *e, const struct manifest_view *v,
                         const struct context *context)
{
    const struct records_summary *s = &e->result->summary;
    struct bytes issuers;
    cJSON *list = kept_find(&e->kept, "issuers.json", &issuers) ? json_read(issuers) : NULL;
    if (s->records > RECORDS_SHOWN_MAX) {
        report_note(e->report,
                    "of records.jsonl only the first %d lines were compared with what their "
                    "records say, the others by position and hash",
                    RECORDS_SHOWN_MAX);
    }
    compare_counts(e, "records", v->entries, s->records);
    compare_counts(e, "erased records", v->erased, s->erased);
    compare_counts(e, "sessions", v->sessions, s->sessions);
    compare_counts(e, "approvals", v->approvals, e->approvals);
    compare_counts(e, "policies", v->policies, context_policies(context));
    compare_counts(e, "sidecars", v->sidecars, context_sidecars(context));
    compare_counts(e, "keys of issuers", v->issuer_keys, (uint64_t)cJSON_GetArraySize(list));
    compare_counts(e, "tiles", v->tiles, known_tiles_count(e->tiles));
    compare_counts(e, "records (lines of records.jsonl)", v->entries, e->listed_json);
    compare_counts(e, "records (lines of records.csv)", v->entries, e->listed_csv);
    for (int kind = 0; kind < SCAN_KINDS; kind++) {
        const char *name = scan_kind_name((enum scan_kind)kind);
        char what[48];
        (void)snprintf(what, sizeof(what), "records of the kind %s",
                       name == NULL ? "unknown" : name);
        compare_counts(e, what, v->kinds[kind], s->kinds[kind]);
    }
    cJSON_Delete(list);
}

static void check_session(struct evidence *e, const char *session)
{
    for (size_t i = 0; i < records_count(e->records); i++) {
        const struct record_fact *f = records_at(e->records, i);
        if (strcmp(name_table_get(records_sessions(e->records), f->session), session) != 0) {
            report_add(e->report, REPORT_INSERTED, f->position,
                       "record at position %" PRIu64 ": it is not of the session that the package "
                       "is about",
                       f->position);
        }
    }
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* A kept checkpoint: the package's log must be the same one, gone on. */
static void check_kept_checkpoint(struct evidence *e, const struct trust *trust, const char *origin)
{
    struct trust_checkpoint kept = {0};
    if (e->options->kept.size > 0 && trust_open(trust, "the checkpoint that was kept",
                                                e->options->kept, origin, &kept, e->report) == OK) {
        trust_compare(&kept, &e->result->checkpoint, known_tiles_source(e->tiles), e->report);
    }
}

static enum err check_records(struct evidence *e, const struct manifest_view *v,
                              struct context *context)
{
    const struct trust_checkpoint *c = &e->result->checkpoint;
    bool by_time_only = v == NULL
                            ? e->is_everything
                            : v->identity == NULL && v->resource == NULL && v->session == NULL;
    struct records_expectation x = {
        .size = c->size,
        .is_contiguous = by_time_only,
        .is_whole = by_time_only && (v == NULL || (v->since_ns == 0 && v->until_ns == 0)),
        .since_ns = v == NULL ? 0 : v->since_ns,
        .until_ns = v == NULL ? 0 : v->until_ns,
        .has_policy = context_has_policy,
        .has_key = context_has_key,
        .context = context};
    e->result->tiles = known_tiles_count(e->tiles);
    if (e->result->has_checkpoint &&
        known_tiles_check(e->tiles, c->size, &c->root, e->report) != OK) {
        report_note(e->report, "the records were compared with tiles that are not proved");
    }
    return records_check(e->records, &x, e->result->has_checkpoint ? e->tiles : NULL,
                         &e->result->summary);
}

static enum err check_with(struct evidence *e, const struct manifest *m, struct context *context)
{
    const struct manifest_view *v = m == NULL ? NULL : manifest_view(m);
    struct trust *trust = calloc(1, sizeof(*trust));
    char own_origin[TLOG_ORIGIN_MAX + 1];
    const char *origin = NULL;
    if (trust == NULL) {
        return ERR_NO_MEMORY;
    }
    choose_trust(e, trust, &origin, own_origin);
    check_checkpoint(e, trust, origin, v);
    check_folder(e);
    enum err failed = check_records(e, v, context);
    check_kept_checkpoint(e, trust, origin);
    if (v != NULL && failed == OK) {
        check_counts(e, v, context);
        if (v->session != NULL) {
            check_session(e, v->session);
        }
        if (v->sample != NULL) {
            draw_check(v->sample, e->records, &e->kept, trust, e->result->checkpoint.origin,
                       e->sampled, e->sampled_count, e->report);
        }
    }
    free(trust);
    return failed;
}

static enum err check_context(struct evidence *e, const struct manifest *m, struct err_text *why)
{
    struct context *context = context_create(&e->kept, e->report);
    enum err failed = context == NULL ? ERR_NO_MEMORY : check_with(e, m, context);
    context_destroy(context);
    return failed == OK ? OK : err_set(why, failed, "%s", err_name(failed));
}

enum err evidence_check_unlisted(struct evidence *e, struct err_text *why)
{
    return check_context(e, NULL, why);
}

enum err evidence_check(struct evidence *e, struct err_text *why)
{
    struct bytes json;
    struct manifest *manifest = NULL;
    struct err_text reason = {0};
    e->result->files = e->file_count;
    if (!kept_find(&e->kept, "manifest.json", &json)) {
        report_add(e->report, REPORT_REMOVED, 0, "manifest.json: every package has this file");
    } else if (manifest_parse(json, &manifest, &reason) != OK) {
        report_add(e->report, REPORT_MALFORMED, 0, "%s", reason.text);
    } else {
        check_files(e, manifest);
    }
    enum err failed = check_context(e, manifest, why);
    manifest_destroy(manifest);
    return failed;
}
