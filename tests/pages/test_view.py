"""`view`: what it finds in a path, what it says of wrong ones, and its page in a browser."""

import json
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exported import FRAMES, three_blocks, trained_looking
from PIL import Image
from pose_files import write_array_folder

from agcn.checkpoint import save_weights
from agcn.model.layer_graphs import LayerGraphs
from bench.pages import view as pages_view
from bench.pages.predictions import taken_from
from bench.pages.prepared_data import open_prepared, prepared_data
from bench.pages.recordings import in_order_of, open_raw
from bench.pages.view import view
from export.raw_clips import ClipForm, RawClips
from native_prep.cpu.in_memory import prepare_frames
from native_prep.cpu.one_file import read_clip
from native_prep.datasets.catalog import class_names, get_dataset
from native_prep.io import progress
from native_prep.io.pickles import save_pickle
from native_prep.pipeline.prepare import prepare
from native_prep.poses.custom import default_metadata, prepare_custom
from native_prep.poses.people import dataset_of_file
from native_prep.skeletons.layouts import COCO17, NTU, NW_UCLA
from native_prep.skeletons.padding import real_frames
from native_prep.synth.make import joint_batch, synth

ACTIONS = class_names("ntu60")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made recordings: of two people where the class is one of two."""
    folder = tmp_path_factory.mktemp("raw")
    synth("ntu60", folder / "ntu", clips=10, classes=5, frames=12)
    synth("nw-ucla", folder / "ucla", clips=2, frames=12)
    synth("kinetics", folder / "kinetics", clips=2, frames=20)
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, raw: Path) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    prepare("ntu60", raw / "ntu", folder, formats=("npy", "packed"), max_frames=40)
    return folder


def clip_of(raw: Path) -> str:
    return str(sorted((raw / "ntu").rglob("*.skeleton"))[0])


def pages(path: Path) -> list[dict[str, Any]]:
    """The clips within a page."""
    found = re.findall(r'<script type="application/json" class="clip">(.*?)</script>', path.read_text(), re.DOTALL)
    return [json.loads(one) for one in found]


def pose_file(path: Path, frames: int = 12, size: float = 1.0) -> Path:
    points = np.random.default_rng(0).uniform(0.2, 0.8, (frames, 17, 3)).astype(np.float32)
    points[..., :2] *= size
    np.save(path, points)
    return path


def test_a_raw_clip_beside_what_prep_makes_of_it(raw: Path) -> None:
    path = clip_of(raw)
    found = open_raw(path, None, None, None)
    frames = found.people.shape[1]
    np.testing.assert_array_equal(found.prepared, read_clip(path, "ntu60")[:, :frames])
    assert list(found.tracks) == ["raw", "prepared", "bone"]
    assert found.action == ACTIONS[int(path[-12:-9]) - 1] and found.layout == NTU
    assert [found.tracks[name].up for name in ("raw", "prepared")] == [(1, 1), (2, 1)]  # prep turns it
    for name, layout in (("ucla", NW_UCLA.name), ("kinetics", "kinetics")):
        (one, *_) = sorted(file for file in (raw / name).rglob("*.json") if "label" not in file.name)
        other = open_raw(str(one), None, None, None)
        assert other.layout.name == layout and other.prepared.any()
        assert other.tracks["raw"].y_down == (layout == "kinetics")


def test_the_class_that_a_file_tells(raw: Path, tmp_path: Path) -> None:
    """The actions in NW-UCLA's names count to 12, its labels to 10."""
    content = json.loads(next((raw / "ucla").rglob("a*.json")).read_text())
    path = tmp_path / "a12_s01_e01_v03.json"
    path.write_text(json.dumps(content | {"label": 10}))
    assert open_raw(str(path), None, None, None).action == class_names("nw-ucla")[9] == "carry"
    content = json.loads(next((raw / "kinetics" / "kinetics_train").glob("*.json")).read_text())
    path = tmp_path / "k.json"
    for labels, action in (
        ({"label": "abseiling", "label_index": 0}, "abseiling"),
        ({"label": "juggling eggs"}, "juggling eggs"),
        ({"label_index": 1}, "air drumming"),
        ({"label_index": -1}, ""),
        ({}, ""),
    ):
        path.write_text(json.dumps({"data": content["data"]} | labels))
        assert open_raw(str(path), None, None, None).action == action


