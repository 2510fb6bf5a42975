/* What a text of SQL would do: its statements, what each touches and how.
 *
 * Built on PostgreSQL 15's own parser (libpg_query). Pure but for the cache: no I/O, no catalog.
 * Names are as written; the search path is not applied. An analysis lists *every* relation and
 * function call in the parse tree, also those in CTEs, subqueries, RETURNING, EXPLAIN, PREPARE,
 * DECLARE and SQL function bodies; operators and types that are not PostgreSQL's own count as calls
 * of functions of that name. A statement that this module does not know, or that has a part that it
 * does not know, has the command "UNKNOWN".
 *
 * The text is read with standard_conforming_strings = on, the server's default since 9.1: a session
 * whose server reports `off` reads string literals otherwise and must not be analysed with this.
 *
 * A cache belongs to one thread. libpg_query keeps memory for each thread and frees it when the
 * thread ends; do not call pg_query_exit, which would free it twice. */
#ifndef CHAPERONE_SIDECAR_SQL_SQL_H
#define CHAPERONE_SIDECAR_SQL_SQL_H

#include "base/bytes.h"

enum {
    /* A text beyond it is no statement a person or a policy reads; bulk data comes by COPY or Bind.
     * A megabyte of the worst text takes one to two seconds and, for that time, 400 MB. */
    SQL_TEXT_SIZE_DEFAULT = 1 << 20,
    /* For each byte of a text, and beside it for what the statement needs once it is understood. */
    SQL_MEMORY_FACTOR = 400,
    SQL_MEMORY_MARGIN = 16 << 20,
    /* libpg_query and protobuf-c recurse without a check; this many levels take up to 3 MiB of
       stack. */
    SQL_DEPTH_MAX = 1000,
    /* In one statement; pg_dump locks all tables of a database in one. */
    SQL_OBJECTS_MAX = 16384,
};

/* What is done. */
enum sql_access {
    SQL_READ,
    SQL_INSERT,
    SQL_UPDATE,
    SQL_DELETE,
    SQL_TRUNCATE,
    SQL_LOAD,   /* COPY FROM; its table also has SQL_INSERT */
    SQL_EXPORT, /* COPY TO; what is copied also has SQL_READ */
    SQL_CREATE,
    SQL_ALTER,
    SQL_DROP,
    SQL_PRIVILEGE, /* roles, grants, SET ROLE */
    SQL_TRANSACTION,
    SQL_SESSION, /* settings, cursors, prepared statements of this session */
    SQL_MAINTENANCE,
    SQL_LOCK, /* LOCK, FOR UPDATE, advisory locks */
    SQL_NOTIFY,
    SQL_CALL,       /* a function in an expression */
    SQL_PROCEDURAL, /* CALL, DO, EXECUTE: code that the text does not show */
    SQL_UNSAFE_IO,  /* the server's files, programs, network */
    SQL_UNKNOWN,
    SQL_ACCESS_COUNT,
};

enum sql_kind {
    SQL_TABLE, /* or a view: in an expression they look alike */
    SQL_VIEW,
    SQL_INDEX,
    SQL_SEQUENCE,
    SQL_FUNCTION,
    SQL_PROCEDURE,
    SQL_SCHEMA,
    SQL_DATABASE,
    SQL_ROLE,
    SQL_TYPE,
    SQL_EXTENSION,
    SQL_SETTING,
    SQL_CHANNEL,
    SQL_STATEMENT, /* a prepared statement */
    SQL_CODE,      /* named by its language */
    SQL_FILE,
    SQL_PROGRAM,
    SQL_OTHER, /* operators, casts, publications, ... */
    SQL_KIND_COUNT,
};

/* "read", "unsafe_io"; "table". */
const char *sql_access_name(enum sql_access access);
const char *sql_kind_name(enum sql_kind kind);

enum sql_transaction {
    SQL_TRANSACTION_NONE,
    SQL_TRANSACTION_BEGIN,
    SQL_TRANSACTION_COMMIT, /* also END; not COMMIT PREPARED */
    SQL_TRANSACTION_ROLLBACK,
    SQL_TRANSACTION_SAVEPOINT,
    SQL_TRANSACTION_RELEASE,
    SQL_TRANSACTION_ROLLBACK_TO,
    SQL_TRANSACTION_PREPARE,
    SQL_TRANSACTION_COMMIT_PREPARED,
    SQL_TRANSACTION_ROLLBACK_PREPARED,
};

struct sql_object {
    enum sql_kind kind;
    enum sql_access access;
    const char *text;   /* as written, quoted where SQL needs it: `public."Orders"` */
    const char *schema; /* without quotes; NULL when not written */
    const char *name;   /* without quotes */
    /* Of a table: the columns that this access may be about, without quotes, each once. A name that
     * is not qualified counts for every table that is in scope; "*" is all of them (a star, the
     * whole row, NATURAL JOIN, INSERT or COPY without a list, DELETE). NULL: none. What UPDATE and
     * DELETE use of their target is an SQL_READ of its own. */
    const char *const *columns;
    size_t column_count;
};

