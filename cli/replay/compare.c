#include "cli/replay/compare.h"

#include <stdlib.h>

#include "base/crypto/crypto.h"
#include "base/cursor.h"
#include "base/writer.h"
#include "cli/output/answer.h"

enum {
    MESSAGE_MAX = 1 << 30, /* the server's own limit on a row */
    SHOWN_MAX = 4096,      /* of a row that differs */
    HEADER_SIZE = 5,
};

struct comparison {
    const Chaperone__V1__Outcome *recorded;
    struct cursor rest; /* of the recorded messages */
    struct crypto_sha256 hash;
    struct buffer message;
    uint64_t count, bytes;
    bool is_recording_over;
    bool has_equal;     /* a message was the same, so the form of the values is */
    uint64_t different; /* the number of the first message that is */
    struct buffer shown_recorded, shown_now;
};

const char *compare_result_name(enum compare_result result)
{
    static const char *const names[] = {[COMPARE_AGREES] = "agrees",
                                        [COMPARE_DIFFERS] = "differs",
                                        [COMPARE_MASKED] = "masked",
                                        [COMPARE_UNKNOWN] = "unknown"};
    return names[result];
}

/* Text never has a NUL; a description before Bind (of a statement) calls every column text. */
static bool has_nul(const struct rows *r)
{
    for (size_t i = 0; i < r->cell_count; i++) {
        struct bytes v = r->cells[i].value;
        if (!r->cells[i].is_null && v.size > 0 && memchr(v.data, 0, v.size) != NULL) {
            return true;
        }
    }
    return false;
}

enum compare_format compare_find_format(const Chaperone__V1__Outcome *recorded, bool *out_is_sure)
{
    struct rows *r = malloc(sizeof(*r));
    bool has_text = false, has_binary = false;
    enum compare_format format = COMPARE_TEXT;
    *out_is_sure = false;
    if (r == NULL || strcmp(recorded->response_encoding, "postgres") != 0) {
        free(r);
        return COMPARE_TEXT;
    }
    answer_init(r, recorded);
    enum rows_kind kind = rows_next(r);
    for (; kind != ROWS_END && kind != ROWS_CUT && kind != ROWS_MALFORMED; kind = rows_next(r)) {
        if (kind == ROWS_COLUMNS) {
            for (size_t i = 0; i < r->column_count; i++) {
                has_binary = has_binary || r->columns[i].binary;
                has_text = has_text || !r->columns[i].binary;
            }
        } else if (kind == ROWS_ROW && has_nul(r)) {
            format = COMPARE_BINARY;
        }
    }
    free(r);
    *out_is_sure = has_binary || (has_text && format == COMPARE_TEXT);
    return has_binary && has_text ? COMPARE_MIXED : has_binary ? COMPARE_BINARY : format;
}

struct comparison *compare_create(const Chaperone__V1__Outcome *recorded)
{
    struct comparison *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return NULL;
    }
    c->recorded = recorded;
    if (strcmp(recorded->response_encoding, "postgres") == 0) {
        c->rest = cursor_of(record_bytes(recorded->response));
    }
    crypto_sha256_init(&c->hash);
    buffer_init(&c->message, MESSAGE_MAX);
    buffer_init(&c->shown_recorded, SHOWN_MAX);
    buffer_init(&c->shown_now, SHOWN_MAX);
    return c;
}

void compare_destroy(struct comparison *c)
{
    if (c != NULL) {
        buffer_finish(&c->message);
        buffer_finish(&c->shown_recorded);
        buffer_finish(&c->shown_now);
        free(c);
    }
}

