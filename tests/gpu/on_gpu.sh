#!/usr/bin/env bash
# What waits for a GPU, the most wanted first; about ten minutes on one. Tables and logs go to the folder FOLDER.
# PARTS may name fewer: speed (all models, cubes of 129 voxels first), operators (kernels by time), tests.
set -uo pipefail
cd "$(dirname "$0")/../.."
folder=${FOLDER:-results/on_gpu} python=${PYTHON:-python} state=0
export PYTHONPATH=$PWD/src:$PWD/tests${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
"$python" -c 'import torch; print(torch.__version__, torch.cuda.get_device_name())' || {
    echo "There is no GPU here that torch sees: nothing was measured." >&2; exit 1; }
mkdir -p "$folder"
for part in ${PARTS:-speed operators tests}; do
    case $part in
        speed) command=(tests/speed/bench_training.py) ;;
        operators) command=(tests/speed/profile_step.py rotation_invariant_pointcloud_sdf/npm1
            rotation_invariant_image/cellpack classical_image/cellpack rotation_invariant_image_sdf/npm1) ;;
        tests) command=(-m pytest -q tests/gpu tests/models/cloud/test_fused.py tests/models/losses/test_fused_sinkhorn.py) ;;
        *) echo "PARTS names $part; choose among speed, operators, tests." >&2; exit 2 ;;
    esac
    "$python" "${command[@]}" 2>&1 | tee "$folder/$part.txt" || state=1
done
exit $state