@pytest.mark.parametrize(
    ("content", "dataset"),
    [
        ({"data": [], "label": "wave", "label_index": 3}, "kinetics"),
        ({"data": [{"frame_index": 1, "skeleton": []}]}, "kinetics"),
        ({"label": 1, "skeletons": [[[0.0, 1.0, 2.0]]]}, "nw-ucla"),
        ({"images": [], "annotations": [], "categories": [{"name": "person", "skeleton": [[16, 14]]}]}, ""),
        ({"meta_info": {"skeleton_links": [[0, 1]]}, "instance_info": [], "note": "skeletons"}, ""),
        ({"skeletons": {"person": []}, "data": {"skeleton": 1}}, ""),
        ([{"skeletons": []}], ""),
    ],
)
def test_a_data_set_is_told_by_keys(tmp_path: Path, content: Any, dataset: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert dataset_of_file(str(tmp_path / "a.json")) == dataset


@pytest.mark.parametrize(("option", "value"), [("layout", "coco17"), ("image_size", "640x480")])
def test_options_that_clips_of_data_sets_do_not_need(raw: Path, prepared: Path, option: str, value: str) -> None:
    for path in (clip_of(raw), str(next((raw / "ucla").rglob("a*.json")))):
        words = rf"is a clip of (ntu60|nw-ucla), which needs no --{option.replace('_', '-')}: leave it out"
        with pytest.raises(ValueError, match=words):
            view(path, **{option: value})
    with pytest.raises(ValueError, match=r"tells its skeleton: leave --layout out|--image-size is for pose files"):
        view(str(prepared / "packed"), **{option: value})


def test_the_image_size_holds_for_the_weights_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepare_custom(write_array_folder(tmp_path / "raw"), "data/custom", layout="coco17", image_size="640x480")
    save_weights(trained_looking("agcn", COCO17, 1, num_class=2), tmp_path / "joint.pt")
    made: list[object] = []
    start = RawClips.__init__
    monkeypatch.setattr(RawClips, "__init__", lambda self, *given: (made.append(self), start(self, *given))[1])
    found = []
    with three_blocks():
        for times, size in ((1, None), (2, "1280x960")):
            file = pose_file(tmp_path / f"{times}.npy", size=480.0 * times)
            view(str(file), config="custom", weights="joint.pt", image_size=size)
            found += pages(tmp_path / "view.html")
        assert found[0]["weights"] == found[1]["weights"] and len(made) == 2
        made.clear()
        result = view("data/custom", config="custom", weights="joint.pt")
    assert result["clips"] > 1 and len(made) == 1


def test_people_keep_their_colours() -> None:
    """Prep puts the body of most motion first, whatever place it has in the file."""
    people = joint_batch(NTU, 1, FRAMES, 2, seed=2, one_body_share=0.0)[0].transpose(3, 1, 2, 0).copy()
    people[1] *= 1.4
    swapped = people[::-1].copy()
    ordered = in_order_of(swapped, people.transpose(3, 1, 2, 0), NTU)
    np.testing.assert_array_equal(ordered, people)


def test_poses_of_ones_own(tmp_path: Path) -> None:
    path = str(pose_file(tmp_path / "a.npy", size=640.0))
    with pytest.raises(ValueError, match="does not say which joints it has: give --layout"):
        open_raw(path, None, None, None)
    found = open_raw(path, None, "coco17", (640, 640))
    assert found.layout == COCO17 and found.tracks["raw"].picture == (640, 640) and not found.notes
    assert np.abs(found.prepared[:2]).max() < 0.5


def test_pixels_of_a_picture_of_unknown_size(tmp_path: Path) -> None:
    """A viewer needs no size, a network does."""
    path = pose_file(tmp_path / "a.npy", size=640.0)
    wanted = np.ceil(np.load(path)[..., :2].max(axis=(0, 1))).astype(int).tolist()
    found = open_raw(str(path), None, "coco17", None)
    assert found.tracks["raw"].picture == tuple(wanted) and found.prepared[:2].min() >= -0.5
    assert found.prepared[0].max() == pytest.approx(0.5, abs=0.01)
    view(str(path), layout="coco17", out=str(tmp_path / "v.html"))
    (clip,) = pages(tmp_path / "v.html")
    assert clip["notes"] == ["The file does not tell the size of its picture: the frame is as large as the poses."]
    shares = open_raw(str(pose_file(tmp_path / "b.npy")), None, "coco17", None)
    assert shares.tracks["raw"].picture == (1, 1) and not shares.notes
    form = ClipForm("custom", "coco17", default_metadata(COCO17, 2, []), {}, (3, 20, 17, 2), 20)
    with pytest.raises(ValueError, match="are pixels: give --image-size WIDTHxHEIGHT, or give it as"):
        open_raw(str(path), RawClips(form, "engine"), None, None)


def test_colours_of_people_that_prep_sorts(tmp_path: Path) -> None:
    person = {"pose": np.linspace(0.1, 0.9, 36).tolist(), "score": [0.5] * 18}
    words = "In each frame prep sorts people by score"
    for people, notes in ((1, 0), (2, 1)):
        frames = [{"frame_index": index + 1, "skeleton": [person] * people} for index in range(3)]
        (tmp_path / "k.json").write_text(json.dumps({"data": frames, "label_index": 1}))
        found = open_raw(str(tmp_path / "k.json"), None, None, None)
        assert len(found.notes) == notes and all(note.startswith(words) for note in found.notes)
    points = np.random.default_rng(0).uniform(0.2, 0.8, (2, 9, 17, 3)).astype(np.float32)
    np.save(tmp_path / "a.npy", points)  # each place is one person
    assert not open_raw(str(tmp_path / "a.npy"), None, "coco17", None).notes


@pytest.mark.parametrize("place", ("", "xsub", "xsub/val_data_bone.npy", "packed", "packed/xview/train_data_joint.npy"))
def test_prepared_data_are_found(prepared: Path, place: str) -> None:
    paths = prepared_data(str(prepared / place))
    assert paths is not None
    found = open_prepared(*paths, (), 2)
    assert 1 <= len(found) <= 2 and found[0].action in ACTIONS
    assert list(found[0].tracks) == ["joint", "bone"] and found[0].layout == NTU
    assert found[0].prepared.shape[1] < 40 and found[0].whole.shape[1] == 40


def test_other_places_are_no_prepared_data(raw: Path, tmp_path: Path) -> None:
    for path in (raw, tmp_path, tmp_path / "gone", clip_of(raw)):
        assert prepared_data(str(path)) is None


def test_clips_by_name(prepared: Path) -> None:
    path = prepared_data(str(prepared / "xsub" / "train_data_joint.npy"))
    every = open_prepared(*path, (), 99)
    name = every[-1].name
    for asked in (name, name.removesuffix(".skeleton")):
        assert [one.name for one in open_prepared(*path, (asked,), 1)] == [name]
    with pytest.raises(ValueError, match=rf"has no clip '{name}x': did you mean '{name}'\?"):
        open_prepared(*path, (f"{name}x",), 1)
    with pytest.raises(ValueError, match=r"has no clip 'q': its clips are S0"):
        open_prepared(*path, ("q",), 1)
    assert len(open_prepared(*path, (name, name.removesuffix(".skeleton"), name), 1)) == 1


@pytest.mark.parametrize("place", ("xsub", "packed/xsub"))
def test_a_clip_of_the_other_split(prepared: Path, place: str) -> None:
    train, val = (str(prepared / place / f"{split}_data_joint.npy") for split in ("train", "val"))
    for here, there, split in ((val, train, "train"), (train, val, "val")):
        name = open_prepared(*prepared_data(there), (), 1)[0].name
        for asked in (name, name.removesuffix(".skeleton")):
            words = re.escape(f"{here}: has no clip {asked!r}, it is in {split}: view {there}")
            with pytest.raises(ValueError, match=f"^{words}$"):
                open_prepared(*prepared_data(here), (asked,), 1)


def test_a_damaged_other_split_does_not_matter(prepared: Path, tmp_path: Path) -> None:
    for file in (prepared / "xsub").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes() if file.name.startswith("val") else b"")
    with pytest.raises(ValueError, match=r"val_data_joint\.npy: has no clip 'q': its clips are S0"):
        open_prepared(*prepared_data(str(tmp_path)), ("q",), 1)


