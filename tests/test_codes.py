"""Which edit of the package makes which results stale."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spectral_ssl import codes, provenance
from spectral_ssl.config import load_tier
from spectral_ssl.papers import PAPERS
from spectral_ssl.papers.manifest import build

ROOT = Path(__file__).parents[1]
VICREG = {"vicreg", "vicreg_exp", "vicreg_ctr"}
METHODS = VICREG | {"simclr", "simsiam", "spectral", "barlow_twins"}


MANIFEST = build(load_tier("smoke", folder=ROOT / "config"))


def by_text(function: Callable[[str], Any]) -> Callable[[str], Any]:
    """A module's tree, imports or meaning, worked out once for each text that its file has had."""
    known: dict[tuple[str, str], Any] = {}

    def looked_up(module: str) -> Any:
        key = (module, provenance.module_file(module).read_text(encoding="utf-8"))
        if key not in known:
            known[key] = function(module)
        return known[key]

    return looked_up


def every_code() -> dict[str, str]:
    """The hash of every kind of job of the smoke tier."""
    provenance._closure.cache_clear()
    found = {batch.runs[0].name: codes.batch_code(batch) for batch in MANIFEST.batches.values()}
    found |= {"data": codes.data_code("digits"), "views": codes.views_code(), "report": codes.report_code()}
    for paper in PAPERS:
        found[f"theorems {paper}"] = codes.theorems_code(paper)
        found[f"tables {paper}"] = codes.tables_code(paper)
        found[f"figures {paper}"] = codes.figures_code(paper)
        found[f"notebook {paper}"] = codes.notebook_code(paper)
    return found


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "notebooks", root / "notebooks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provenance, "PACKAGE", root / "src" / "spectral_ssl")
        patch.setattr(provenance, "_tree", by_text(provenance._tree.__wrapped__))
        imports = provenance._imports
        patch.setattr(provenance, "_imports", by_text(lambda module: list(imports(module))))
        patch.setattr(provenance, "_meaning", by_text(provenance._meaning.__wrapped__))
        yield root
    provenance._closure.cache_clear()


@pytest.fixture(scope="module")
def before(checkout: Path) -> dict[str, str]:
    return every_code()


@pytest.fixture
def stale(checkout: Path, before: dict[str, str]) -> Callable[..., set[str]]:
    """What an edit of one file makes stale; the file is put back."""

    def edited(name: str, old: str = "", new: str = "\nedited = 1\n") -> set[str]:
        path = checkout / "src" / "spectral_ssl" / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1) if old else text + new, encoding="utf-8")
        after = every_code()
        path.write_text(text, encoding="utf-8")
        return {job for job, code in after.items() if code != before[job]}

    return edited


def test_every_method_of_the_manifest_is_looked_at(before: dict[str, str]) -> None:
    assert set(before) >= METHODS


def test_a_loss_makes_only_its_own_batches_stale(stale: Callable[..., set[str]]) -> None:
    assert stale("losses/vicreg.py") & METHODS == {"vicreg"}
    assert stale("losses/vicreg_exp.py") & METHODS == {"vicreg_exp"}
    assert stale("losses/regularisation.py") & METHODS == VICREG
    assert stale("losses/simclr.py") & METHODS == {"simclr"}
    assert stale("losses/dcl.py") & METHODS == set()
    assert stale("losses/spectral.py") & METHODS == {"spectral"}
    assert stale("losses/barlow_twins.py") & METHODS == {"barlow_twins"}
    assert stale("losses/negative_cosine.py") & METHODS == {"simsiam"}


def test_a_constant_in_a_loss_counts_and_its_words_do_not(stale: Callable[..., set[str]]) -> None:
    name = "losses/vicreg.py"
    assert stale(name, "", "\n# a remark\n") == set()
    assert stale(name, '"""', '"""Reworded: ') == set()
    assert stale(name, "variance: float = 25.0", "variance: float = 24.0") & METHODS == {"vicreg"}


