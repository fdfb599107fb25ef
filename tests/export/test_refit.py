"""New weights for a built engine: what is refused before a GPU is touched, and how TensorRT is asked."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from exported import export_job, write_job

from export import request
from export.engines import refit
from export.engines.flavors import Flavor, is_installed
from export.engines.refit import refit_engine, refittable_engine
from export.manifest import read_manifest, write_manifest
from native_prep.io.hashes import sha256

needs_rtx = pytest.mark.skipif(not is_installed("tensorrt-rtx"), reason="needs the extra tensorrt-rtx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refit")
    write_job(folder)
    export_job(folder, folder / "engine", dense=True)
    manifest = read_manifest(folder / "engine")
    # Without a GPU none is built; the rest of the export does not depend on it.
    write_manifest(
        folder / "engine", replace(manifest, engines=[replace(one, refittable=True) for one in manifest.engines])
    )
    return folder


class Logger:
    def __init__(self) -> None:
        self.errors: list[str] = []

    def last_error(self) -> str:
        return "; ".join(self.errors)


class Api:
    """TensorRT as `refit_engine` calls it; an engine is its bytes."""

    def __init__(self, fits: bool = True, loads: bool = True) -> None:
        self.fits, self.loads = fits, loads

    def Runtime(self, logger):
        return SimpleNamespace(deserialize_cuda_engine=lambda text: SimpleNamespace(text=text) if self.loads else None)

    def Refitter(self, engine, logger):
        return SimpleNamespace(engine=engine, new=b"", refit_cuda_engine=lambda: self.fits)

    def OnnxParserRefitter(self, refitter, logger):
        def take(graph: bytes) -> bool:
            refitter.engine.serialize = lambda: refitter.engine.text + graph
            return True

        return SimpleNamespace(refit_from_bytes=take)


def test_the_engine_takes_the_graphs_weights(tmp_path: Path) -> None:
    engine, graph = tmp_path / "a.engine", tmp_path / "a.onnx"
    engine.write_bytes(b"old ")
    graph.write_bytes(b"new")
    assert refit_engine(Flavor("tensorrt", Api(), Logger()), engine, graph) == b"old new"
    with pytest.raises(ValueError, match=r"a\.engine: does not take the new weights: .*: export without --refit"):
        refit_engine(Flavor("tensorrt", Api(fits=False), Logger()), engine, graph)
    with pytest.raises(ValueError, match=r"a\.engine: does not load"):
        refit_engine(Flavor("tensorrt", Api(loads=False), Logger()), engine, graph)


@needs_rtx
def test_only_an_engine_of_the_same_kind(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flavor = request.choose_flavor("tensorrt-rtx")
    assert flavor is not None
    old = folder / "engine"
    manifest = read_manifest(old)
    monkeypatch.setattr(refit, "present_target", lambda: None)
    with pytest.raises(ValueError, match=r"--refit .*: an engine takes new weights on the GPU that it is for"):
        refittable_engine(old, flavor, {})
    monkeypatch.setattr(refit, "present_target", lambda: "sm_86")
    wanted = {name: getattr(manifest, name) for name in ("precision", "shape", "max_batch", "streams")}
    assert refittable_engine(old, flavor, wanted).file == "two_stream_sm_86.engine"
    with pytest.raises(ValueError, match=r"its precision is fp32, asked for is fp16: export anew"):
        refittable_engine(old, flavor, {**wanted, "precision": "fp16"})
    monkeypatch.setattr(refit, "present_target", lambda: "sm_89")
    with pytest.raises(ValueError, match=r"no tensorrt-rtx engine for sm_89 \(it has: tensorrt-rtx sm_86\)"):
        refittable_engine(old, flavor, wanted)


@needs_rtx
def test_an_export_takes_the_old_engine(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refit, "present_target", lambda: "sm_86")
    monkeypatch.setattr(request, "present_target", lambda: "sm_86")
    monkeypatch.setattr("export.build.refit_engine", lambda flavor, path, graph: path.read_bytes() + b" refitted")
    result = export_job(folder, tmp_path / "new", refit=folder / "engine", dense=True)
    assert result["passed"]
    (engine,) = read_manifest(tmp_path / "new").engines
    assert engine.refittable and engine.takes == "joints"
    text = (tmp_path / "new" / engine.file).read_bytes()
    assert text == (folder / "engine" / engine.file).read_bytes() + b" refitted"
    assert engine.sha256 == sha256(tmp_path / "new" / engine.file)


@needs_rtx
def test_refittable_engines_need_their_gpu(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "present_target", lambda: None)
    with pytest.raises(ValueError, match="--refittable, --refit: such engines are built on the one GPU"):
        export_job(folder, tmp_path / "new", refittable=True)


@needs_rtx
def test_not_refittable(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flavor = request.choose_flavor("tensorrt-rtx")
    assert flavor is not None
    manifest = read_manifest(folder / "engine")
    (tmp_path / "two_stream.onnx").write_bytes((folder / "engine" / "two_stream.onnx").read_bytes())
    write_manifest(tmp_path, replace(manifest, engines=[replace(manifest.engines[0], refittable=False)]))
    monkeypatch.setattr(refit, "present_target", lambda: "sm_86")
    with pytest.raises(ValueError, match=r"two_stream_sm_86\.engine was built without --refittable: export anew"):
        refittable_engine(tmp_path, flavor, {})
