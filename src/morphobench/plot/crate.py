"""RO-Crate of a figure: what it was made of, by what, when, under which licences; one zip for an archive.

Workflow Run Crate 0.5 (https://w3id.org/ro/wfrun/workflow), written with ro-crate-py.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rocrate.model.contextentity import ContextEntity
from rocrate.model.entity import Entity
from rocrate.rocrate import ROCrate

from morphobench.files import FilePath, atomic_file

_PARTS = ("workflow/rules", "workflow/scripts")
_PROFILES = ("process", "workflow")
_W3ID = "https://w3id.org/ro/wfrun/{}/0.5"
_MIT = "https://spdx.org/licenses/MIT"

Row = Mapping[str, Any]


def run(
    outputs: Mapping[str, FilePath],
    out: FilePath,
    *,
    title: str,
    datasets: Mapping[str, Row],
    jobs: Sequence[Mapping[str, str]],
    clone: FilePath,
    config: FilePath,
) -> None:
    """Write the crate of a drawn figure.

    Parameters
    ----------
    outputs
        Files and folders of the figure, by what they are.
    datasets
        By name, the configuration of each data set: title, licence, citation and source.
    jobs
        Rows of `jobs.provenance.collect` of the figure and its data sets.
    clone, config
        Folders of the workflow, whose rules and scripts go into the crate, and of the configuration.
    """
    crate = ROCrate()
    crate.name = title
    crate.description = f"{title}: a figure, the tables under it and the workflow that made them."
    crate.license = "MIT for the workflow; of the data sets see each; the figure is under none by itself."
    crate.root_dataset["conformsTo"] = [_profile(crate, name) for name in _PROFILES]
    workflow = _workflow(crate, Path(clone), Path(config), jobs)
    made = [_output(crate, what, Path(path)) for what, path in outputs.items()]
    used = [_input(crate, name, about) for name, about in datasets.items()]
    times = sorted(job["when"] for job in jobs)
    action = {"@type": "CreateAction", "name": f"Run of {title}", "instrument": workflow}
    action |= {"object": used, "result": made}
    action |= {"startTime": _iso(times[0]), "endTime": _iso(times[-1])} if times else {}
    crate.root_dataset.append_to("mentions", crate.add(ContextEntity(crate, "#run", properties=action)))
    with atomic_file(out) as part:
        # The library appends .zip to any other name.
        archive = part.with_name(f"{part.name}.zip")
        crate.write_zip(archive)
        archive.replace(part)


def _profile(crate: ROCrate, name: str) -> Entity:
    about = {"@type": "CreativeWork", "name": f"{name.capitalize()} Run Crate", "version": "0.5"}
    return crate.add(ContextEntity(crate, _W3ID.format(name), properties=about))


def _workflow(crate: ROCrate, clone: Path, config: Path, jobs: Sequence[Mapping[str, str]]) -> Entity:
    """Add the workflow with its parts and the versions that its jobs ran with."""
    workflow = crate.add_workflow(clone / "Snakefile", "Snakefile", main=True, lang="snakemake")
    workflow["license"] = _MIT
    workflow["version"] = ", ".join(dict.fromkeys(job["version"] for job in jobs)) or "unknown"
    for folder, place in {**{name: clone / name for name in _PARTS}, "config": config}.items():
        crate.add_directory(place, folder)
    packages = dict.fromkeys(name for job in jobs for name in job["packages"].split(", "))
    packages |= dict.fromkeys(f"python {job['python']}" for job in jobs)
    workflow["softwareRequirements"] = [_software(crate, package) for package in packages if package]
    return workflow


def _software(crate: ROCrate, package: str) -> Entity:
    name, _, version = package.partition(" ")
    about = {"@type": "SoftwareApplication", "name": name, "softwareVersion": version}
    return crate.add(ContextEntity(crate, f"#{name}-{version}", properties=about))


def _output(crate: ROCrate, what: str, path: Path) -> Entity:
    add = crate.add_directory if path.is_dir() else crate.add_file
    return add(path, path.name, properties={"name": what})


def _input(crate: ROCrate, name: str, about: Row) -> Entity:
    """Add a data set: its name, licence, citation and where it is from; its files stay where they are."""
    source = {key: value for key, value in about.get("source", {}).items() if isinstance(value, str)}
    properties = {
        "@type": "Dataset",
        "name": about["title"],
        "license": about.get("licence", "not given"),
        "citation": about.get("citation", "not given"),
        "description": "; ".join(f"{key}: {value}" for key, value in source.items()),
    }
    return crate.add(ContextEntity(crate, f"#{name}", properties=properties))


def _iso(when: str) -> str:
    """Return a time of a log, such as 2026-11-27 21:47:27 +0000, as ISO 8601 has it."""
    day, time, offset = when.split(" ")
    return f"{day}T{time}{offset[:3]}:{offset[3:]}"
