"""HaoChen, Wei, Gaidon, Ma 2021: the augmentation graph and the spectral contrastive loss."""
