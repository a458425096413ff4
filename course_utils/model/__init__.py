"""Models, ready to trace: where they come from, where their parts are, and which tokens a text is to them.

:mod:`loading` has `load_model`, the door to all :mod:`sources`. Of these, a registry's packages (:mod:`releases`,
:mod:`fetching`) are converted and kept by :mod:`weights`, and :mod:`tiny` makes random weights. :mod:`wrapping` makes
traceable what was loaded. :mod:`anatomy` finds the parts of any architecture and proves that it found them.
:mod:`prompts` reads a text as tokens.
"""
