"""Files that other tools can read, and that survive whatever stops the program that writes them."""

from tinygrad_cnn.interop.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from tinygrad_cnn.interop.tensor_file import load, save

__all__ = ["latest_checkpoint", "load", "load_checkpoint", "save", "save_checkpoint"]
