"""What more than one exercise of this lesson tells a learner."""

from __future__ import annotations

INPUT_NOT_OUTPUT = (
    "This is what the layer reads, its input: at layer l means here what layer l puts out, parts.layers[l].output."
)
