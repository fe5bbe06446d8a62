"""The rules of the workflow as text, by name."""

import re
import textwrap

from paths import ROOT


def looped(block):
    """The rules that a loop over config/figures makes, as if each were written down."""
    body = textwrap.dedent(block.split(":\n", 1)[1])
    figures = sorted(path.stem for path in (ROOT / "config/figures").glob("*.yaml"))
    return {f"plot_{figure}": body.replace("{figure}", figure).strip("\n") for figure in figures}


# conda's name -> the package index's.
ALIAS = {
    "pytorch": "torch",
    "matplotlib-base": "matplotlib",
    "seaborn-base": "seaborn",
    "snakemake-minimal": "snakemake",
}


def rule_blocks():
    blocks = {}
    # Not targets.smk: `all` asks for files and does nothing itself.
    for path in sorted(set((ROOT / "workflow/rules").glob("*.smk")) - {ROOT / "workflow/rules/targets.smk"}):
        for block in re.split(r"^(?=rule |use rule |for figure )", path.read_text(), flags=re.MULTILINE)[1:]:
            if block.startswith("for "):
                blocks |= {name: (path.stem, text) for name, text in looped(block).items()}
                continue
            name = re.match(r"rule (\w+)|use rule \w+ as (\w+)", block)
            blocks[name.group(1) or name.group(2)] = (path.stem, block)
    return blocks
