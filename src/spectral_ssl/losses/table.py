"""The losses by name. A table: code hashes do not follow it, so adding a line reruns nothing."""

from __future__ import annotations

# name: (module, function, the arguments that the name itself settles)
LOSSES: dict[str, tuple[str, str, dict[str, object]]] = {
    "simclr": ("simclr", "simclr", {"similarity": "plain"}),
    "simclr_sq": ("simclr", "simclr", {"similarity": "squared"}),
    "simclr_abs": ("simclr", "simclr", {"similarity": "absolute"}),
    "dcl": ("dcl", "dcl", {"similarity": "plain"}),
    "dcl_sq": ("dcl", "dcl", {"similarity": "squared"}),
    "dcl_abs": ("dcl", "dcl", {"similarity": "absolute"}),
    "info_nce": ("info_nce", "info_nce", {}),
    "vicreg": ("vicreg", "vicreg", {}),
    "vicreg_exp": ("vicreg_exp", "vicreg_exp", {}),
    "vicreg_ctr": ("vicreg_ctr", "vicreg_ctr", {}),
    "barlow_twins": ("barlow_twins", "barlow_twins", {}),
    "tcr": ("tcr", "tcr", {}),
    "spectral": ("spectral", "spectral", {}),
    "negative_cosine": ("negative_cosine", "negative_cosine", {}),
}
