"""A plain PyTorch hook, as learners who know PyTorch write it."""

from __future__ import annotations

from course_utils.model.anatomy import anatomy


def hooked(model, layer, change):
    """Put change(output) in the place of what a layer puts out, until the handle that comes back is removed."""
    return anatomy(model).layers[layer]._module.register_forward_hook(lambda module, inputs, output: change(output))