def test_other_folders_of_ours_are_named(tmp_path: Path) -> None:
    for folder in ("engines/ntu/xview", "work_dir/ntu/agcn_joint"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "engines/ntu/xview/manifest.json").write_text("{}")
    for file in ("config.yaml", "best.pt"):
        (tmp_path / "work_dir/ntu/agcn_joint" / file).write_text("")
    one = re.escape(str(tmp_path / "engines/ntu/xview"))
    with pytest.raises(ValueError, match=f"engines/ntu: is a folder of exported folders: give one of them, {one}$"):
        view(str(tmp_path / "engines/ntu"))
    for place in ("work_dir/ntu", "work_dir/ntu/agcn_joint"):
        with pytest.raises(ValueError, match=f"{place}: is a work folder: run report .*{place}, or view a clip"):
            view(str(tmp_path / place))


def test_the_first_use_says_that_it_compiles(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = pages_view.open_raw

    def compiles(*given: Any) -> Any:
        progress.compiling.add("kernel")
        time.sleep(0.3)
        progress.compiling.discard("kernel")
        return opened(*given)

    monkeypatch.setattr(pages_view, "open_raw", compiles)
    monkeypatch.setattr(pages_view, "Progress", partial(progress.Progress, every=0.05))
    view(clip_of(raw), out=str(tmp_path / "v.html"))
    assert "view: compiling, first use only" in capsys.readouterr().err


def test_data_without_clips_or_a_known_skeleton(tmp_path: Path) -> None:
    np.save(tmp_path / "val_data_joint.npy", np.zeros((0, 3, 8, 25, 2), np.float32))
    save_pickle(tmp_path / "val_label.pkl", ([], []))
    with pytest.raises(ValueError, match=r"holds no clip: name another part, as .*train_data_joint\.npy"):
        view(str(tmp_path))
    np.save(tmp_path / "val_data_joint.npy", np.ones((1, 3, 8, 17, 2), np.float32))
    save_pickle(tmp_path / "val_label.pkl", (["a"], [0]))
    with pytest.raises(ValueError, match="has 17 joints and does not say which: give --layout"):
        view(str(tmp_path))
    paths = prepared_data(str(tmp_path))
    assert paths is not None and open_prepared(*paths, (), 1, "coco17")[0].layout == COCO17
    with pytest.raises(ValueError, match="has 17 joints, layout ntu 25"):
        open_prepared(*paths, (), 1, "ntu")


def test_real_frames() -> None:
    clip = np.random.default_rng(0).normal(size=(3, 10, 25, 2)).astype(np.float32)
    assert real_frames(clip) == 10
    assert real_frames(np.concatenate([clip, clip, clip[:, :5]], axis=1)) == 10
    assert real_frames(np.concatenate([clip, np.zeros_like(clip)], axis=1)) == 10
    assert real_frames(np.zeros_like(clip)) == 1 and real_frames(np.repeat(clip[:, :1], 9, axis=1)) == 1


@pytest.mark.parametrize("lengths", ((10, 7), (7, 10), (10, 0), (40, 7), (10, 10)))
def test_each_body_repeats_with_its_own_period(lengths: tuple[int, int]) -> None:
    """The second is centred on the first, so that its frames repeat after 70 only."""
    people = np.random.default_rng(0).normal(2.0, 0.5, (2, 40, 25, 3))
    for body, length in zip(people, lengths, strict=True):
        body[length:] = 0.0
    assert real_frames(prepare_frames(people, get_dataset("ntu60"), 40)) == max(lengths)


def test_what_others_take_from_a_joint() -> None:
    fixed, learned, own = np.zeros((3, 2, 3, 3))
    fixed[0, 0] = [9.0, 1.0, 0.0]  # the joint's own share does not count
    learned[1, 0] = [0.0, -0.5, 0.5]
    own[0, 2] = [0.25, 0.0, 9.0]
    graphs = LayerGraphs(fixed, learned, own)
    assert taken_from(graphs, "agcn").tolist() == [2.0, 0.0, 0.25]
    assert taken_from(graphs, "aagcn").tolist() == [1.0, 0.0, 0.25]


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (lambda folder: folder, {}, "is empty: give a clip, a folder of prepared data"),
        (lambda folder: (folder / "a.txt").write_text("hello"), {}, "is text, no label file of Ultralytics"),
        (lambda folder: (folder / "a.skeleton").write_text("hello"), {}, "a.skeleton"),
        (lambda folder: (folder / "a.skeleton").write_text("2\n0\n0\n"), {}, "nobody is seen in any of its frames"),
        (lambda folder: (folder / "a.json").write_text("[]"), {}, "nobody is in it"),
        (lambda folder: (folder / "a.json").write_text('{"data": [], "label_index": 3}'), {}, "nobody is seen in any"),
        (lambda folder: (folder / "a.json").write_text("{}"), {"clips": ("a",)}, "--clip is for prepared data"),
        (lambda folder: (folder / "manifest.json").write_text("{"), {}, "not a manifest that this version reads"),
    ],
)
def test_wrong_paths_are_one_line(tmp_path: Path, make: Callable, options: dict, words: str) -> None:
    make(tmp_path)
    files = [file for file in tmp_path.iterdir() if file.name != "manifest.json"]
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        view(str(files[0] if files else tmp_path), out=str(tmp_path / "out" / "view.html"), **options)
    assert len(str(error.value).splitlines()) == 1 and not (tmp_path / "out").exists()


