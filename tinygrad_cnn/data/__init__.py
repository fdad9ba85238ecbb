"""Data sets and batches: images stay bytes until the batch that needs them."""

from tinygrad_cnn.data.dataset import ArrayDataset, Dataset, Subset, random_split
from tinygrad_cnn.data.idx import read_idx
from tinygrad_cnn.data.loader import DataLoader
from tinygrad_cnn.data.mnist import fashion_mnist, mnist
from tinygrad_cnn.data.sampling import HardExampleSampler, HardNegativeSampler, Sampler, hard_negatives, hardest
from tinygrad_cnn.data.synthetic import synthetic_digits

__all__ = [
    "ArrayDataset",
    "DataLoader",
    "Dataset",
    "HardExampleSampler",
    "HardNegativeSampler",
    "Sampler",
    "Subset",
    "fashion_mnist",
    "hard_negatives",
    "hardest",
    "mnist",
    "random_split",
    "read_idx",
    "synthetic_digits",
]
