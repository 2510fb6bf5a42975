/* The echo service for clients in other languages (e2e/grpc-js).
 *
 *   interop_server ADDRESS [CERTIFICATE KEY CLIENT_CA]
 *
 * Prints `listening on PORT` when clients can connect. Reads words from standard input, a line
 * each: `serving SERVICE`, `stopped SERVICE` change the health; its end shuts the server down. */
#include <stdio.h>
#include <stdlib.h>

#include "base/rpc/rpc_tls.h"
#include "base/rpc/testing/echo_service.h"
#include "base/rpc/testing/rpc_imports_descriptors.h"

enum { PEM_CAP = 64 << 10, THREADS = 4, GRACE_MS = 500 };

/* Returns owned; NULL when it cannot be read. */
static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    char *text = calloc(1, PEM_CAP + 1);
    size_t size = text == NULL ? 0 : fread(text, 1, PEM_CAP, file);
    (void)fclose(file);
    if (size > 0)
        return text;
    free(text);
    return NULL;
}

static enum err load_credentials(char **paths, struct rpc_credentials **out)
{
    char *pem[3] = {read_file(paths[0]), read_file(paths[1]), read_file(paths[2])};
    enum err e = ERR_IO;
    if (pem[0] != NULL && pem[1] != NULL && pem[2] != NULL)
        e = rpc_credentials_server(bytes_of_string(pem[0]), bytes_of_string(pem[1]),
                                   bytes_of_string(pem[2]), out);
    for (size_t i = 0; i < 3; i++)
        free(pem[i]);
    return e;
}

static void obey(struct rpc_server *server)
{
    char line[256], word[16], service[128];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        service[0] = '\0';
        if (sscanf(line, "%15s %127s", word, service) < 1)
            continue;
        if (strcmp(word, "serving") == 0)
            rpc_server_set_health(server, service, true);
        else if (strcmp(word, "stopped") == 0)
            rpc_server_set_health(server, service, false);
    }
}

static enum err serve(struct rpc_runtime *runtime, const struct rpc_server_options *options,
                      struct err_text *why)
{
    struct echo_service service = {.hold = false};
    struct rpc_server *server = NULL;
    enum err e = rpc_server_create(runtime, options, &server, why);
    if (e == OK)
        e = echo_service_add(&service, server);
    if (e == OK)
        e = rpc_server_describe(server,
                                bytes_of(rpc_imports_descriptors, rpc_imports_descriptors_size));
    if (e == OK)
        e = rpc_server_start(server, why);
    if (e == OK) {
        (void)printf("listening on %d\n", rpc_server_port(server));
        (void)fflush(stdout);
        obey(server);
        rpc_server_shutdown(server, GRACE_MS);
    }
    rpc_server_destroy(server);
    return e;
}

int main(int argc, char **argv)
{
    if (argc != 2 && argc != 5) {
        (void)fprintf(stderr, "usage: interop_server ADDRESS [CERTIFICATE KEY CLIENT_CA]\n");
        return 2;
    }
    struct log log = {.fd = 2, .format = LOG_HUMAN, .level = LOG_INFO, .clock = clock_system()};
    struct rpc_credentials *credentials = NULL;
    struct rpc_runtime *runtime = NULL;
    struct err_text why = {.text = ""};
    enum err e = argc == 5 ? load_credentials(argv + 2, &credentials) : OK;
    if (e == OK)
        e = rpc_runtime_create(THREADS, &log, &runtime);
    if (e == OK) {
        struct rpc_server_options options = {
            .address = argv[1], .credentials = credentials, .reflection = true};
        e = serve(runtime, &options, &why);
    }
    rpc_runtime_destroy(runtime);
    rpc_credentials_destroy(credentials);
    if (e != OK)
        (void)fprintf(stderr, "interop_server: %s %s\n", err_name(e), why.text);
    return e == OK ? 0 : 1;
}
