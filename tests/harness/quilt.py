"""Quilt packages, pushed as their owner does: with keys, and past the proxy."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from harness.s3_server import BUCKET, Away

# Run apart: quilt3 reads its settings when it is imported.
_PUSH = """
import json, sys, quilt3
package = quilt3.Package()
places = json.loads(sys.argv[1])
for name, place in places.items():
    package.set(name, place)
copied = lambda name, _: not places[name].startswith("s3://")
pushed = package.push(sys.argv[2], registry=sys.argv[3], message="m", force=True, selector_fn=copied)
print(pushed.top_hash)
"""


def push(away: Away, name: str, places: Mapping[str, str | Path], home: Path) -> str:
    """Push a package of files by their names in it; return the hash of the version.

    Those given as s3://... stay where they are.
    """
    settings = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "owner")
    settings |= dict.fromkeys(("QUILT_DISABLE_USAGE_METRICS", "QUILT_MINIMIZE_STDOUT"), "true")
    settings |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{away.port}", "AWS_DEFAULT_REGION": "us-east-1"}
    settings |= {"HOME": str(home), "XDG_DATA_HOME": str(home)}
    content = json.dumps({key: str(place) for key, place in places.items()})
    command = [sys.executable, "-W", "ignore", "-c", _PUSH, content, name, f"s3://{BUCKET}"]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


def push_elsewhere(away: Away, folder: Path, name: str, prefix: str, home: Path) -> None:
    """Put the files of a folder below a key, and push a package with their names in the folder."""
    away.put_folder(folder, prefix)
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    push(away, name, {one: f"s3://{BUCKET}/{prefix}/{one}" for one in names}, home)
