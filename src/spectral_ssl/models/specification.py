"""What the name of a head means, in numbers; needs no torch, so that a plan can be checked before a run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from spectral_ssl.errors import UserError

Kind = Literal["none", "linear", "mlp", "spectral", "simsiam", "moco", "nnclr", "predictor"]

ACCEPTED = (
    "widths joined by '-' and ending in d, the embedding dimension (d-d-d, 2048-d, 256-256-d); none; linear; "
    "spectral, simsiam, byol, moco, nnclr or predictor, each with an optional hidden width (spectral:2048)"
)
_CHAIN = re.compile(r"(?:(?:d|[1-9][0-9]*)-)*d")
_NAMED = re.compile(r"(none|linear|spectral|simsiam|byol|moco|nnclr|predictor)(?::([1-9][0-9]*))?")


@dataclass(frozen=True)
class HeadSpecification:
    """A head in numbers: `widths[0]` is what goes in, `widths[-1]` what comes out, hidden widths between."""

    kind: Kind
    widths: tuple[int, ...]

    @property
    def output_dim(self) -> int:
        """The dimension of the embedding that the head puts out."""
        return self.widths[-1]


def parse_head(spec: str, input_dim: int, embedding_dim: int | None) -> HeadSpecification:
    """Reads the name of a projector or predictor.

    - `d-d-d`, `2048-d`, `8192-8192-d`: linear layers of these widths, d = `embedding_dim` (Garrido et al.
      2023, Figure 1);
    - `linear` (one layer, with a bias), `none` (the identity: `embedding_dim` is None or `input_dim`);
    - `spectral[:hidden]`: HaoChen et al. 2021's released code, hidden 2048 unless given;
    - `simsiam[:hidden]`, `predictor[:hidden]`: Chen & He 2021's projector (hidden d) and predictor (hidden
      d/4);
    - `byol[:hidden]`: Grill et al. 2020's projector, the chain `4096-d` unless another width is given;
    - `moco[:hidden]`: Chen et al. 2020's projector of two layers without batch norm, hidden 2048;
    - `nnclr[:hidden]`: Dwibedi et al. 2021's projector of three layers, hidden 2048;
    - `predictor:4096` is the predictor of Grill et al. 2020 and of Dwibedi et al. 2021.

    Raises UserError, in one line with the accepted grammar, for anything else and for impossible sizes.
    """
    if input_dim < 1 or (embedding_dim is not None and embedding_dim < 1):
        raise UserError(
            f"head '{spec}': found input dimension {input_dim} and embedding dimension {embedding_dim}; "
            "expected positive integers"
        )
    named = _NAMED.fullmatch(spec)
    if named is None and _CHAIN.fullmatch(spec) is None:
        raise UserError(f"head '{spec}' is not understood; accepted: {ACCEPTED}")
    if named is not None and named[1] == "none" and named[2] is None:
        return _identity(input_dim, embedding_dim)
    if embedding_dim is None:
        raise UserError(f"head '{spec}' needs an embedding dimension; found None; only 'none' goes without")
    if named is None:
        hidden = (embedding_dim if width == "d" else int(width) for width in spec.split("-"))
        return HeadSpecification("mlp", (input_dim, *hidden))
    return _named(spec, named, input_dim, embedding_dim)


def _identity(input_dim: int, embedding_dim: int | None) -> HeadSpecification:
    if embedding_dim not in (None, input_dim):
        raise UserError(
            f"head 'none' leaves the encoder's {input_dim} dimensions as they are; found embedding dimension "
            f"{embedding_dim}; give {input_dim}, or 'linear' as the head"
        )
    return HeadSpecification("none", (input_dim,))


def _named(spec: str, named: re.Match[str], input_dim: int, d: int) -> HeadSpecification:
    hidden = None if named[2] is None else int(named[2])
    match named[1]:
        case "spectral":
            return HeadSpecification("spectral", (input_dim, hidden or 2048, d))
        case "simsiam":
            return HeadSpecification("simsiam", (input_dim, hidden or d, hidden or d, d))
        case "byol":
            return HeadSpecification("mlp", (input_dim, hidden or 4096, d))
        case "moco":
            return HeadSpecification("moco", (input_dim, hidden or 2048, d))
        case "nnclr":
            return HeadSpecification("nnclr", (input_dim, hidden or 2048, hidden or 2048, d))
        case "predictor":
            return HeadSpecification("predictor", _predictor_widths(input_dim, d, hidden))
        case "linear" if hidden is None:
            return HeadSpecification("linear", (input_dim, d))
    raise UserError(f"head '{spec}': '{named[1]}' takes no width; accepted: {ACCEPTED}")


def _predictor_widths(input_dim: int, d: int, hidden: int | None) -> tuple[int, int, int]:
    if input_dim != d:
        raise UserError(
            f"head 'predictor' needs the same dimension in and out; found {input_dim} in, {d} out"
        )
    if hidden is None and d < 4:
        raise UserError(
            f"head 'predictor' narrows to a quarter of the embedding dimension; expected 4 or more, found {d}"
        )
    return (d, hidden or d // 4, d)
