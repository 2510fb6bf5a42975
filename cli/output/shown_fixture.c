#include "cli/output/shown_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/output/line.h"
#include "formats/record_json.h"

void shown_init(struct shown *s, const char *resource, const char *protocol, uint64_t sequence)
{
    chaperone__v1__entry__init(&s->entry);
    chaperone__v1__record__init(&s->record);
    s->entry.identity = TEXT("dev-agent");
    s->entry.resource = TEXT(resource);
    s->entry.protocol = TEXT(protocol);
    s->record.sidecar = TEXT("sidecar-1");
    s->record.session = TEXT(SHOWN_SESSION);
    s->record.sequence = sequence;
    s->record.time_unix_ns = SHOWN_START_NS + (int64_t)sequence * 1000000;
}

void shown_transcript_begin(struct shown_transcript *t)
{
    enum { ROWS = 5 };
    *t = (struct shown_transcript){.text = NULL};
    t->terminal.out = open_memstream(&t->text, &t->size);
    assert_non_null(t->terminal.out);
    t->transcript = transcript_create(&t->terminal, ROWS);
    assert_non_null(t->transcript);
}

void shown_transcript_add(struct shown_transcript *t, const struct shown *s)
{
    struct record_view v;
    record_view_init(&v, &s->entry, &s->record);
    assert_int_equal(transcript_add(t->transcript, &v), OK);
}

char *shown_transcript_end(struct shown_transcript *t)
{
    transcript_destroy(t->transcript);
    assert_int_equal(fclose(t->terminal.out), 0);
    return t->text;
}

char *shown_told(const struct shown *s)
{
    struct shown_transcript t;
    shown_transcript_begin(&t);
    shown_transcript_add(&t, s);
    return shown_transcript_end(&t);
}

char *shown_json(const struct shown *s, bool with_rows)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct record_view v;
    assert_non_null(out);
    record_view_init(&v, &s->entry, &s->record);
    assert_int_equal(record_json_write(out, &v, with_rows), OK);
    assert_int_equal(fclose(out), 0);
    return text;
}

void shown_assert_described(const struct shown *s, const char *expected)
{
    struct buffer line;
    struct record_view v;
    buffer_init(&line, 4096);
    record_view_init(&v, &s->entry, &s->record);
    assert_int_equal(line_describe(&v, &line), OK);
    char *text = bytes_to_string(buffer_bytes(&line));
    assert_string_equal(text, expected);
    assert_int_equal(buffer_bytes(&line).size, strlen(expected)); /* no NUL hides the rest */
    free(text);
    buffer_finish(&line);
}

void shown_assert_says(char *text, const char *words)
{
    if (strstr(text, words) == NULL) {
        fail_msg("\"%s\" is not in: %s", words, text);
    }
    free(text);
}