/* The next recorded data message; false where the recording of the answer ends. */
static bool next_recorded(struct comparison *c, struct bytes *out)
{
    while (c->rest.remaining >= HEADER_SIZE) {
        struct cursor at = c->rest;
        uint8_t type = cursor_read_u8(&at);
        uint32_t length = cursor_read_u32(&at);
        struct bytes body = cursor_read_bytes(&at, length < 4 ? SIZE_MAX : length - 4);
        if (at.failed) {
            return false;
        }
        struct bytes message = bytes_of(c->rest.at, body.size + HEADER_SIZE);
        c->rest = at;
        if (type == 'D' || type == 'd') {
            *out = message;
            return true;
        }
    }
    return false;
}

/* "7 | ann | NULL", cut where it is too long. */
static void show_message(struct bytes message, struct buffer *out)
{
    struct cursor c = cursor_of(message);
    uint8_t type = cursor_read_u8(&c);
    (void)cursor_read_u32(&c);
    enum err e = OK;
    if (type == 'd') {
        size_t size = c.remaining < SHOWN_MAX ? c.remaining : SHOWN_MAX;
        e = buffer_append(out, cursor_read_bytes(&c, size));
    }
    uint16_t count = type == 'D' ? cursor_read_u16(&c) : 0;
    for (uint16_t i = 0; e == OK && i < count; i++) {
        int32_t size = cursor_read_i32(&c);
        struct bytes value = cursor_read_bytes(&c, size < 0 ? 0 : (size_t)size);
        size_t room = SHOWN_MAX - buffer_size(out);
        value.size = value.size < room / 2 ? value.size : room / 2;
        e = buffer_append_string(out, i == 0 ? "" : " | ");
        if (e == OK) {
            e = size < 0 ? buffer_append_string(out, "NULL") : buffer_append(out, value);
        }
    }
}

static void note_difference(struct comparison *c, struct bytes recorded, struct bytes now)
{
    if (c->different == 0) {
        c->different = c->count;
        show_message(recorded, &c->shown_recorded);
        show_message(now, &c->shown_now);
    }
}

/* More rows than were fetched say nothing about those that were. */
static bool is_beyond(const struct comparison *c)
{
    return c->recorded->status == CHAPERONE__V1__STATUS__SUSPENDED && c->count >= c->recorded->rows;
}

static void take_message(struct comparison *c)
{
    struct bytes now = buffer_bytes(&c->message);
    struct bytes recorded = {0};
    c->count++;
    c->bytes += now.size;
    crypto_sha256_update(&c->hash, now);
    if (c->is_recording_over) {
        return;
    }
    c->is_recording_over = !next_recorded(c, &recorded);
    if (c->is_recording_over) {
        return;
    }
    if (bytes_equal(now, recorded)) {
        c->has_equal = true;
    } else {
        note_difference(c, recorded, now);
    }
}

enum err compare_add_row(struct comparison *c, const struct compare_cell *cells, size_t count)
{
    if (is_beyond(c)) {
        return OK;
    }
    buffer_clear(&c->message);
    struct writer w = writer_start(&c->message);
    writer_put_u8(&w, 'D');
    size_t place = writer_open_length(&w);
    writer_put_u16(&w, (uint16_t)count);
    for (size_t i = 0; i < count; i++) {
        writer_put_u32(&w, cells[i].is_null ? UINT32_MAX : (uint32_t)cells[i].value.size);
        if (!cells[i].is_null) {
            writer_put_bytes(&w, cells[i].value);
        }
    }
    writer_close_length(&w, place);
    enum err e = writer_finish(&w);
    if (e == OK) {
        take_message(c);
    }
    return e;
}

enum err compare_add_copy(struct comparison *c, struct bytes data)
{
    buffer_clear(&c->message);
    struct writer w = writer_start(&c->message);
    writer_put_u8(&w, 'd');
    size_t place = writer_open_length(&w);
    writer_put_bytes(&w, data);
    writer_close_length(&w, place);
    enum err e = writer_finish(&w);
    if (e == OK) {
        take_message(c);
    }
    return e;
}

/* --- the verdict -------------------------------------------------------------------------------
 */

static enum compare_result say(enum compare_result result, struct err_text *why, const char *text)
{
    (void)err_set(why, OK, "%s", text);
    return result;
}

