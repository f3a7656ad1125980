"""Tables, ledgers and figures from a results tree written by hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spectral_ssl.config import load_tier
from spectral_ssl.errors import UserError
from spectral_ssl.jobs import products
from spectral_ssl.layout import FIGURE_FORMATS, TABLE_FORMATS
from spectral_ssl.papers import PAPERS, latex, paper_statements, read
from spectral_ssl.papers.evidence import COLUMNS, VERDICTS
from spectral_ssl.provenance import read_json, write_json
from spectral_ssl.stages import Context, data, figures, tables, views
from spectral_ssl.stages.tables import write_csv
from spectral_ssl.targets import Targets

CONFIG = Path(__file__).parents[2] / "config"
SMALL = ("data.train_limit=60", "data.test_limit=40", "views.images=20", "views.views=2", "probes.draws=2")
NAMES = ("online", "lbfgs", "knn", "few1", "few5", "separation_before", "separation_after")
STATISTICS = (
    *("effective_rank_centred", "gram_mean", "gram_variance_relative", "dimension_concentration"),
    *("gram_dominance", "covariance_dominance"),
)


def tree(root: Path, diverged: frozenset[str] = frozenset()) -> Context:
    """Runs, checks, data and views of the smoke tier; the methods in `diverged` did."""
    context = Context(load_tier("smoke", SMALL, CONFIG), root, quiet=True)
    data.run(context)
    views.run(context)
    rng = np.random.default_rng(0)
    for cell in context.manifest.cells:
        folder = context.layout.runs / cell.run
        lost = cell.method in diverged
        write_json(folder / "status.json", {"run": cell.run, "status": "diverged" if lost else "finished"})
        probe = {name: 0.5 + 0.01 * cell.seed + rng.uniform(0, 0.1) for name in NAMES}
        for what in ("embedding", "representation"):
            probe |= {f"{what}_{name}": 4.0 + cell.seed for name in STATISTICS}
        probe |= {"head_parameters": 1000}
        write_json(folder / "probe.json", {} if lost else probe)
        z = (
            {}
            if lost
            else {"embeddings": rng.normal(size=(40, 8)), "agreement": rng.uniform(-1, 1, (2, 2, 40))}
        )
        np.savez_compressed(folder / "features.npz", **{name: x.astype(np.float32) for name, x in z.items()})
    for paper in PAPERS:
        for name in paper_statements(paper):
            check = {
                "kind": "identity",
                "measured": 1e-16,
                "expected": 0.0,
                "tolerance": 1e-9,
                "instances": 3,
            }
            check |= {"verdict": "holds", "control_verdict": "fails", "text": {"title": "A & B_1"}}
            write_json(context.layout.theorem(paper, name), check)
    return context


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    made = tree(tmp_path_factory.mktemp("results"), frozenset({"simsiam"}))
    for paper in PAPERS:
        assert tables.run(made, paper) == 0
    return made


@pytest.mark.parametrize("paper", PAPERS)
def test_every_table_is_written_in_every_format(context: Context, paper: str) -> None:
    folder = context.layout.tables(paper)
    expected = {f"{name}.{ending}" for name in products(paper, "tables") for ending in TABLE_FORMATS}
    expected |= {"measurements.csv", "ledger.csv", "sources.json"}
    assert {path.name for path in folder.iterdir()} == expected
    assert {Path(file).name for file in Targets({"tier": "smoke"}, CONFIG).tables(paper)} == expected


@pytest.mark.parametrize("paper", PAPERS)
def test_the_ledger_on_disk_has_its_columns_in_order(context: Context, paper: str) -> None:
    frame = pd.read_csv(context.layout.tables(paper) / "ledger.csv")
    assert list(frame.columns) == COLUMNS
    assert set(frame["paper"]) == {paper}
    assert set(frame["verdict"]) <= set(VERDICTS)


@pytest.mark.parametrize("paper", PAPERS)
def test_every_entry_on_disk_has_its_sources_whose_files_are_there(context: Context, paper: str) -> None:
    folder = context.layout.tables(paper)
    ledger = pd.read_csv(folder / "ledger.csv")
    sources = read_json(folder / "sources.json")
    assert list(sources) == ledger["entry"].tolist()
    for entry, source in sources.items():
        assert list(source) == ["table", "figure", "statements", "runs", "entries"], entry
        assert source["table"] is None or (folder / f"{source['table']}.csv").is_file()
        assert source["figure"] in {None, *products(paper, "figures")}
        assert all((context.layout.runs / run / "status.json").is_file() for run in source["runs"])
        assert all(context.layout.theorem(*name.split("/")).is_file() for name in source["statements"])
        assert set(source["entries"]) <= set(sources)


@pytest.mark.parametrize("paper", PAPERS)
def test_a_table_says_what_it_is_and_where_it_was_measured(context: Context, paper: str) -> None:
    for name, words in products(paper, "tables").items():
        text = (context.layout.tables(paper) / f"{name}.md").read_text(encoding="utf-8")
        caption, _, table = text.partition("\n\n")
        where = words.get("data", context.tier.description)
        assert caption == f"**{words['title']}. {words['caption']} Measured on {where}.**"
        widths = {line.count("|") for line in table.strip().splitlines()}
        assert len(widths) == 1  # no stray cell


@pytest.mark.parametrize("paper", PAPERS)
def test_every_table_in_latex_has_its_caption_and_a_label_of_its_own(context: Context, paper: str) -> None:
    labels = set()
    for name, words in products(paper, "tables").items():
        text = (context.layout.tables(paper) / f"{name}.tex").read_text(encoding="utf-8")
        assert latex.escape(words["title"]) in text
        assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1
        labels |= set(re.findall(r"\\label\{(.*)\}", text))
    assert labels == {f"tab:{paper}-{name}" for name in products(paper, "tables")}


def test_a_mean_and_its_interval_by_hand(context: Context) -> None:
    measured = pd.read_csv(context.layout.tables("haochen2021") / "measurements.csv")
    rows = measured.query("experiment == 'table1' and method == 'spectral' and epochs == 2")
    first, second = rows["accuracy"]
    cell = pd.read_csv(context.layout.tables("haochen2021") / "table1.csv").query(
        "method == 'spectral' and epochs == 2"
    )
    assert cell["accuracy_mean"].item() == pytest.approx((first + second) / 2, rel=1e-5)
    # Student's t with one degree of freedom is 12.7062 at 97.5 %; the deviation of two is |a - b| / sqrt(2).
    half = 12.7062 * abs(first - second) / 2
    assert cell["accuracy_high"].item() - cell["accuracy_mean"].item() == pytest.approx(half, rel=1e-3)
    assert rows["accuracy"].tolist() == pytest.approx((100 * rows["few5"]).tolist(), rel=1e-5)


def test_diverged_runs_show_as_a_hole(context: Context) -> None:
    text = (context.layout.tables("haochen2021") / "table1.md").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if "SimSiam" in line)
    assert line.count("diverged") == 2  # one a training length
    frame = pd.read_csv(context.layout.tables("haochen2021") / "table1.csv")
    simsiam = frame[frame["method"] == "simsiam"]
    assert simsiam["diverged"].tolist() == [2, 2]
    assert simsiam["accuracy_mean"].isna().all()


@pytest.mark.parametrize("paper", PAPERS)
def test_figures_are_the_same_bytes_when_drawn_twice(context: Context, paper: str) -> None:
    folder = context.layout.figures(paper)
    expected = {f"{name}.{ending}" for name in products(paper, "figures") for ending in FIGURE_FORMATS}
    found = []
    for _ in range(2):
        figures.run(context, paper)
        found.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert set(found[0]) == expected
    assert found[0] == found[1]


def test_figures_need_only_the_tables(context: Context, tmp_path: Path) -> None:
    alone = Context(context.tier, tmp_path, quiet=True)
    for name in products("haochen2021", "tables"):
        path = context.layout.tables("haochen2021") / f"{name}.csv"
        write_csv(alone.layout.tables("haochen2021") / f"{name}.csv", pd.read_csv(path))
    assert figures.run(alone, "haochen2021") == 0
    assert (alone.layout.figures("haochen2021") / "table1.svg").is_file()


@pytest.mark.parametrize("paper", PAPERS)
def test_tables_are_the_same_bytes_when_made_twice(context: Context, paper: str) -> None:
    folder = context.layout.tables(paper)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    tables.run(context, paper)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("paper", PAPERS)
def test_if_every_run_diverged_tables_and_figures_still_say_so(tmp_path: Path, paper: str) -> None:
    context = tree(tmp_path, frozenset(read("methods.yaml")))
    assert tables.run(context, paper) == 0
    assert figures.run(context, paper) == 0
    text = "".join(path.read_text(encoding="utf-8") for path in context.layout.tables(paper).glob("*.md"))
    assert "diverged" in text


def test_a_table_is_written_whole_or_not_at_all(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.csv"
    write_csv(path, pd.DataFrame({"a": [1 / 3]}))
    assert path.read_text(encoding="utf-8") == "a\n0.333333\n"
    write_csv(path, pd.DataFrame({"a": [1 / 3, "words", None, float("nan"), 2]}, dtype=object))
    assert path.read_text(encoding="utf-8") == 'a\n0.333333\nwords\n""\n""\n2\n'
    write_csv(path, pd.DataFrame({"a": [1 / 3]}))
    monkeypatch.setattr(Path, "replace", lambda self, target: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_csv(path, pd.DataFrame({"a": [2.0]}))
    assert [item.name for item in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text(encoding="utf-8") == "a\n0.333333\n"


def test_figures_without_their_tables_say_what_to_run(tmp_path: Path) -> None:
    context = Context(load_tier("smoke", SMALL, CONFIG), tmp_path, quiet=True)
    with pytest.raises(UserError, match=r"figure1\.csv is not there: run `tables --paper garrido2023` first"):
        figures.run(context, "garrido2023")
    with pytest.raises(
        UserError, match=r"no finished run: run `pretrain` for every batch of `plan --batches`"
    ):
        tables.run(context, "garrido2023")
