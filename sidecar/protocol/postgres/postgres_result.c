/* What the agent gets of an answer: rows, COPY data and words as the policy's masks let them
 * through. */
#include <ctype.h>
#include <stdlib.h>

#include "base/writer.h"
#include "sidecar/protocol/postgres/postgres_internal.h"

/* ---- which plan is it ----------------------------------------------------------------------- */

static const struct pg_plan *plan_of(const struct pg_sent *head)
{
    if (head == NULL) {
        return NULL;
    }
    return head->portal != NULL ? head->portal->plan : head->plan;
}

/* NULL: the plan knows nothing of it. */
static const struct pg_plan_rows *rows_of(const struct pg_sent *head, const struct pg_plan *plan)
{
    size_t at = head->type == PG_FRONTEND_QUERY ? head->statements_done : 0;
    return at < plan->count ? &plan->rows[at] : NULL;
}

static struct pg_result *result_of(const struct postgres *p, const struct pg_sent *head)
{
    return head->type == PG_FRONTEND_QUERY ? p->result : head->portal->result;
}

static struct pg_masks *masks_of(const struct postgres *p, const struct pg_sent *head)
{
    const struct pg_plan *plan = plan_of(head);
    return plan != NULL ? plan->masks : p->masking.masks;
}

struct pg_masks *postgres_answer_masks(const struct postgres *p)
{
    return masks_of(p, pg_queue_head(&p->queue));
}

void postgres_result_reset(struct postgres *p)
{
    pg_result_recycle(p->result, &p->spares.result);
    p->result = NULL;
    masker_copy_destroy(p->copy);
    p->copy = NULL;
    p->withheld = 0;
    p->rows_cut = 0;
    p->rows_shown = 0;
}

/* ---- columns -------------------------------------------------------------------------------- */

bool postgres_result_describe(struct postgres *p, struct pg_sent *head, struct bytes body)
{
    const struct pg_plan *plan = plan_of(head);
    if (plan == NULL) {
        return true;
    }
    struct pg_result *result =
        pg_result_create(body, plan->masks, rows_of(head, plan), p->masking.marks,
                         postgres_masking_is_outdated(p), &p->spares.result);
    if (result == NULL) {
        return false;
    }
    struct pg_result **place = head->type == PG_FRONTEND_QUERY ? &p->result : &head->portal->result;
    pg_result_recycle(*place, &p->spares.result);
    *place = result;
    return true;
}

/* Whether anything of it may have to be changed. */
static bool is_looked_at(const struct pg_plan *plan, const struct pg_result *result)
{
    return result->masks || plan->masks->by_content;
}

/* For what p->result says of its columns. */
static bool start_copy(struct postgres *p, const struct pg_plan *plan,
                       const struct pg_plan_rows *rows)
{
    const struct pg_result *result = p->result;
    const struct masker_copy_options options = {
        .format = rows->copy.format == LINEAGE_COPY_AS_CSV      ? MASKER_COPY_CSV
                  : rows->copy.format == LINEAGE_COPY_AS_BINARY ? MASKER_COPY_BINARY
                                                                : MASKER_COPY_TEXT,
        .delimiter = rows->copy.delimiter,
        .quote = rows->copy.quote,
        .escape = rows->copy.escape,
        .null_text = bytes_of_string(rows->copy.null_text),
        .has_header = rows->copy.has_header,
        .columns = result->columns,
        .count = result->count};
    masker_copy_destroy(p->copy);
    p->copy = masker_copy_create(plan->masks->masker, &options);
    return p->copy != NULL;
}

bool postgres_result_copy(struct postgres *p, struct pg_sent *head, struct bytes body)
{
    const struct pg_plan *plan = plan_of(head);
    struct pg_copy copy;
    if (plan == NULL) {
        return true;
    }
    if (pg_wire_read_copy(body, &copy) != WIRE_OK) {
        return false;
    }
    const struct pg_plan_rows *rows = rows_of(head, plan);
    bool outdated = postgres_masking_is_outdated(p);
    bool is_binary = copy.is_binary;
    struct pg_result *result = pg_result_create_copy(pg_formats_count(&copy.formats), is_binary,
                                                     plan->masks, rows, outdated);
    if (result == NULL || rows == NULL || !rows->is_copy ||
        is_binary != (rows->copy.format == LINEAGE_COPY_AS_BINARY)) {
        pg_result_destroy(result);
        return false;
    }
    pg_result_destroy(p->result);
    p->result = result;
    return !is_looked_at(plan, result) || start_copy(p, plan, rows);
}

/* ---- rows ----------------------------------------------------------------------------------- */

