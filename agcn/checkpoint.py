"""Weights to and from files: plain state dicts with the original's names, and what older releases call them."""

import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from agcn.config import load_config
from agcn.mmaction import SUFFIX, is_of_mmaction, load_pth, with_our_names
from agcn.model.network import Model, build_model
from agcn.settings import Config
from native_prep.io.atomic import atomic_file
from native_prep.io.pickles import load_pickle
from native_prep.io.progress import first_names

# Besides `.pt`, which torch.save writes: tensors alone, which nothing has to be trusted for.
SAFETENSORS = ".safetensors"
# Where a file holds more than weights, the weights are under one of these.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
_SPLIT_LAYER = re.compile(r"^l(\d+)([ab])\.(.+)$")
# What torch.load raises for other content; for an archive that was cut off it is OSError (EINVAL).
_DAMAGE = (
    pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError, OSError,
)  # fmt: skip
_MEMBERS = ("gcn1.", "tcn1.", "residual.")


def plain_state(model: torch.nn.Module) -> dict[str, Tensor]:
    """The state dict of `model` on the CPU, as checkpoints hold it."""
    return {name: value.detach().cpu() for name, value in model.state_dict().items()}


def save_weights(model: torch.nn.Module, path: str | Path) -> None:
    """Write the state dict of `model`, whole or not at all: `.safetensors`, or what torch.save writes."""
    with atomic_file(path) as part:
        if Path(path).suffix == SAFETENSORS:
            state = {name: value.contiguous() for name, value in plain_state(model).items()}
            # Not safetensors' own way to a file, which makes one that nobody else may read.
            part.write_bytes(save(state, metadata={"format": "pt"}))
        else:
            torch.save(plain_state(model), part)


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The weights in a file, under the names that `Model` gives them.

    Undone are: wrappers ({"state_dict": ...}), `module.` of DataParallel, `_orig_mod.` of torch.compile, `conv_res`
    for `down`, and layers split in two (`l1a.PA` or `l1a.gcn1.PA` for `l1.gcn1.PA`, `l1b.conv` for `l1.tcn1.conv`).
    MMAction2's and PYSKL's 2s-AGCN and AAGCN are taken, too, see `agcn.mmaction`.

    Raises:
        ValueError: there is no such file, it is not a checkpoint, or two of its names mean the same weights.
    """
    content = _unwrap(_load(Path(path)))
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"{path}: holds no weights: give a checkpoint that train wrote")
    if is_of_mmaction(content):
        content = with_our_names(content, path)
    state: dict[str, Tensor] = {}
    for name, value in content.items():
        if not isinstance(value, Tensor):
            try:
                value = torch.as_tensor(value)
            except (TypeError, ValueError, RuntimeError) as error:
                raise ValueError(f"{path}: {name} is not an array of numbers: give a checkpoint of weights") from error
        ours = current_name(str(name))
        if ours in state:
            raise ValueError(f"{path}: holds {ours} twice (once as {name}): give a checkpoint of one model")
        state[ours] = value
    return state


def current_name(name: str) -> str:
    """What this project and the original's last release call the weights that an older file calls `name`."""
    name = name.split("module.")[-1].removeprefix("_orig_mod.").replace(".conv_res.", ".down.")
    split = _SPLIT_LAYER.match(name)
    if not split:
        return name
    layer, half, rest = split.groups()
    if rest.startswith(_MEMBERS):
        return f"l{layer}.{rest}"
    return f"l{layer}.{'gcn1' if half == 'a' else 'tcn1'}.{rest}"


def _load(path: Path) -> Any:
    if not path.is_file():
        raise ValueError(f"{path}: no such file: give a checkpoint (NAME-EPOCH-STEP.pt)")
    if path.suffix == ".pkl":
        return load_pickle(path)
    if path.suffix == SAFETENSORS:
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path}: not weights as safetensors keeps them, or cut off: give another") from error
    return load_torch(path)


def load_torch(path: Path) -> Any:
    """What `torch.save` wrote, if it is tensors and plain values alone.

    Raises:
        ValueError: it is something else, cut off, or wants to run code.
    """
    path.open("rb").close()  # a file that may not be read says so itself
    try:
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            if path.suffix != SUFFIX:
                raise
            return load_pth(path)
    except _DAMAGE as error:
        raise ValueError(f"{path}: not a checkpoint of weights alone, or cut off: give another") from error


def _unwrap(content: Any) -> Any:
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            return content[key]
    return content


def load_model(weights: str | Path, config: Config | str | Path = "ntu-xsub", stream: str | None = None) -> Model:
    """The trained model of a file of weights, ready to answer.

    Examples:
        >>> model = load_model("best.pt", "nw-ucla-strong")
        >>> logits = model(clips)  # (N, C, T, V, M) float32, as a feeder makes them -> (N, num_class)

    Args:
        weights: a checkpoint, ours or the original's.
        config: what describes its model: a configuration, a YAML file, or the name of a shipped one.
        stream: which stream's model, where the configuration has a key that goes by it.

    Raises:
        ValueError: the file is for another model, or the configuration is wrong.
    """
    if not isinstance(config, Config):
        config = load_config(config, stream)
    model = build_model(config.model, config.model_args)
    load_weights(model, weights)
    return model.eval()


