"""Closed forms on graphs of 10^3 to 10^6 nodes, beside scikit-learn and plain `eigsh`.

Run from a checkout: `PYTHONPATH=src python benchmarks/closed_forms.py`; `--quick` stops at 10^4 nodes.
Graphs, 4 views a sample, the last two connected and regular, so that normalising does not matter and every contender
looks for one subspace: `views`; `ring`, where neighbouring samples are linked too and 16 links are long; `random`,
where every node has one random link besides. Each cell is a process of its own on one thread, stopped after 300 s of
CPU time (so that whatever else the machine does stops nobody) or at 8 GiB; a contender that was stopped on a graph, or
took over 30 s, is not tried on larger ones; of what takes less than two seconds the mean of up to nine times counts.
Writes results/closed_forms.csv and .png (pdf, svg): wall and CPU seconds, peak resident memory above that of the
imports (the graph included), the largest residual, the largest principal angle to `vicreg`'s subspace, and exponents of
CPU time and memory, fitted from 10^4 nodes on. The picture shows CPU time too: wall time is what else the machine did
as well.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from sklearn.manifold import SpectralEmbedding

from spectral_ssl import closed_form as cf
from spectral_ssl.data.graph import laplacian, load_graph, normalised_adjacency, save_graph, views_graph

K, VIEWS, LONG, ANGLE = 16, 4, 16, 1e-6
SECONDS, MEMORY, LONG_ENOUGH = 300, 8 * 2**30, 30
SHORT, REPEATS = 2.0, 9  # what takes less altogether is done again, up to that often; the mean counts
GRAPHS = ("views", "ring", "random")
OURS = ("vicreg", "spectral", "barlow_twins")


def make(kind: str, nodes: int) -> sp.csr_array:
    """A graph of that many nodes, a multiple of 4."""
    rng = np.random.default_rng(0)
    graph = views_graph(nodes // VIEWS, VIEWS)
    if kind == "views":
        return graph
    here = np.arange(nodes)
    if kind == "random":
        order = rng.permutation(nodes)
        here, there = np.split(order, 2)
    else:
        view, sample = np.divmod(here, nodes // VIEWS)
        there = view * (nodes // VIEWS) + (sample + 1) % (nodes // VIEWS)
        moved = rng.choice(nodes, LONG, replace=False)
        there[moved] = np.roll(there[moved], 1)  # exchanging ends leaves every degree as it is
    links = sp.csr_array((np.ones(here.size), (here, there)), shape=graph.shape)
    return sp.csr_array(graph + links + links.T)


def embed(contender: str, graph: sp.csr_array) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Columns that span the subspace, eigenvalues where there are any, and the solver's name."""
    if contender in OURS:
        result = getattr(cf, contender)(graph, K)
        return result.embedding, result.eigenvalues, result.solver
    if contender.startswith("SpectralEmbedding"):
        solver = "lobpcg" if contender.endswith("lobpcg") else None
        theirs = SpectralEmbedding(K, affinity="precomputed", eigen_solver=solver, random_state=0)
        # its check takes no sparse arrays of 64-bit indices
        matrix = sp.csr_matrix(graph)
        matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
        return theirs.fit_transform(matrix), None, ""
    end: dict[str, Any] = {"which": "SA"} if contender == "eigsh SA" else {"sigma": -1e-5}
    values, vectors = spla.eigsh(sp.csc_array(laplacian(graph)), K + 1, **end)
    order = np.argsort(values)[1:]
    return vectors[:, order], values[order], ""


def residual(contender: str, graph: sp.csr_array, columns: np.ndarray, values: np.ndarray) -> float:
    """The largest ||M u - lambda u|| of unit columns u of positive length."""
    matrix = normalised_adjacency(graph) if contender in OURS[1:] else laplacian(graph)
    if contender == "barlow_twins":
        columns = np.sqrt(graph.sum(axis=1))[:, None] * columns
    columns = columns / np.linalg.norm(columns, axis=0)
    return float(np.linalg.norm(matrix @ columns - columns * values, axis=0).max())


