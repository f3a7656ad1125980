"""HaoChen et al. 2021: spectral contrastive loss."""
