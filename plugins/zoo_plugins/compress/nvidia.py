"""What is used of NVIDIA's pytorch-quantization, imported without what the import does to logging.

Import this module only when something is quantised.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["HistogramCalibrator", "MaxCalibrator", "QuantDescriptor", "TensorQuantizer", "quant_nn"]


@contextmanager
def _root_logger_kept() -> Iterator[None]:
    """pytorch_quantization installs absl's handler and level for the whole process when imported; undo that."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    root.handlers[:] = handlers
    root.setLevel(level)


with _root_logger_kept():
    from pytorch_quantization import nn as quant_nn
    from pytorch_quantization.calib import HistogramCalibrator, MaxCalibrator
    from pytorch_quantization.nn import TensorQuantizer
    from pytorch_quantization.tensor_quant import QuantDescriptor
