#include "sidecar/metrics.h"

struct sample {
    const char *name, *type, *help;
    double value;
};

static enum err put(struct buffer *out, const struct sample *s)
{
    return buffer_append_format(
        out, "# HELP chaperone_%s %s\n# TYPE chaperone_%s %s\nchaperone_%s %.17g\n", s->name,
        s->help, s->name, s->type, s->name, s->value);
}

enum err metrics_write(const struct metrics *m, const struct metrics_gauges *g, struct buffer *out)
{
    const struct sample samples[] = {
        {"sessions_active", "gauge", "Sessions that are open.", (double)m->sessions_active},
        {"sessions_opened_total", "counter", "Sessions that were granted.",
         (double)m->sessions_opened},
        {"sessions_refused_total", "counter", "Sessions that were refused.",
         (double)m->sessions_refused},
        {"sessions_closed_total", "counter", "Sessions that ended.", (double)m->sessions_closed},
        {"sessions_killed_total", "counter", "Sessions that an operator ended.",
         (double)m->sessions_killed},
        {"operations_allowed_total", "counter", "Operations that were let through.",
         (double)m->operations_allowed},
        {"operations_refused_total", "counter", "Operations that were refused.",
         (double)m->operations_refused},
        {"operations_held_total", "counter", "Operations that people were asked about.",
         (double)m->operations_held},
        {"outcomes_failed_total", "counter", "Operations that the target answered with an error.",
         (double)m->outcomes_failed},
        {"outcomes_unknown_total", "counter", "Operations whose answer never came.",
         (double)m->outcomes_unknown},
        {"bytes_from_agents_total", "counter", "Bytes received from agents.",
         (double)m->bytes_from_agents},
        {"bytes_to_agents_total", "counter", "Bytes sent to agents.", (double)m->bytes_to_agents},
        {"record_failures_total", "counter", "Records that could not be written.",
         (double)m->record_failures},
        {"cancels_total", "counter", "Cancel requests that were passed on.", (double)m->cancels},
        {"connections_rejected_total", "counter", "Connections closed for want of resources.",
         (double)m->connections_rejected},
        {"spool_bytes", "gauge", "Bytes of the spool on disk.", (double)g->spool_bytes},
        {"spool_cap_bytes", "gauge", "Bytes the spool may hold.", (double)g->spool_cap},
        {"records_total", "counter", "Sequence number of the last record.", (double)g->records},
        {"records_acknowledged_total", "counter", "Sequence number that the control plane has.",
         (double)g->records_acknowledged},
        {"records_lost_total", "counter", "Records found to be lost.", (double)g->records_lost},
        {"policy_revision", "gauge", "Revision of the active policy.", (double)g->policy_revision},
        {"control_plane_connected", "gauge", "1 while the control plane is connected.",
         (double)g->connected},
        {"certificate_not_after_seconds", "gauge", "When the client certificate ends.",
         (double)g->certificate_not_after_s},
        {"uptime_seconds", "gauge", "Since the process started.", g->uptime_s},
    };
    enum err e = OK;
    for (size_t i = 0; e == OK && i < sizeof(samples) / sizeof(samples[0]); i++) {
        e = put(out, &samples[i]);
    }
    return e;
}
