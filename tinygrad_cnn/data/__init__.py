"""Data sets and batches: images stay bytes until the batch that needs them."""

from tinygrad_cnn.data.dataset import ArrayDataset, Dataset, Subset, random_split
from tinygrad_cnn.data.idx import read_idx
from tinygrad_cnn.data.loader import DataLoader
from tinygrad_cnn.data.mnist import fashion_mnist, mnist
from tinygrad_cnn.data.synthetic import synthetic_digits

__all__ = [
    "ArrayDataset",
    "DataLoader",
    "Dataset",
    "Subset",
    "fashion_mnist",
    "mnist",
    "random_split",
    "read_idx",
    "synthetic_digits",
]
