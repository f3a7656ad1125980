"""The graph losses by name. A table: code hashes do not follow it, so adding a line reruns nothing."""

from __future__ import annotations

# name: (module, function, the arguments that the name itself settles)
GRAPH_LOSSES: dict[str, tuple[str, str, dict[str, object]]] = {
    "vicreg": ("vicreg", "vicreg", {}),
    "simclr": ("simclr", "simclr", {}),
    "gram": ("gram", "gram", {}),
    "barlow_twins": ("barlow_twins", "barlow_twins", {}),
    "spectral": ("spectral", "spectral", {}),
}
