from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pointlift.registry import TEACHERS
names = TEACHERS.names()
assert "torchvision" not in sys.modules, "torchvision was imported"
assert "transformers" not in sys.modules, "transformers was imported before it is needed"
{before}
teacher = TEACHERS.build("dinov2", source=sys.argv[1], layer=1)
import torch
print(tuple(teacher.features(torch.rand(1, 3, 28, 28)).shape))
assert sys.modules.get("torchvision", "absent") == "absent", sys.modules["torchvision"]
"""


def run(tiny_dinov2: Path, path: Path, before: str = "") -> str:
    bootstrap = f"import sys; sys.path.insert(0, {str(path)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", bootstrap + PROGRAM.format(before=before), str(tiny_dinov2)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "before",
    ["", pytest.param("import transformers; transformers.utils.is_torchvision_available()", marks=pytest.mark.slow)],
)
def test_a_broken_torchvision_does_not_matter(tiny_dinov2, tmp_path, before):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        'raise RuntimeError("operator torchvision::nms does not exist")\n'
    )
    metadata = tmp_path / "torchvision-0.1.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.1.0\n")
    assert run(tiny_dinov2, tmp_path, before) == "(1, 24, 2, 2)"
