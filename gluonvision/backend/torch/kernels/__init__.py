"""Faster ways to compute results that plain torch also gives. Import the folder only here.

To take the kernels out, delete this folder and tests/kernels, and follow the two imports of
``kernels`` in backend/torch:

- logits.py: drop the two branches that ask ``kernels.can_fuse``. The lines after them compute the
  same losses and classes in plain torch.
- __init__.py: replace ``prepare_inference`` by a function that returns the net for 'auto' and
  'fp32' and raises ValueError for other precisions, as backend/mxnet/evaluation.py does.
"""

from gluonvision.backend.torch.kernels.dispatch import can_fuse, resized_argmax
from gluonvision.backend.torch.kernels.fused_loss import fused_log_probability
from gluonvision.backend.torch.kernels.prepared_inference import prepare_inference

__all__ = ["can_fuse", "fused_log_probability", "prepare_inference", "resized_argmax"]
