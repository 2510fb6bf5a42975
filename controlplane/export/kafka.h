/* Records to a topic of Kafka (librdkafka): an idempotent producer that waits for all replicas. A
 * record counts as taken with its delivery report. The key is the session, so that the records of
 * one are in one partition, in their order. */
#ifndef CHAPERONE_CONTROLPLANE_EXPORT_KAFKA_H
#define CHAPERONE_CONTROLPLANE_EXPORT_KAFKA_H

#include "controlplane/export/sink.h"

/* Returns owned. ERR_INVALID: an option that librdkafka does not take; others: of the secrets. */
enum err export_kafka_create(const struct export_sink_options *options, struct export_sink **out,
                             struct err_text *why) MUST_USE;

/* Whether the options can be: `why` names the place in the configuration. Secrets are not read. */
enum err export_kafka_check(const struct config_export *config, struct err_text *why) MUST_USE;

#endif
