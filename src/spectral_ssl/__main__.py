"""The stage commands: `python -m spectral_ssl STAGE --tier FILE [...]`.

Exit status: 0 done; 2 a user's error or a refused file, told in one line; 3 a run's loss diverged and 4 a
statement's check failed (results are written); 128 + n stopped by signal n, and the same command goes on from there; 1
anything else. `--debug` shows stack traces.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectral_ssl.config import load_tier
from spectral_ssl.errors import UserError, printable
from spectral_ssl.exhaustion import exhaustion_line

if TYPE_CHECKING:
    from spectral_ssl.stages import Context

STAGES = {
    "data": "ingest the tier's data set",
    "views": "write views of a subset, their relation graph and a contact sheet",
    "pretrain": "train and probe the runs of a batch",
    "own": "measure an encoder, or train and measure a loss, of your own",
    "theorems": "check a paper's statements",
    "networks": "train networks on finite graphs, beside the closed forms",
    "tables": "write a paper's tables, measurements and ledger rows",
    "figures": "draw a paper's figures from its tables",
    "notebook": "run a paper's notebook and write its HTML",
    "report": "merge ledgers and theorem checks of every tier present and write results/report.html",
    "reference": "do the next missing of a list of long runs within a time, and keep what is finished in reference/",
    "plan": "say what the tier would run, and predict time and disk from finished runs",
    "summary": "say where the report is and how many ledger entries hold",
}

PAPERS = "haochen2021, garrido2023 or balestriero2022"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="spectral_ssl", description=__doc__.splitlines()[0])
    commands = top.add_subparsers(dest="stage", required=True, metavar="STAGE")
    for name, text in STAGES.items():
        command = commands.add_parser(name, help=text, description=text)
        tier = "a tier's name or file, e.g. config/laptop.yaml"
        if name == "theorems":
            tier += "; without one nothing is written"
        command.add_argument("--tier", required=name != "theorems", help=tier)
        command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. seeds=10")
        command.add_argument(
            "--root", type=Path, default=Path(), help="folder that holds results/ and figures/"
        )
        command.add_argument("--debug", action="store_true", help="show stack traces")
        command.add_argument("--quiet", action="store_true", help="no progress")
        if name == "data":
            command.add_argument(
                "--dataset", metavar="NAME", help="one of the tier's data sets; default: all"
            )
        if name == "networks":
            command.add_argument("--only", metavar="NAME", help="one loss, or inductive_bias; default: all")
        if name == "pretrain":
            command.add_argument(
                "--batch", required=True, metavar="ID", help="a batch's id; `plan --batches` lists them"
            )
        if name == "plan":
            command.add_argument("--batches", action="store_true", help="list the batches instead")
            command.add_argument(
                "--device",
                help="what would train: cpu, cuda or a GPU's name; default: a GPU if present, or if the tier "
                "is in bfloat16",
            )
            command.add_argument("--cores", type=int, metavar="N", help="for the wall time; default: all")
        if name == "own":
            what = command.add_mutually_exclusive_group(required=True)
            what.add_argument(
                "--encoder", type=Path, metavar="FILE", help="TorchScript archive or state dict"
            )
            what.add_argument(
                "--loss", metavar="FILE", help="my_loss.py, which defines my_loss(z1, z2, *, ...)"
            )
            command.add_argument(
                "--architecture",
                metavar="NAME",
                help="the encoder that a state dict is of; default: by its keys",
            )
            command.add_argument("--normalisation", help="none, cifar10 or imagenet; default: the tier's")
            command.add_argument("--name", help="the result's folder; default: the encoder file's name")
            command.add_argument(
                "--hyperparameter",
                action="append",
                metavar="NAME=VALUE",
                help="of the loss, e.g. temperature=0.2",
            )
        if name == "reference":
            command.add_argument(
                "--items", type=Path, metavar="FILE", help="the list; default: reference/list.yaml"
            )
            command.add_argument("--item", metavar="NAME", help="one item; default: all, in the list's order")
            command.add_argument(
                "--budget", type=float, metavar="SECONDS", help="stop with a checkpoint when this time is up"
            )
            command.add_argument(
                "--show", action="store_true", help="run nothing, say where every item stands"
            )
            command.add_argument(
                "--only-tables",
                action="store_true",
                help="run nothing, make tables and figures of what is kept",
            )
        if name in ("pretrain", "own", "reference"):
            command.add_argument(
                "--device", default=None, help="cpu, cuda, cuda:1 ...; default: cuda if present"
            )
        if name == "summary":
            command.add_argument(
                "--checksums",
                action="store_true",
                help="compare every byte of the results, not their lengths",
            )
        if name in ("tables", "figures", "notebook"):
            command.add_argument("--paper", required=True, help=PAPERS)
        if name == "theorems":
            command.add_argument("--paper", help=f"{PAPERS}; default: all")
            command.add_argument(
                "--only",
                action="append",
                metavar="ID",
                help="a statement, e.g. theorem-3.3; may be repeated",
            )
            command.add_argument(
                "--instances",
                type=int,
                metavar="N",
                help="random instances of each; default: the check's own",
            )
            command.add_argument("--seed", type=int, metavar="S", help="of the instances; default: 0")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one stage; the exit status."""
    args = parser().parse_args(arguments)
    # A warning that cannot be written, as without memory, is no stack trace.
    logging.raiseExceptions = args.debug
    options = {
        k: v for k, v in vars(args).items() if k not in ("stage", "tier", "set", "root", "debug", "quiet")
    }
    if args.stage == "theorems":
        options["quiet"] = args.quiet
    try:
        context = _context(args)
        with _receipts(context, args.stage, options):
            status: int = import_module(f"spectral_ssl.stages.{args.stage}").run(context, **options)
        return status
    except UserError as error:
        return _fail(str(error), error.exit_code, debug=args.debug)
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _fail("interrupted; the next run resumes", 130, debug=args.debug)
    except (MemoryError, RuntimeError, ImportError, SystemError) as error:
        line = exhaustion_line(error, args.stage)
        return _fail(line, 2, debug=args.debug) if line else _defect(error, debug=args.debug)
    except OSError as error:  # a folder where a file should be, no right to write, a full disk
        if line := exhaustion_line(error, args.stage):
            return _fail(line, 2, debug=args.debug)
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _fail(f"{what}; check the path, its rights and the room on its disk", 2, debug=args.debug)
    except Exception as error:
        return _defect(error, debug=args.debug)


