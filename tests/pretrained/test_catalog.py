"""What is known by name, and packed folders and servers that are not what they say."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from exported import trained_looking
from file_server import Server
from mmaction_names import theirs

import cli
from agcn.checkpoint import load_model, save_weights
from agcn.model.network import build_model
from export.comparison import comparison_clips
from export.inputs import input_shape, recordings_of
from export.pretrained import catalog
from export.pretrained.catalog import find, known
from export.pretrained.commands import get_weights, list_weights
from native_prep.datasets.catalog import class_names
from native_prep.io.hashes import sha256
from native_prep.poses.custom import default_metadata
from native_prep.skeletons.layouts import COCO17, LAYOUTS, NTU
from native_prep.skeletons.streams import STREAMS


def test_what_is_known() -> None:
    assert len(known()) == 10
    for name, one in known().items():
        config = one.load_config()
        assert tuple(one.files) == STREAMS and config.test_windows == 10
        assert config.test_feeder_args.convention == "pyskl" and config.model_args["attention"] is ("pyskl" in name)
        layout = LAYOUTS[config.model_args["graph"]]
        assert layout.name == ("coco17" if name.endswith("2d") else "ntu")
        assert config.model_args["num_class"] == (120 if "ntu120" in name else 60)
        for file in one.files.values():
            assert file.location.startswith("https://download.openmmlab.com/") and 0.79 < (file.top1 or 0) < 1
            assert ("mmaction-" in name) == bool(file.checksum) and file.checksum in file.name
        assert (one.four_streams or 0) >= (one.two_streams or 0) > 0.84 and one.motion_alpha == 0.5
    (two,) = [one for one in list_weights()["weights"] if one["name"] == "mmaction-ntu60-xsub-2d"]
    assert two["top1"] == {
        "joint": 0.886, "bone": 0.9159, "joint_motion": 0.8802, "bone_motion": 0.8882, "two_streams": 0.9195,
        "four_streams": 0.9234,
    }  # fmt: skip
    assert not two["here"]


def test_what_lies_in_the_usual_folders_is_another_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, sizes and clips of somebody's data say nothing of weights that others trained."""
    monkeypatch.chdir(tmp_path)
    text = json.dumps(default_metadata(NTU, 1, [f"mine{number}" for number in range(60)]))
    for place in (".", "data/ntu60-2d"):
        Path(place).mkdir(parents=True, exist_ok=True)
        Path(place, "custom.json").write_text(text)
    Path("data/ntu60-2d/val_data_joint.npy").write_bytes(b"no array")
    config = known()["mmaction-ntu60-xsub-2d"].load_config()
    model = build_model(config.model, config.model_args)
    assert recordings_of(config, model)[1] == class_names("ntu60")
    assert comparison_clips(config, model, input_shape(config, model), 2)[1] == "made clips"


def test_the_list_as_it_is_typed(capsys: pytest.CaptureFixture[str]) -> None:
    for typed in (["weights"], ["weights", "--json"]):
        with pytest.raises(SystemExit) as done:
            cli.main(typed)
        assert done.value.code == 0
        result = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert result["command"] == "weights" and len(result["weights"]) == 10