struct sql_statement {
    const char *command; /* PostgreSQL's command tag without counts: "SELECT", "CREATE TABLE" */
    const struct sql_object *objects; /* each (kind, access, name) once */
    size_t object_count;
    uint32_t accesses; /* bits 1 << enum sql_access: of the objects, and those that have none */
    enum sql_transaction transaction;
    bool is_write; /* may change something that outlives the session; false for EXPLAIN without
                      ANALYZE */
    bool is_transaction_control;
    bool is_session; /* only changes this session: SET, DISCARD, ... */
    bool is_unknown;
    /* Reads and changes rows, or moves a savepoint, and does nothing beside it as far as the text
     * shows: a transaction that is open stays open, and takes all of it back unless it is
     * committed. Data statements on tables (which may be views, or foreign), with calls of nothing
     * but PostgreSQL's own functions that compute, by their names. */
    bool is_transactional;
    bool returns_rows_of_write; /* RETURNING, on any level */
    bool without_where; /* UPDATE or DELETE of all rows, on any level; a condition that names
                           no column is none */
    /* Its place in the text, without the semicolon. Of PREPARE, EXECUTE, DEALLOCATE, DISCARD,
     * DECLARE CURSOR, FETCH, MOVE and CLOSE CURSOR only; else 0, 0. */
    size_t start, size;
};

struct sql_analysis {
    const struct sql_statement *statements;
    size_t statement_count; /* 0: an empty text, or nothing but comments */
};

/* As the server would report it. */
struct sql_error {
    char message[256];
    char sqlstate[6];  /* "42601" */
    uint32_t position; /* in characters, from 1; 0: none */
};

/* `*out` is owned: sql_analysis_destroy.
 * ERR_INVALID: not SQL, or a NUL byte in it. ERR_LIMIT: larger than `max_size`, nested too deeply,
 * or too many objects. `out_error` (may be NULL) is filled in every case. */
enum err sql_analyse(struct bytes text, size_t max_size, struct sql_analysis **out,
                     struct sql_error *out_error) MUST_USE;
void sql_analysis_destroy(struct sql_analysis *a); /* takes NULL */

/* Whether a statement gives rows and does nothing else, as far as its own kind says. */
bool sql_is_query(const struct sql_statement *s);
/* Whether all statements are BEGIN, COMMIT and the like; also of an empty text. */
bool sql_is_transaction_control(const struct sql_analysis *a);

/* Whether all statements are transactional; also of an empty text. */
bool sql_is_transactional(const struct sql_analysis *a);

/* --- the cache -----------------------------------------------------------------------
 * Four paths, each slower: the exact text; its skeleton, the text with its plain constants cut out
 * by one pass over its bytes (sql_skeleton.h); the text with its constants replaced by the parser's
 * own normalisation; the full analysis. The middle ones serve where the analysis cannot depend on
 * constants (SELECT, INSERT, UPDATE, DELETE, MERGE).
 * The least recently used entry goes first. Errors are not kept. */

struct sql_cache;

struct sql_cache_options {
    size_t max_bytes;     /* of texts, analyses and entries */
    size_t max_text_size; /* as for sql_analyse; 0: SQL_TEXT_SIZE_DEFAULT */
    /* Keys the hash, so that an agent cannot make texts that collide: random, one for each process.
     */
    uint64_t seed[2];
    /* Asked before a text is parsed, with the most that this may take; false: it is refused. NULL:
     * nobody is asked. */
    bool (*has_memory)(void *context, size_t bytes);
    void *context;
};

struct sql_cache_statistics {
    uint64_t exact_hits, normalised_hits, misses, evictions, errors;
    size_t bytes, entries;
};

/* Returns owned; NULL when memory is short. */
struct sql_cache *sql_cache_create(const struct sql_cache_options *options) MUST_USE;
void sql_cache_destroy(struct sql_cache *c); /* takes NULL */

/* As sql_analyse; `*out` borrows and is valid until the next call on this cache. ERR_NO_MEMORY with
 * 53200 also when `has_memory` says so. */
enum err sql_cache_analyse(struct sql_cache *c, struct bytes text, const struct sql_analysis **out,
                           struct sql_error *out_error) MUST_USE;
/* What a text that was analysed has in common with all that differ from it in plain constants
 * ('...', numbers) and in nothing else: their parse trees are the same but for the values. Borrows
 * from the cache, until its next call. False: not known; `*out` is empty. */
bool sql_cache_shape(struct sql_cache *c, struct bytes text, struct bytes *out);
struct sql_cache_statistics sql_cache_statistics(const struct sql_cache *c);

/* --- declarations in comments ---------------------------------------------------------
 * "reason:", "on_behalf_of:" and "ticket:" (any case) at the start of a comment, of a line in it,
 * or after a semicolon: / * reason: monthly report; ticket: OPS-7 * /  or  -- reason: monthly
 * report What an agent declares, never what is verified. */

enum sql_note_kind { SQL_NOTE_REASON, SQL_NOTE_ON_BEHALF_OF, SQL_NOTE_TICKET };

enum { SQL_NOTES_MAX = 8, SQL_NOTE_SIZE_MAX = 512 };

struct sql_note {
    enum sql_note_kind kind;
    struct bytes value; /* borrows the text; trimmed, not empty, cut at SQL_NOTE_SIZE_MAX */
};

/* Returns how many were written to `out`. A text without a comment costs one pass over its bytes.
 */
size_t sql_comments_read(struct bytes text, struct sql_note out[SQL_NOTES_MAX]);
/* The same declarations in a plain text, such as an application_name: "reason: monthly report". */
size_t sql_notes_read(struct bytes text, struct sql_note out[SQL_NOTES_MAX]);

#endif
