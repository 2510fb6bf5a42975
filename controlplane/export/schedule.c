#include "controlplane/export/schedule.h"

int64_t export_schedule_last(int64_t every_ns, int64_t offset_ns, int64_t now_ns)
{
    int64_t since = now_ns - offset_ns;
    int64_t beyond = since % every_ns;
    return now_ns - (beyond < 0 ? beyond + every_ns : beyond);
}
