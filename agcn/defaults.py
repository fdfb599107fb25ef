"""What `--dataset NAME` names first: a shipped configuration. No PyTorch here, so that fusing scores starts at once."""

import re
from pathlib import Path

from agcn.validate import nearest

SHIPPED = Path(__file__).resolve().parent / "configs"
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


def default_config(dataset: str | None, config: str | None) -> str:
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


def command(name: str, config: str | Path, stream: str | None = None) -> str:
    """How a command is typed for a configuration, for advice: `train --dataset nw-ucla --stream bone`.

    Args:
        name: of the command.
        config: a file, or the name of a shipped configuration.
    """
    ours = Path(config).stem if Path(config).parent == SHIPPED else str(config)
    dataset = next((known for known, its in CONFIGS.items() if its == ours), None)
    chosen = "" if dataset == DATASET else f" --config {ours}" if dataset is None else f" --dataset {dataset}"
    return f"{name}{chosen}" + (f" --stream {stream}" if stream else "")


def prep_command(path: str | Path) -> str:
    """How `prep` is typed that writes a file in one of the usual places: `prep kinetics --stream bone_motion`."""
    parts = Path(path).parts
    known = {name.split("/")[0] for name in CONFIGS} - {"ntu"}  # NTU 60 is what prep means by itself
    dataset = f" {parts[1]}" if len(parts) > 2 and parts[0] == "data" and parts[1] in known else ""
    motion = re.search(r"_(joint|bone)_motion(?=\.npy$)", parts[-1])
    return f"prep{dataset}" + (f" --stream {motion[0][1:]}" if motion else "")
