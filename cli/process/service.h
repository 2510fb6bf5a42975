/* What starting one of our own services takes: its binary, a free port, a word that it is
 * ready, and what it said when it is not. */
#ifndef CHAPERONE_CLI_PROCESS_SERVICE_H
#define CHAPERONE_CLI_PROCESS_SERVICE_H

#include <limits.h>
#include <stdio.h>

#include "base/bytes.h"

/* Finds "chaperone-sidecar" and the like: in CHAPERONE_LIBEXEC, beside our own executable, where
 * an installation keeps it (../libexec/chaperone, ../lib/chaperone), where a build puts it
 * (../sidecar). ERR_NOT_FOUND names the places. */
enum err service_find(const char *name, const char *build_folder, char out[PATH_MAX],
                      struct err_text *error) MUST_USE;

/* A port of 127.0.0.1 that nobody uses now, and that no process was given here that still runs:
 * `preferred` if it is such a one (0: none is), else any. ERR_IO: none of some tries. */
enum err service_free_port(uint16_t preferred, uint16_t *out) MUST_USE;
/* Whether an address can be listened on now; ERR_EXISTS: it is in use. `host` is numeric. */
enum err service_check_listen(const char *host, uint16_t port, struct err_text *error) MUST_USE;
/* Whether something accepts connections there now; gives up after `timeout_ms`. */
bool service_accepts(const char *host, uint16_t port, int timeout_ms);

enum service_health { SERVICE_NO_ANSWER, SERVICE_NOT_READY, SERVICE_READY };
/* Asks GET http://ADDRESS/readyz of "127.0.0.1:9100" or the like. `reason` gets the first line of
 * the answer. */
enum { SERVICE_REASON_SIZE = 256 };
enum service_health service_ask_ready(const char *address, char reason[SERVICE_REASON_SIZE]);

/* Prints the last lines that were written to a log file behind `offset` bytes, made safe and
 * indented. */
void service_print_log_tail(FILE *out, const char *log_file, long offset);
/* Its size now; 0 when there is none. */
long service_log_size(const char *log_file);

#endif
