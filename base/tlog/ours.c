/* Prints what the other implementation is to judge (e2e/tlog/vectors.sh check), when base/tlog is
 * to make it anew: bazel run //base/tlog:ours txt|note|proof > base/tlog/testdata/ours.txt */
#include "base/tlog/fixture.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    enum { ROOM = 1 << 20 };
    struct buffer out;
    buffer_init(&out, ROOM);
    const char *what = argc == 2 ? argv[1] : "";
    if (strcmp(what, "txt") != 0 && strcmp(what, "note") != 0 && strcmp(what, "proof") != 0) {
        (void)fprintf(stderr, "usage: ours txt|note|proof\n");
        return 2;
    }
    fixture_make(what[0] == 't'   ? FIXTURE_OURS_TXT
                 : what[0] == 'n' ? FIXTURE_OURS_NOTE
                                  : FIXTURE_OURS_PROOF,
                 &out);
    size_t size = buffer_size(&out);
    bool written = fwrite(buffer_bytes(&out).data, 1, size, stdout) == size && fflush(stdout) == 0;
    buffer_finish(&out);
    return written ? 0 : 1;
}
