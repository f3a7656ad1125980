"""Data sets as memory-mapped arrays, their views, and the graphs that relate samples to each other."""
