"""The blocks of code in the documents: README, CONTRIBUTING and docs/*.md."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
_FENCE = re.compile(
    r"(?:^<!-- not run: (?P<why>[^>]+?) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A block of code; `why` is why it does not run, "" where it must."""

    page: str
    heading: str
    line: int
    language: str
    code: str
    why: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self) -> list[str]:
        """The lines of a block of shell, without comments."""
        lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in self.code.splitlines()]
        return [line for line in lines if line]


def blocks(language: str, *pages: str) -> list[Block]:
    """All blocks of a language, of all pages or of some."""
    found = []
    for path in PAGES:
        if pages and path.name not in pages:
            continue
        text = path.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            if match["language"] == language:
                before = text[: match.start()]
                heading = ([*re.findall(r"^#+ (.*)", before, re.MULTILINE)] or [""])[-1]
                found.append(
                    Block(path.name, heading, before.count("\n") + 1, language, match["code"], match["why"] or "")
                )
    return found


def our_words(command: str) -> list[str] | None:
    """What follows `cli.py` in a line of shell, up to a pipe; None where it runs something else."""
    words = shlex.split(command.split(" && ")[0])
    place = next((number for number, word in enumerate(words) if word.endswith("cli.py")), None)
    if place is None:
        return None
    words = words[place + 1 :]
    return words[: words.index("|")] if "|" in words else words
