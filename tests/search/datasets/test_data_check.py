"""`search data check`: what it counts and what it finds."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import published_layouts as layouts
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from mosegnet.common.console import run_command
from mosegnet.common.errors import UserError
from search import datasets
from search.cli import cli
from search.datasets import cityscapes
from search.datasets.base import spread
from search.datasets.check import check, findings, to_json
from search.datasets.sheet import coloured, sheet


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A plain folder of three splits of eight images."""
    return layouts.folder(tmp_path / "set")


def _findings(root: Path) -> str:
    dataset = datasets.load(f"folder:{root}")
    return "\n".join(findings(dataset, check(dataset, 100)))


def test_figures_agree_with_the_pixels(root: Path) -> None:
    dataset = datasets.load(f"folder:{root}")
    report = check(dataset, 100)[0]
    pairs = [dataset.files("supernet").read(k) for k in range(8)]
    labels = torch.cat([mask.flatten() for _, mask in pairs])
    values = torch.cat([image.flatten(1) for image, _ in pairs], 1).double() / 255
    assert report.class_pixels == [int((labels == k).sum()) for k in range(2)]
    assert report.void_pixels == int((labels == 255).sum())
    assert report.class_images == [8, 8]
    assert report.mean == pytest.approx(values.mean(1).tolist(), abs=1e-4)
    assert report.std == pytest.approx(values.std(1).tolist(), abs=1e-3)
    assert (report.images, report.looked_at, len(report.sizes)) == (8, 8, 8)
    assert not findings(dataset, [report])


def test_every_kind_of_fault_is_named_and_none_hides_another(root: Path) -> None:
    masks, images = root / "masks" / "train", root / "images" / "train"
    images.joinpath("01.jpg").write_bytes(images.joinpath("01.jpg").read_bytes()[:200])
    layouts.write(masks / "02.png", np.full((14, 20), 9, np.uint8))
    layouts.write(masks / "03.png", np.zeros((5, 5), np.uint8))
    layouts.write(masks / "04.png", np.zeros((16, 20, 3), np.uint8))
    dataset = datasets.load(f"folder:{root}")
    reports = check(dataset, 100)
    faults = {fault.file.name: fault.kind for fault in reports[0].faults}
    assert faults == {"01.jpg": "corrupt", "02.png": "unknown ids", "03.png": "sizes differ", "04.png": "mode"}
    assert "supernet: 1 of 8 images looked at: unknown ids (9)" in "\n".join(findings(dataset, reports))
    told = to_json(dataset, reports)["splits"]["supernet"]["faults"]
    assert [fault["ids"] for fault in told if fault["kind"] == "unknown ids"] == [[9]]


def test_a_lost_void_is_said(root: Path) -> None:
    for file in (root / "masks" / "val").glob("*.png"):
        layouts.write(file, np.minimum(np.array(Image.open(file)), 1))
    assert "search: no pixel is void" in _findings(root)
    assert "supernet: no pixel is void" not in _findings(root)


def test_classes_of_another_data_set_are_said(root: Path) -> None:
    (root / "classes.txt").write_text("sky\nground\ncar\nperson\n")
    assert "no mask has a class above 1 (ground) of 4: are they masks of a data set with 2 classes?" in _findings(root)


def test_classes_missing_from_a_split_are_said(root: Path) -> None:
    for file in (root / "masks" / "val").glob("*.png"):
        mask = np.array(Image.open(file))
        layouts.write(file, np.where(mask == 1, 0, mask).astype(np.uint8))
    assert "search: not seen there, but elsewhere: ground" in _findings(root)


def test_a_sample_is_spread_evenly() -> None:
    assert spread(5, 10) == [0, 1, 2, 3, 4]
    assert spread(101, 5) == [0, 25, 50, 75, 100]


def test_colours_of_classes_and_void() -> None:
    found = coloured(torch.tensor([[0, 1, 255]], dtype=torch.uint8), ((10, 20, 30), (40, 50, 60)))
    assert found.tolist() == [[[10, 20, 30], [40, 50, 60], [224, 224, 192]]]


@pytest.mark.parametrize("maker", [layouts.folder, layouts.imagenet])
def test_the_sheet_is_a_picture_even_where_images_are_damaged(maker, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    kind = maker.__name__
    maker(tmp_path)
    whole = Image.open(io.BytesIO(sheet(datasets.load(f"{kind}:{tmp_path}"))))
    next(file for file in sorted(tmp_path.rglob("*")) if file.suffix in (".jpg", ".JPEG")).write_bytes(b"")
    rest = Image.open(io.BytesIO(sheet(datasets.load(f"{kind}:{tmp_path}"))))
    assert (rest.height < whole.height) == (kind == "folder")
    assert len(rest.convert("RGB").getcolors(10**6)) > 20


def test_the_sheet_shows_image_mask_and_overlay_side_by_side(root: Path) -> None:
    (root / "classes.json").write_text(
        json.dumps({"classes": ["sky", "ground"], "palette": [[255, 0, 0], [0, 255, 0]]})
    )
    picture = np.array(Image.open(io.BytesIO(sheet(datasets.load(f"folder:{root}")))))
    y = 8 + 18 + 4  # in the sky of the first row
    image, mask, overlay = (picture[y, 8 + k * 308 + 150].astype(int) for k in range(3))
    assert mask.tolist() == [255, 0, 0]
    assert np.abs(overlay - (image + mask) / 2).max() <= 1


def test_the_command(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["data", "check", f"folder:{root}", "--images", "3"])
    assert Path("folder-check.png").read_bytes().startswith(b"\x89PNG")
    assert result.exit_code == 0, result.output
    assert "supernet: 8 images, a sample of 3 looked at" in result.output
    assert "1 ground" in result.output


def test_the_command_in_json_with_faults(root: Path, tmp_path: Path) -> None:
    (root / "images" / "test" / "00.jpg").write_bytes(b"\xff\xd8 torn")
    target = tmp_path / "sheet.png"
    result = CliRunner().invoke(cli, ["data", "check", f"folder:{root}", "--sheet", str(target), "--json"])
    told = json.loads(result.stdout.splitlines()[0])
    assert told["splits"]["test"]["faults"][0]["file"].endswith("images/test/00.jpg")
    assert told["splits"]["test"]["class_share"]["sky"] > 0.3
    assert told["sheet"] == str(target)
    assert isinstance(result.exception, UserError)
    assert "1 of 24 images looked at" in str(result.exception)


def test_a_full_disk_or_missing_folder_is_explained(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(cli, ["data", "check", f"folder:{root}", "--sheet", str(tmp_path / "file" / "s.png")])
    assert isinstance(result.exception, UserError)


def test_a_wrong_folder_shows_the_tree_line_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_command(cli, ["data", "check", f"cityscapes:{tmp_path}"])
    assert ended.value.code == 2
    first, *tree = capsys.readouterr().err.splitlines()
    assert first == (f"error: Cityscapes: {tmp_path}/leftImg8bit/train/CITY/*_leftImg8bit.png is missing; expected")
    assert tree == cityscapes.TREE.splitlines()
