/* Runs every file of a corpus through a fuzz target: what once crashed stays mended. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        return 1;
    }
    if (fseek(f, 0, SEEK_END) != 0) {
        (void)fclose(f);
        return 1;
    }
    long size = ftell(f);
    rewind(f);
    /* Exactly as large as the input, so that a read beyond its end is seen by ASan. */
    uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
    size_t got = data == NULL ? 0 : fread(data, 1, (size_t)size, f);
    (void)fclose(f);
    if (data == NULL || got != (size_t)size) {
        free(data);
        return 1;
    }
    (void)LLVMFuzzerTestOneInput(data, got);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    int failures = 0;
    for (int i = 1; i < argc; i++) {
        failures += replay_file(argv[i]);
    }
    printf("%d inputs replayed, %d unreadable\n", argc - 1, failures);
    return argc < 2 || failures > 0;
}