def _context(args: argparse.Namespace) -> Context | None:
    """What the stage is to know; None for statements that are checked without a tier."""
    if args.tier is None:
        if args.set:
            raise UserError(
                "--set changes a tier's values: name the tier with --tier, or use --instances and --seed"
            )
        os.environ["OMP_NUM_THREADS"] = "1"
        return None
    tier = load_tier(args.tier, args.set)
    os.environ["OMP_NUM_THREADS"] = str(tier.jobs.threads)
    from spectral_ssl.stages import Context  # only now: it imports numpy, which reads the variable once

    context = Context(tier, args.root, args.quiet)
    _ = context.manifest  # refuses unknown names before anything is read or written
    return context


@contextmanager
def _receipts(context: Context | None, stage: str, options: Mapping[str, Any]) -> Iterator[None]:
    """Refuses damaged results that the stage needs; at the end receipts say what it wrote, by the first of its
    processes.
    """
    if context is None or (stage == "pretrain" and os.environ.get("RANK", "0") != "0"):
        yield
        return
    from spectral_ssl.jobs import Jobs
    from spectral_ssl.receipts import check, writing

    if stage == "own":
        check(context.layout, [f"data/{context.tier.data.slug}"])
    jobs = Jobs(context.tier, context.layout, context.manifest).of_command(stage, options)
    part = ("only", "instances", "seed") if stage == "theorems" else ()
    with writing(context.layout, jobs, whole=all(options[name] is None for name in part)):
        yield


def _defect(error: Exception, *, debug: bool) -> int:
    text = " ".join(str(error).split())
    return _fail(f"{type(error).__name__}: {text} (a defect: --debug shows where)", 1, debug=debug)


def _fail(message: str, status: int, *, debug: bool) -> int:
    if debug:
        raise
    print(f"error: {printable(message)}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
