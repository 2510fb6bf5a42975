/* The memory of a JSON parser that does not ask whether it was given any: where there is none, or
 * more than its share is asked for, the parser is left by a jump. What it was given is wiped when
 * it is given back, and may be given back all at once. */
#ifndef CHAPERONE_SIDECAR_MASKING_MASKER_JSON_HEAP_H
#define CHAPERONE_SIDECAR_MASKING_MASKER_JSON_HEAP_H

#include <setjmp.h>
#include <stddef.h>

#include <yajl/yajl_common.h>

struct masker_json_block;

struct masker_json_heap {
    struct masker_json_block *blocks;
    size_t used, most;
    jmp_buf failed; /* set by whoever calls the parser */
};

/* Borrows the heap. */
yajl_alloc_funcs masker_json_heap_functions(struct masker_json_heap *h);
/* Frees all that was not given back: what was made of it is not to be used any more. */
void masker_json_heap_finish(struct masker_json_heap *h);

#endif
