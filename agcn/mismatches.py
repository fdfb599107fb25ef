"""Where a checkpoint's own configuration would show clips to its model otherwise than the one at hand does."""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agcn.config import load_config
from agcn.settings import Config
from native_prep.yaml_file import read_yaml

# Where the clips are and how they are read says nothing about the input.
_PLACE_KEYS = ("data_path", "label_path", "debug", "use_mmap", "resident")


def input_settings(config: Config) -> dict[str, Any]:
    """The parts of the test feeder's arguments that change a clip, as plain values."""
    return {key: value for key, value in asdict(config.test_feeder_args).items() if key not in _PLACE_KEYS}


def hash_config(config: Config, amp_dtype: str | None = None) -> str:
    """SHA-256 over the settings that decide about the scores of given weights and clips."""
    settings: dict[str, Any] = {
        "model": config.model, "model_args": config.model_args, "input": input_settings(config),
        "stream": config.stream, "windows": config.test_windows, "amp": amp_dtype,
    }  # fmt: skip
    if config.test_windows > 1:
        settings["seed"] = config.seed
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def mismatches(
    config: Config, weights: str | os.PathLike[str], stream: str, may_differ: frozenset[str] = frozenset()
) -> list[str]:
    """How clips were changed for a checkpoint's model and are not here, where its configuration lies beside it.

    Args:
        config: what is to be used.
        weights: the checkpoint.
        stream: whose it is taken for.
        may_differ: keys of the feeder that need not be the same.
    """
    file = Path(weights).with_name("config.yaml")
    if not file.is_file():
        return []
    try:
        own = load_config(file)
        # What a run wrote names its stream; a configuration for all streams does not.
        trained = read_yaml(file, "a configuration")[0].get("stream", stream)
    except ValueError as error:
        return [f"{weights}: whether it is for such clips is not known: {error}"]
    if own.stream != "joint" and not own.test_feeder_args.make_stream:
        may_differ |= {"centre"}  # bones are the same wherever the joints are: their files are not centred
    ours = input_settings(config)
    other = [f"{weights}: is of a run on the {trained} stream, here it is taken for {stream}: check its accuracy"]
    return (other if trained != stream else []) + [
        f"{weights}: is of a run with test_feeder_args.{key}={value}, here it is {ours[key]}: check its accuracy"
        for key, value in input_settings(own).items()
        if value != ours[key] and key not in may_differ
    ]
