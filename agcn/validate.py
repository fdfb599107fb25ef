"""Values from YAML as the types that a field declares, or one clear line."""

import difflib
import types
import typing
from collections.abc import Sequence
from typing import Any

_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "True or False", dict: "KEY: VALUE pairs"}


def coerce(value: Any, hint: Any, where: str) -> Any:
    """`value` as the type `hint`: str, bool, int, float, dict, a tuple of one of them, or `X | None`.

    YAML reads `1e-4` as text; it is a number where a number is wanted. A single value is a tuple of one.

    Raises:
        ValueError: it is of another kind; the message starts with `where`.
    """
    options = [hint]
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        options = list(typing.get_args(hint))
        if value is None and type(None) in options:
            return None
        options = [option for option in options if option is not type(None)]
    if len(options) > 1 and type(value) in options:
        return value
    if typing.get_origin(options[0]) is tuple:
        items = value if isinstance(value, (list, tuple)) else [value]
        return tuple(_single(item, typing.get_args(options[0])[0], value, where) for item in items)
    return _single(value, typing.get_origin(options[0]) or options[0], value, where)


def _single(item: Any, kind: Any, whole: Any, where: str) -> Any:
    if kind is float and isinstance(item, (int, float, str)) and not isinstance(item, bool):
        try:
            return float(item)
        except ValueError:
            pass
    elif kind is Any or (isinstance(item, kind) and (kind is bool or not isinstance(item, bool))):
        return item
    raise ValueError(f"{where} is {whole!r}: give {_WORDS.get(kind, kind)}")


def nearest(name: str, known: Sequence[str], lists_all: bool = False) -> str:
    """Advice for a name that is not known: the nearest one, or all of them; with `lists_all` both."""
    close, names = difflib.get_close_matches(name, known, n=1, cutoff=0.5), ", ".join(known)
    if not close:
        return f"use one of {names}"
    return f"did you mean {close[0]!r}?" + (f" There are {names}" if lists_all else "")
