/* A store of a test's own: a database file in a fresh directory, and what only somebody who has the
 * file can do with it. What fails, fails the test. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_STORE_FILE_H
#define CHAPERONE_CONTROLPLANE_STORE_STORE_FILE_H

#include "controlplane/store/store.h"

struct store_file {
    char directory[256];
    char path[300];
};

/* Only the directory: there is no file yet. */
void store_file_make(struct store_file *f);
/* The file with its journal, and the directory; asserts that nothing else is in it. */
void store_file_remove(const struct store_file *f);

/* The same around a test: *state is a struct store_file. */
int store_file_setup(void **state);
int store_file_teardown(void **state);
#define STORE_FILE_TEST(name)                                                                      \
    cmocka_unit_test_setup_teardown(name, store_file_setup, store_file_teardown)

/* Returns owned; `options` may be NULL. */
struct store *store_file_open(const struct store_file *f,
                              const struct store_sqlite_options *options);
/* What has content in it is encrypted to store_file_key. */
struct store *store_file_open_sealed(const struct store_file *f);
/* With that key, or none; `out` gets what it said meanwhile: "records 16 of 16, sections 3 of 3".
 */
enum { STORE_FILE_STEPS_SIZE = 256 };
struct store *store_file_open_told(const struct store_file *f, struct bytes key,
                                   char out[STORE_FILE_STEPS_SIZE]);
/* Valid for the program's life. */
struct bytes store_file_key(void);

/* It is not opened: there is that error, and the sentence in its text. */
void store_file_refuse(const char *path, enum err expected, const char *sentence);

/* Runs statements in the database, past the store. */
void store_file_sql(const struct store_file *f, const char *text);
/* The first column of the first row. */
int64_t store_file_number(const struct store_file *f, const char *text);
/* Takes the marks of all sections out, as where a version before marks wrote them. */
void store_file_drop_marks(const struct store_file *f);
/* Runs the statements of a file of testdata. */
void store_file_script(const struct store_file *f, const char *name);

/* Whether those bytes are in the database or its journal. */
bool store_file_has(const struct store_file *f, const void *what, size_t size);
bool store_file_has_word(const struct store_file *f, const char *word);

#endif
