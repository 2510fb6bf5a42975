#include "cli/verify/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct report {
    struct report_item *items[REPORT_ITEMS_MAX]; /* owned */
    size_t item_count;
    char notes[REPORT_NOTES_MAX][256];
    size_t note_count;
    uint64_t counts[REPORT_KINDS];
};

static const char *const names[REPORT_KINDS] = {
    [REPORT_CHANGED] = "changed",     [REPORT_REMOVED] = "removed",
    [REPORT_INSERTED] = "inserted",   [REPORT_DUPLICATED] = "duplicated",
    [REPORT_REORDERED] = "reordered", [REPORT_TRUNCATED] = "truncated",
    [REPORT_FORKED] = "forked",       [REPORT_OLDER] = "older",
    [REPORT_SIGNATURE] = "signature", [REPORT_MALFORMED] = "malformed",
    [REPORT_UNCHECKED] = "unchecked",
};

const char *report_kind_name(enum report_kind kind)
{
    return names[kind];
}

struct report *report_create(void)
{
    return calloc(1, sizeof(struct report));
}

void report_destroy(struct report *r)
{
    for (size_t i = 0; r != NULL && i < r->item_count; i++) {
        free(r->items[i]);
    }
    free(r);
}

void report_add(struct report *r, enum report_kind kind, uint64_t position, const char *format, ...)
{
    r->counts[kind]++;
    if (r->item_count == REPORT_ITEMS_MAX) {
        return;
    }
    struct report_item *item = malloc(sizeof(*item));
    if (item == NULL) {
        r->counts[REPORT_UNCHECKED]++;
        return;
    }
    va_list arguments;
    item->kind = kind;
    item->position = position;
    va_start(arguments, format);
    (void)vsnprintf(item->text, sizeof(item->text), format, arguments);
    va_end(arguments);
    r->items[r->item_count++] = item;
}

void report_note(struct report *r, const char *format, ...)
{
    if (r->note_count == REPORT_NOTES_MAX) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(r->notes[r->note_count], sizeof(r->notes[0]), format, arguments);
    va_end(arguments);
    r->note_count++;
}

uint64_t report_count(const struct report *r, enum report_kind kind)
{
    return r->counts[kind];
}

uint64_t report_wrong(const struct report *r)
{
    uint64_t sum = 0;
    for (int kind = 0; kind < REPORT_KINDS; kind++) {
        sum += kind == REPORT_UNCHECKED ? 0 : r->counts[kind];
    }
    return sum;
}

size_t report_item_count(const struct report *r)
{
    return r->item_count;
}

const struct report_item *report_item(const struct report *r, size_t n)
{
    return r->items[n];
}

size_t report_note_count(const struct report *r)
{
    return r->note_count;
}

const char *report_note_text(const struct report *r, size_t n)
{
    return r->notes[n];
}
