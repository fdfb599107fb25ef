"""The Docker files agree with the repository: what is copied is there, let through and complete; so do their docs."""

import fnmatch
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
DOCS = (ROOT / "docs" / "docker.md").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())


def instructions(name: str) -> list[str]:
    """What stands behind one kind of instruction, lines that go on joined."""
    joined = re.sub(r"\\\n(\s*#.*\n)*\s*", "", DOCKERFILE)
    return re.findall(rf"^{name} (.*)$", joined, re.MULTILINE)


def copied() -> list[str]:
    """Sources of COPY in the build's folder."""
    return [source for line in instructions("COPY") for source in line.split()[:-1]]


def is_excluded(path: str) -> bool:
    """Whether .dockerignore leaves a path out: the last pattern that fits it, or a folder above it, decides."""
    excluded = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        parts = path.split("/")
        above = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        if any(fnmatch.fnmatchcase(one, pattern) for one in above) or (
            pattern.startswith("**/") and any(fnmatch.fnmatchcase(part, pattern[3:]) for part in parts)
        ):
            excluded = not line.startswith("!")
    return excluded


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("this is no clone")
    return done.stdout.splitlines()


def test_what_is_copied_is_in_a_clone_and_let_through(tracked: list[str]) -> None:
    assert copied()
    for source in copied():
        files = [path for path in tracked if path == source or path.startswith(f"{source}/")]
        assert files, source
        assert not is_excluded(source), source
        for path in files:
            assert not is_excluded(path) or path.startswith("bench/results/"), path


def test_the_context_holds_nothing_else(tracked: list[str]) -> None:
    sent = {path.split("/")[0] for path in tracked if not is_excluded(path)}
    assert sent == set(copied())
    for path in (
        "data/nw-ucla/all_sqe/a01_s01_e00_v01.json",
        "work_dir/a/best.pt",
        ".git/config",
        "agcn/__pycache__/a.pyc",
    ):
        assert is_excluded(path), path


def test_everything_of_the_wheel_is_copied() -> None:
    setuptools = PROJECT["tool"]["setuptools"]
    needed = {f"{name}.py" for name in setuptools["py-modules"]} | set(PROJECT["project"]["license-files"])
    needed |= {name.rstrip("*") for name in setuptools["packages"]["find"]["include"]} | {PROJECT["project"]["readme"]}
    assert needed | {"pyproject.toml", "constraints.txt"} == set(copied())


def test_the_image_is_the_command_and_runs_without_rights() -> None:
    assert json.loads(instructions("ENTRYPOINT")[0]) == list(PROJECT["project"]["scripts"])
    assert instructions("USER") == ["10001"] and "useradd --uid 10001" in DOCKERFILE
    assert instructions("WORKDIR")[-1] == "/work"


def test_bases_are_pinned_to_the_tested_pytorch() -> None:
    bases = [line.split()[0] for line in instructions("FROM")]
    assert all(re.search(r":\d+\.\d+\.\d+-", base) for base in bases if base != "${DEVICE}"), bases
    torch = re.search(r"^torch==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert torch and any(base.startswith(f"pytorch/pytorch:{torch[1]}-") for base in bases)
    for base in bases:
        assert base == "${DEVICE}" or base in DOCS, base


def test_extras_that_are_named_exist() -> None:
    extras = set(PROJECT["project"]["optional-dependencies"])
    named = re.findall(r"EXTRAS=([\w,-]+)", DOCS) + re.findall(r"\*,([\w-]+),\*\)", DOCKERFILE) + ["gpu"]
    assert {extra for names in named for extra in names.split(",")} <= extras
    (row,) = re.findall(r"^\| `EXTRAS` .*$", DOCS, re.MULTILINE)
    assert set(re.findall(r"`([\w-]+)`", row)) - {"EXTRAS"} == extras - {"gpu", "docs", "test"}


def test_libraries_of_cuda_are_those_of_pytorch() -> None:
    """Numba's, of the extra `gpu`, are of the CUDA that the image's PyTorch is built for, and no newer than it."""
    (release,) = re.findall(r"pytorch/pytorch:\S+-cuda(\d+\.\d+)-", DOCKERFILE)
    (numba_cuda,) = (name for name in PROJECT["project"]["optional-dependencies"]["gpu"] if "numba-cuda" in name)
    assert numba_cuda.startswith(f"numba-cuda[cu{release.split('.')[0]}]")
    assert f"'cuda-toolkit=={release}.*'" in DOCKERFILE


def test_compose_serves_what_is_exported() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"triton", "triton-gpu"}
    for service in services.values():
        assert service["profiles"] and service["volumes"] == ["./models:/models:ro"]
        assert "--model-repository=/models" in service["command"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert service["healthcheck"]["test"][-1].endswith(":8000/v2/health/ready")
    assert "deploy" not in services["triton"]
    (device,) = services["triton-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia" and device["capabilities"] == ["gpu"]


def test_one_release_of_triton_in_all_documents() -> None:
    image, default = re.fullmatch(r"(.*):\$\{TRITON_TAG:-(.*)\}", COMPOSE["services"]["triton"]["image"]).groups()  # type: ignore[union-attr]
    assert f"`{image}:{default}`" in DOCS
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        found = set(re.findall(rf"{re.escape(image)}:([\w.-]+)", path.read_text(encoding="utf-8")))
        assert found <= {default}, path


def test_the_page_tells_of_every_port_and_service() -> None:
    for service in COMPOSE["services"]:
        assert f"`{service}`" in DOCS, service
    for port in COMPOSE["services"]["triton"]["ports"]:
        assert port.split(":")[1] in DOCS, port


def test_the_dev_container_installs_the_project() -> None:
    found = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert found["postCreateCommand"] == "make install"
    assert re.search(r":\d+-\d+\.\d+-\w+$", found["image"]) and found["image"] in DOCS
    assert found["remoteUser"] != "root"


def test_commands_of_the_page_are_marked_as_not_run() -> None:
    for before in re.findall(r"(.*)\n```bash\n", DOCS):
        assert before == "<!-- not run: needs Docker -->", before
    assert "have not been built" in DOCS
