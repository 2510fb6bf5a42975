/* What the writers of the package's parts share. */
#ifndef CHAPERONE_CLI_EVIDENCE_PACKAGE_INTERNAL_H
#define CHAPERONE_CLI_EVIDENCE_PACKAGE_INTERNAL_H

#include "cli/evidence/package.h"
#include "formats/record.h"

enum { PACKAGE_NAME_SIZE = 128, PACKAGE_ID_SIZE = 40 };

struct package {
    struct package_options with;
    uint64_t done, total; /* entries, counted once for each file that they are in */
    struct err_text *why;
    enum err failed; /* stays: what FILE-writing callbacks could not return */
};

/* An id as a part of a name: itself where it is a UUID, else "x-" and a hash. */
void package_id(const char *id, char out[PACKAGE_ID_SIZE]);

/* An entry with its record; where the content was erased, with what is left of it. */
typedef enum err package_entry_fn(void *context, uint32_t number, const Chaperone__V1__Entry *entry,
                                  const Chaperone__V1__Record *record);
enum err package_with(struct package *p, uint32_t number, package_entry_fn *fn,
                      void *context) MUST_USE;
/* All of them, or those of a list. ERR_CLOSED: to stop. */
enum err package_each(struct package *p, const uint32_t *numbers, size_t count,
                      package_entry_fn *fn, void *context) MUST_USE;

enum err package_write_records(struct package *p) MUST_USE;  /* package_records.c */
enum err package_write_sample(struct package *p) MUST_USE;   /* package_records.c */
enum err package_write_sessions(struct package *p) MUST_USE; /* package_sessions.c */
enum err package_write_context(struct package *p) MUST_USE;  /* package_context.c */
enum err package_write_manifest(struct package *p) MUST_USE; /* package_manifest.c */
enum err package_write_pages(struct package *p) MUST_USE;    /* package_pages.c */
/* package_pages_rows.c: the tables of the pages. */
enum package_table {
    TABLE_SESSIONS,
    TABLE_APPROVALS,
    TABLE_REFUSALS,
    TABLE_POLICIES,
    TABLE_ACTIONS,
    TABLES,
};
size_t package_table_rows(const struct package *p, enum package_table table);
const char *package_table_name(enum package_table table);  /* "sessions" */
const char *package_table_title(enum package_table table); /* "Sessions" */
/* Rows `from` to `to` - 1; links go from a page in `up` ("" or "../"). */
enum err package_table_write(struct package *p, enum package_table table, size_t from, size_t to,
                             const char *up, FILE *out) MUST_USE;

#endif
