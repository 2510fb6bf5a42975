#include "controlplane/metrics/metrics.h"

#include <stdlib.h>

struct metrics {
    struct {
        metrics_source_fn *source;
        void *context;
    } sources[METRICS_SOURCES_MAX];
    size_t count;
};

struct metrics_page {
    struct buffer *out;
    const char *name; /* of the metric that was begun */
    enum err failed;
};

struct metrics *metrics_create(void)
{
    return calloc(1, sizeof(struct metrics));
}

void metrics_destroy(struct metrics *metrics)
{
    free(metrics);
}

enum err metrics_add(struct metrics *metrics, metrics_source_fn *source, void *context)
{
    if (metrics->count == METRICS_SOURCES_MAX) {
        return ERR_LIMIT;
    }
    metrics->sources[metrics->count].source = source;
    metrics->sources[metrics->count++].context = context;
    return OK;
}

void metrics_begin(struct metrics_page *page, const char *name, const char *type, const char *help)
{
    page->name = name;
    if (page->failed == OK) {
        page->failed =
            buffer_append_format(page->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
    }
}

/* Backslash, quote and line end (the format's "Comments, help text, and type information"). */
static enum err append_value(struct buffer *out, const char *value)
{
    enum err e = OK;
    for (; e == OK && *value != '\0'; value++) {
        e = *value == '\\'   ? buffer_append_string(out, "\\\\")
            : *value == '"'  ? buffer_append_string(out, "\\\"")
            : *value == '\n' ? buffer_append_string(out, "\\n")
                             : buffer_append(out, bytes_of(value, 1));
    }
    return e;
}

void metrics_sample(struct metrics_page *page, const char *label, const char *value, double number)
{
    enum err e = page->failed;
    e = e == OK ? buffer_append_string(page->out, page->name) : e;
    if (label != NULL) {
        e = e == OK ? buffer_append_format(page->out, "{%s=\"", label) : e;
        e = e == OK ? append_value(page->out, value) : e;
        e = e == OK ? buffer_append_string(page->out, "\"}") : e;
    }
    page->failed = e == OK ? buffer_append_format(page->out, " %.17g\n", number) : e;
}

void metrics_gauge(struct metrics_page *page, const char *name, const char *help, double number)
{
    metrics_begin(page, name, "gauge", help);
    metrics_sample(page, NULL, NULL, number);
}

void metrics_counter(struct metrics_page *page, const char *name, const char *help, double number)
{
    metrics_begin(page, name, "counter", help);
    metrics_sample(page, NULL, NULL, number);
}

enum err metrics_write(struct metrics *metrics, struct buffer *out)
{
    struct metrics_page page = {.out = out};
    for (size_t i = 0; i < metrics->count; i++) {
        metrics->sources[i].source(metrics->sources[i].context, &page);
    }
    return page.failed;
}
