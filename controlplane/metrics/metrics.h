/* What the control plane counts, in Prometheus' text exposition format 0.0.4.
 *
 * A source is a function that writes what it knows at the time it is asked: nothing is kept here.
 * Sources are added before the metrics are served, and live longer. */
#ifndef CHAPERONE_CONTROLPLANE_METRICS_METRICS_H
#define CHAPERONE_CONTROLPLANE_METRICS_METRICS_H

#include "base/bytes.h"

enum { METRICS_SOURCES_MAX = 16, METRICS_TEXT_CAP = 4 << 20 };

struct metrics;
struct metrics_page; /* what is being written */

/* On the server's thread. What it could not find out it leaves out. */
typedef void metrics_source_fn(void *context, struct metrics_page *page);

/* Returns owned; NULL when memory is short. */
struct metrics *metrics_create(void) MUST_USE;
void metrics_destroy(struct metrics *metrics); /* takes NULL */

/* ERR_LIMIT: more than METRICS_SOURCES_MAX. */
enum err metrics_add(struct metrics *metrics, metrics_source_fn *source, void *context) MUST_USE;

/* Begins a metric; its samples follow. `type` is "counter" or "gauge"; all three are ours, without
 * line ends. */
void metrics_begin(struct metrics_page *page, const char *name, const char *type, const char *help);
/* A sample of it; `label` NULL: without one. The value may be any text, and is escaped. */
void metrics_sample(struct metrics_page *page, const char *label, const char *value, double number);
/* The whole metric of one sample. */
void metrics_gauge(struct metrics_page *page, const char *name, const char *help, double number);
void metrics_counter(struct metrics_page *page, const char *name, const char *help, double number);

/* Asks every source. ERR_NO_MEMORY, ERR_LIMIT. */
enum err metrics_write(struct metrics *metrics, struct buffer *out) MUST_USE;

#endif
