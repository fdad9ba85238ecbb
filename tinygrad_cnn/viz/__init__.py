"""Pictures: computation graphs, learning curves, confusion matrices."""

from tinygrad_cnn.viz.confusion import confusion_matrix, save_confusion_matrix
from tinygrad_cnn.viz.curves import save_learning_curves
from tinygrad_cnn.viz.graph import Graph, draw_graph

__all__ = ["Graph", "confusion_matrix", "draw_graph", "save_confusion_matrix", "save_learning_curves"]
