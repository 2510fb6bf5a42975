#include "controlplane/store/store_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "controlplane/store/content.h"

void store_file_make(struct store_file *f)
{
    const char *parent = getenv("TEST_TMPDIR");
    (void)snprintf(f->directory, sizeof(f->directory), "%s/store-XXXXXX",
                   parent == NULL ? "/tmp" : parent);
    assert_non_null(mkdtemp(f->directory));
    (void)snprintf(f->path, sizeof(f->path), "%s/store.db", f->directory);
}

void store_file_remove(const struct store_file *f)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        char path[320];
        (void)snprintf(path, sizeof(path), "%s%s", f->path, suffixes[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(f->directory), 0);
}

int store_file_setup(void **state)
{
    struct store_file *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    store_file_make(f);
    *state = f;
    return 0;
}

int store_file_teardown(void **state)
{
    store_file_remove(*state);
    free(*state);
    return 0;
}

struct store *store_file_open(const struct store_file *f,
                              const struct store_sqlite_options *options)
{
    struct store *store = NULL;
    struct err_text why = {.text = ""};
    enum err err = store_open_sqlite(f->path, options, &store, &why);
    if (err != OK) {
        print_error("%s\n", why.text);
    }
    assert_int_equal(err, OK);
    return store;
}

struct bytes store_file_key(void)
{
    static const uint8_t key[CONTENT_KEY_SIZE] = {7, 7, 7};
    return bytes_of(key, sizeof(key));
}

struct store *store_file_open_sealed(const struct store_file *f)
{
    const struct store_sqlite_options options = {.content_master = store_file_key()};
    return store_file_open(f, &options);
}

static void on_step(void *context, const char *what, uint64_t done, uint64_t all)
{
    char *out = context;
    size_t size = strlen(out);
    (void)snprintf(out + size, STORE_FILE_STEPS_SIZE - size, "%s%s %d of %d", size == 0 ? "" : ", ",
                   what, (int)done, (int)all);
}

struct store *store_file_open_told(const struct store_file *f, struct bytes key,
                                   char out[STORE_FILE_STEPS_SIZE])
{
    const struct store_progress progress = {.on_step = on_step, .context = out};
    const struct store_sqlite_options options = {.content_master = key, .progress = &progress};
    out[0] = '\0';
    return store_file_open(f, &options);
}

void store_file_refuse(const char *path, enum err expected, const char *sentence)
{
    struct store *store = NULL;
    struct err_text why = {.text = ""};
    assert_int_equal(store_open_sqlite(path, NULL, &store, &why), expected);
    assert_null(store);
    if (strstr(why.text, sentence) == NULL) {
        print_error("\"%s\" is not in \"%s\"\n", sentence, why.text);
    }
    assert_non_null(strstr(why.text, sentence));
}

void store_file_sql(const struct store_file *f, const char *text)
{
    sqlite3 *db = NULL;
    char *why = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK) {
        print_error("%s\n", why);
        fail();
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int64_t store_file_number(const struct store_file *f, const char *text)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *get = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &get, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(get), SQLITE_ROW);
    int64_t result = sqlite3_column_int64(get, 0);
    assert_int_equal(sqlite3_finalize(get), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return result;
}

void store_file_drop_marks(const struct store_file *f)
{
    store_file_sql(f, "DELETE FROM audit_mark;"
                      "CREATE TABLE IF NOT EXISTS audit_mark_made (key INTEGER PRIMARY KEY NOT"
                      " NULL) STRICT;"
                      "DELETE FROM audit_mark_made;"
                      "INSERT INTO audit_mark_made VALUES (-9223372036854775808)");
}

void store_file_script(const struct store_file *f, const char *name)
{
    char path[128], *text = NULL;
    size_t size = 0;
    (void)snprintf(path, sizeof(path), "controlplane/store/testdata/%s", name);
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    assert_true(getdelim(&text, &size, '\0', in) > 0);
    assert_int_equal(fclose(in), 0);
    store_file_sql(f, text);
    free(text);
}

static bool path_has(const char *path, const void *what, size_t size)
{
    char *text = NULL;
    FILE *in = fopen(path, "r");
    if (in == NULL) {
        return false;
    }
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    long length = ftell(in);
    rewind(in);
    text = calloc(1, (size_t)length + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)length, in), length);
    bool has = memmem(text, (size_t)length, what, size) != NULL;
    assert_int_equal(fclose(in), 0);
    free(text);
    return has;
}

bool store_file_has(const struct store_file *f, const void *what, size_t size)
{
    char wal[320];
    (void)snprintf(wal, sizeof(wal), "%s-wal", f->path);
    return path_has(f->path, what, size) || path_has(wal, what, size);
}

bool store_file_has_word(const struct store_file *f, const char *word)
{
    return store_file_has(f, word, strlen(word));
}
