/* chaperone-dev-issuer: the development issuer as a program of its own. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cli/issuer/issuer.h"

enum { EXIT_MISUSE = 2 };

static const char usage[] =
    "Usage: chaperone-dev-issuer --dir DIR [--listen 127.0.0.1:PORT]\n"
    "\n"
    "An OIDC issuer for development: it gives any token to anyone on this machine.\n"
    "Never use it with data that matters.\n"
    "\n"
    "  --dir DIR              where its keys are kept (issuer-keys.json, mode 0600)\n"
    "  --listen ADDRESS:PORT  loopback only; port 0 takes a free one\n"
    "                         (default 127.0.0.1:0)\n"
    "  --help                 this text\n"
    "\n"
    "When it answers it prints \"ready: URL\". A token:\n"
    "  curl -d subject=agent-1 -d groups=readers -d format=text URL/token\n"
    "Further fields: audience, lifetime (seconds), name, reason, on_behalf_of, alg (RS256,\n"
    "ES256), claims (JSON). New keys:\n"
    "  curl -X POST URL/rotate\n";

/* "127.0.0.1:8080", "[::1]:8080"; cuts the address out of `text`. */
static bool parse_listen(char *text, struct issuer_options *out)
{
    char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text) {
        return false;
    }
    char *end = NULL;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end != '\0' || port > UINT16_MAX) {
        return false;
    }
    *colon = '\0';
    if (text[0] == '[' && colon[-1] == ']') {
        colon[-1] = '\0';
        text++;
    }
    out->address = strcmp(text, "localhost") == 0 ? "127.0.0.1" : text;
    out->port = (uint16_t)port;
    return true;
}

/* -1: go on. */
static int parse_arguments(int argc, char **argv, struct issuer_options *out)
{
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},
        {"listen", required_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h') {
            return fputs(usage, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        }
        if (option == 'd') {
            out->directory = optarg;
        } else if (option == 'l' && !parse_listen(optarg, out)) {
            (void)fprintf(stderr, "chaperone-dev-issuer: --listen expects ADDRESS:PORT\n");
            return EXIT_MISUSE;
        } else if (option == '?') {
            return EXIT_MISUSE;
        }
    }
    if (out->directory == NULL || optind != argc) {
        (void)fprintf(stderr, "chaperone-dev-issuer: --dir DIR is expected, and nothing else; see "
                              "--help\n");
        return EXIT_MISUSE;
    }
    return -1;
}

static enum err serve(const struct issuer_options *options, struct err_text *why)
{
    sigset_t ends;
    struct issuer *issuer = NULL;
    int signal = 0;
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGINT);
    (void)sigaddset(&ends, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &ends, NULL); /* before there is another thread */
    (void)mkdir(options->directory, 0700);     /* where it fails, the key file says why */
    enum err e = issuer_create(options, &issuer, why);
    if (e == OK) {
        e = issuer_start(issuer, why);
    }
    if (e == OK) {
        (void)fprintf(stderr, "warning: this issuer is for development only: it gives any token to "
                              "anyone on this machine\n");
        (void)printf("ready: %s\n", issuer_url(issuer));
        (void)fflush(stdout);
        (void)sigwait(&ends, &signal);
    }
    issuer_destroy(issuer);
    return e;
}

int main(int argc, char **argv)
{
    struct issuer_options options = {.clock = clock_system()};
    struct err_text why = {0};
    int code = parse_arguments(argc, argv, &options);
    if (code != -1) {
        return code;
    }
    if (serve(&options, &why) != OK) {
        (void)fprintf(stderr, "chaperone-dev-issuer: %s\n", why.text);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
