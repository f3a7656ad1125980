"""Three papers on the spectral theory of self-supervised learning, reproduced from one command."""

__version__ = "0.1.0"
