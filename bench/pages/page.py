"""HTML pages of templates in `templates/`; styles, scripts and data become part of the one file."""

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_TEMPLATES = Path(__file__).resolve().parent / "templates"
# What would end a <script>, begin a comment in one, or is a line break in JavaScript but not in JSON.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def render(template: str, **values: Any) -> str:
    """The HTML of a template; values are escaped, and one that is missing is an error."""
    return _environment().get_template(template).render(**values)


def check_output(option: str, file: str | os.PathLike[str], usual: str) -> None:
    """Raises ValueError where a page or picture would be a folder, or written over another kind of file.

    Args:
        option: which names it; file: what it names.
        usual: a name as it should be.
    """
    suffix = Path(usual).suffix
    if os.fspath(file) and Path(file).is_dir():
        raise ValueError(f"{option} {file}: is a folder: name a file, as {Path(file) / usual}")
    if not os.fspath(file).lower().endswith(suffix):
        raise ValueError(f"{option} {os.fspath(file) or repr(file)}: give a name that ends in {suffix}")


def embed(data: Any) -> Markup:
    """Data as JSON that is safe within <script type="application/json">.

    Raises:
        ValueError: a number that JSON has not, NaN or infinite.
    """
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.translate(_ESCAPES))


def inline(name: str) -> Markup:
    """The text of a style sheet or script in `templates/`, to stand within <style> or <script>."""
    text = (_TEMPLATES / name).read_text(encoding="utf-8")
    assert "</script" not in text.lower() and "</style" not in text.lower(), name
    return Markup(text)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.globals |= {"embed": embed, "inline": inline}
    return made
