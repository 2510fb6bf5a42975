/* What the readers of the configuration's parts share. */
#ifndef CHAPERONE_CONTROLPLANE_CONFIG_INTERNAL_H
#define CHAPERONE_CONTROLPLANE_CONFIG_INTERNAL_H

#include "base/arena.h"
#include "controlplane/config.h"

struct config_reader {
    struct config *config;
    struct arena *arena;
    const char *directory; /* of the file: what relative paths begin at */
    struct err_text *why;
};

/* Each returns OK, or ERR_INVALID with the sentence, or ERR_NO_MEMORY. */
enum err config_read_identity_providers(struct config_reader *r, const struct conf_node *root);
enum err config_read_roles(struct config_reader *r, const struct conf_node *root);
enum err config_read_credentials(struct config_reader *r, const struct conf_node *root);
enum err config_read_resources(struct config_reader *r, const struct conf_node *root);
enum err config_read_audit_log(struct config_reader *r, const struct conf_node *root);
enum err config_read_grants(struct config_reader *r, const struct conf_node *root);
enum err config_read_exports(struct config_reader *r, const struct conf_node *root);
enum err config_read_retention(struct config_reader *r, const struct conf_node *root);
enum err config_read_store(struct config_reader *r, const struct conf_node *root);
enum err config_read_blobs(struct config_reader *r, const struct conf_node *root);
/* config_items.c: `tls` of a resource, whose `tls` is the default. */
enum err config_read_target_tls(struct config_reader *r, const struct conf_node *item,
                                struct config_resource *out);
/* config_http.c: all of a resource but its name and protocol. */
enum err config_read_http_resource(struct config_reader *r, const struct conf_node *item,
                                   struct config_resource *out);
/* config_export_targets.c: `syslog` and `kafka` of an export. */
enum err config_read_export_syslog(struct config_reader *r, const struct conf_node *map,
                                   struct config_export *out);
enum err config_read_export_kafka(struct config_reader *r, const struct conf_node *map,
                                  struct config_export *out);
enum err config_read_metrics(struct config_reader *r, const struct conf_node *root);

/* A list of strings that are not empty, or one string alone. Missing: `*out` as it was. */
enum err config_read_strings(struct config_reader *r, const struct conf_node *map, const char *key,
                             struct config_strings *out);
/* As it stands where it is absolute. Missing: `*out` as it was. */
enum err config_read_path(struct config_reader *r, const struct conf_node *map, const char *key,
                          const char **out);
/* As path; the file must be there now. */
enum err config_read_file(struct config_reader *r, const struct conf_node *map, const char *key,
                          const char **out);
/* {env: V}, {file: PATH} or {store: NAME}. Missing: `*out` as it was. */
enum err config_read_secret(struct config_reader *r, const struct conf_node *map, const char *key,
                            struct config_secret *out);
/* subjects, groups, providers of `map`. */
enum err config_read_whom(struct config_reader *r, const struct conf_node *map,
                          struct config_whom *out);
/* "host:port", "[::1]:port". ERR_INVALID names the node. */
enum err config_split_address(struct config_reader *r, const struct conf_node *n, const char *text,
                              int64_t port_min, const char **out_host, uint16_t *out_port);

/* The list under `key` and zeroed memory for its items (both NULL and 0 where it is missing). */
enum err config_read_items(struct config_reader *r, const struct conf_node *root, const char *key,
                           size_t item_size, const struct conf_node **out_list, void **out_items,
                           size_t *out_count);
/* `name` of the n-th item; unlike that of those before it (a name is the first member of each
 * item). */
enum err config_read_name(struct config_reader *r, const struct conf_node *item, const void *items,
                          size_t item_size, size_t n, const char **out);

#endif
