#!/usr/bin/env bash
# Prepare the place of a clone for its .venv. Usage: workflow/place.sh STAMP
# Ends with 0 when the .venv that is here serves, 1 when none can work here, 3 when one has to be set up.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
stamp=$1

say() { echo "setup: $*" >&2; }

# Snakemake starts its jobs through a shell, by the path of its Python as it is.
special=$(printf %s "$PWD" | tr -d "[:alnum:]/._+,=@%^~-" | LC_ALL=C tr -d '\200-\377' | head -c 1)
if [ -n "$special" ]; then
    [ -z "${special//[[:space:]]/}" ] && special="a space" || special="the character $special"
    say "the path of this clone, $PWD, has $special, which jobs cannot be started under." \
        "Move the clone to a path of letters, digits and . _ - alone."
    exit 1
fi
[ -x .venv/bin/python ] && [ -x .venv/bin/snakemake ] || exit 3
# The same packages, set up for this clone at another path: their programs start with the path of their Python.
same=$(find -H .venv -maxdepth 1 -name "$(basename "${stamp%-*}")*" -print -quit)
[ -n "$same" ] || exit 3
old=$(sed -n '1s/^#!\(.*\)\/bin\/python[0-9.]*$/\1/p' .venv/bin/snakemake)
if [ ! -L .venv ] && [ "$old" != "$PWD/.venv" ]; then
    [ -n "$old" ] || exit 3
    say "this clone was moved or copied; the programs of its .venv are changed to its new path"
    # Nothing in a path that gets here means anything to sed but the dot.
    grep -rlI --exclude-dir=__pycache__ -F "$old" .venv/bin .venv/pyvenv.cfg | xargs -r -d '\n' sed -i "s|$old|$PWD/.venv|g"
    rm -f .venv/.ready-*
fi
.venv/bin/snakemake --version >/dev/null 2>&1 || exit 3
touch "$stamp"
