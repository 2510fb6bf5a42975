/* Records of a stream without a gap, on their way into the database: one row of audit_batch, which
 * is the log's order, and a section (sqlite_section.h) for what each session has in it. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_BATCH_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_BATCH_H

#include "controlplane/store/sqlite.h"
#include "controlplane/store/sqlite_sections.h"

struct batch_session {
    int64_t id;                 /* audit_session.id; 0: of the stream itself */
    int64_t identity, resource; /* audit_name.id, 0: none */
    enum sqlite_form form;
    uint8_t key[CONTENT_KEY_SIZE]; /* where form is SQLITE_FORM_SEALED */
};

struct batch_row {
    uint8_t hash[STORE_HASH_SIZE];
    int64_t key;
    size_t session; /* in batch.sessions */
    enum store_audit_kind kind;
    int verdict;
    bool is_in_blob;
    struct bytes canonical, text;  /* borrowed; text of an erased one: empty */
    size_t tables_at, table_count; /* in batch.tables */
};

struct batch {
    int64_t stream, received_ns;
    int64_t position;       /* of its first record: a u64 below 2^63 */
    int64_t sequence;       /* of its first record */
    struct batch_row *rows; /* owned; keys ascending */
    size_t count, room;
    struct batch_session *sessions; /* owned; wiped at the end */
    size_t session_count, session_room;
    struct section_table *tables; /* owned */
    size_t table_count, table_room;
    bool marks_all;                /* sections that come few at a time, too */
    struct batch_places *places;   /* owned: where a session is in `sessions` */
    struct batch_sections *making; /* owned: what sections are made with */
};

/* Room for `count` rows. `finish` also after it failed. */
enum err batch_init(struct batch *batch, size_t count) MUST_USE;
/* For the next records: keeps its memory. */
void batch_clear(struct batch *batch);
void batch_finish(struct batch *batch);

/* The session's place in `sessions`, copied there when it is not yet as it is now: its identity and
 * resource may change from one record to the next. */
enum err batch_add_session(struct batch *batch, const struct batch_session *session,
                           size_t *out) MUST_USE;
enum err batch_add_table(struct batch *batch, struct section_table table) MUST_USE;

/* In a write: moves rows on in time, as little as will do, until no record has any of their keys.
 * ERR_INTERNAL: there is no place for them. */
enum err batch_choose_keys(struct db *db, struct batch *batch) MUST_USE;

/* In a write, whose transaction an error ends: writes `count` rows from `from` on (at most
 * BATCH_RECORDS_MAX, their position and sequence are counted from the batch's), and what they are
 * found by. */
enum err batch_write(struct db *db, const struct batch *batch, size_t from, size_t count) MUST_USE;

/* The document of a section in the index of words: the different words of its texts in `text`, and
 * in `tag` a word for each thing that is asked for together with words: s7 session, i12 identity,
 * r3 resource, t5 last part of a table's name, v1 verdict; each once, in the order of the records.
 * The same section gives the same bytes: the index forgets what it is told again. */
struct batch_document {
    struct buffer text, tag; /* empty text: it is not in the index */
    struct buffer marks;     /* of its texts (sqlite_marks.h), not sealed; empty: none */
    struct buffer sealed;    /* scratch */
    struct batch_ids *ids;   /* owned */
};
/* Its memory is kept from one to the next. */
enum err batch_document_init(struct batch_document *document) MUST_USE;
void batch_document_finish(struct batch_document *document); /* also after init failed */
enum err batch_document_make(struct db *db, int64_t session, int64_t identity, int64_t resource,
                             const struct section_record *records,
                             const struct section_content *contents, size_t count,
                             struct batch_document *out) MUST_USE;
/* In a write: its marks in the place of those that the section of this key had. */
enum err batch_marks_write(struct db *db, int64_t key, struct batch_document *document) MUST_USE;

#endif