def peak() -> float:
    """Peak resident memory of this process in MiB; ru_maxrss is in bytes on macOS."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def cell(contender: str, folder: Path) -> None:
    """Measure one contender in this process and print what was found as JSON."""
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    before = psutil.Process().memory_info().rss / 2**20
    graph = load_graph(folder / "graph.npz")
    taken: list[tuple[float, float]] = []
    most = 0.0
    while not taken or (len(taken) < REPEATS and sum(wall for wall, _ in taken) < SHORT):
        wall, cpu = time.perf_counter(), time.process_time()
        columns, values, solver = embed(contender, graph)
        taken.append((time.perf_counter() - wall, time.process_time() - cpu))
        most = most or peak() - before  # of the first time: others may find its arrays still there
    wall, cpu = (statistics.fmean(times) for times in zip(*taken, strict=True))
    row: dict[str, object] = {
        "seconds": round(wall, 4),
        "cpu_seconds": round(cpu, 4),
        "peak_mib": round(most, 1),
        "solver": solver,
    }
    if values is not None:
        row["residual"] = float(f"{residual(contender, graph, columns, values):.1e}")
    np.save(folder / f"{contender}.npy", columns)
    print(json.dumps(row))


def measure(contender: str, folder: Path) -> dict[str, object]:
    """The row of one cell."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, __file__, "--cell", contender, str(folder)]
    used = children_seconds()
    done = subprocess.run(command, env={**os.environ, **threads}, capture_output=True, text=True)
    if done.returncode and children_seconds() - used > 0.99 * SECONDS:
        return {"status": f"> {SECONDS} s"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        memory = done.returncode < 0 or "emory" in last or "alloc" in last
        return {"status": "> 8 GiB" if memory else f"failed: {last[:80]}"}
    return {"status": "done", **json.loads(done.stdout.splitlines()[-1])}


def children_seconds() -> float:
    """CPU time of the cells so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def contenders(kind: str) -> list[str]:
    """Ours and, in the variant that suits the graph, theirs."""
    plain = "eigsh SA" if kind == "random" else "eigsh sigma"
    return [*OURS, "SpectralEmbedding", "SpectralEmbedding lobpcg", plain]


def rows(sizes: list[int], out: Path) -> pd.DataFrame:
    found: list[dict[str, object]] = []
    stopped: dict[tuple[str, str], str] = {}
    for nodes in sizes:
        for kind in GRAPHS:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                save_graph(folder / "graph.npz", make(kind, nodes))
                for contender in contenders(kind):
                    if (kind, contender) in stopped:
                        row: dict[str, object] = {"status": f"not tried ({stopped[kind, contender]} before)"}
                    else:
                        row = measure(contender, folder)
                    if row["status"] != "done":
                        stopped.setdefault((kind, contender), str(row["status"]))
                    elif float(str(row["cpu_seconds"])) > LONG_ENOUGH:
                        stopped[kind, contender] = f"{row['cpu_seconds']} s"
                    row = {"graph": kind, "nodes": nodes, "contender": contender, **row}
                    if row["status"] == "done" and kind != "views" and contender not in OURS[1:]:
                        row["angle"] = angle(folder, contender)
                    print(row, flush=True)
                    found.append(row)
                    write(pd.DataFrame(found), out)  # a run of an hour leaves what it has
    return pd.DataFrame(found)


def angle(folder: Path, contender: str) -> float | None:
    """The largest principal angle to our subspace; tied at the cut as `views` is, there is nothing to compare."""
    if contender == "vicreg" or not (folder / "vicreg.npy").exists():
        return None
    return float(f"{cf.largest_angle(*(np.load(folder / f'{c}.npy') for c in ('vicreg', contender))):.1e}")


def with_exponents(frame: pd.DataFrame) -> pd.DataFrame:
    """Slopes in log-log from 10^4 nodes on, where at least two sizes were finished."""
    for column, name in (("cpu_seconds", "time_exponent"), ("peak_mib", "memory_exponent")):
        frame[name] = np.nan
        for _, group in frame[(frame.status == "done") & (frame.nodes >= 10**4)].groupby(
            ["graph", "contender"]
        ):
            if len(group) > 1:
                slope = np.polyfit(np.log(group.nodes.astype(float)), np.log(group[column].astype(float)), 1)
                frame.loc[group.index, name] = round(float(slope[0]), 2)
    return frame


def write(frame: pd.DataFrame, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(out, index=False, lineterminator="\n")


def draw(frame: pd.DataFrame, stem: Path) -> None:
    from spectral_ssl import plotting

    figure, axes = plotting.new_figure(2, len(GRAPHS), sharex=True, sharey="row")
    names = list(dict.fromkeys(frame.contender))
    for place, (column, label) in enumerate(
        (("cpu_seconds", "CPU seconds"), ("peak_mib", "peak memory, MiB"))
    ):
        for number, kind in enumerate(GRAPHS):
            axis = axes[place * len(GRAPHS) + number]
            for index, name in enumerate(names):
                part = frame[(frame.graph == kind) & (frame.contender == name) & (frame.status == "done")]
                style = {
                    "color": plotting.COLOURS[index],
                    "marker": plotting.MARKERS[index],
                    "linestyle": plotting.DASHES[index],
                }
                once = name if (place, kind) == (0, contender_panel(name)) else None
                axis.plot(part.nodes, part[column].astype(float), markersize=4, label=once, **style)
                wrong = part[part.angle.astype(float) > ANGLE]
                hollow = {**style, "linestyle": "none", "markerfacecolor": "white", "zorder": 3}
                axis.plot(wrong.nodes, wrong[column].astype(float), markersize=4, **hollow)
            axis.set_yscale("log")
            axis.set_xscale("log")
            axis.set_title(kind if place == 0 else "")
            axis.set_xlabel("nodes" if place else "")
        axes[place * len(GRAPHS)].set_ylabel(label)
    figure.suptitle(f"hollow: not the subspace of vicreg, an angle above {ANGLE:g}", fontsize=8)
    handles = [handle for axis in axes[: len(GRAPHS)] for handle in axis.get_legend_handles_labels()[0]]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8)
    plotting.save(figure, stem)


def contender_panel(name: str) -> str:
    """The first graph that the contender is measured on."""
    return next(kind for kind in GRAPHS if name in contenders(kind))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="up to 10^4 nodes")
    parser.add_argument("--cell", nargs=2, metavar=("CONTENDER", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "closed_forms.csv")
    arguments = parser.parse_args()
    if arguments.cell:
        cell(arguments.cell[0], Path(arguments.cell[1]))
        return
    sizes = [10**3, 10**4] + ([] if arguments.quick else [10**5, 10**6])
    frame = with_exponents(rows(sizes, arguments.out))
    write(frame, arguments.out)
    draw(frame, arguments.out.with_suffix(""))
    print(arguments.out.read_text(), end="")


if __name__ == "__main__":
    main()
