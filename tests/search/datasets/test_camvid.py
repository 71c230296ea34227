"""A small folder laid out as CamVid, whole and broken in many ways; the real one where it is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mosegnet.common.errors import UserError
from search import datasets
from search.datasets.base import class_pixels
from search.datasets.camvid import cut_by_time

SIZE_HW = (12, 16)
IDS = {"supernet": ["A_1", "A_2", "B_7"], "search": ["A_9"], "test": ["C_3", "C_4"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A whole folder: the grey level of each image is told by its label map's constant class."""
    for place, (split, ids) in enumerate(IDS.items()):
        (tmp_path / f"{split}.txt").write_text("\n".join(ids) + "\n")
        folder = "test" if split == "test" else "train"
        for k, name in enumerate(ids):
            _write(tmp_path, folder, name, label=place * 3 + k)
    return tmp_path


def _write(root: Path, folder: str, name: str, label: int, size_hw: tuple[int, int] = SIZE_HW) -> None:
    for kind in ("images", "labels"):
        (root / kind / folder).mkdir(parents=True, exist_ok=True)
    grey = np.full((*size_hw, 3), 20 * label, np.uint8)
    Image.fromarray(grey).save(root / "images" / folder / f"{name}.jpg", quality=95)
    classes = np.full(size_hw, label, np.uint8)
    classes[0, 0] = 255
    Image.fromarray(classes).save(root / "labels" / folder / f"{name}.png")


def test_splits_come_in_the_order_of_their_lists(root: Path) -> None:
    dataset = datasets.load(f"camvid:{root}")
    assert len(dataset.classes) == len(dataset.palette) == 11
    for place, (name, ids) in enumerate(IDS.items()):
        split = dataset.split(name)
        assert split.ids == tuple(ids)
        assert split.images.shape == (len(ids), 3, *SIZE_HW)
        expected = torch.arange(place * 3, place * 3 + len(ids))
        assert torch.equal(split.labels[:, 5, 5].long(), expected)
        assert (split.images[:, 0, 5, 5].int() - 20 * expected).abs().max() <= 2  # JPEG
        assert (split.labels[:, 0, 0] == 255).all()


def test_png_images_do_as_well(root: Path) -> None:
    file = root / "images" / "train" / "A_1.jpg"
    Image.open(file).save(file.with_suffix(".png"))
    file.unlink()
    assert datasets.load(f"camvid:{root}").split("supernet").images[0].float().mean() < 2


def test_a_user_s_home_is_understood(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root.parent))
    assert len(datasets.load(f"camvid:~/{root.name}").split("search")) == 1


