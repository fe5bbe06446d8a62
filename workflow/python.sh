#!/usr/bin/env bash
# Print the Python to make .venv with: $PYTHON, else a 3.11 of this machine, else one that uv brings, else a 3.12 or 3.13.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "setup: $*" >&2; }
fail() {
    say "$*"
    exit 1
}
# Whether a program is a Python of which this holds.
holds() { "$1" -c "import sys; sys.exit(not ($2))" 2>/dev/null; }

name_it="Install it, or name it: make PYTHON=/path/to/python3.11 setup"
if [ -n "${PYTHON:-}" ]; then
    holds "$PYTHON" "(3, 11) <= sys.version_info[:2] <= (3, 13)" \
        || fail "$PYTHON is no Python 3.11, 3.12 or 3.13. Python 3.11 is needed. $name_it"
    echo "$PYTHON"
    exit
fi
for name in python3.11 python3; do
    found=$(command -v "$name" || true)
    if [ -n "$found" ] && holds "$found" "sys.version_info[:2] == (3, 11)"; then
        echo "$found"
        exit
    fi
done
[ -n "$found" ] && holds "$found" "sys.version_info >= (3, 9)" || fail "Python 3.9 or later is needed. $name_it"

say "no Python 3.11 here: uv brings one"
uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    "$found" -m venv "$folder" || fail "python3 -m venv failed. On Debian or Ubuntu: apt-get install python3-venv"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$(grep '^uv==' requirements.lock.txt)" \
        || fail "uv cannot be fetched from the package index: is this machine offline? Python 3.11 is needed. $name_it"
    uv=$folder/bin/uv
fi
# Where uv keeps its Pythons, for all clones of this user.
if "$uv" python install --no-bin 3.11 >&2; then
    "$uv" python find --managed-python 3.11
elif holds "$found" "(3, 12) <= sys.version_info[:2] <= (3, 13)"; then
    say "uv cannot fetch Python 3.11; $found serves, with the packages of requirements-numpy2.lock.txt"
    echo "$found"
else
    fail "uv cannot fetch Python 3.11, see above: is this machine offline? $name_it," \
        "or set UV_PYTHON_INSTALL_MIRROR to a mirror that can be reached, such as file:///folder"
fi
