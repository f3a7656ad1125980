"""Balestriero & LeCun 2022: spectral embedding."""
