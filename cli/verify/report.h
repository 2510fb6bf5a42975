/* What a verification found: what is wrong and how, what could not be checked, what a person should
 * know.
 *
 * Texts may have what a hostile package says; whoever prints them does so through formats/text.h.
 */
#ifndef CHAPERONE_CLI_VERIFY_REPORT_H
#define CHAPERONE_CLI_VERIFY_REPORT_H

#include "base/bytes.h"

/* How something is wrong. */
enum report_kind {
    REPORT_CHANGED,    /* other bytes than were logged */
    REPORT_REMOVED,    /* what should be there is not */
    REPORT_INSERTED,   /* what was never logged, or does not belong there */
    REPORT_DUPLICATED, /* there twice */
    REPORT_REORDERED,  /* in another place */
    REPORT_TRUNCATED,  /* the end is missing */
    REPORT_FORKED,     /* another log than the one that was signed or kept */
    REPORT_OLDER,      /* a checkpoint older than the one that is known */
    REPORT_SIGNATURE,  /* a signature is wrong, or not enough of them are there */
    REPORT_MALFORMED,  /* not of the form that it must have */
    REPORT_UNCHECKED,  /* it could not be found out */
    REPORT_KINDS,
};
/* "changed" */
const char *report_kind_name(enum report_kind kind);

enum {
    /* More are counted only. */
    REPORT_ITEMS_MAX = 1000,
    REPORT_NOTES_MAX = 32,
};

struct report_item {
    enum report_kind kind;
    uint64_t position; /* of the record; 0: it is not about one */
    char text[640];
};

struct report;

struct report *report_create(void) MUST_USE; /* returns owned */
void report_destroy(struct report *r);       /* takes NULL */

/* A failed allocation counts as one that could not be checked. */
void report_add(struct report *r, enum report_kind kind, uint64_t position, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* Not wrong, but to be known. */
void report_note(struct report *r, const char *format, ...) PRINTF_LIKE(2, 3);

uint64_t report_count(const struct report *r, enum report_kind kind);
/* Of all kinds but REPORT_UNCHECKED. */
uint64_t report_wrong(const struct report *r);
size_t report_item_count(const struct report *r);
const struct report_item *report_item(const struct report *r, size_t n); /* borrows */
size_t report_note_count(const struct report *r);
const char *report_note_text(const struct report *r, size_t n); /* borrows */

#endif
