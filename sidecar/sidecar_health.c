#include "sidecar/sidecar_internal.h"

static enum err write_metrics(void *context, struct buffer *out)
{
    struct sidecar *s = context;
    struct recorder_status recorder = {0};
    struct control_status control = {0};
    if (s->recorder != NULL) {
        recorder_status(s->recorder, &recorder);
    }
    control_status(s->control, &control);
    const struct metrics_gauges gauges = {
        .spool_bytes = recorder.used,
        .spool_cap = recorder.cap,
        .records = recorder.last,
        .records_acknowledged = recorder.acknowledged,
        .records_lost = recorder.lost,
        .policy_revision = control.policy_revision,
        .connected = control.connected,
        .certificate_not_after_s = control.not_after_unix_ns / 1000000000,
        .uptime_s = (double)(clock_monotonic(&s->clock) - s->started_ns) / 1e9,
    };
    return metrics_write(&s->metrics, &gauges, out);
}

/* Why no session can be opened, or NULL. */
static const char *why_not_ready(struct sidecar *s)
{
    struct control_status control = {0};
    struct recorder_status recorder = {0};
    control_status(s->control, &control);
    if (s->stopping) {
        return "shutting down";
    }
    if (control.revoked) {
        return "this sidecar has been revoked";
    }
    if (!control.enrolled || s->recorder == NULL) {
        return "not enrolled at the control plane";
    }
    recorder_status(s->recorder, &recorder);
    if (recorder.state != OK) {
        return "records cannot be written";
    }
    if (s->shared->policy == NULL) {
        return "no policy yet";
    }
    return control.connected ? NULL : "the control plane is not connected";
}

static bool write_ready(void *context, struct buffer *out)
{
    const char *why = why_not_ready(context);
    enum err e =
        why == NULL ? buffer_append_string(out, "{\"status\":\"ready\"}\n")
                    : buffer_append_format(out, "{\"status\":\"not_ready\",\"why\":\"%s\"}\n", why);
    return e == OK && why == NULL;
}

const struct health_source sidecar_health = {.metrics = write_metrics, .ready = write_ready};
