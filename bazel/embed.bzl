"""A file's bytes inside a C program."""

def embed_bytes(name, src, symbol, visibility = None, testonly = False):
    """A cc_library NAME with the header SYMBOL.h, which declares the bytes of `src`:

        extern const unsigned char SYMBOL[];
        extern const size_t SYMBOL_size;

    A NUL follows the bytes, not counted in the size, so that a text is a C string.

    Args:
      name: of the cc_library.
      src: the file; a label.
      symbol: a C identifier.
      visibility: of the cc_library.
      testonly: as everywhere.
    """
    native.genrule(
        name = name + "_gen",
        srcs = [src],
        outs = [
            symbol + ".h",
            symbol + ".c",
        ],
        # od and sed are everywhere; xxd is not.
        cmd = """
            {{
                echo '#ifndef EMBEDDED_{symbol}_H'
                echo '#define EMBEDDED_{symbol}_H'
                echo '#include <stddef.h>'
                echo 'extern const unsigned char {symbol}[];'
                echo 'extern const size_t {symbol}_size;'
                echo '#endif'
            }} > $(location {symbol}.h)
            {{
                echo '#include "{symbol}.h"'
                echo 'const unsigned char {symbol}[] = {{'
                od -An -v -tx1 $< | sed 's/ *\\([0-9a-f][0-9a-f]\\)/0x\\1,/g'
                echo '0}};'
                echo 'const size_t {symbol}_size = sizeof({symbol}) - 1;'
            }} > $(location {symbol}.c)
        """.format(symbol = symbol),
        testonly = testonly,
    )
    native.cc_library(
        name = name,
        srcs = [symbol + ".c"],
        hdrs = [symbol + ".h"],
        testonly = testonly,
        visibility = visibility,
    )
