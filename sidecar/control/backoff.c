#include "sidecar/control/backoff.h"

#include "base/crypto/crypto.h"

int backoff_next_ms(struct backoff *b)
{
    int base = b->next_ms == 0 ? b->first_ms : b->next_ms;
    b->next_ms = base > b->most_ms / 2 ? b->most_ms : 2 * base;
    uint16_t chance = 0;
    struct crypto_random random = crypto_random_system();
    if (crypto_random_fill(&random, (uint8_t *)&chance, sizeof(chance)) != OK) {
        chance = 0;
    }
    return base - base / 10 + (int)((int64_t)base / 5 * chance / UINT16_MAX);
}
