"""mIoU against torchmetrics and against the evaluator of cityscapesscripts."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torch import Tensor
from torchmetrics.classification import MulticlassJaccardIndex

from search.metrics import VOID, _counted, _counted_anywhere, confusion_matrices, confusion_matrix, iou, miou

cityscapes = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")


@st.composite
def segmentations(draw: st.DrawFn, with_misses: bool = False) -> tuple[Tensor, Tensor, int]:
    """Labels with void, predictions, and how many classes; some classes are absent from either or both."""
    classes = draw(st.integers(2, 12))
    shape = draw(array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6))
    few = draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=4))
    labels = draw(arrays(np.uint8, shape, elements=st.sampled_from([*few, VOID])))
    wrong = [VOID, classes] if with_misses else []
    predictions = draw(arrays(np.int64, shape, elements=st.sampled_from([*range(classes), *wrong])))
    return torch.from_numpy(labels), torch.from_numpy(predictions), classes


@given(segmentations())
@settings(max_examples=80, deadline=None)
def test_equals_torchmetrics_with_void_and_absent_classes(case: tuple[Tensor, Tensor, int]) -> None:
    labels, predictions, classes = case
    ours = miou(confusion_matrix(labels, predictions, classes))
    theirs = MulticlassJaccardIndex(classes, ignore_index=VOID)
    expected = theirs(predictions, labels.long())
    if bool((labels == VOID).all()):
        assert math.isnan(float(ours))
    else:
        assert float(ours) == pytest.approx(float(expected), abs=1e-6)


@given(segmentations())
@settings(max_examples=40, deadline=None)
def test_each_class_equals_torchmetrics(case: tuple[Tensor, Tensor, int]) -> None:
    labels, predictions, classes = case
    ours = iou(confusion_matrix(labels, predictions, classes))
    theirs = MulticlassJaccardIndex(classes, ignore_index=VOID, average=None)(predictions, labels.long())
    assert torch.allclose(ours.nan_to_num(0.0), theirs.double(), atol=1e-6)  # it writes 0 for an absent class


@given(segmentations(with_misses=True), st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_equals_cityscapesscripts_with_predictions_of_void(case, random) -> None:  # type: ignore[no-untyped-def]
    labels, predictions, classes = case
    valid = [label.id for label in cityscapes.labels if not label.ignoreInEval and label.id >= 0]
    ids = random.sample(valid, classes)
    void = next(label.id for label in cityscapes.labels if label.name == "out of roi")
    args = SimpleNamespace(evalLabels=sorted([*ids, void]))  # their own data set's classes, as many as ours
    theirs = np.zeros((max(args.evalLabels) + 1,) * 2, np.ulonglong)
    translate = np.full(256, void)
    translate[:classes] = ids
    for label, prediction in zip(
        translate[labels.numpy()].ravel(), translate[predictions.numpy()].ravel(), strict=True
    ):
        theirs[label, prediction] += 1  # as evaluatePair counts
    expected = [cityscapes.getIouScoreForLabel(id_, theirs, args) for id_ in ids]
    matrix = confusion_matrix(labels, predictions, classes)
    np.testing.assert_allclose(iou(matrix).numpy(), expected, rtol=1e-12)  # NaN where NaN
    names = [cityscapes.id2label[id_].name for id_ in ids]
    average = cityscapes.getScoreAverage(dict(zip(names, expected, strict=True)), args)
    np.testing.assert_allclose(float(miou(matrix)), average, rtol=1e-12)


def test_equals_cityscapesscripts_reading_files(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Their `evaluatePair` on PNG files of their own ids, all 19 classes, void 0."""
    from PIL import Image

    ids = [label.id for label in cityscapes.labels if not label.ignoreInEval and label.id >= 0]
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 20, (3, 40, 50)).astype(np.uint8)
    predictions = np.where(rng.random(labels.shape) < 0.6, labels, rng.integers(0, 20, labels.shape)).astype(np.uint8)
    translate = np.array([*ids, 0], np.uint8)  # 19 is void
    args = cityscapes.args
    args.evalLabels = [label.id for label in cityscapes.labels if label.id >= 0]
    args.evalInstLevelScore = args.evalPixelAccuracy = False
    theirs = cityscapes.generateMatrix(args)
    for k in range(3):
        files = [str(tmp_path / f"{kind}{k}.png") for kind in ("prediction", "label")]
        for file, ids_ in zip(files, (predictions[k], labels[k]), strict=True):
            Image.fromarray(translate[ids_]).save(file)
        cityscapes.evaluatePair(*files, theirs, {}, {}, args)
    expected = [cityscapes.getIouScoreForLabel(id_, theirs, args) for id_ in ids]
    ours = torch.from_numpy(np.where(labels == 19, VOID, labels).astype(np.uint8))
    matrix = confusion_matrix(ours, torch.from_numpy(predictions), 19)
    np.testing.assert_allclose(iou(matrix).numpy(), expected, rtol=1e-12)