@pytest.mark.parametrize(
    ("missing", "first"),
    [
        (["supernet.txt"], "supernet.txt"),
        (["search.txt"], "search.txt"),
        (["supernet.txt", "search.txt", "test.txt"], "supernet.txt"),
        (["images/train/A_2.jpg", "labels/train/B_7.png"], "images/train/A_2.jpg"),
        (["labels/test/C_4.png"], "labels/test/C_4.png"),
    ],
)
def test_the_first_missing_file_is_named_with_the_tree(root: Path, missing: list[str], first: str) -> None:
    for file in missing:
        (root / file).unlink()
    message = _refusal(root)
    assert str(root / first) in message
    assert "expected PATH/{supernet,search,test}.txt" in message


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "nowhere") in _refusal(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    assert "no folder" in _refusal(tmp_path / "file")


def test_an_empty_list_is_named(root: Path) -> None:
    (root / "search.txt").write_text("\n")
    assert "search.txt is empty" in _refusal(root)


def test_a_label_of_another_size_is_named(root: Path) -> None:
    Image.fromarray(np.zeros((5, 16), np.uint8)).save(root / "labels" / "train" / "A_2.png")
    message = _refusal(root, "supernet")
    assert "A_2.png is (5, 16)" in message
    assert "(12, 16)" in message


def test_an_image_of_another_size_is_named(root: Path) -> None:
    _write(root, "train", "B_7", 1, (24, 32))
    assert "B_7.jpg is (24, 32)" in _refusal(root, "supernet")


def test_unknown_class_ids_are_named_with_the_file(root: Path) -> None:
    Image.fromarray(np.full(SIZE_HW, 31, np.uint8)).save(root / "labels" / "train" / "A_9.png")
    message = _refusal(root, "search")
    assert "A_9.png has the unknown class id 31" in message


def test_segnet_s_own_void_is_explained(root: Path) -> None:
    Image.fromarray(np.full(SIZE_HW, 11, np.uint8)).save(root / "labels" / "train" / "A_9.png")
    assert "11 is void, write 255" in _refusal(root, "search")


def test_colour_labels_are_refused(root: Path) -> None:
    Image.fromarray(np.zeros((*SIZE_HW, 3), np.uint8)).save(root / "labels" / "train" / "A_9.png")
    assert "A_9.png has mode RGB" in _refusal(root, "search")


@pytest.mark.parametrize("damage", [b"", b"not an image", None])
def test_a_damaged_image_is_named(root: Path, damage: bytes | None) -> None:
    file = root / "images" / "train" / "A_2.jpg"
    file.write_bytes(file.read_bytes()[:-300] if damage is None else damage)
    assert "A_2.jpg is damaged or no image" in _refusal(root, "supernet")


def test_without_lists_the_training_images_are_cut_by_time(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("supernet.txt", "search.txt"):
        (root / name).unlink()
    ids = [f"A_{k:03d}" for k in range(40)]
    for k, name in enumerate(ids):
        _write(root, "train", name, k % 11)
    (root / "train.txt").write_text("\n".join(ids))
    dataset = datasets.load(f"camvid:{root}")
    assert "cut by time, 28 + 8" in capsys.readouterr().err
    assert dataset.split("search").ids == tuple(ids[10:14] + ids[30:34])
    assert not set(dataset.split("search").ids) & set(dataset.split("supernet").ids)
    assert dataset.split("test").ids == ("C_3", "C_4")


def test_segnet_s_own_release(tmp_path: Path) -> None:
    """Its folders, its lists of pairs, and 11 for void."""
    ids = {"train": [f"A_{k:03d}" for k in range(20)], "test": ["C_1"]}
    for part, names in ids.items():
        lines = [f"/SegNet/CamVid/{part}/{name}.png /SegNet/CamVid/{part}annot/{name}.png" for name in names]
        (tmp_path / f"{part}.txt").write_text("\n".join(lines))
        for folder in (part, f"{part}annot"):
            (tmp_path / folder).mkdir()
        for name in names:
            Image.fromarray(np.full((*SIZE_HW, 3), 7, np.uint8)).save(tmp_path / part / f"{name}.png")
            labels = np.full(SIZE_HW, 10, np.uint8)
            labels[0] = 11
            Image.fromarray(labels).save(tmp_path / f"{part}annot" / f"{name}.png")
    dataset = datasets.load(f"camvid:{tmp_path}")
    assert [len(dataset.split(name)) for name in ("supernet", "search", "test")] == [12, 4, 1]
    assert dataset.split("test").ids == ("C_1",)
    labels = dataset.split("test").labels[0]
    assert (labels[0] == 255).all()
    assert (labels[1:] == 10).all()
    (tmp_path / "testannot" / "C_1.png").unlink()
    assert f"{tmp_path}/testannot/C_1.png is missing" in _refusal(tmp_path)


def test_too_few_images_cannot_be_cut(root: Path) -> None:
    for name in ("supernet.txt", "search.txt"):
        (root / name).unlink()
    (root / "train.txt").write_text("A_1\nA_2\n")
    assert "too few images" in _refusal(root)


def test_the_cut_is_in_blocks_with_a_frame_between() -> None:
    train = [f"{drive}_{k:04d}" for drive in ("X", "Y") for k in range(100)]
    supernet, search = cut_by_time(train[::-1])
    assert search == [f"{d}_{k:04d}" for d in ("X", "Y") for k in (*range(25, 35), *range(75, 85))]
    left_out = sorted(set(train) - set(supernet) - set(search))
    assert left_out == [f"{d}_{k:04d}" for d in ("X", "Y") for k in (24, 35, 74, 85)]


def test_the_real_folder() -> None:
    place = Path(os.environ.get("MOSEGNAS_CAMVID", Path(__file__).parents[4] / "shared" / "data" / "camvid"))
    if not place.is_dir():
        pytest.skip("CamVid is not at hand: set MOSEGNAS_CAMVID to its folder")
    search = datasets.load(f"camvid:{place}").split("search")
    assert search.images.shape == (73, 3, 360, 480)
    assert (class_pixels(search.labels, 11) > 0).all()


def _refusal(root: Path, split: str | None = None) -> str:
    def use() -> None:
        dataset = datasets.load(f"camvid:{root}")
        if split:
            dataset.split(split)

    with pytest.raises(UserError) as caught:
        use()
    assert "\n" not in str(caught.value)
    return str(caught.value)
