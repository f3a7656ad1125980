"""Run stages in this process and write what its sockets asked for: `python all_stages.py AUDIT TIER COMMANDS...`.

A command is a stage and its options in one argument. The notebook is a short one: what is looked at is how a kernel is
spoken to. AUDIT gets a line for each name looked up, and each address connected to or sent to.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

WATCHED = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg")


def main(audit: str, tier: str, *commands: str) -> int:
    with Path(audit).open("w", encoding="utf-8", buffering=1) as file:

        def watch(event: str, arguments: tuple[object, ...]) -> None:
            if event in WATCHED:
                print(event, arguments[1:] if event in WATCHED[:1] + WATCHED[3:] else arguments, file=file)

        sys.addaudithook(watch)
        import nbformat

        from spectral_ssl.__main__ import main as stage
        from spectral_ssl.stages import notebook

        cells = [nbformat.v4.new_code_cell(text) for text in ("tier = paper = ''", "print(tier, paper)")]
        cells[0].metadata["tags"] = ["parameters"]
        notebook.NOTEBOOKS = Path("short")
        notebook.NOTEBOOKS.mkdir(exist_ok=True)
        about = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        made = nbformat.v4.new_notebook(cells=cells, metadata=about)
        nbformat.write(made, notebook.NOTEBOOKS / "garrido2023.ipynb")
        for command in commands:
            name, *options = shlex.split(command)
            status = stage([name, "--tier", tier, "--quiet", *options])
            if status:
                return status
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