def test_a_folder_of_raw_clips_is_named(raw: Path) -> None:
    folder = Path(clip_of(raw)).parent
    with pytest.raises(ValueError, match="is a folder of raw clips: give one of them"):
        view(str(folder))


def test_pictures_for_papers(raw: Path, tmp_path: Path) -> None:
    gif, png = tmp_path / "a.gif", tmp_path / "a.png"
    result = view(clip_of(raw), gif=str(gif), png=str(png), frames=3)
    assert result["outputs"] == [str(gif), str(png)] and sorted(tmp_path.iterdir()) == [gif, png]
    assert result["clips"] == 1 and result["bytes"] == gif.stat().st_size + png.stat().st_size
    with Image.open(gif) as film, Image.open(png) as image:
        assert film.n_frames > 5 and image.width > 3 * image.height / 2
    both = view(clip_of(raw), png=str(png), out=str(tmp_path / "a.html"))
    assert both["outputs"] == [str(tmp_path / "a.html"), str(png)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"out": "own.skeleton"}, "--out own.skeleton: give a name that ends in .html"),
        ({"out": ""}, "--out '': give a name that ends in .html"),
        ({"out": "x.gif", "gif": "x.gif"}, "--out x.gif: give a name that ends in .html"),
        ({"png": "x.gif"}, "--png x.gif: give a name that ends in .png"),
        ({"out": "folder"}, "--out folder: is a folder: name a file, as folder/view.html"),
        ({"out": "folder.html"}, "--out folder.html: is a folder: name a file, as folder.html/view.html"),
        ({"frames": 3}, "--frames 3: is for --png: name the picture, or leave it out"),
        ({"frames": 3, "gif": "x.gif"}, "--frames 3: is for --png: name the picture, or leave it out"),
    ],
)
def test_nothing_is_written_over(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("folder", "folder.html"):
        (tmp_path / folder).mkdir()
    own = tmp_path / "own.skeleton"
    own.write_bytes(Path(clip_of(raw)).read_bytes())
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        view("own.skeleton", **options)
    assert own.read_bytes() == Path(clip_of(raw)).read_bytes() and len(list(tmp_path.iterdir())) == 3


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, exported: Path) -> Path:
    """A page of an engine's clips: predictions, weights of joints, several clips."""
    folder = tmp_path_factory.mktemp("seen")
    config = exported / "config.yaml"
    with three_blocks():
        result = view(
            str(exported / "engine"),
            clips=("S001C001P001R001A002", "S001C001P001R001A001"),
            config=str(config),
            weights=str(exported / "joint.pt"),
            out=str(folder / "v.html"),
        )
    assert result["names"] == ["S001C001P001R001A002.skeleton", "S001C001P001R001A001.skeleton"]
    return folder / "v.html"


