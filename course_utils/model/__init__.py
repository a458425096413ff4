"""Models, ready to trace: where they come from, where their parts are, and which tokens a text is to them.

:mod:`loading` has `load_model`; :mod:`weights` brings the weights that a package registry has, and :mod:`tiny` makes random ones.
:mod:`anatomy` finds the parts of any architecture and proves that it found them. :mod:`prompts` reads a text as tokens.
"""
