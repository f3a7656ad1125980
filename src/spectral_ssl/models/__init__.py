"""Encoders and heads; `specification` reads a head's name without torch."""
