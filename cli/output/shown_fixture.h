/* One record of a session as the control plane hands it out, and how it is shown. What fails, fails
 * the test. */
#ifndef CHAPERONE_CLI_OUTPUT_SHOWN_FIXTURE_H
#define CHAPERONE_CLI_OUTPUT_SHOWN_FIXTURE_H

#include <stdbool.h>

#include "cli/output/literals.h"
#include "cli/output/terminal.h"
#include "cli/output/transcript.h"
#include "formats/record.h"

static const int64_t SHOWN_START_NS = 1795250580LL * 1000000000; /* 2026-11-21 08:43 UTC */
#define SHOWN_SESSION "019f0000-0000-7000-8000-000000000001"

struct shown {
    Chaperone__V1__Entry entry;
    Chaperone__V1__Record record;
};

/* Of the agent "dev-agent" at "sidecar-1", `sequence` milliseconds after the start; without an
 * event. Borrows the texts. */
void shown_init(struct shown *s, const char *resource, const char *protocol, uint64_t sequence);

/* A transcript in memory, of up to five rows of each answer. Stays where it is until its end. */
struct shown_transcript {
    char *text;
    size_t size;
    struct terminal terminal;
    struct transcript *transcript;
};
void shown_transcript_begin(struct shown_transcript *t);
void shown_transcript_add(struct shown_transcript *t, const struct shown *s);
/* What it says; returns owned (free). */
char *shown_transcript_end(struct shown_transcript *t);

/* What the transcript says of it alone; returns owned (free), as the next. */
char *shown_told(const struct shown *s);
char *shown_json(const struct shown *s, bool with_rows);

/* In a line, after who and when. */
void shown_assert_described(const struct shown *s, const char *expected);
/* Takes `text`, which may be a transcript or JSON: the words are in it. */
void shown_assert_says(char *text, const char *words);

#endif
