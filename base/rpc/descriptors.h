/* An index over serialized FileDescriptorSets: which file has which symbol, for server
 * reflection. Files are handed out as the bytes they came as. */
#ifndef CHAPERONE_BASE_RPC_DESCRIPTORS_H
#define CHAPERONE_BASE_RPC_DESCRIPTORS_H

#include "base/bytes.h"

struct descriptors;

/* Returns owned; NULL when memory is short. */
struct descriptors *descriptors_create(void) MUST_USE;
void descriptors_destroy(struct descriptors *d); /* takes NULL */

/* Copies. A file whose name is there already is skipped, so sets may overlap. ERR_INVALID when
 * it is not a FileDescriptorSet; ERR_LIMIT for names over 512 bytes or messages nested over 32
 * deep; some files may have been added then. */
enum err descriptors_add(struct descriptors *d, struct bytes set) MUST_USE;

enum { DESCRIPTORS_NONE = -1 };
/* Each gives a file's number, or DESCRIPTORS_NONE. A symbol is a full name without leading dot. */
int descriptors_find_file(const struct descriptors *d, const char *name);
int descriptors_find_symbol(const struct descriptors *d, const char *symbol);
int descriptors_find_extension(const struct descriptors *d, const char *type, int32_t number);
/* Fills in the numbers of the extensions of a type (as many as fit); returns how many there are. */
size_t descriptors_extensions(const struct descriptors *d, const char *type, int32_t *out,
                              size_t capacity);

/* The serialized FileDescriptorProto. Borrows from the index. */
struct bytes descriptors_file(const struct descriptors *d, int file);
size_t descriptors_file_count(const struct descriptors *d);
/* Writes the file's number and those of all that it imports, the file first; `out` has room for
 * all files. Returns how many. */
size_t descriptors_closure(const struct descriptors *d, int file, int *out);

#endif
