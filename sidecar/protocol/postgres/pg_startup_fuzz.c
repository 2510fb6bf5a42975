#include "sidecar/protocol/postgres/pg_startup.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pg_startup startup;
    struct bytes in = bytes_of(data, size);
    if (pg_startup_read(in, &startup) != WIRE_OK) {
        return 0;
    }
    if (startup.size > size || startup.size < PG_STARTUP_SIZE_MIN) {
        abort();
    }
    /* A prefix is never more than a promise. */
    struct pg_startup ignored;
    for (size_t cut = 0; cut < startup.size; cut++) {
        if (pg_startup_read(bytes_of(data, cut), &ignored) != WIRE_NEED_MORE) {
            abort();
        }
    }
    /* The pairs are all there is of the parameters. */
    struct bytes rest = startup.parameters, value;
    struct pg_setting setting;
    size_t users = 0, total = 0;
    while (pg_startup_next(&rest, &setting)) {
        users += bytes_equal_string(setting.name, "user");
        total += setting.name.size + setting.value.size + 2;
    }
    if (rest.size != 0 || total != startup.parameters.size ||
        pg_startup_find(&startup, "user", &value) != users) {
        abort();
    }
    return 0;
}