def test_an_export_shows_its_test_data(seen: Path) -> None:
    for clip in pages(seen):
        predictions = clip["predictions"]
        assert predictions["ends"][-1] == clip["recorded"] - 1 and len(predictions["classes"]) == 5
        assert all(len(shares) == len(predictions["ends"]) for shares in predictions["probabilities"])
        # The last window is the whole clip.
        last = [shares[-1] for shares in predictions["probabilities"]]
        assert predictions["window"] == clip["recorded"] and last == pytest.approx(predictions["followed"], abs=1e-3)
        assert predictions["cut"]
        assert len(clip["weights"]) == 3 and all(max(layer) == 1 and min(layer) == 0 for layer in clip["weights"])


def test_a_raw_clip_and_an_engine(raw: Path, exported: Path, tmp_path: Path) -> None:
    from export.runtime.predict import predict

    path, out = clip_of(raw), tmp_path / "v.html"
    view(path, engine=str(exported / "engine"), out=str(out))
    (clip,) = pages(out)
    (best,) = predict(exported / "engine", [path], top=1)["clips"][0]["top"]
    whole = clip["predictions"]["whole"][0]
    assert not clip["predictions"]["cut"]
    assert whole["class"] == best["class"] and whole["score"] == pytest.approx(best["score"])
    assert [track["name"] for track in clip["tracks"]] == ["raw", "prepared", "bone"]


