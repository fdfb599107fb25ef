"""YAML in and out: the one module that knows the package."""

import os
from dataclasses import dataclass, field
from typing import Any

import yaml

from native_prep.io.whole import MIB, read_whole

# LibYAML's loader takes a tenth of the time; not every build of PyYAML has it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Values in one another; LibYAML's loader ends the process, without a word, where there are tens of thousands.
_DEEPEST = 50
# Ours have some kilobytes.
_MOST_BYTES = 4 * MIB


def read_yaml(path: str | os.PathLike[str], what: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The KEY: VALUE pairs of a file, and the line, from 1, of each key; one inside another is OUTER.INNER.

    Args:
        path: the file.
        what: what the file should hold, for messages.

    Raises:
        ValueError: it is no YAML, holds something else, has a key twice, or is too large.
        OSError: it cannot be read.
    """
    content = read_whole(path, "a YAML file", _MOST_BYTES)
    try:
        text = content.decode("utf-8")
        try:
            raw, tree, fault = _parse(text, _Loader)
        except yaml.YAMLError:  # PyYAML's own loader says better what is wrong, and where
            raw, tree, fault = _parse(text, yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file: give {what} in YAML") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date like 2020-13-45
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise ValueError(f"{path}{line}: not YAML ({getattr(error, 'problem', None) or error}): fix it") from error
    if fault:
        raise ValueError(f"{path}:{fault}")
    if not isinstance(raw, dict):
        raise ValueError(f"{path}: holds no KEY: VALUE pairs: give {what}")
    lines: dict[str, int] = {}
    _note_lines(tree, "", lines)
    return raw, lines


@dataclass
class _Open:
    """A list or mapping whose end is still to come; `keys` are the lines of a mapping's so far."""

    anchor: str | None
    is_mapping: bool
    keys: dict[str, int] = field(default_factory=dict)
    key_is_next: bool = True


def _fault_of(text: str, kind: Any) -> str:
    """What loaders do not say of YAML that can be parsed: `LINE: what is wrong: what to do`; "" where nothing is.

    Of a key that a mapping has twice they keep the last. `<<` may stand several times, and its keys beside others.
    """
    inside: list[_Open] = []
    events: Any = yaml.parse(text, kind)
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionEndEvent):
            inside.pop()
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        if isinstance(event, yaml.AliasEvent) and event.anchor in (one.anchor for one in inside):
            return f"{line}: *{event.anchor} stands within &{event.anchor}: write out what is meant"
        if inside and inside[-1].is_mapping:
            keys, is_key = inside[-1].keys, inside[-1].key_is_next
            inside[-1].key_is_next = not is_key
            if is_key and isinstance(event, yaml.ScalarEvent) and event.value != "<<":
                if event.value in keys:
                    return f"{line}: key {event.value} stands in line {keys[event.value]} already: keep one of them"
                keys[event.value] = line
        if isinstance(event, yaml.CollectionStartEvent):
            inside.append(_Open(event.anchor, isinstance(event, yaml.MappingStartEvent)))
            if len(inside) > _DEEPEST:
                return f"{line}: more than {_DEEPEST} values stand in one another: write fewer"
    return ""


def _parse(text: str, kind: Any) -> tuple[Any, yaml.Node | None, str]:
    """The value, its tree, and what `_fault_of` says, "" where the others were made."""
    if fault := _fault_of(text, kind):
        return None, None, fault
    loader = kind(text)
    tree = loader.get_single_node()
    return None if tree is None else loader.construct_document(tree), tree, ""


def _note_lines(tree: yaml.Node | None, prefix: str, lines: dict[str, int]) -> None:
    if isinstance(tree, yaml.MappingNode):
        for key, value in tree.value:
            lines[prefix + str(key.value)] = key.start_mark.line + 1
            _note_lines(value, f"{prefix}{key.value}.", lines)


def yaml_value(text: str) -> Any:
    """What a text stands for in YAML.

    Raises:
        ValueError: it is no YAML, or has a key twice; without the text itself.
    """
    try:
        value, _, fault = _parse(text, _Loader)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date like 2020-13-45
        raise ValueError("the value is not YAML: quote it") from error
    if fault:
        raise ValueError(f"line {fault}")
    return value


def dump_yaml(value: Any) -> str:
    """Plain values as YAML, keys in their order."""
    return yaml.safe_dump(value, sort_keys=False)