@pytest.mark.parametrize(
    "name",
    [
        "train/loop.py",
        "train/optim.py",
        "train/job.py",
        "methods/base.py",
        "models/heads.py",
        "models/convolutional.py",
        "data/views.py",
        "data/augment/presets.py",
        "data/augment/affine.py",
        "evaluate/knn.py",
        "evaluate/probe.py",
        "evaluate/few_label.py",
        "evaluate/rank.py",
        "losses/algebra.py",
    ],
)
def test_what_every_run_goes_through_makes_every_batch_stale(
    stale: Callable[..., set[str]], name: str
) -> None:
    assert stale(name) >= METHODS


@pytest.mark.parametrize(
    "name",
    [
        "papers/manifest.py",
        "papers/ledger.py",
        "papers/measure.py",
        "papers/garrido2023/tables.py",
        "papers/haochen2021/figures.py",
        "plotting.py",
        "stages/report.py",
        "models/resnet.py",
        "closed_form/laplacian.py",
        "theorems/haochen2021/probe.py",
        "config.py",
        "targets.py",
    ],
)
def test_what_no_run_goes_through_leaves_the_batches_alone(stale: Callable[..., set[str]], name: str) -> None:
    assert stale(name) & METHODS == set()


def test_a_method_makes_only_its_own_batches_stale(stale: Callable[..., set[str]]) -> None:
    assert stale("methods/simsiam.py") & METHODS == {"simsiam"}
    assert stale("methods/joint_embedding.py") & METHODS == METHODS - {"simsiam"}


def test_a_check_makes_only_its_papers_checks_stale(stale: Callable[..., set[str]]) -> None:
    found = stale("theorems/haochen2021/conductance.py")
    assert {job for job in found if job.startswith("theorems")} == {"theorems haochen2021"}
    assert stale("theorems/check.py") >= {f"theorems {paper}" for paper in PAPERS}


def test_a_papers_tables_and_figures_are_its_own(stale: Callable[..., set[str]]) -> None:
    assert stale("papers/haochen2021/tables.py") == {"tables haochen2021"}
    assert stale("papers/haochen2021/figures.py") == {"figures haochen2021"}
    printed = stale("papers/haochen2021/published.yaml", "83.73", "83.74")
    assert printed == {"tables haochen2021", "figures haochen2021"}
    assert stale("papers/haochen2021/published.yaml", "", "\n# a remark\n") == set()
    assert stale("papers/haochen2021/claims.yaml", "kind: order", "kind: same") == {"tables haochen2021"}


def test_the_ledgers_rules_make_every_papers_tables_stale(stale: Callable[..., set[str]]) -> None:
    assert stale("papers/ledger.py") >= {f"tables {paper}" for paper in PAPERS}


def test_notebooks_and_the_reports_page_count(stale: Callable[..., set[str]]) -> None:
    assert stale("../../notebooks/garrido2023.ipynb") == {"notebook garrido2023"}
    assert stale("report/templates/page.html.j2") == {"report"}
    assert stale("report/templates/curves.js") == {"report"}


def test_readers_make_the_data_stale_and_not_the_batches(stale: Callable[..., set[str]]) -> None:
    found = stale("data/digits.py")
    assert "data" in found
    assert found & METHODS == set()  # batches follow the data's bytes, which are their input
    assert "data" not in stale("data/folder.py")


def test_checks_depend_on_the_losses_that_they_name() -> None:
    named = {paper: codes.theorems_code(paper) for paper in PAPERS}
    # HaoChen et al.'s checks name the spectral loss only, as a string that a table resolves.
    assert "spectral" in provenance.strings("spectral_ssl.theorems.haochen2021.network")
    assert "spectral_ssl.losses.spectral" not in provenance.import_closure(
        ["spectral_ssl.theorems.haochen2021.network"]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            provenance, "_meaning", lambda module: "x" if module == "spectral_ssl.losses.spectral" else module
        )
        edited = codes.theorems_code("haochen2021")
        patch.setattr(provenance, "_meaning", lambda module: module)
        assert codes.theorems_code("haochen2021") != edited
    assert {paper: codes.theorems_code(paper) for paper in PAPERS} == named