def load_weights(model: Model, path: str | Path, ignore: Sequence[str] = ()) -> None:
    """Put the weights of a file into `model`.

    Args:
        ignore: parts of names; weights whose name holds one keep the model's own values.

    Raises:
        ValueError: the file is for another model; says which setting would fit where that can be told.
    """
    state = read_state_dict(path)
    own = model.state_dict()
    # Fixed graphs, which some forks store, are checked and dropped.
    for name in [name for name in state if name.endswith(".A") and name not in own]:
        _check_graph(model, state.pop(name), path)
    state = {name: value for name, value in state.items() if not any(part in name for part in ignore)}
    _check_kind(model, state, path, ignore)
    for name, value in own.items():
        # PyTorch before 0.4 did not count batches.
        if any(part in name for part in ignore) or name.endswith("num_batches_tracked"):
            state.setdefault(name, value)
    _check_names(state, own, path)
    # The learned graph is the one tensor whose size is the number of joints and nothing else.
    for name, value in sorted(state.items(), key=lambda item: not item[0].endswith(".PA")):
        if value.shape != own[name].shape:
            raise ValueError(f"{path}: {_shape_advice(model, name, value)}")
    model.load_state_dict(state)


def _check_graph(model: Model, graph: Tensor, path: str | Path) -> None:
    own = model.l1.gcn1.A.detach().cpu()
    if graph.ndim == own.ndim and graph.shape[-1] != own.shape[-1]:
        raise ValueError(f"{path}: {_joints_advice(graph.shape[-1], own.shape[-1])}")
    if graph.shape != own.shape or not torch.allclose(graph.cpu().float(), own, atol=1e-5):
        raise ValueError(f"{path}: was trained on another graph of {own.shape[-1]} joints: set model_args.graph")


def _check_kind(model: Model, state: Mapping[str, Tensor], path: str | Path, ignore: Sequence[str]) -> None:
    """Another variant of the model shows in which names are there at all."""
    if ignore or "l1.gcn1.conv_d.0.weight" not in state:
        return
    adaptive, alpha = "l1.gcn1.PA" in state, "l1.gcn1.alpha" in state
    attention = "l1.gcn1.conv_ta.weight" in state
    if attention != model.attention or (adaptive and model.adaptive and alpha != (model.variant == "aagcn")):
        kind = "aagcn" if attention or alpha else "agcn"
        raise ValueError(
            f"{path}: is of {kind.upper()} {'with' if attention else 'without'} attention: "
            f"set model: model.{kind}.Model and model_args.attention: {attention}"
        )
    if adaptive != model.adaptive:
        raise ValueError(
            f"{path}: was trained {'with' if adaptive else 'without'} the adaptive graph: "
            f"set model_args.adaptive: {adaptive}"
        )


def _check_names(state: Mapping[str, Tensor], own: Mapping[str, Tensor], path: str | Path) -> None:
    missing = [name for name in own if name not in state]
    extra = [name for name in state if name not in own]
    if missing or extra:
        faults = [_count("misses", missing), _count("has unknown", extra)]
        raise ValueError(
            f"{path}: is for another model, {' and '.join(filter(None, faults))}: "
            "set model and model_args as it was trained, or ignore_weights"
        )


def _count(what: str, names: list[str]) -> str:
    if not names:
        return ""
    return f"{what} {len(names)} weights ({first_names(names)})"


def _joints_advice(theirs: int, ours: int) -> str:
    return f"has {theirs} joints, the data has {ours}: set model_args.num_point and graph, or give another checkpoint"


def _shape_advice(model: Model, name: str, value: Tensor) -> str:
    own = model.state_dict()[name]
    other = f"{name} is {tuple(value.shape)}, the model's is {tuple(own.shape)}: set model_args as it was trained"
    if value.ndim != own.ndim:
        return other
    if name.endswith(".PA") and value.shape[-1] != own.shape[-1]:
        return _joints_advice(value.shape[-1], own.shape[-1])
    if name.startswith("l1.") and value.shape[0] != own.shape[0]:
        channels = value.shape[0] * model.base_channels // own.shape[0]
        return f"has {channels} base channels, the config asks for {model.base_channels}: set model_args.base_channels"
    if name.startswith("fc.") and value.shape[0] != own.shape[0]:
        return (
            f"has {value.shape[0]} classes, the config asks for {own.shape[0]}: "
            "set model_args.num_class, or ignore_weights: [fc.] to train a new classifier"
        )
    per_body = model.in_channels * model.num_point
    if name.startswith("data_bn."):
        if value.shape[0] % per_body == 0:
            bodies = value.shape[0] // per_body
            return f"has {bodies} bodies, the config asks for {model.num_person}: set model_args.num_person: {bodies}"
        if value.shape[0] % (model.in_channels * model.num_person) == 0:
            return _joints_advice(value.shape[0] // (model.in_channels * model.num_person), model.num_point)
    return other
