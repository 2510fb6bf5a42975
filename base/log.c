#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"

enum { LINE_SIZE = 4096 }; /* PIPE_BUF: a line stays one piece in a pipe as well */

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const level_labels[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};

struct line {
    char text[LINE_SIZE];
    size_t length;
};

static void line_put(struct line *l, const char *text, size_t length)
{
    size_t room = LINE_SIZE - 2 - l->length; /* keeps a place for the end of the line */
    size_t n = length < room ? length : room;
    memcpy(l->text + l->length, text, n);
    l->length += n;
}

static void line_put_string(struct line *l, const char *text)
{
    line_put(l, text, strlen(text));
}

static void line_put_quoted(struct line *l, const char *text)
{
    const unsigned char *end = (const unsigned char *)text + strlen(text);
    line_put(l, "\"", 1);
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        char escaped[8];
        if (l->length > LINE_SIZE - 64) {
            line_put_string(l, "...");
            break;
        }
        if (*p == '"' || *p == '\\') {
            escaped[0] = '\\';
            escaped[1] = (char)*p;
            line_put(l, escaped, 2);
        } else if (*p < 0x20 || *p == 0x7f) {
            (void)snprintf(escaped, sizeof(escaped), "\\u%04x", *p);
            line_put(l, escaped, 6);
        } else {
            size_t size = utf8_character_size(p, (size_t)(end - p));
            line_put(l, size == 0 ? "?" : (const char *)p, size == 0 ? 1 : size); /* else no JSON */
            p += size == 0 ? 0 : size - 1;
        }
    }
    line_put(l, "\"", 1);
}

static void line_put_number(struct line *l, int64_t number)
{
    char digits[24];
    (void)snprintf(digits, sizeof(digits), "%lld", (long long)number);
    line_put_string(l, digits);
}

static void line_put_field_json(struct line *l, const struct log_field *f)
{
    line_put(l, ",", 1);
    line_put_quoted(l, f->name);
    line_put(l, ":", 1);
    if (f->text != NULL) {
        line_put_quoted(l, f->text);
    } else {
        line_put_number(l, f->number);
    }
}

static void line_put_field_human(struct line *l, const struct log_field *f)
{
    line_put(l, " ", 1);
    line_put_string(l, f->name);
    line_put(l, "=", 1);
    if (f->text == NULL) {
        line_put_number(l, f->number);
    } else if (f->text[0] != '\0' && strpbrk(f->text, " \"\\\n\t\r") == NULL) {
        line_put_string(l, f->text);
    } else {
        line_put_quoted(l, f->text);
    }
}

void log_write(const struct log *log, enum log_level level, const char *event,
               const struct log_field *fields)
{
    if (log == NULL || level < log->level) {
        return;
    }
    struct line l = {.length = 0};
    char time[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(clock_wall(&log->clock), time);
    if (log->format == LOG_JSON) {
        line_put_string(&l, "{\"time\":");
        line_put_quoted(&l, time);
        line_put_string(&l, ",\"level\":");
        line_put_quoted(&l, level_names[level]);
        line_put_string(&l, ",\"event\":");
        line_put_quoted(&l, event);
    } else {
        line_put(&l, time + 11, 12);
        line_put(&l, " ", 1);
        line_put_string(&l, level_labels[level]);
        line_put(&l, " ", 1);
        line_put_string(&l, event);
    }
    for (const struct log_field *f = fields; f->name != NULL; f++) {
        if (log->format == LOG_JSON) {
            line_put_field_json(&l, f);
        } else {
            line_put_field_human(&l, f);
        }
    }
    if (log->format == LOG_JSON) {
        line_put(&l, "}", 1);
    }
    l.text[l.length] = '\n';
    ssize_t written = write(log->fd, l.text, l.length + 1);
    (void)written; /* a log that cannot be written has nowhere to say so */
}

enum err log_parse_level(const char *text, enum log_level *out)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return OK;
        }
    }
    return ERR_INVALID;
}

enum err log_parse_format(const char *text, enum log_format *out)
{
    if (strcmp(text, "json") == 0) {
        *out = LOG_JSON;
    } else if (strcmp(text, "human") == 0) {
        *out = LOG_HUMAN;
    } else {
        return ERR_INVALID;
    }
    return OK;
}
