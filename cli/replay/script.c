#include "cli/replay/script.h"

#include <stdlib.h>

#include "cli/output/transcript.h"
#include "cli/replay/pace.h"
#include "formats/text.h"

struct script {
    struct script_step *steps;
    size_t count;
    char *text; /* of all steps */
    size_t text_size;
};

void script_destroy(struct script *s)
{
    if (s != NULL) {
        free(s->steps);
        free(s->text);
        free(s);
    }
}

/* What an agent wrote is in the names of commands only as far as the parser knew them; they are
 * made safe all the same. */
void script_label(const Chaperone__V1__Intent *intent, char out[SCRIPT_LABEL_SIZE])
{
    const char *what = intent->n_commands > 0 ? intent->commands[0] : intent->verb;
    int size = snprintf(out, SCRIPT_LABEL_SIZE, "#%llu ", (unsigned long long)intent->operation);
    size_t used = size < 0 ? 0 : (size_t)size;
    struct bytes rest = bytes_of_string(what);
    struct text_unit unit;
    while (text_next(&rest, TEXT_SQUEEZED, &unit) && unit.size < SCRIPT_LABEL_SIZE - used) {
        memcpy(out + used, unit.bytes, unit.size);
        used += unit.size;
        out[used] = '\0';
    }
}

/* Where each step begins is kept in its `size` until the text is complete: it moves as it grows. */
static enum err write_steps(struct script *s, const struct recording *recording,
                            struct transcript *transcript, FILE *out, int64_t idle_limit_ns)
{
    struct pace_gaps gaps = {.limit_ns = idle_limit_ns};
    enum err e = OK;
    for (size_t i = 0; e == OK && i < recording_count(recording); i++) {
        struct record_view v;
        struct script_step *step = &s->steps[s->count++];
        recording_view(recording, i, &v);
        step->due_ns = pace_gaps_add(&gaps, v.record->time_unix_ns);
        step->text.size = (size_t)ftello(out);
        if (v.record->event_case == CHAPERONE__V1__RECORD__EVENT_INTENT) {
            step->is_statement = true;
            script_label(v.record->intent, step->label);
        }
        e = transcript_add(transcript, &v);
    }
    if (e == OK && s->count > 0) {
        s->steps[s->count] = (struct script_step){.due_ns = gaps.due_ns};
        s->steps[s->count++].text.size = (size_t)ftello(out);
        transcript_end(transcript);
    }
    return e;
}

static void cut_text(struct script *s)
{
    for (size_t i = 0; i < s->count; i++) {
        size_t start = s->steps[i].text.size;
        size_t end = i + 1 < s->count ? s->steps[i + 1].text.size : s->text_size;
        s->steps[i].text = bytes_of(s->text + start, end - start);
    }
    /* The last one says what is missing, which is mostly nothing. */
    if (s->count > 0 && s->steps[s->count - 1].text.size == 0) {
        s->count--;
    }
}

enum err script_create(const struct recording *recording, const struct terminal *terminal,
                       size_t max_rows, int64_t idle_limit_ns, struct script **out)
{
    struct transcript *transcript = NULL;
    struct terminal page = *terminal;
    struct script *s = calloc(1, sizeof(*s));
    enum err e = ERR_NO_MEMORY;
    page.out = NULL;
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    s->steps = calloc(recording_count(recording) + 1, sizeof(*s->steps));
    page.out = open_memstream(&s->text, &s->text_size);
    transcript = page.out == NULL ? NULL : transcript_create(&page, max_rows);
    if (s->steps != NULL && transcript != NULL) {
        e = write_steps(s, recording, transcript, page.out, idle_limit_ns);
    }
    if (page.out != NULL) {
        bool is_whole = ferror(page.out) == 0;
        is_whole = fclose(page.out) == 0 && is_whole;
        e = e == OK && !is_whole ? ERR_NO_MEMORY : e;
    }
    transcript_destroy(transcript);
    if (e != OK) {
        script_destroy(s);
        return e;
    }
    cut_text(s);
    *out = s;
    return OK;
}

size_t script_count(const struct script *s)
{
    return s->count;
}

const struct script_step *script_step(const struct script *s, size_t index)
{
    return &s->steps[index];
}
