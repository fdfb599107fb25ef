"""The notebook runs from its first cell to its last, and is kept without what it printed."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs" / "notebooks" / "first_clip.ipynb"


@pytest.mark.long(30)
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()

    def outputs(name: str) -> list[nbformat.NotebookNode]:
        (cell,) = (cell for cell in code if cell.id == name)
        return cell.outputs

    assert "are right" in "".join(out.get("text", "") for out in outputs("training"))
    assert [out.text.count("%") for out in outputs("asking")] == [4]
    answers = "".join(out.text for out in outputs("exporting") if out.get("name") == "stdout").splitlines()
    assert len(answers) == 4 and all(".skeleton  " in line and line.endswith("%") for line in answers)
    for name, count in (("clip", 2), ("drawing", 1), ("summing", 1)):
        kinds = [kind for out in outputs(name) for kind in out.get("data", {}) if kind.startswith("image/")]
        assert len(kinds) == count, (name, kinds)
