"""Fuzz targets: libFuzzer with --config=fuzz, a replay of the corpus as a test otherwise."""

def chaperone_fuzz(name, srcs, deps, corpus, **kwargs):
    """Makes NAME (the libFuzzer binary) and NAME_replay (a test over the corpus).

    Args:
      name: x_fuzz, made of x_fuzz.c, with its corpus in x_corpus: e2e/fuzz/run.sh relies on it.
      srcs: defines LLVMFuzzerTestOneInput.
      deps: of srcs.
      corpus: files; each is one input.
      **kwargs: for both.
    """
    native.cc_binary(
        name = name,
        srcs = srcs,
        deps = deps,
        # Without --config=fuzz there is no libFuzzer to link with.
        linkopts = ["-fsanitize=fuzzer"],
        tags = ["manual"],
        testonly = True,
        **kwargs
    )
    native.cc_test(
        name = name + "_replay",
        size = "small",
        srcs = srcs,
        args = ["$(locations %s)" % f for f in corpus],
        data = corpus,
        deps = deps + ["//base/testing:fuzz_replay"],
        **kwargs
    )
