"""The rules of the workflow, as text and as Snakemake reads them, and the imports of the package."""

import ast
import json
import re

from harness.clone import snakemake
from paths import ROOT

# conda's name -> the package index's.
ALIAS = {
    "pytorch": "torch",
    "matplotlib-base": "matplotlib",
    "seaborn-base": "seaborn",
    "snakemake-minimal": "snakemake",
}
_PROBE = """
include: "Snakefile"
import json
print("RULES", json.dumps({
    one.name: {
        "log": [str(path) for path in one.log],
        "benchmark": str(one.benchmark),
        "params": list(one.params.keys()),
        "resources": list(one.resources),
        "conda": one.conda_env,
        "script": one.script,
        "message": one.message,
    }
    for one in workflow.rules
}))
"""


def rule_blocks():
    blocks = {}
    # Not outputs.smk: `all` asks for files and does nothing itself.
    for path in sorted(set((ROOT / "workflow/rules").glob("*.smk")) - {ROOT / "workflow/rules/outputs.smk"}):
        for block in re.split(r"^(?=rule |use rule )", path.read_text(), flags=re.MULTILINE)[1:]:
            name = re.match(r"rule (\w+)|use rule \w+ as (\w+)", block)
            blocks[name.group(1) or name.group(2)] = (path.stem, block)
    return blocks


def declared_rules(clone):
    """What each rule has once every file is included."""
    (clone / "probe.smk").write_text(_PROBE)
    text = snakemake(clone, "--snakefile", "probe.smk", "--list-rules").stdout
    rules = json.loads(re.search(r"^RULES (.*)$", text, re.MULTILINE)[1])
    return {name: rule for name, rule in rules.items() if name != "all"}


def module_imports():
    """Module of the package -> the modules of the package that it imports, anywhere in its text."""
    source = ROOT / "src"
    files = sorted((source / "morphobench").rglob("*.py"))
    names = {
        ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__"): path
        for path in files
    }
    graph = {}
    for module, path in names.items():
        found = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                below = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= below if below <= set(names) else below | {node.module}
        graph[module] = found & set(names) - {module}
    return graph
