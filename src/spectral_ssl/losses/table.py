"""The losses by name. A table: code hashes do not follow it, so adding a line reruns nothing."""

from __future__ import annotations

# name: (module, function, the arguments that the name itself settles)
LOSSES: dict[str, tuple[str, str, dict[str, object]]] = {
    "simclr": ("contrastive", "simclr", {"similarity": "plain"}),
    "simclr_sq": ("contrastive", "simclr", {"similarity": "squared"}),
    "simclr_abs": ("contrastive", "simclr", {"similarity": "absolute"}),
    "dcl": ("contrastive", "dcl", {"similarity": "plain"}),
    "dcl_sq": ("contrastive", "dcl", {"similarity": "squared"}),
    "dcl_abs": ("contrastive", "dcl", {"similarity": "absolute"}),
    "vicreg": ("vicreg", "vicreg", {}),
    "vicreg_exp": ("vicreg", "vicreg_exp", {}),
    "vicreg_ctr": ("vicreg", "vicreg_ctr", {}),
    "barlow_twins": ("barlow_twins", "barlow_twins", {}),
    "tcr": ("tcr", "tcr", {}),
    "spectral": ("spectral", "spectral", {}),
    "negative_cosine": ("negative_cosine", "negative_cosine", {}),
}
