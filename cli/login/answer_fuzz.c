/* Whatever an authorization server answers: no crash, no leak, and what is accepted is usable. */
#include <stdlib.h>

#include "cli/login/answer.h"

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size);
    struct login_server server;
    struct login_tokens tokens;
    struct login_device device;
    struct login_refusal refusal;
    if (login_server_parse(text, "https://id.example", &server, NULL) == OK) {
        check(server.token != NULL);
        (void)login_server_offers(&server, "scopes_supported", "groups", false);
        login_server_finish(&server);
    }
    if (login_tokens_parse(text, &tokens, NULL) == OK) {
        check(tokens.access_token != NULL && tokens.access_token[0] != '\0');
        check(tokens.lifetime_s >= 0);
        login_tokens_finish(&tokens);
    }
    if (login_device_parse(text, &device, NULL) == OK) {
        check(device.device_code != NULL && device.user_code[0] != '\0' && device.uri != NULL);
        check(device.interval_s >= 1 && device.interval_s <= LOGIN_INTERVAL_MAX_S);
        check(device.lifetime_s >= 1 && device.lifetime_s <= LOGIN_DEVICE_MAX_S);
        login_device_finish(&device);
    }
    login_refusal_parse(text, &refusal);
    for (const char *c = refusal.description; *c != '\0'; c++) {
        check(*c >= ' ' && *c <= '~');
    }
    return 0;
}
