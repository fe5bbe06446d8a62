"""A quilt package whose files lie elsewhere in its bucket than their names in the package say."""

import json
import os
import subprocess
import sys
from pathlib import Path

from harness.s3_server import BUCKET, Away

# Run apart: quilt3 reads its settings when it is imported.
_PUSH = """
import json, sys, quilt3
package = quilt3.Package()
for name, place in json.loads(sys.argv[1]).items():
    package.set(name, place)
package.push(sys.argv[2], registry=sys.argv[3], message="m", force=True, selector_fn=lambda *_: False)
"""


def push(away: Away, folder: Path, name: str, physical: str, home: Path) -> None:
    """Put the files of a folder below the key `physical`, and push a package with the names in the folder."""
    away.put_folder(folder, physical)
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    places = {one: f"s3://{BUCKET}/{physical}/{one}" for one in names}
    settings = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "owner")
    settings |= dict.fromkeys(("QUILT_DISABLE_USAGE_METRICS", "QUILT_MINIMIZE_STDOUT"), "true")
    settings |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{away.port}", "AWS_DEFAULT_REGION": "us-east-1"}
    settings |= {"HOME": str(home), "XDG_DATA_HOME": str(home)}
    command = [sys.executable, "-W", "ignore", "-c", _PUSH, json.dumps(places), name, f"s3://{BUCKET}"]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
