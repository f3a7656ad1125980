"""Garrido, Chen, Bardes, Najman, LeCun 2023: duality of contrastive and non-contrastive criteria."""
