/* Does an answer agree with the recorded one?
 *
 * The recorded digest is SHA-256 over the target's data messages as the agent got them: DataRow and
 * CopyData, each whole with its header (PostgreSQL documentation, 55.7). The messages of the new
 * answer are made again here, hashed the same way, and compared one by one with as many as were
 * recorded, so that the first row that differs can be named. Pure. */
#ifndef CHAPERONE_CLI_REPLAY_COMPARE_H
#define CHAPERONE_CLI_REPLAY_COMPARE_H

#include "api/audit.pb-c.h"
#include "base/bytes.h"

enum compare_format {
    COMPARE_TEXT,
    COMPARE_BINARY,
    COMPARE_MIXED, /* some columns so, some so: cannot be asked for again */
};

/* The form in which the recorded values came. `*out_is_sure`: a description of the columns says so;
 * else it is the one that the values look like. */
enum compare_format compare_find_format(const Chaperone__V1__Outcome *recorded, bool *out_is_sure);

struct comparison;

/* Borrows the outcome. Returns owned; NULL when memory is short. */
struct comparison *compare_create(const Chaperone__V1__Outcome *recorded) MUST_USE;
void compare_destroy(struct comparison *c); /* takes NULL */

struct compare_cell {
    struct bytes value;
    bool is_null;
};

/* In the order in which they come. ERR_LIMIT: no message is that long. */
enum err compare_add_row(struct comparison *c, const struct compare_cell *cells,
                         size_t count) MUST_USE;
enum err compare_add_copy(struct comparison *c, struct bytes data) MUST_USE;

enum compare_result {
    COMPARE_AGREES,
    COMPARE_DIFFERS,
    COMPARE_MASKED,  /* what the agent saw was masked: no other run can agree with it */
    COMPARE_UNKNOWN, /* cannot be compared */
};

/* How the new run ended. */
struct compare_end {
    const char *tag;      /* "SELECT 5"; of the last statement */
    bool was_startup;     /* a setting of the startup packet, to which no tag was sent */
    const char *sqlstate; /* NULL: it succeeded */
    enum compare_format format;
    /* Else values that differ may only have another form, unless a row was the same. */
    bool is_format_known;
};

/* `why` gets a sentence, also where they agree ("5 rows"). */
enum compare_result compare_finish(struct comparison *c, const struct compare_end *end,
                                   struct err_text *why);

/* The first data message that differs: its number from 1, 0 for none that is recorded, and both as
 * text, valid until the comparison is destroyed. What is not there is "" . */
uint64_t compare_first_difference(const struct comparison *c, struct bytes *out_recorded,
                                  struct bytes *out_now);

const char *compare_result_name(enum compare_result result); /* "agrees" */

#endif
