#!/usr/bin/env bash
# Make .venv with every package of the lock of its Python. Usage: workflow/setup.sh STAMP
# Safe to interrupt: the stamp, written last, is what says that the environment is complete.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
stamp=$1
# Never build the new environment with the old one's interpreter, which is about to be deleted.
PATH=${PATH//"$PWD/.venv/bin:"/}

say() { echo "setup: $*" >&2; }
fail() {
    say "$*"
    exit 1
}

python=$(bash workflow/python.sh)
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ "$version" = 3.11 ]; then lock=requirements.lock.txt; else lock=requirements-numpy2.lock.txt; fi
free_mb=$(df -Pm . | awk 'NR==2 {print $4}')
[ "$free_mb" -ge 4500 ] || [ -e .venv ] || fail "4.5 GB of free disk are needed here, $free_mb MB are left."

say "making .venv with Python $version (about three minutes, once)"
rm -rf .venv
"$python" -m venv .venv || fail "python3 -m venv failed. On Debian or Ubuntu: apt-get install python$version-venv"
.venv/bin/python -m pip install --quiet --disable-pip-version-check "$(grep '^uv==' "$lock")"
# uv reads neither pip's find-links nor its certificate; handed on, what pip can take uv takes too.
if [ -n "${PIP_FIND_LINKS:-}" ]; then export UV_FIND_LINKS="${UV_FIND_LINKS:-${PIP_FIND_LINKS// /,}}"; fi
if [ -n "${PIP_CERT:-}" ]; then export SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"; fi
# TORCH_BACKEND=cpu skips the CUDA build where there is no GPU (uv knows where that build lies).
uv_install() {
    .venv/bin/uv pip install --quiet --python .venv/bin/python ${TORCH_BACKEND:+--torch-backend "$TORCH_BACKEND"} "$@"
}
# torch brings its own dependencies, the CUDA ones where its build has them; all else is exactly as pinned.
uv_install "$(grep '^torch==' "$lock")" --constraint "$lock"
uv_install --no-deps --requirement "$lock"
# The package, from src: relative, so that a clone may be moved.
echo "../../../../src" >".venv/lib/python$version/site-packages/morphobench.pth"
# Without bytecode, every job would compile torch anew.
env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -m compileall -q -j 0 ".venv/lib/python$version/site-packages" >/dev/null 2>&1 || true
touch "$stamp"
say "done"

