"""YAML in and out: the one module that knows the package."""

import os
from pathlib import Path
from typing import Any

import yaml

# LibYAML's loader takes a tenth of the time; not every build of PyYAML has it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: str | os.PathLike[str], what: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The KEY: VALUE pairs of a file, and the line, from 1, of each key; one inside another is OUTER.INNER.

    Args:
        path: the file.
        what: what the file should hold, for messages.

    Raises:
        ValueError: it is no YAML, or holds something else.
        OSError: it cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        try:
            raw, tree = _parse(text, _Loader)
        except yaml.YAMLError:  # PyYAML's own loader says better what is wrong, and where
            raw, tree = _parse(text, yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file: give {what} in YAML") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date like 2020-13-45
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise ValueError(f"{path}{line}: not YAML ({getattr(error, 'problem', None) or error}): fix it") from error
    if not isinstance(raw, dict):
        raise ValueError(f"{path}: holds no KEY: VALUE pairs: give {what}")
    lines: dict[str, int] = {}
    _note_lines(tree, "", lines)
    return raw, lines


def _parse(text: str, kind: Any) -> tuple[Any, yaml.Node | None]:
    loader = kind(text)
    tree = loader.get_single_node()
    return None if tree is None else loader.construct_document(tree), tree


def _note_lines(tree: yaml.Node | None, prefix: str, lines: dict[str, int]) -> None:
    if isinstance(tree, yaml.MappingNode):
        for key, value in tree.value:
            lines[prefix + str(key.value)] = key.start_mark.line + 1
            _note_lines(value, f"{prefix}{key.value}.", lines)


def yaml_value(text: str) -> Any:
    """What a text stands for in YAML.

    Raises:
        ValueError: it is no YAML.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def dump_yaml(value: Any) -> str:
    """Plain values as YAML, keys in their order."""
    return yaml.safe_dump(value, sort_keys=False)
