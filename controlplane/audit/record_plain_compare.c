#include "controlplane/audit/record_plain_compare.h"

#include "api/audit.pb-c.h"
#include "controlplane/audit/record_plain.h"

static bool is_same(struct bytes a, ProtobufCBinaryData b)
{
    return bytes_equal(a, bytes_of(b.data, b.len));
}

static bool is_same_intent(const struct record_plain *p, const Chaperone__V1__Intent *i)
{
    bool same = i->operation == p->operation && (int)i->verdict == p->verdict &&
                is_same(p->text, i->text) && i->n_objects == p->object_count;
    for (size_t n = 0; same && n < i->n_objects; n++) {
        same = bytes_equal_string(p->objects[n].kind, i->objects[n]->kind) &&
               bytes_equal_string(p->objects[n].name, i->objects[n]->name);
    }
    return same;
}

static bool is_same_outcome(const struct record_plain *p, const Chaperone__V1__Outcome *o)
{
    return o->operation == p->operation && (int)o->status == p->status && o->rows == p->rows &&
           bytes_equal_string(p->error_code, o->error_code);
}

static bool is_same_record(const struct record_plain *p, const Chaperone__V1__Record *r)
{
    if (r == NULL || !bytes_equal_string(p->sidecar, r->sidecar) || p->sequence != r->sequence ||
        !is_same(p->previous, r->previous) || p->time_ns != r->time_unix_ns ||
        !bytes_equal_string(p->session, r->session) || (int)p->kind != (int)r->event_case) {
        return false;
    }
    return p->kind == STORE_INTENT    ? is_same_intent(p, r->intent)
           : p->kind == STORE_OUTCOME ? is_same_outcome(p, r->outcome)
                                      : false;
}

enum record_plain_said record_plain_compare(struct bytes canonical)
{
    struct record_plain plain;
    if (!record_plain_read(canonical, &plain)) {
        return PLAIN_SAID_NOTHING;
    }
    Chaperone__V1__Record *r = chaperone__v1__record__unpack(NULL, canonical.size, canonical.data);
    bool same = is_same_record(&plain, r);
    chaperone__v1__record__free_unpacked(r, NULL);
    return same ? PLAIN_SAID_SAME : PLAIN_SAID_OTHER;
}
