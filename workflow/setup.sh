#!/usr/bin/env bash
# Make .venv with every package of requirements.lock.txt. Usage: workflow/setup.sh STAMP
# Safe to interrupt: the stamp, written last, is what says that the environment is complete.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
stamp=$1
# Never build the new environment with the old one's interpreter, which is about to be deleted.
PATH=${PATH//"$PWD/.venv/bin:"/}
python=${PYTHON:-$(command -v python3.11 || command -v python3 || true)}

say() { echo "setup: $*" >&2; }
fail() {
    say "$*"
    exit 1
}

[ -n "$python" ] && "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
    || fail "Python 3.11 is needed. Install it, or name it: make PYTHON=/path/to/python3.11 setup"
free_mb=$(df -Pm . | awk 'NR==2 {print $4}')
[ "$free_mb" -ge 4500 ] || [ -e .venv ] || fail "4.5 GB of free disk are needed here, $free_mb MB are left."

say "making .venv (about three minutes, once)"
rm -rf .venv
"$python" -m venv .venv || fail "python3 -m venv failed. On Debian or Ubuntu: apt-get install python3.11-venv"
.venv/bin/python -m pip install --quiet --disable-pip-version-check "$(grep '^uv==' requirements.lock.txt)"
# uv reads neither pip's find-links nor its certificate; handed on, what pip can take uv takes too.
if [ -n "${PIP_FIND_LINKS:-}" ]; then export UV_FIND_LINKS="${UV_FIND_LINKS:-${PIP_FIND_LINKS// /,}}"; fi
if [ -n "${PIP_CERT:-}" ]; then export SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"; fi
# TORCH_BACKEND=cpu skips the CUDA build where there is no GPU (uv knows where that build lies).
uv_install() {
    .venv/bin/uv pip install --quiet --python .venv/bin/python ${TORCH_BACKEND:+--torch-backend "$TORCH_BACKEND"} "$@"
}
# torch brings its own dependencies, the CUDA ones where its build has them; all else is exactly as pinned.
uv_install "$(grep '^torch==' requirements.lock.txt)" --constraint requirements.lock.txt
uv_install --no-deps --requirement requirements.lock.txt
# The package, from src: relative, so that a clone may be moved.
echo "../../../../src" >.venv/lib/python3.11/site-packages/morphobench.pth
# Without bytecode, importing torch and escnn costs every job 40 seconds more.
env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -m compileall -q -j 0 .venv/lib/python3.11/site-packages >/dev/null 2>&1 || true
touch "$stamp"
say "done"

