"""Balestriero & LeCun 2022: self-supervised losses and spectral embedding."""
