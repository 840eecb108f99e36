"""Rows of real data sets, as NumPy and Pillow alone would prepare them."""

import numpy as np
from PIL import Image

from onnxq.datasets.loading import load_rows
from onnxq.datasets.preprocess import parse_preprocess
from onnxq.datasets.splitting import choose_rows, split_rows
from onnxq.datasets.values import AsGiven, DataRequest
from onnxq.events import tell_nobody
from onnxq.stages import LoadRowsRequest, NoDataRequest
from onnxq.tensors import Signature, TensorSpec


def stored(folder, path, shape, preprocess="", **options):
    """Return the evaluation rows, and their labels."""
    spec = parse_preprocess(preprocess) if preprocess else AsGiven()
    outputs = (TensorSpec("scores", "float32", ("N", 1000)),)
    request = LoadRowsRequest(
        data=DataRequest(spec=str(path), preprocess=spec, **options),
        calibration=NoDataRequest(),
        signature=Signature((TensorSpec("x", "float32", shape),), outputs),
        declared=(),
    )
    rows = load_rows(request, folder, tell_nobody).evaluation.rows
    return np.load(rows.inputs["x"]), np.load(rows.labels) if rows.labels else np.empty(0)


def test_photos_for_squeezenet(shared, tmp_path):
    photos = shared / "data" / "imagenet500_even_256"
    x, y = stored(
        tmp_path,
        photos,
        ("N", 3, 227, 227),
        "order=bgr,size=256,crop=227,scale=1,mean=104:117:123",
        classes=r"^(\d+)_",
        limit_rows=20,
    )
    files = np.array(sorted(photos.glob("*.jpg")))[choose_rows(500, 20, 0)[split_rows(20, 0)[1]]]
    assert y.tolist() == [int(file.name[:4]) for file in files]
    for row, file in zip(x, files, strict=True):
        pixels = np.asarray(Image.open(file).convert("RGB"))[14:241, 14:241, ::-1]
        np.testing.assert_array_equal(row, (pixels - [104.0, 117, 123]).transpose(2, 0, 1))


def test_photos_for_ultraface(shared, tmp_path):
    faces = shared / "data" / "ultraface_imgs"
    x, y = stored(tmp_path, faces, (1, 3, 240, 320), "resize=240x320,mean=127,std=128")
    files = np.array(sorted(faces.glob("*.jpg")))[split_rows(24, 0)[1]]
    pixels = np.asarray(Image.open(files[0]).resize((320, 240), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(x[0], ((pixels - 127.0) / 128).transpose(2, 0, 1))
    assert (len(x), len(y)) == (20, 0)


def test_cifar_for_resnet_20(shared, tmp_path):
    path = shared / "data" / "cifar10_lossless_train4000.npz"
    preprocess = "scale=255,mean=.485:.456:.406,std=.229:.224:.225"
    x, y = stored(tmp_path, path, ("N", 3, 32, 32), preprocess, limit_rows=500)
    rows = choose_rows(4000, 500, 0)[split_rows(500, 0)[1]]
    with np.load(path) as data:
        expected = (data["x"][rows] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        np.testing.assert_allclose(x, expected.transpose(0, 3, 1, 2), rtol=0, atol=2e-6)
        np.testing.assert_array_equal(y, data["y"][rows])


def test_vww_as_given(shared, tmp_path):
    path = shared / "data" / "vww_coco_train128.npz"
    x, y = stored(tmp_path, path, ("N", 96, 96, 3))
    with np.load(path) as data:
        np.testing.assert_array_equal(x, data["x"][split_rows(128, 0)[1]])
    assert (x.dtype, len(y)) == (np.float32, 103)


def test_mnist_by_its_mapping(shared, tmp_path):
    mapping = {"x": "x_test", "labels": "y_test"}
    path = shared / "data" / "mnist.npz"
    x, y = stored(tmp_path, path, ("N", 28, 28, 1), "zero-one", mapping=mapping, limit_rows=50)
    rows = choose_rows(10_000, 50, 0)[split_rows(50, 0)[1]]
    with np.load(path) as data:
        np.testing.assert_array_equal(x[..., 0], data["x_test"][rows] / np.float32(255))
        np.testing.assert_array_equal(y, data["y_test"][rows])
