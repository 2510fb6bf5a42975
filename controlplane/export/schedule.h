/* When a scheduled export is due. Pure. */
#ifndef CHAPERONE_CONTROLPLANE_EXPORT_SCHEDULE_H
#define CHAPERONE_CONTROLPLANE_EXPORT_SCHEDULE_H

#include <stdint.h>

/* The last moment at or before `now_ns` that is a multiple of `every_ns` since 1970-01-01 UTC plus
 * `offset_ns` (of the day, at most every_ns). UTC has no summer time: each day has one such
 * moment. */
int64_t export_schedule_last(int64_t every_ns, int64_t offset_ns, int64_t now_ns);

#endif
