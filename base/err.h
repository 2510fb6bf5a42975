/* Results of functions that can fail.
 *
 * A function that can fail returns `enum err`, which must be used; OK is 0. Outputs stay
 * untouched on failure. Where a person has to read why, the function also takes a
 * `struct err_text *` (may be NULL), which it fills on failure. Expected outcomes (need
 * more bytes, not found) are not errors: such functions return an enum of their own. */
#ifndef CHAPERONE_BASE_ERR_H
#define CHAPERONE_BASE_ERR_H

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(string, first) __attribute__((format(printf, string, first)))

enum err {
    OK = 0,
    ERR_NO_MEMORY,   /* an allocation failed */
    ERR_INVALID,     /* malformed input, or a wrong argument */
    ERR_LIMIT,       /* a named cap was reached */
    ERR_IO,          /* a system call failed */
    ERR_FULL,        /* no space left: disk, spool */
    ERR_NOT_FOUND,   /* the named thing does not exist */
    ERR_EXISTS,      /* the named thing exists already */
    ERR_DENIED,      /* identity or policy refuses */
    ERR_UNAVAILABLE, /* the other side cannot be reached now; may be tried again */
    ERR_TIMEOUT,     /* a deadline passed */
    ERR_CLOSED,      /* the peer or the object is closed */
    ERR_INTERNAL,    /* a bug of ours */
};

/* One sentence for a person: what is wrong and what was expected. Never a secret. */
struct err_text {
    char text[512];
};

/* A stable lower-case name ("no_memory") for logs. */
const char *err_name(enum err code);

/* Writes the sentence and returns `code`, so that a caller can `return err_set(...)`.
 * `out` may be NULL. */
enum err err_set(struct err_text *out, enum err code, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
