/* Sections as they are read: a row with its head opened, the batch it came with, and its content
 * when that is asked for. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_SECTIONS_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_SECTIONS_H

#include "controlplane/store/sqlite_content.h"

/* Of audit_batch.hashes: one row has no more. An append of more records makes several. */
enum { BATCH_RECORDS_MAX = 2048 };

/* The newest record of the log. */
struct section_log_end {
    uint64_t position; /* 0: there is none */
    bool has_hashes;   /* its batch has as many as records, else it was changed */
};
/* ERR_DENIED: the row of its batch was changed, so that this cannot be told. */
enum err section_log_end_read(struct db *db, struct section_log_end *out) MUST_USE;

/* Reads sections in one read or write of a connection; remembers the last batch, as neighbours
 * mostly came together. */
struct section_reader {
    struct db *db;
    int64_t position, stream, sequence, received_ns; /* of the batch; position 0: none yet */
    size_t count;
    struct buffer hashes;
};
void section_reader_init(struct section_reader *reader, struct db *db);
void section_reader_finish(struct section_reader *reader);

struct section_row {
    int64_t key, last_key;
    int64_t session, identity, resource; /* ids; 0: none */
    enum sqlite_form form;
    int64_t position, stream, sequence, received_ns; /* of its batch: record i is `at` behind */
    struct section_record *records;                  /* in the arena */
    uint8_t (*hashes)[STORE_HASH_SIZE];              /* of its records; in the arena */
    size_t count;
    struct bytes stored;           /* in the arena; its content as it is in the row */
    uint8_t hash[STORE_HASH_SIZE]; /* section_hash, of one that is encrypted */
    bool is_whole; /* else without what is in its batch, without hashes and content */
};
/* In the arena. ERR_NOT_FOUND; ERR_DENIED: the row, or that of its batch, was changed: then
 * `out->position` says which (0: not known). */
enum err section_read(struct section_reader *reader, int64_t key, struct arena *arena,
                      struct section_row *out) MUST_USE;
/* The same in two steps: most sections that a search looks at are told by their heads that they
 * have nothing for it. The second step may read into another arena; after it the row is whole. */
enum err section_read_head(struct section_reader *reader, int64_t key, struct arena *arena,
                           struct section_row *out) MUST_USE;
enum err section_read_rest(struct section_reader *reader, struct arena *arena,
                           struct section_row *row) MUST_USE;
/* As sqlite_content_open, of a row that is whole, with the id that its session has in
 * audit_session. */
enum err section_open(struct section_reader *reader, const struct section_row *row,
                      struct arena *arena, struct section_content **out) MUST_USE;

#endif
