/* Which masks hold for a session at this moment. */
#include "sidecar/operation/question.h"
#include "sidecar/session_internal.h"

enum { SECONDS_PER_MINUTE = 60 };

/* Who asks, where and when; of the statement nothing is needed. */
static bool ask(struct session *s, int64_t now_s, const struct policy_mask **out, size_t *out_count)
{
    const Chaperone__V1__Intent nothing = CHAPERONE__V1__INTENT__INIT;
    struct policy_request who;
    bool complete = false;
    if (s->opened == NULL || !question_ask(s->shared->scratch, s->opened, &nothing, now_s, &who)) {
        return false;
    }
    *out_count = policy_masks(s->shared->policy, &who, out, &complete);
    arena_reset(s->shared->scratch);
    return complete;
}

const struct protocol_masks *session_masks(struct session *s)
{
    const struct policy *policy = s->shared->policy;
    uint64_t revision = policy == NULL ? 0 : policy_revision(policy);
    int64_t now_s = clock_late_wall(s->shared->clock) / 1000000000;
    int64_t minute = now_s / SECONDS_PER_MINUTE;
    bool is_same = s->masks.version != 0 && policy == s->masks_of && revision == s->masks_revision;
    if (is_same && minute == s->masks_minute) {
        return &s->masks;
    }
    const struct policy_mask *items[POLICY_MASKS_MAX];
    size_t count = 0;
    bool complete = policy == NULL || !policy_has_masks(policy) || ask(s, now_s, items, &count);
    if (!is_same || complete != s->masks.is_complete || count != s->masks.count ||
        memcmp(items, s->mask_items, count * sizeof(items[0])) != 0) {
        memcpy(s->mask_items, items, count * sizeof(items[0]));
        s->masks = (struct protocol_masks){.version = s->masks.version + 1,
                                           .items = s->mask_items,
                                           .count = count,
                                           .is_complete = complete};
    }
    s->masks_of = policy;
    s->masks_revision = revision;
    s->masks_minute = minute;
    return &s->masks;
}