bool postgres_result_is_masked(const struct postgres *p, const struct pg_sent *head)
{
    const struct pg_plan *plan = plan_of(head);
    if (head->max_rows > 0 || p->copy != NULL) {
        return true;
    }
    if (plan == NULL) {
        return false;
    }
    const struct pg_result *result = result_of(p, head);
    return result == NULL || is_looked_at(plan, result);
}

static enum err put_row(struct postgres *p, const struct pg_sent *head, uint8_t *message,
                        size_t size, bool *out_stays)
{
    const struct pg_plan *plan = plan_of(head);
    if (plan == NULL) {
        return OK;
    }
    const struct pg_result *result = result_of(p, head);
    if (result == NULL) {
        return ERR_INVALID; /* rows that nobody described */
    }
    if (!is_looked_at(plan, result)) {
        return OK;
    }
    static const uint8_t header[PG_HEADER_SIZE] = {PG_BACKEND_DATA_ROW};
    bool moved = false;
    struct writer w = writer_start(&p->masked);
    writer_put_bytes(&w, bytes_of(header, sizeof(header)));
    if (w.failed == OK) {
        w.failed = masker_row_in_place(plan->masks->masker, result->columns, result->count,
                                       message + PG_HEADER_SIZE, size - PG_HEADER_SIZE, &p->masked,
                                       &moved);
    }
    if (moved) {
        writer_close_length(&w, w.before + 1);
    } else {
        p->masked.end = p->masked.start + w.before;
    }
    *out_stays = !moved;
    return writer_finish(&w);
}

static enum err put_copy(struct postgres *p, struct bytes body)
{
    size_t before = buffer_size(&p->masked);
    struct writer w = writer_start(&p->masked);
    writer_put_u8(&w, PG_BACKEND_COPY_DATA);
    size_t length = writer_open_length(&w);
    size_t empty = buffer_size(&p->masked);
    if (w.failed == OK) {
        w.failed = masker_copy_feed(p->copy, body, &p->masked);
    }
    bool is_empty = buffer_size(&p->masked) == empty;
    writer_close_length(&w, length);
    enum err e = writer_finish(&w);
    if (e == OK && is_empty) {
        p->masked.end = p->masked.start + before; /* it waits for the rest of its row */
    }
    return e;
}

enum err postgres_result_message(struct postgres *p, struct pg_sent *head, uint8_t type,
                                 uint8_t *message, size_t size, bool *out_stays)
{
    *out_stays = false;
    if (head->max_rows > 0 && p->rows_shown >= head->max_rows) {
        p->rows_cut++;
        return OK;
    }
    p->rows_shown++;
    if (type == PG_BACKEND_COPY_DATA && p->copy != NULL) {
        return put_copy(p, bytes_of(message + PG_HEADER_SIZE, size - PG_HEADER_SIZE));
    }
    *out_stays = true;
    return type == PG_BACKEND_COPY_DATA ? OK : put_row(p, head, message, size, out_stays);
}

bool postgres_result_end(struct postgres *p, struct pg_sent *head)
{
    (void)head;
    bool whole = p->copy == NULL || p->rows_cut > 0 || masker_copy_finish(p->copy) == OK;
    masker_copy_destroy(p->copy);
    p->copy = NULL;
    p->rows_shown = 0;
    return whole;
}

/* ---- words ---------------------------------------------------------------------------------- */

/* What the server's own parser says names what is in the statement. PostgreSQL, appendix A: class
 * 42 is syntax and access, 34 cursor names, ... */
static bool is_plain_class(struct bytes code)
{
    static const char classes[][3] = {"42", "25", "26", "34", "3D", "3F",
                                      "0A", "2D", "3B", "54", "55", "28"};
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (code.size == 5 && memcmp(code.data, classes[i], 2) == 0) {
            return true;
        }
    }
    return false;
}

/* While code runs that is not in the statement itself, the server says where ("W", or the query of
 * a function, "q"). That may be in the midst of parsing: the input function of a constant's type
 * runs a domain's CHECK or a range's comparison, and the parser adds its place to what they say. */
static bool is_of_code(const struct pg_fields *fields)
{
    return pg_fields_find(fields, 'W').size > 0 || pg_fields_find(fields, 'q').size > 0;
}

/* The same codes are also given while a statement runs, with values in the words (a text that is
 * cast to regclass and is no name; RAISE). Only the parser tells a place in the statement
 * ("P", section 55.8). */
static bool is_of_parser(const struct pg_fields *fields)
{
    return pg_fields_find(fields, 'P').size > 0 && is_plain_class(pg_fields_find(fields, 'C')) &&
           !is_of_code(fields);
}

