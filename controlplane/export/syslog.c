#include "controlplane/export/syslog.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "controlplane/export/stream.h"
#include "controlplane/export/syslog_frame.h"

enum {
    /* Written at once: a few of TLS's records. One message goes beyond it where it is larger. */
    CHUNK = 64 << 10,
    CHUNK_CAP = 64 << 20,
    HOSTNAME_SIZE = 256,
};
static const int64_t settle_ns = INT64_C(2000000000);

struct syslog_sink {
    struct export_sink base;
    struct export_sink_options with;
    struct export_stream *stream; /* NULL: not connected */
    struct buffer chunk;
    char hostname[HOSTNAME_SIZE];
};

static enum err flush(struct syslog_sink *s, struct err_text *why)
{
    enum err e = export_stream_write(s->stream, buffer_bytes(&s->chunk), why);
    buffer_clear(&s->chunk);
    return e;
}

static enum err write_lines(struct syslog_sink *s, const struct export_line *lines, size_t count,
                            struct err_text *why)
{
    const struct config_export *config = s->with.config;
    enum err e = OK;
    buffer_clear(&s->chunk);
    for (size_t i = 0; e == OK && i < count; i++) {
        e = syslog_frame_append(config->syslog.facility, s->hostname, lines[i].entry, lines[i].text,
                                &s->chunk);
        if (e == OK && buffer_size(&s->chunk) >= CHUNK) {
            e = flush(s, why);
        }
    }
    return e == OK && buffer_size(&s->chunk) > 0 ? flush(s, why) : e;
}

static void disconnect(struct syslog_sink *s)
{
    export_stream_close(s->stream);
    s->stream = NULL;
}

static enum err syslog_send(struct export_sink *sink, const struct export_line *lines, size_t count,
                            size_t *out_refused, struct err_text *why)
{
    (void)out_refused;
    struct syslog_sink *s = (struct syslog_sink *)sink;
    enum err e = s->stream != NULL ? OK : export_stream_open(&s->with, &s->stream, why);
    if (e == OK) {
        e = write_lines(s, lines, count, why);
    }
    if (e != OK) {
        disconnect(s);
    }
    return e;
}

static enum err syslog_tend(struct export_sink *sink, struct err_text *why)
{
    struct syslog_sink *s = (struct syslog_sink *)sink;
    enum err e = s->stream == NULL ? OK : export_stream_check(s->stream, why);
    if (e != OK) {
        disconnect(s);
    }
    return e;
}

static void syslog_destroy(struct export_sink *sink)
{
    struct syslog_sink *s = (struct syslog_sink *)sink;
    disconnect(s);
    buffer_finish(&s->chunk);
    free(s);
}

/* RFC 5424 section 6.2.4: NILVALUE where there is none that may stand there. */
static void find_hostname(struct syslog_sink *s)
{
    const char *given = s->with.config->syslog.hostname;
    if (given != NULL) {
        (void)snprintf(s->hostname, sizeof(s->hostname), "%s", given);
    } else if (gethostname(s->hostname, sizeof(s->hostname) - 1) != 0) {
        s->hostname[0] = '\0';
    }
    for (size_t i = 0; s->hostname[i] != '\0'; i++) {
        if (s->hostname[i] <= ' ' || s->hostname[i] >= 0x7f) {
            s->hostname[i] = '?';
        }
    }
}

enum err export_syslog_create(const struct export_sink_options *options, struct export_sink **out,
                              struct err_text *why)
{
    static const struct export_sink_ops ops = {
        .send = syslog_send, .tend = syslog_tend, .destroy = syslog_destroy};
    (void)why;
    struct syslog_sink *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    size_t message_max = (size_t)options->config->syslog.message_max;
    s->base = (struct export_sink){
        .ops = &ops,
        .line_max = message_max > SYSLOG_HEADER_MAX ? message_max - SYSLOG_HEADER_MAX : 0,
        .settle_ns = settle_ns};
    s->with = *options;
    buffer_init(&s->chunk, CHUNK_CAP);
    find_hostname(s);
    *out = &s->base;
    return OK;
}
