/* A server that says anything: a byte of options, then messages as kind, size and data. */
#include "sidecar/protocol/postgres/pg_login.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* More iterations are only more time. */
enum { SLICES = 2 };

static enum err known_random(void *context, uint8_t *out, size_t size)
{
    (void)context;
    memset(out, 0, size);
    return OK;
}

static struct pg_login_options options_of(uint8_t flags)
{
    return (struct pg_login_options){
        .user = bytes_of_string("ann"),
        .password = bytes_of_string((flags & 1) != 0 ? "" : "pencil"),
        .allow_cleartext = (flags & 2) != 0,
        .is_tls = (flags & 4) != 0,
        .server_end_point = bytes_of_string((flags & 8) != 0 ? "hash" : ""),
        .random = {.fill = known_random},
    };
}

/* True when the login goes on. */
static bool feed(struct pg_login *login, const struct pg_authentication *message,
                 struct buffer *out)
{
    struct err_text why = {.text = ""};
    buffer_clear(out);
    enum pg_login_step step = pg_login_feed(login, message, out, &why);
    for (int i = 0; i < SLICES && step == PG_LOGIN_WORK; i++) {
        step = pg_login_work(login, out, &why);
    }
    if (step == PG_LOGIN_FAILED && (why.text[0] == '\0' || buffer_size(out) != 0)) {
        abort();
    }
    return step == PG_LOGIN_CONTINUE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pg_login *login = NULL;
    if (size == 0) {
        return 0;
    }
    struct pg_login_options options = options_of(data[0]);
    if (pg_login_create(&options, &login) != OK) {
        return 0;
    }
    struct buffer out;
    buffer_init(&out, 64 * 1024);
    struct cursor c = cursor_of(bytes_of(data + 1, size - 1));
    bool goes_on = true;
    while (goes_on && c.remaining >= 2) {
        struct pg_authentication message = {.kind =
                                                (enum pg_authentication_kind)cursor_read_u8(&c)};
        size_t length = cursor_read_u8(&c);
        message.data = cursor_read_bytes(&c, length < c.remaining ? length : c.remaining);
        goes_on = feed(login, &message, &out);
    }
    buffer_wipe(&out);
    pg_login_destroy(login);
    return 0;
}