static bool is_any_of(struct bytes text, const char *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal(text, bytes_of_string(items[i]))) {
            return true;
        }
    }
    return false;
}

/* Where the server says which constraint or column it is about. The source file ("F") cannot be
 * chosen by whoever raises an error. */
static bool is_of_constraint(const struct pg_fields *fields)
{
    static const char *const files[] = {"nbtinsert.c",   "execMain.c",       "execIndexing.c",
                                        "ri_triggers.c", "execExprInterp.c", "domains.c",
                                        "tablecmds.c",   "nodeModifyTable.c"};
    return is_any_of(pg_fields_find(fields, 'F'), files, sizeof(files) / sizeof(files[0]));
}

/* Procedural languages let a function choose the code: five characters of a value. */
static bool is_of_language(const struct pg_fields *fields)
{
    struct bytes file = pg_fields_find(fields, 'F');
    return file.size == 0 || (file.size >= 2 && memcmp(file.data, "pl", 2) == 0);
}

/* Whether values of masked columns may be in what the target says now. What is not an answer to
 * something (a notice of another time, a deferred constraint at COMMIT) may speak of anything. */
static bool may_show(const struct postgres *p, const struct pg_sent *head, struct bytes body)
{
    struct pg_fields fields;
    if (!postgres_masking_is_by_column(p)) {
        const struct pg_plan *running = plan_of(head);
        if (running == NULL || !running->masks->by_column) {
            return false;
        }
    }
    if (head != NULL && head->refusal != NULL) {
        return false; /* its error is replaced */
    }
    if (pg_wire_read_fields(body, &fields) != WIRE_OK || is_of_code(&fields)) {
        return true;
    }
    const struct pg_plan *plan = plan_of(head);
    if (plan == NULL && head != NULL && head->type == PG_FRONTEND_PARSE) {
        return false; /* nothing was read yet */
    }
    const struct pg_plan_rows *rows = plan == NULL ? NULL : rows_of(head, plan);
    return rows == NULL || rows->withholds || rows->masks;
}

/* In the server's own words, where its state needs them. */
static const char *withheld_words(struct bytes code)
{
    static const char *const words[][2] = {
        {"25P02",
         "current transaction is aborted, commands ignored until end of transaction block"},
        {"40001", "could not serialize access"},
        {"40P01", "deadlock detected"},
        {"55P03", "could not obtain lock"},
        {"57014", "canceling statement"},
        {"57P01", "terminating connection due to administrator command"},
        {"57P02", "terminating connection because of crash of another server process"},
        {"57P03", "the database system is not accepting connections"},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (bytes_equal(code, bytes_of_string(words[i][0]))) {
            return words[i][1];
        }
    }
    return "the message is withheld: it might show masked values";
}

/* Fields that name things or say where: never values. */
static bool is_kept(const struct pg_fields *fields, uint8_t type)
{
    switch (type) {
    case 'S':
    case 'V':
    case 'P': return true;
    case 'C': return !is_of_language(fields);
    case 'M':
    case 'H': return is_of_parser(fields);
    case 's':
    case 't':
    case 'c':
    case 'd':
    case 'n': return is_of_constraint(fields);
    default: return false;
    }
}

static enum err write_field(struct postgres *p, struct writer *w, uint8_t type, struct bytes value)
{
    static const uint8_t end = 0;
    const struct pg_masks *masks = postgres_answer_masks(p);
    writer_put_u8(w, type);
    if (masks != NULL && masks->by_content && strchr("MDHWq", type) != NULL && w->failed == OK) {
        w->failed = masker_text(masks->masker, value, &p->masked);
    } else {
        writer_put_bytes(w, value);
    }
    writer_put_bytes(w, bytes_of(&end, 1));
    return w->failed;
}

/* What every error and notice must have, in place of what is withheld. */
static void write_instead(struct writer *w, uint8_t kind, uint8_t type, struct bytes code)
{
    const char *raised = kind == PG_BACKEND_ERROR ? "P0001" : "00000";
    if (type == 'M' || type == 'C') {
        writer_put_u8(w, type);
        writer_put_string(w, type == 'M' ? withheld_words(code) : raised);
    }
}