static enum compare_result compare_errors(const struct comparison *c, const struct compare_end *end,
                                          struct err_text *why)
{
    bool failed = c->recorded->status == CHAPERONE__V1__STATUS__FAILED;
    const char *recorded = failed ? c->recorded->error_code : c->recorded->command_tag;
    const char *now = end->sqlstate != NULL ? end->sqlstate : end->tag;
    if (failed && end->sqlstate != NULL && strcmp(recorded, now) == 0) {
        (void)err_set(why, OK, "error %.16s both times", now);
        return COMPARE_AGREES;
    }
    (void)err_set(why, OK, "recorded %s%.64s, now %s%.64s", failed ? "error " : "", recorded,
                  end->sqlstate != NULL ? "error " : "", now);
    return COMPARE_DIFFERS;
}

static bool has_same_digest(const struct comparison *c)
{
    const Chaperone__V1__Outcome *r = c->recorded;
    struct crypto_sha256 copy = c->hash;
    uint8_t digest[CRYPTO_SHA256_SIZE];
    crypto_sha256_finish(&copy, digest);
    if (r->bytes == 0 && r->digest.len == 0) {
        return c->bytes == 0;
    }
    return bytes_equal(record_bytes(r->digest), bytes_of(digest, sizeof(digest)));
}

/* A row that is missing now is a difference too. */
static void find_missing(struct comparison *c)
{
    struct bytes recorded = {0};
    if (c->different == 0 && !c->is_recording_over && next_recorded(c, &recorded)) {
        c->count++;
        note_difference(c, recorded, (struct bytes){0});
    }
}

static enum compare_result compare_data(struct comparison *c, const struct compare_end *end,
                                        struct err_text *why)
{
    if (has_same_digest(c)) {
        (void)err_set(why, OK, "%.64s", end->tag);
        return COMPARE_AGREES;
    }
    if (end->format == COMPARE_MIXED) {
        return say(COMPARE_UNKNOWN, why,
                   "the values came partly as text and partly in binary form");
    }
    if (!end->is_format_known && !c->has_equal) {
        return say(COMPARE_UNKNOWN, why,
                   "the form in which the agent asked for the values is not recorded");
    }
    find_missing(c);
    (void)err_set(why, OK, "the rows are not the same");
    return COMPARE_DIFFERS;
}

enum compare_result compare_finish(struct comparison *c, const struct compare_end *end,
                                   struct err_text *why)
{
    const Chaperone__V1__Outcome *r = c->recorded;
    bool suspended = r->status == CHAPERONE__V1__STATUS__SUSPENDED;
    bool has_tag =
        !suspended && !end->was_startup && (r->masking == NULL || r->masking->rows_cut == 0);
    if (end->sqlstate != NULL || r->status == CHAPERONE__V1__STATUS__FAILED) {
        return compare_errors(c, end, why);
    }
    if (has_tag && strcmp(r->command_tag, end->tag) != 0) {
        enum compare_result result = compare_errors(c, end, why);
        find_missing(c);
        return result;
    }
    if (r->masking != NULL && r->masking->n_masked > 0) {
        return say(COMPARE_MASKED, why, "what the agent saw was masked");
    }
    if (r->masking != NULL && r->masking->rows_cut > 0) {
        return say(COMPARE_MASKED, why, "rows beyond the limit were kept from the agent");
    }
    if ((r->bytes > 0) != (r->digest.len == CRYPTO_SHA256_SIZE)) {
        return say(COMPARE_UNKNOWN, why, "no digest is recorded");
    }
    return compare_data(c, end, why);
}

uint64_t compare_first_difference(const struct comparison *c, struct bytes *out_recorded,
                                  struct bytes *out_now)
{
    *out_recorded = buffer_bytes(&c->shown_recorded);
    *out_now = buffer_bytes(&c->shown_now);
    return c->different;
}
