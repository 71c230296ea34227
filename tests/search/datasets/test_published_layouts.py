"""Every data set in its published layout, whole, broken and incomplete."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import published_layouts as layouts
import pytest
import torch
from PIL import Image

from mosegnet.common.errors import UserError
from search import datasets
from search.datasets import cityscapes, cocostuff, voc
from search.datasets.batches import Batches
from search.datasets.cocostuff_classes import LABEL_IDS
from search.datasets.holdout import evenly, in_blocks, search_count
from search.datasets.recipes import PLAIN
from search.metrics import VOID

MAKERS: dict[str, Callable[[Path], Path]] = {
    "cityscapes": layouts.cityscapes,
    "cocostuff": layouts.cocostuff,
    "voc": lambda root: layouts.voc(root, "aug"),
    "imagenet": layouts.imagenet,
    "folder": layouts.folder,
}


@pytest.mark.parametrize("kind", list(MAKERS))
def test_splits_are_disjoint_repeat_and_give_batches(kind: str, tmp_path: Path) -> None:
    dataset = datasets.load(f"{kind}:{MAKERS[kind](tmp_path)}")
    again = datasets.load(f"{kind}:{tmp_path}")
    ids = {name: dataset.files(name).ids for name in ("supernet", "search", "test")}
    assert ids == {name: again.files(name).ids for name in ids}
    assert all(ids.values())
    if kind not in ("imagenet", "folder"):  # there the names of one part may be those of another
        assert not set(ids["supernet"]) & (set(ids["search"]) | set(ids["test"]))
    images, targets = Batches(dataset, "supernet", 4, seed=0, size_hw=(16, 24)).at(1)
    assert images.shape == (4, 3, 16, 24)
    assert torch.isfinite(images).all()
    assert targets.shape == ((4,) if kind == "imagenet" else (4, 16, 24))
    valid = targets[targets != VOID]
    assert ((valid >= 0) & (valid < len(dataset.classes))).all()


@pytest.mark.parametrize("kind", list(MAKERS))
def test_an_empty_folder_is_explained_with_the_tree(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing") as caught:
        datasets.load(f"{kind}:{tmp_path}")
    first, *tree = str(caught.value).splitlines()
    assert str(tmp_path) in first
    assert "PATH" in " ".join(tree)


@pytest.mark.parametrize("kind", list(MAKERS))
def test_a_missing_folder_is_named(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere is missing; expected\nPATH/"):
        datasets.load(f"{kind}:{tmp_path / 'nowhere'}")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is no folder"):
        datasets.load(f"{kind}:{tmp_path / 'file'}")


@pytest.mark.parametrize(
    ("kind", "lost"),
    [
        ("cityscapes", "gtFine/train/bochum/bochum_000001_000019_gtFine_labelIds.png"),
        ("cityscapes", "leftImg8bit/val/frankfurt/frankfurt_000000_000019_leftImg8bit.png"),
        ("cocostuff", "imageLists/test.txt"),
        ("cocostuff", "images/COCO_train2014_000000000004.jpg"),
        ("cocostuff", "annotations/COCO_train2014_000000000100.mat"),
        ("voc", "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt"),
        ("voc", "VOCdevkit/VOC2012/JPEGImages/2008_000003.jpg"),
        ("voc", "VOCdevkit/VOC2012/SegmentationClass/2007_000033.png"),
        ("folder", "masks/train/03.png"),
        ("folder", "images/val/05.jpg"),
        ("folder", "classes.txt"),
    ],
)
def test_the_first_missing_file_is_named(kind: str, lost: str, tmp_path: Path) -> None:
    (MAKERS[kind](tmp_path) / lost).unlink()
    with pytest.raises(UserError) as caught:
        datasets.load(f"{kind}:{tmp_path}")
    assert f"{tmp_path / lost} is missing" in str(caught.value).splitlines()[0]


def test_cityscapes_has_the_evaluator_s_classes() -> None:
    labels = pytest.importorskip("cityscapesscripts.helpers.labels")
    scored = sorted((label for label in labels.labels if not label.ignoreInEval), key=lambda label: label.trainId)
    assert [label.name for label in scored] == list(cityscapes.CLASSES)
    assert [label.id for label in scored] == list(cityscapes.LABEL_IDS)
    assert [label.color for label in scored] == list(cityscapes.PALETTE)


def test_cityscapes_label_ids_become_train_ids(tmp_path: Path) -> None:
    file = tmp_path / "m.png"
    layouts.write(file, np.arange(34, dtype=np.uint8)[None])
    labels = pytest.importorskip("cityscapesscripts.helpers.labels")
    assert cityscapes.read_mask(file)[0].tolist() == [labels.id2label[id_].trainId for id_ in range(34)]


def test_cityscapes_train_ids_are_recognised(tmp_path: Path) -> None:
    file = tmp_path / "m.png"
    layouts.write(file, np.array([[0, 18, 255]], np.uint8))
    with pytest.raises(UserError, match=r"m\.png has the unknown class id 255.*labelTrainIds"):
        cityscapes.read_mask(file)


def test_500_of_cityscapes_2975_in_one_block_a_city() -> None:
    cities = {"aachen": 174, "bochum": 96, "bremen": 316, "strasbourg": 365, "ulm": 2024}
    train = [f"{city}_{k:06d}_000019" for city, count in cities.items() for k in range(count)]
    supernet, search = in_blocks(train, lambda name: name.split("_")[0])
    assert (len(supernet), len(search)) == (2475, 500)
    assert not set(supernet) & set(search)
    for city, count in cities.items():
        places = [int(name.split("_")[1]) for name in search if name.startswith(city)]
        assert places == list(range(places[0], places[0] + len(places)))
        assert abs(len(places) - count * 500 / 2975) < 1


def test_photographs_are_set_apart_evenly() -> None:
    ids = [f"{k:05d}" for k in range(9000)]
    supernet, search = evenly(ids[::-1])
    assert (len(supernet), len(search)) == (8500, 500)
    assert {int(b) - int(a) for a, b in pairwise(search)} == {18}
    assert search_count(3) == 1
    with pytest.raises(UserError, match="too few"):
        search_count(1)


def test_cocostuff_scores_80_things_and_91_stuff(tmp_path: Path) -> None:
    assert len(cocostuff.CLASSES) == len(set(cocostuff.CLASSES)) == 171
    assert (cocostuff.CLASSES[0], cocostuff.CLASSES[11], cocostuff.CLASSES[79]) == ("person", "stop sign", "toothbrush")
    assert (cocostuff.CLASSES[80], cocostuff.CLASSES[170]) == ("banner", "wood")
    dataset = datasets.load(f"cocostuff:{layouts.cocostuff(tmp_path)}")
    assert len(set(dataset.palette)) == 171
    image, mask = dataset.files("test").read(1)
    assert image.shape == (3, *layouts.COCO_HW)
    assert mask[:3].unique().tolist() == [VOID]  # unlabeled
    assert mask[5:7].unique().tolist() == [VOID]  # street sign
    assert mask[3:5].unique().tolist() == [LABEL_IDS.index(2)]
    assert mask[7:].unique().tolist() == [LABEL_IDS.index(181)]


def test_cocostuff_version_10_is_recognised(tmp_path: Path) -> None:
    from scipy.io import savemat

    names = np.array([[f"name {n}"] for n in range(172)], dtype=object)
    savemat(tmp_path / "a.mat", {"S": np.full((3, 3), 172.0), "names": names})
    with pytest.raises(UserError, match=r"a\.mat is of COCO-Stuff 10K v1\.0"):
        cocostuff.read_mask(tmp_path / "a.mat")


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0 MAT-file", b"x" * 400])
def test_damaged_mat_files_are_named(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "a.mat"
    file.write_bytes(content)
    for read in (cocostuff.read_mask, voc.read_mask):
        with pytest.raises(UserError, match=r"a\.mat is damaged"):
            read(file)


@pytest.mark.parametrize("sbd", ["aug", "mat"])
def test_voc_trains_on_train_aug_and_tests_on_val(sbd: str, tmp_path: Path) -> None:
    layouts.voc(tmp_path, sbd)
    for path in (tmp_path, tmp_path / "VOCdevkit" / "VOC2012"):
        dataset = datasets.load(f"voc:{path}")
        train = {*dataset.files("supernet").ids, *dataset.files("search").ids}
        assert train == {*layouts.VOC_IDS["train"], *layouts.VOC_IDS["sbd"]}
        assert dataset.files("test").ids == tuple(layouts.VOC_IDS["val"])
    _, own = dataset.files("test").read(0)  # its palette is not what decides
    assert own.unique().tolist() == [2, 255]
    split = dataset.files("supernet")
    for k, name in enumerate(split.ids):
        _, mask = split.read(k)
        place = [n for ids in layouts.VOC_IDS.values() for n in ids].index(name)
        if name in layouts.VOC_IDS["train"]:
            assert mask.unique().tolist() == [place, 255]  # VOC's own annotation where there is one
        else:
            expected = {place, 0} if sbd == "mat" else {place + 1, 255}
            assert set(mask.unique().tolist()) == expected


def test_voc_s_list_may_be_one_of_paths(tmp_path: Path) -> None:
    layouts.voc(tmp_path, "aug")
    names = [*layouts.VOC_IDS["train"], *layouts.VOC_IDS["sbd"][:3]]
    lines = [f"/JPEGImages/{name}.jpg /SegmentationClassAug/{name}.png" for name in names]
    (tmp_path / "VOCdevkit/VOC2012/ImageSets/Segmentation/train_aug.txt").write_text("\n".join(lines))
    dataset = datasets.load(f"voc:{tmp_path}")
    assert {*dataset.files("supernet").ids, *dataset.files("search").ids} == set(names)


def test_sbd_s_own_image_serves_where_voc_lacks_it(tmp_path: Path) -> None:
    layouts.voc(tmp_path, "mat")
    name = layouts.VOC_IDS["sbd"][4]
    copy = tmp_path / "benchmark_RELEASE" / "dataset" / "img" / f"{name}.jpg"
    copy.parent.mkdir()
    (tmp_path / "VOCdevkit/VOC2012/JPEGImages" / f"{name}.jpg").rename(copy)
    dataset = datasets.load(f"voc:{tmp_path}")
    assert name in {*dataset.files("supernet").ids, *dataset.files("search").ids}


def test_voc_without_sbd_is_refused(tmp_path: Path) -> None:
    layouts.voc(tmp_path, "aug")
    aug = tmp_path / "VOCdevkit" / "VOC2012" / "SegmentationClassAug"
    aug.rename(aug.with_name("elsewhere"))
    with pytest.raises(UserError, match="SegmentationClassAug is missing, and so is SBD's"):
        datasets.load(f"voc:{tmp_path}")


def test_voc_s_colours() -> None:
    assert voc.palette(21)[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert voc.palette(21)[20] == (0, 64, 128)


def test_images_of_many_sizes_are_laid_on_one_canvas(tmp_path: Path) -> None:
    dataset = datasets.load(f"voc:{layouts.voc(tmp_path, 'aug')}")
    split = dataset.split("supernet")
    assert split.images.shape[0] == len(split)
    assert split.images.shape[2:] == split.labels.shape[1:]
    image, mask = split.read(0)
    height, width = mask.shape
    assert torch.equal(split.labels[0, :height, :width], mask)
    assert (split.labels[0, height:] == VOID).all()
    assert torch.equal(split.images[0, :, :height, :width], image)
    assert split.take([2]).ids == (split.ids[2],)


def test_imagenet_s_targets_are_its_folders(tmp_path: Path) -> None:
    dataset = datasets.load(f"imagenet:{layouts.imagenet(tmp_path)}")
    assert dataset.classes == ("n01440764", "n01443537", "n02123045")
    split = dataset.files("test")
    assert [int(split.read(k)[1]) for k in range(len(split))] == [0, 0, 1, 1, 2, 2]
    images, targets = Batches(dataset, "test", 6, seed=0, recipe=PLAIN, size_hw=(24, 24)).at(0)
    assert targets.tolist() == [0, 0, 1, 1, 2, 2]
    assert images.shape == (6, 3, 24, 24)
    assert Batches(dataset, "supernet", 2, seed=0).at(0)[0].shape == (2, 3, 224, 224)
    with pytest.raises(UserError, match="classes of images and no masks"):
        _ = dataset.split("search").labels


def test_imagenet_s_flat_validation_folder_is_explained(tmp_path: Path) -> None:
    layouts.imagenet(tmp_path)
    for file in list((tmp_path / "val").glob("*/*")):
        file.rename(tmp_path / "val" / file.name)
    for folder in list((tmp_path / "val").iterdir()):
        if folder.is_dir():
            folder.rmdir()
    with pytest.raises(UserError, match="side by side as in the archive"):
        datasets.load(f"imagenet:{tmp_path}")


@pytest.mark.parametrize("parts", [("train", "val"), ("train", "test"), ("train", "val", "test")])
def test_a_folder_with_what_it_has(parts: tuple[str, ...], tmp_path: Path) -> None:
    dataset = datasets.load(f"folder:{layouts.folder(tmp_path, parts)}")
    assert dataset.classes == ("sky", "ground")
    sizes = {name: len(dataset.files(name)) for name in ("supernet", "search", "test")}
    assert sizes == (
        {"supernet": 8, "search": 8, "test": 8} if len(parts) == 3 else {"supernet": 6, "search": 2, "test": 8}
    )


def test_a_folder_sorted_by_part_first_does_as_well(tmp_path: Path) -> None:
    layouts.folder(tmp_path)
    for part in ("train", "val", "test"):
        for kind in ("images", "masks"):
            (tmp_path / part).mkdir(exist_ok=True)
            (tmp_path / kind / part).rename(tmp_path / part / kind)
    assert len(datasets.load(f"folder:{tmp_path}").files("test")) == 8


def test_a_classes_file_in_json(tmp_path: Path) -> None:
    layouts.folder(tmp_path)
    (tmp_path / "classes.json").write_text(
        json.dumps(
            {"classes": ["sky", "x"], "palette": [[1, 2, 3], [4, 5, 6]], "void": [255, 9], "mean": [0.1, 0.2, 0.3]}
        )
    )
    layouts.write(tmp_path / "masks" / "test" / "00.png", np.full((12, 20), 9, np.uint8))
    dataset = datasets.load(f"folder:{tmp_path}")
    assert dataset.palette == ((1, 2, 3), (4, 5, 6))
    assert dataset.mean == (0.1, 0.2, 0.3)
    assert dataset.files("test").read(0)[1].unique().tolist() == [VOID]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "damaged or not JSON"),
        ('["a"]', "classes: List should have at least 2 items"),
        ('["a", "a"]', "named twice"),
        ('{"classes": ["a", "b"], "colours": []}', "colours: Extra inputs"),
        ('{"classes": ["a", "b"], "palette": [[1, 2, 3]]}', "1 colours for 2 classes"),
        ('{"classes": ["a", "b"], "void": [1]}', "both a class and void"),
        ('{"classes": ["a", "b"], "std": [0, 1, 1]}', "std must be positive"),
    ],
)
def test_a_wrong_classes_file_is_explained(text: str, words: str, tmp_path: Path) -> None:
    (layouts.folder(tmp_path) / "classes.json").write_text(text)
    with pytest.raises(UserError, match=words):
        datasets.load(f"folder:{tmp_path}")


def test_masks_of_another_set_of_classes_are_refused(tmp_path: Path) -> None:
    layouts.folder(tmp_path)
    Image.fromarray(np.full((12, 20), 7, np.uint8)).save(tmp_path / "masks" / "train" / "00.png")
    with pytest.raises(UserError, match=r"00\.png has the unknown class id 7: known are 0\.\.1 and 255 for void"):
        datasets.load(f"folder:{tmp_path}").files("supernet").read(0)


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    layouts.cityscapes(tmp_path)
    file = next((tmp_path / "gtFine" / "val" / "frankfurt").glob("*labelIds.png"))
    layouts.write(file, np.zeros((5, 5), np.uint8))
    split = datasets.load(f"cityscapes:{tmp_path}").files("test")
    with pytest.raises(UserError, match=rf"{file.name} is \(5, 5\) high and wide, its image .* \(16, 32\)"):
        [split.read(k) for k in range(len(split))]
