/* Structured logs: an event name with fields, one line each, to standard error.
 *
 *     log_event(log, LOG_INFO, "session_opened", log_text("session", id), log_number("port",
 * 5432));
 *
 * JSON, or for people `08:43:12 INFO session_opened session=… port=5432`. Thread-safe: a line is
 * one write. Never a payload, never a secret: no field of a log line comes from an agent's data or
 * a credential. */
#ifndef CHAPERONE_BASE_LOG_H
#define CHAPERONE_BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_JSON, LOG_HUMAN };

struct log {
    int fd; /* borrows */
    enum log_format format;
    enum log_level level; /* lines below it are dropped */
    struct clock clock;
};

struct log_field {
    const char *name; /* NULL ends the list */
    const char *text; /* NULL: `number` counts */
    int64_t number;
};

static inline struct log_field log_text(const char *name, const char *text)
{
    return (struct log_field){.name = name, .text = text == NULL ? "" : text};
}

static inline struct log_field log_number(const char *name, int64_t number)
{
    return (struct log_field){.name = name, .number = number};
}

#define log_event(log, level, event, ...)                                                          \
    log_write((log), (level), (event), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})

void log_write(const struct log *log, enum log_level level, const char *event,
               const struct log_field *fields);

/* "debug", "info", "warn", "error"; "json", "human". */
enum err log_parse_level(const char *text, enum log_level *out) MUST_USE;
enum err log_parse_format(const char *text, enum log_format *out) MUST_USE;

#endif