def test_networks_that_do_not_fit(
    raw: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    engine = str(exported / "engine")
    with pytest.raises(ValueError, match="it is not known where its test data are: name them by --dataset"):
        view(engine)
    with pytest.raises(ValueError, match="is an engine, as --engine x is"):
        view(engine, engine="x")
    np.save(tmp_path / "val_data_joint.npy", joint_batch(NW_UCLA, 2, FRAMES, 1, seed=1))
    save_pickle(tmp_path / "val_label.pkl", (["a", "b"], [0, 1]))
    with pytest.raises(ValueError, match=r"its test data data/ntu/xsub/val_data_joint\.npy are not here"):
        view(engine, dataset="ntu/xsub")
    assert "joints have no weights: work_dir/ntu/xsub/agcn_joint/best.pt: no such file" in capsys.readouterr().err
    with pytest.raises(ValueError, match="is for the skeleton ntu, a has that of nw-ucla"):
        view(str(tmp_path), engine=engine)
    ucla = next((raw / "ucla").rglob("*.json"))
    with pytest.raises(ValueError, match=r"\.json: is a clip of nw-ucla, the engine is for the skeleton ntu: give"):
        view(str(ucla), engine=engine)
    with pytest.raises(ValueError, match="--layout is for clips that no network looks at"):
        view(str(tmp_path), engine=engine, layout="ntu")


def test_a_hostile_name_is_only_a_name(raw: Path, open_page: Callable, tmp_path: Path) -> None:
    name = "<script>document.title='x'<\u2215script>'\"&<!--.skeleton"
    path = tmp_path / name
    path.write_bytes(Path(clip_of(raw)).read_bytes())
    view(str(path), out=str(tmp_path / "v.html"))
    page = open_page(tmp_path / "v.html")
    assert page.title() == f"Skeletons: {name}"
    assert page.locator("#text").inner_text().startswith(name)


def test_the_page_plays_and_asks_for_nothing(
    seen: Path, open_page: Callable, scrolls_sideways: Callable, unnamed_controls: Callable
) -> None:
    for viewport in ("desktop", "phone"):
        page = open_page(seen, viewport)
        page.wait_for_function("player.frame > 2")  # by itself
        page.get_by_role("button", name="Pause").click()
        assert not scrolls_sideways(page) and unnamed_controls(page) == []
        assert "12 frames, one person" in page.locator("canvas").get_attribute("aria-label")
    still = open_page(seen, reduced_motion="reduce")
    assert still.evaluate("player.frame") == 0 and not still.evaluate("player.playing")


def test_clips_and_tracks_are_chosen(seen: Path, open_page: Callable) -> None:
    page = open_page(seen, reduced_motion="reduce")
    assert page.evaluate("player.views.map(view => view.name)") == ["joint", "bone"]
    page.get_by_label("beside").select_option("nothing")
    assert page.evaluate("player.views.map(view => view.name)") == ["joint"]
    page.get_by_label("Show").select_option("bone")
    page.get_by_label("Clip").select_option(index=1)
    assert page.evaluate("player.views.map(view => view.name)") == ["bone"]  # the choice stays
    assert page.locator("#text").inner_text().startswith(f"S001C001P001R001A001.skeleton, {ACTIONS[0]}")
    assert "Bone: each joint less" in page.locator("#tracks-text").inner_text()


def test_keys_act_wherever_the_focus_is(seen: Path, open_page: Callable) -> None:
    page = open_page(seen, "phone", reduced_motion="reduce")  # so that the page could scroll
    state = "[player.frame, player.playing, window.scrollY]"
    assert page.evaluate("document.activeElement.tagName") == "BODY"
    page.keyboard.press("ArrowRight")
    assert page.evaluate(state) == [1, False, 0]
    yaw, pitch = page.evaluate("[player.yaw, player.pitch]")
    for key in ("ArrowDown", "Shift+ArrowRight", "+"):
        page.keyboard.press(key)
    assert page.evaluate("player.yaw") > yaw and page.evaluate("player.pitch") < pitch
    assert page.evaluate("player.zoom") > 1
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    assert page.evaluate("[player.zoom, player.playing, window.scrollY]") == [1, True, 0]
    page.keyboard.press("Space")
    assert not page.evaluate("player.playing")
    page.evaluate("player.setFrame(3)")
    page.locator("canvas").focus()
    page.keyboard.press("ArrowRight")  # once
    assert page.evaluate("player.frame") == 4
    for name, own in (("theme", "Space"), ("first", "ArrowDown"), ("clip", "Space")):
        page.locator(f"#{name}").focus()
        before = page.evaluate("currentTheme()")
        page.keyboard.press(own)
        assert page.evaluate("[player.frame, player.playing]") in ([4, False], [0, False])
        assert (page.evaluate("currentTheme()") != before) is (name == "theme")
        page.keyboard.press("Escape")
    page.locator("summary").focus()
    page.keyboard.press("Space")
    assert page.get_by_text("Keys act wherever the focus is").is_visible() and not page.evaluate("player.playing")


def test_people_and_weights(seen: Path, open_page: Callable) -> None:
    page = open_page(seen, reduced_motion="reduce")
    assert not page.locator("#bodies").is_visible()  # one person
    page.get_by_label("Clip").select_option(index=1)
    page.get_by_label("Person 2").uncheck()
    assert page.evaluate("player.hidden.has(1)") and not page.evaluate("player.hidden.has(0)")
    legend = page.locator("#legend")
    assert not legend.is_visible()
    page.get_by_label("Colour").select_option(label="by weight in layer 2")
    assert legend.is_visible() and page.evaluate("player.values.length") == 25
    page.get_by_label("Colour").select_option(label="by person")
    assert not legend.is_visible() and page.evaluate("player.values") is None


def test_predictions_follow_the_frame(seen: Path, open_page: Callable) -> None:
    page = open_page(seen, reduced_motion="reduce")
    shares = page.evaluate("clip.predictions.probabilities.map(shares => [shares[0], shares.at(-1)])")
    cells = page.locator(".now-share")
    assert cells.all_inner_texts() == [f"{100 * first:.1f} %" for first, _ in shares]
    before = page.locator(".now").get_attribute("x1")
    page.evaluate("player.setFrame(15)")
    assert cells.all_inner_texts() == [f"{100 * last:.1f} %" for _, last in shares]
    assert float(page.locator(".now").get_attribute("x1")) > float(before) + 50
    chart = page.locator("#chart svg")
    box = chart.bounding_box()
    chart.click(position={"x": box["width"] / 2, "y": 100})
    assert 5 <= page.evaluate("player.frame") <= 9
    assert page.locator("#answer").inner_text().startswith("The whole clip: ")
    assert "cut out of the prepared clip" in page.locator("#window-text").inner_text()


def test_weights_of_another_skeleton(raw: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_weights(trained_looking("agcn", NTU, 1, num_class=60), tmp_path / "joint.pt")
    ucla = next((raw / "ucla").rglob("*.json"))
    with pytest.raises(ValueError, match=r"\.json: is a clip of nw-ucla, the engine is for the skeleton ntu: give"):
        view(str(ucla), weights=str(tmp_path / "joint.pt"))
