"""What `--dataset NAME` names first: a shipped configuration. No PyTorch here, so that fusing scores starts at once."""

from agcn.coerce import nearest

# The data sets and the shipped configuration of each.
CONFIGS = {
    "ntu/xsub": "ntu-xsub",
    "ntu/xview": "ntu-xview",
    "ntu120/xsub": "ntu120-xsub",
    "ntu120/xset": "ntu120-xset",
    "kinetics": "kinetics",
    "nw-ucla": "nw-ucla",
    "custom": "custom",
}
DATASET = "ntu/xsub"


def usual_config(dataset: str | None, config: str | None) -> str:
    """The configuration that is meant: the one given, or the data set's.

    Raises:
        ValueError: no such data set.
    """
    if config is not None:
        return config
    name = DATASET if dataset is None else dataset
    if name not in CONFIGS:
        raise ValueError(f"--dataset {name}: is not known: {nearest(name, list(CONFIGS))}")
    return CONFIGS[name]
