/* How a request of HTTP is decided: as an operation with a single object, itself. */
#include "policies/policy_decide.h"
#include "policies/policy_http.h"

void forbid_http(struct applicable *a, const struct question *q, struct forbidding *f)
{
    for (size_t i = 0; i < a->forbid_count; i++) {
        a->has_stopped[i] = http_stops(&a->policy->rules[a->forbid[i]], q->r->http);
        if (a->has_stopped[i]) {
            forbidding_add(f, a->policy, a->forbid[i]);
        }
    }
}

/* What the covering rules ask for together: all rates, and the lowest of each limit. */
static void obligations_take(struct cover *c, const struct policy *p, size_t index)
{
    const struct rule *rule = &p->rules[index];
    uint64_t request = rule->max_request_bytes, response = rule->max_response_bytes;
    if (request != 0 && (c->max_request_bytes == 0 || request < c->max_request_bytes)) {
        c->max_request_bytes = request;
    }
    if (response != 0 && (c->max_response_bytes == 0 || response < c->max_response_bytes)) {
        c->max_response_bytes = response;
    }
    if (rule->rate.requests == 0) {
        return;
    }
    if (c->rate_count == POLICY_RATES_MAX) {
        c->why_not = "more rules with a rate allow this than can be counted";
        return;
    }
    c->rates[c->rate_count++] = (uint16_t)index;
}

void cover_http(const struct applicable *a, const struct question *q, struct cover *c)
{
    for (size_t i = 0; i < a->cover_count; i++) {
        const char *path = NULL;
        if (!http_covers(&a->policy->rules[a->cover[i]], q->r->http, &path)) {
            continue;
        }
        cover_take(c, a->policy, a->cover[i], q->is_lasting);
        obligations_take(c, a->policy, a->cover[i]);
        c->path = c->path == NULL ? path : c->path;
    }
    if (q->is_unknown) {
        c->why_not = "what has more than one meaning is not allowed";
    } else if (c->rule == SIZE_MAX) {
        c->why_not = a->cover_count == 0 ? "no rule is for this identity and resource"
                                         : "no rule allows this request";
    }
}

void cover_http_held(struct cover *c, const struct policy *p, size_t index)
{
    for (size_t i = 0; i < c->rate_count; i++) {
        if (c->rates[i] == index) {
            return; /* it covers the request itself */
        }
    }
    obligations_take(c, p, index);
}

void http_obligations_put(const struct cover *c, const struct policy *p, struct policy_verdict *v)
{
    v->path = c->path;
    v->max_request_bytes = c->max_request_bytes;
    v->max_response_bytes = c->max_response_bytes;
    for (size_t i = 0; i < c->rate_count; i++) {
        v->rates[v->rate_count++] = p->rules[c->rates[i]].rate;
    }
}

void question_read_http(const struct policy_request *r, struct question *q)
{
    *q = (struct question){
        .r = r, .is_unknown = !http_is_plain(r->http), .is_lasting = http_is_lasting(r->http)};
}

/* --- whether the body matters ---------------------------------------------------------- */

struct reading {
    const struct policy *policy;
    const struct policy_http *http;
    bool is_wanted;
};

static void reading_add(void *context, size_t index)
{
    struct reading *r = context;
    r->is_wanted = r->is_wanted || http_asks_for_body(&r->policy->rules[index], r->http);
}

bool policy_reads_body(const struct policy *policy, const struct policy_request *request)
{
    struct reading r = {.policy = policy, .http = request->http};
    if (policy->reads_bodies && request->http != NULL) {
        rules_apply(policy, request, reading_add, &r);
    }
    return r.is_wanted;
}