def test_getting_published_files(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the address in the catalogue, and from a folder that somebody else fetched them into."""
    model = trained_looking("aagcn", COCO17, 1, num_class=60, attention=False)
    torch.save({"state_dict": theirs(model)}, server.folder / "j.pth")
    digits = sha256(server.folder / "j.pth")[:8]
    made = {
        "config": "mmaction-ntu60-xsub-2d", "data": "made", "source": "here", "licence": "none", "bytes": 1,
        "two_streams": 50, "four_streams": 50,
        "streams": {"joint": {"top1": 50, "checksum": digits, "url": f"{server.url}/j.pth"},
                    "bone": {"top1": 50, "checksum": "0" * 8, "url": f"{server.url}/j.pth"},
                    "joint_motion": {"top1": 50, "url": f"{server.url}/nowhere.pth"}},
    }  # fmt: skip
    catalogue = server.folder / "known.yaml"
    catalogue.write_text(json.dumps({"made": made}))
    monkeypatch.setattr(catalog, "KNOWN", catalogue)
    known.cache_clear()
    try:
        (found,) = get_weights(["made"], ["joint"])["weights"]
        path = Path(found["files"]["joint"])
        assert path == cache / "weights" / "made" / "joint.pth"
        got = load_model(path, find("made").load_config())
        assert all(torch.equal(value, got.state_dict()[name]) for name, value in model.state_dict().items())
        with pytest.raises(ValueError, match="not with 00000000 as published"):
            get_weights(["made"], ["bone"])
        with pytest.raises(ValueError, match=r"404 Not Found.*or fetch it by other means and run weights get made"):
            get_weights(["made"], ["joint_motion"])
        with pytest.raises(ValueError, match="made: has no weights of bone_motion: it has joint, bone, joint_motion"):
            get_weights(["made"], ["bone_motion"])
        path.unlink()
        get_weights(["made"], ["joint"], origin=str(server.folder))
        assert path.is_file()
        path.write_bytes(b"another")
        get_weights(["made"], ["joint"], origin=f"{server.url}/")
        assert path.read_bytes() == (server.folder / "j.pth").read_bytes()
        with pytest.raises(ValueError, match="may be called the same: get them one by one"):
            get_weights(["made", "made"], origin=str(server.folder))
        with pytest.raises(ValueError, match="SHA-256 does not begin with 00000000 as published"):
            get_weights(["made"], ["bone"], origin=str(server.folder))
        good = path.read_bytes()
        other = trained_looking("aagcn", COCO17, 1, num_class=120, attention=False)
        for content in (b"<html>please log in</html>", good[:-1000], None):
            if content is None:
                torch.save({"state_dict": theirs(other)}, server.folder / "j.pth")
            else:
                (server.folder / "j.pth").write_bytes(content)
            catalogue.write_text(catalogue.read_text().replace(digits, ""))
            known.cache_clear()
            for origin in (str(server.folder), server.url):
                with pytest.raises(ValueError, match=r"j\.pth: are not the weights of made \(.*\): fetch another file"):
                    get_weights(["made"], ["joint"], origin=origin)
            assert path.read_bytes() == good and [one.name for one in path.parent.iterdir()] == ["joint.pth"]
    finally:
        known.cache_clear()


def write_pack(folder: Path, change: Callable[[dict], object] = lambda pack: None) -> Path:
    """A packed folder as far as it is looked at before its configuration is read."""
    folder.mkdir(exist_ok=True)
    (folder / "configuration.yaml").write_text("model_args: {num_class: 7, graph: coco17, num_point: 17}\n")
    files = {}
    for stream in ("joint", "bone"):
        weights = folder / f"{stream}.safetensors"
        save_weights(trained_looking("agcn", COCO17, 1), weights)
        files[stream] = {"file": weights.name, "sha256": sha256(weights), "top1": None}
    pack = {
        "version": 1, "name": "mine", "data": "", "licence": "", "two_streams": None, "four_streams": None,
        "streams": files,
        "beside": [{"file": "configuration.yaml", "sha256": sha256(folder / "configuration.yaml")}],
    }  # fmt: skip
    change(pack)
    (folder / "weights.json").write_text(json.dumps(pack))
    return folder


@pytest.mark.parametrize("name", ["../joint.pt", "/etc/passwd", "a/b", "", ".hidden", "..", "a\\b", 3, None])
@pytest.mark.parametrize("where", ["streams", "beside"])
def test_a_pack_names_only_its_own_files(tmp_path: Path, server: Server, cache: Path, name: object, where: str) -> None:
    def change(pack: dict) -> None:
        if where == "streams":
            pack["streams"]["joint"]["file"] = name
        else:
            pack["beside"].append({"file": name, "sha256": "0" * 64})

    write_pack(tmp_path / "pack", change)
    write_pack(server.folder, change)
    for place in (str(tmp_path / "pack"), server.url):
        with pytest.raises(ValueError, match=r"weights\.json: not what `weights pack` writes"):
            find(place)
    assert not cache.exists() or not [file for file in cache.rglob("*") if file.is_file()]


@pytest.mark.parametrize(
    "change",
    [
        lambda pack: pack.update(version=2),
        lambda pack: pack.pop("streams"),
        lambda pack: pack.update(streams=[]),
        lambda pack: pack["streams"].update(arm=pack["streams"]["joint"]),
        lambda pack: pack["streams"].pop("bone"),
        lambda pack: pack.update(beside=[]),
        lambda pack: pack.update(two_streams="much"),
        lambda pack: pack.update(two_streams=float("nan")),
        lambda pack: pack.update(four_streams=10**400),
        lambda pack: pack["streams"]["joint"].update(sha256=""),
        lambda pack: pack["beside"][0].update(sha256="0" * 8),
        lambda pack: pack.update(streams={}),
        *(
            lambda pack, name=name: pack.update(name=name)
            for name in ("", "../../x", "a/b", "\x1b[31m", 3, ".x", "x" * 65)
        ),
        lambda pack: pack.update(two_streams={}),
    ],
)
def test_other_descriptions(tmp_path: Path, change: Callable[[dict], object]) -> None:
    with pytest.raises(ValueError, match=r"weights\.json: not what `weights pack` writes \(.*\): pack the run again"):
        find(str(write_pack(tmp_path / "pack", change)))


def test_a_description_that_is_too_deep_or_too_large(tmp_path: Path, server: Server) -> None:
    folder = write_pack(tmp_path / "pack")
    (folder / "weights.json").write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(ValueError, match="not what `weights pack` writes"):
        find(str(folder))
    (server.folder / "weights.json").write_bytes(b" " * 1_100_000)
    with pytest.raises(ValueError, match="is larger than 1,000,000 bytes"):
        find(server.url)


def test_a_graph_of_another_folder(tmp_path: Path) -> None:
    folder = write_pack(tmp_path / "pack")
    for settings, text in (
        *((f"graph: {graph}", "graph names a file of another folder: pack the run again")
          for graph in ("/etc/mine.yaml", "../data/custom/custom.json", "mine.yml")),
        ("num_class: 1000000000", "num_class is more than 10000"),
        ("base_channels: 100000", "base_channels is more than 1024"),
    ):  # fmt: skip
        (folder / "configuration.yaml").write_text(f"model_args: {{{settings}}}\n")
        digits = sha256(folder / "configuration.yaml")
        write_pack(folder, lambda pack, digits=digits: pack["beside"][0].update(sha256=digits))
        (folder / "configuration.yaml").write_text(f"model_args: {{{settings}}}\n")
        with pytest.raises(ValueError, match=text):
            find(str(folder)).load_config()


def test_a_server_that_is_away(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """A pack that was fetched before is taken as it is."""
    write_pack(server.folder)
    paths = get_weights([server.url])["weights"][0]["files"]
    server.cut = [0] * 10
    assert get_weights([server.url])["weights"][0]["files"] == paths
    assert "taken as it was fetched before" in capsys.readouterr().err
    with pytest.raises(ValueError, match="leave it out for a pack"):
        get_weights([server.url], origin=str(server.folder))


def test_what_is_no_pack(tmp_path: Path, server: Server) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no weights\.json in it"):
        find(str(tmp_path / "empty"))
    with pytest.raises(ValueError, match="no weights are called 'ntu'"):
        find("ntu")
    with pytest.raises(ValueError, match=r"weights\.json: the server answers 404"):
        find(server.url)
    (server.folder / "weights.json").write_bytes(b"<html>")
    with pytest.raises(ValueError, match="not what `weights pack` writes"):
        find(server.url)
    with pytest.raises(ValueError, match="no weights are called ''"):
        find("")
    folder = write_pack(tmp_path / "pack")
    (folder / "joint.safetensors").write_bytes(b"y")
    with pytest.raises(ValueError, match="is not the file that was packed"):
        get_weights([str(folder)])
    (folder / "joint.safetensors").unlink()
    with pytest.raises(ValueError, match="is missing"):
        get_weights([str(folder / "weights.json")])


def test_a_configuration_that_was_changed_on_the_way(server: Server) -> None:
    write_pack(server.folder)
    (server.folder / "configuration.yaml").write_text("model_args: {graph: ntu}\n")
    with pytest.raises(ValueError, match=r"configuration\.yaml: its SHA-256 begins with"):
        find(server.url)
