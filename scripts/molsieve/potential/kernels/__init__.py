"""PaiNN in C where that is possible; torch's own operations everywhere else.

``messages``: the sums over edges, differentiable twice. ``network``: frozen members whole, with
forces and curvature. ``training_network``: a network in training, with its weights' gradient.
"""

from molsieve.potential.kernels.messages import MessageEdges, RadialBasis, messages

__all__ = ["MessageEdges", "RadialBasis", "messages"]
