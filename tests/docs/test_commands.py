"""Every command block of the documents runs, in small made worlds, or is marked with why it cannot."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import doc_worlds as worlds
import pytest
from doc_blocks import blocks
from doc_worlds import Result, run_page

from export.manifest import read_manifest

pytestmark = pytest.mark.long(60)
Ran = list[tuple[str, Result]]
# Pages whose commands run elsewhere, as they need more than files.
ELSEWHERE = {"pretrained.md": "tests/pretrained/test_docs.py"}


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Ran]]:
    """Runs the commands of a page once; gives their folder and what they said."""
    done: dict[str, tuple[Path, Ran]] = {}

    def made(page: str) -> tuple[Path, Ran]:
        if page not in done:
            folder = tmp_path_factory.mktemp(page.removesuffix(".md"))
            WORLDS[page](folder, lambda earlier: made(earlier)[0])
            done[page] = folder, run_page(page, folder)
        return done[page]

    return made


Earlier = Callable[[str], Path]


def _recipes(folder: Path, _: Earlier) -> None:
    worlds.write_prepared(folder)


def _engines(folder: Path, earlier: Earlier) -> None:
    worlds.add_for_engines(worlds.copied(earlier("recipes.md"), folder))


def _live(folder: Path, earlier: Earlier) -> None:
    for page in ("engines.md", "your-own-data.md"):
        worlds.copied(earlier(page) / "engines", folder / "engines")
    worlds.add_for_live(folder)


def _looking(folder: Path, earlier: Earlier) -> None:
    worlds.copied(earlier("engines.md"), folder)


WORLDS: dict[str, Callable[[Path, Earlier], None]] = {
    "index.md": lambda folder, _: None,
    "recipes.md": _recipes,
    "engines.md": _engines,
    "live.md": _live,
    "looking.md": _looking,
    "clusters.md": lambda folder, _: worlds.write_ntu(folder),
    "file-formats.md": lambda folder, _: worlds.write_recordings(folder),
    "your-own-data.md": lambda folder, _: worlds.write_own_data(folder),
}
RUNNING = sorted({block.page for block in blocks("bash") if not block.why} - set(ELSEWHERE))


def results(ran: Ran, *words: str) -> list[Result]:
    """What the commands said that have these words."""
    return [result for command, result in ran if all(word in command for word in words)]


@pytest.mark.parametrize("page", RUNNING)
def test_commands_run(page: str, make: Callable[[str], tuple[Path, Ran]]) -> None:
    assert page in WORLDS, f"{page}: add a world for its commands, or say before each block why it does not run"
    _, ran = make(page)
    assert ran


def test_commands_that_run_elsewhere_do() -> None:
    root = Path(__file__).resolve().parents[2]
    for page, test in ELSEWHERE.items():
        assert f'"{page}"' in (root / test).read_text(), test


def test_the_walk_answers_the_same_from_scores_and_from_the_engine(make: Callable[[str], tuple[Path, Ran]]) -> None:
    _, ran = make("index.md")
    from_scores, from_engine = results(ran, "fuse-eval")
    for key in ("clips", "joint_top1", "bone_top1", "top1"):
        assert from_scores[key] == pytest.approx(from_engine[key]), key
    assert len(results(ran, "predict")[0]["clips"]) == 12


def test_own_poses_go_from_files_to_an_answer(make: Callable[[str], tuple[Path, Ran]]) -> None:
    folder, ran = make("your-own-data.md")
    assert results(ran, "--data-path poses ")[0]["clips"] == 12
    assert read_manifest(folder / "engines/custom-strong").class_names == ["fall", "wave"]
    (answer,) = results(ran, "new_clip.json")
    assert answer["clips"][0]["top"][0]["class"] in ("fall", "wave")


def test_videos_become_clips_and_timelines(make: Callable[[str], tuple[Path, Ran]]) -> None:
    if not worlds.HAS_VIDEO:
        pytest.skip("the extra video is not installed")
    from native_prep.poses.video.media import read_frames

    (prepared,) = results(make("your-own-data.md")[1], "--data-path videos")
    assert prepared["clips"] == 6 and prepared["poses"]["estimated"] == 6
    folder, ran = make("live.md")
    (seen,) = results(ran, "--overlay")
    assert seen["frames"] == 30 and {one["class"] for one in seen["actions"]} <= {"wave", "fall"}
    assert len(list(read_frames(str(folder / "seen.mp4")))) == 30
    assert len((folder / "actions.csv").read_text().splitlines()) > 1


def test_engines_of_the_page(make: Callable[[str], tuple[Path, Ran]]) -> None:
    folder, ran = make("engines.md")
    assert read_manifest(folder / "engines/kinetics").streams == ("joint", "bone", "joint_motion", "bone_motion")
    assert read_manifest(folder / "engines/ntu/xsub").precision == "fp16"
    (from_scores, *_), (from_engine,) = (
        results(make("recipes.md")[1], "fuse-eval", "ntu/xview"),
        results(ran, "fuse-eval"),
    )
    assert from_engine["top1"] == pytest.approx(from_scores["top1"])


def test_a_command_that_fails_is_told_of(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path), pytest.raises(AssertionError, match="no such"):
        worlds.run("prep", "kinetics")
