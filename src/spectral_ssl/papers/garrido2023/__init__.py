"""Garrido et al. 2023: duality of contrastive and non-contrastive losses."""
