"""The order in which rooms, and what is in them, may import one another; `docs/architecture.md` has the same."""

# The rooms and the packages and modules of each, in the order of import: each may import those before it in its own
# room, and everything in the rooms before. A package may also import within itself, but not in a circle.
ORDER = {
    "native_prep": (
        "lazy", "io", "skeletons", "datasets", "reference", "kernels", "cpu", "cuda", "store", "pipeline", "poses",
        "synth", "command",
    ),
    "agcn": (
        "validate", "defaults", "device", "model", "settings", "config", "score_files", "streams", "mmaction",
        "checkpoint",
        "plots", "metrics", "data", "evaluate", "training", "commands",
    ),
    "export": (
        "manifest", "inputs", "comparison", "raw_clips", "graph", "fusion", "engines", "runtime", "live", "request",
        "build", "pretrained", "commands",
    ),
    "bench": (
        "timer", "part", "machine", "report", "compare", "pages", "random_models", "plain_model", "prep", "train",
        "infer", "gpu", "run", "demo", "doctor", "terminal",
    ),
    "cli": (),
}  # fmt: skip