static struct bytes rewrite_fields(struct postgres *p, uint8_t kind, struct bytes body,
                                   bool withhold)
{
    struct pg_fields fields;
    if (pg_wire_read_fields(body, &fields) != WIRE_OK) {
        return (struct bytes){0};
    }
    const struct pg_fields all = fields; /* pg_fields_next goes on from where it was */
    uint8_t type = 0;
    struct bytes value;
    buffer_clear(&p->masked);
    struct writer w = writer_start(&p->masked);
    writer_put_u8(&w, kind);
    size_t length = writer_open_length(&w);
    while (w.failed == OK && pg_fields_next(&fields, &type, &value)) {
        if (!withhold || is_kept(&all, type)) {
            (void)write_field(p, &w, type, value);
        } else {
            write_instead(&w, kind, type, pg_fields_find(&all, 'C'));
        }
    }
    writer_put_u8(&w, 0);
    writer_close_length(&w, length);
    p->withheld += withhold;
    return writer_finish(&w) == OK ? buffer_bytes(&p->masked) : (struct bytes){0};
}

static struct bytes rewrite_notification(struct postgres *p, struct bytes message,
                                         struct bytes body)
{
    struct pg_notification n;
    const struct pg_masks *masks = p->masking.masks;
    bool hides = postgres_masking_is_by_column(p) &&
                 (masks == NULL || masks->unknown_origin != POLICY_UNKNOWN_ALLOW);
    bool looks = masks != NULL && masks->by_content;
    if (!hides && !looks) {
        return message;
    }
    if (pg_wire_read_notification(body, &n) != WIRE_OK) {
        return (struct bytes){0};
    }
    static const uint8_t end = 0;
    buffer_clear(&p->masked);
    struct writer w = writer_start(&p->masked);
    writer_put_u8(&w, PG_BACKEND_NOTIFICATION);
    size_t length = writer_open_length(&w);
    writer_put_u32(&w, n.process_id);
    writer_put_bytes(&w, n.channel);
    writer_put_bytes(&w, bytes_of(&end, 1));
    if (!hides && w.failed == OK) {
        w.failed = masker_text(masks->masker, n.payload, &p->masked);
    }
    writer_put_bytes(&w, bytes_of(&end, 1));
    writer_close_length(&w, length);
    p->withheld += hides && n.payload.size > 0;
    return writer_finish(&w) == OK ? buffer_bytes(&p->masked) : (struct bytes){0};
}

/* Of these a function may choose the text; the others are one of a few words. A zone of the time
 * zone database has no digits but behind Etc/; anything else could be a zone of somebody's own. */
static bool is_free_text(const struct pg_setting *setting)
{
    static const char *const names[] = {"application_name", "session_authorization", "search_path"};
    struct bytes v = setting->value;
    if (bytes_equal_string(setting->name, "TimeZone")) {
        bool is_region = v.size > 0 && memchr(v.data, '/', v.size) != NULL;
        for (size_t i = 0; is_region && i < v.size; i++) {
            is_region = isalpha(v.data[i]) || strchr("/_-+", v.data[i]) != NULL;
        }
        return !is_region && !bytes_equal_string(v, "UTC") && !bytes_equal_string(v, "GMT");
    }
    return is_any_of(setting->name, names, sizeof(names) / sizeof(names[0]));
}

/* A setting that the server reports: its value may be anything that set_config was given. What is
 * masked by column is not told by its looks: there the agent is not told. */
struct bytes postgres_result_setting(struct postgres *p, const struct pg_setting *setting,
                                     struct bytes message, bool *out_hides)
{
    static const uint8_t end = 0;
    const struct pg_masks *masks = p->masking.masks;
    *out_hides = masks != NULL && postgres_masking_is_by_column(p) &&
                 masks->unknown_origin != POLICY_UNKNOWN_ALLOW && is_free_text(setting);
    p->withheld += *out_hides;
    if (masks == NULL || !masks->by_content || *out_hides) {
        return message;
    }
    buffer_clear(&p->masked);
    struct writer w = writer_start(&p->masked);
    writer_put_u8(&w, PG_BACKEND_PARAMETER_STATUS);
    size_t length = writer_open_length(&w);
    writer_put_bytes(&w, setting->name);
    writer_put_bytes(&w, bytes_of(&end, 1));
    if (w.failed == OK) {
        w.failed = masker_text(masks->masker, setting->value, &p->masked);
    }
    writer_put_bytes(&w, bytes_of(&end, 1));
    writer_close_length(&w, length);
    return writer_finish(&w) == OK ? buffer_bytes(&p->masked) : (struct bytes){0};
}

struct bytes postgres_result_words(struct postgres *p, const struct pg_sent *head,
                                   struct bytes message, struct bytes body)
{
    uint8_t kind = message.data[0];
    if (kind == PG_BACKEND_NOTIFICATION) {
        return rewrite_notification(p, message, body);
    }
    bool withhold = may_show(p, head, body);
    const struct pg_masks *masks = masks_of(p, head);
    bool looks = masks != NULL && masks->by_content;
    return withhold || looks ? rewrite_fields(p, kind, body, withhold) : message;
}