def test_a_prediction_of_void_is_a_miss_of_its_label_only() -> None:
    labels = torch.tensor([[[0, 0, 1, 1]]], dtype=torch.uint8)
    perfect = confusion_matrix(labels, labels, 2)
    assert iou(perfect).tolist() == [1.0, 1.0]
    missed = confusion_matrix(labels, torch.tensor([[[0, 255, 1, -1]]]), 2)
    assert missed.tolist() == [[1, 0, 1], [0, 1, 1]]
    assert iou(missed).tolist() == [0.5, 0.5]


def test_predictions_on_void_count_nowhere() -> None:
    labels = torch.tensor([[[0, 255, 255]]], dtype=torch.uint8)
    matrix = confusion_matrix(labels, torch.tensor([[[0, 1, 255]]]), 2)
    assert matrix.tolist() == [[1, 0, 0], [0, 0, 0]]
    assert iou(matrix)[0] == 1.0
    assert math.isnan(float(iou(matrix)[1]))
    assert float(miou(matrix)) == 1.0


@given(segmentations(with_misses=True))
@settings(max_examples=30, deadline=None)
def test_images_of_a_batch_are_counted_apart_and_add_up(case: tuple[Tensor, Tensor, int]) -> None:
    labels, predictions, classes = case
    matrices = confusion_matrices(labels, predictions, classes)
    assert matrices.dtype == torch.int64
    assert matrices.shape == (len(labels), classes, classes + 1)
    assert matrices.sum() == (labels != VOID).sum()
    alone = [confusion_matrix(a[None], b[None], classes) for a, b in zip(labels, predictions, strict=True)]
    assert torch.equal(matrices, torch.stack(alone))
    assert torch.equal(miou(matrices).isnan(), torch.stack([miou(m).isnan() for m in alone]))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_any_integer_type_counts_alike(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 11, (2, 20, 20), generator=generator)
    predictions = torch.randint(0, 12, (2, 20, 20), generator=generator)
    expected = confusion_matrices(labels, predictions, 11)
    assert torch.equal(confusion_matrices(labels.to(dtype), predictions.to(dtype), 11), expected)


def test_a_label_that_is_no_class_is_a_bug() -> None:
    labels = torch.full((1, 2, 2), 7, dtype=torch.uint8)
    with pytest.raises(ValueError, match="below 5"):
        confusion_matrix(labels, labels, 5)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"must be \(B, H, W\)"):
        confusion_matrix(torch.zeros(1, 2, 2, dtype=torch.uint8), torch.zeros(1, 2, 3, dtype=torch.uint8), 3)


def test_equals_cityscapesscripts_on_the_published_layout(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Our reader's masks with our metric against their evaluator on the files themselves."""
    from PIL import Image

    from search import datasets
    from search.datasets.cityscapes import LABEL_IDS

    rng = np.random.default_rng(1)
    predictions, files = [], []
    for part, city, count in (("train", "ulm", 2), ("val", "lindau", 3)):
        for k in range(count):
            name, folder = f"{city}_{k:06d}_000019", f"{part}/{city}"
            for kind, suffix, shape in (
                ("leftImg8bit", "leftImg8bit", (20, 30, 3)),
                ("gtFine", "gtFine_labelIds", (20, 30)),
            ):
                file = tmp_path / kind / folder / f"{name}_{suffix}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 34, shape).astype(np.uint8)).save(file)
            files.append(file)
    split = datasets.load(f"cityscapes:{tmp_path}").split("test")
    args = cityscapes.args
    args.evalLabels = [label.id for label in cityscapes.labels if label.id >= 0]
    args.evalInstLevelScore = args.evalPixelAccuracy = False
    theirs = cityscapes.generateMatrix(args)
    for k, file in enumerate(files[2:]):
        labels = split.labels[k].numpy()
        predictions.append(np.where(rng.random(labels.shape) < 0.5, labels, rng.integers(0, 19, labels.shape)) % 19)
        Image.fromarray(np.array(LABEL_IDS, np.uint8)[predictions[-1]]).save(tmp_path / "prediction.png")
        cityscapes.evaluatePair(str(tmp_path / "prediction.png"), str(file), theirs, {}, {}, args)
    expected = [cityscapes.getIouScoreForLabel(id_, theirs, args) for id_ in LABEL_IDS]
    matrix = confusion_matrix(split.labels, torch.from_numpy(np.stack(predictions)), 19)
    np.testing.assert_allclose(iou(matrix).numpy(), expected, rtol=1e-12)


@given(segmentations(with_misses=True))
@settings(max_examples=40, deadline=None)
def test_the_compiled_counts_are_those_of_any_device(case: tuple[Tensor, Tensor, int]) -> None:
    (ours, ours_strange), (theirs, theirs_strange) = _counted(*case), _counted_anywhere(*case)
    assert torch.equal(ours, theirs)
    assert not ours_strange
    assert not theirs_strange
    labels, predictions, classes = case
    labels = torch.full_like(labels, classes)
    assert _counted(labels, predictions, classes)[1]
    assert _counted_anywhere(labels, predictions, classes)[1]
