#!/usr/bin/env bash
# Real packages as judges of what we write and read: robomimic 0.3.0, lerobot 0.4.4 and minari 0.5.4, each in an environment of its own.
# Takes 12 GB and some minutes the first time. CONFORMANCE=DIR keeps the environments elsewhere than in .conformance.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh metaworld,dev
environments=${CONFORMANCE:-.conformance}
checks=scripts/conformance
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export MUJOCO_GL=${MUJOCO_GL:-egl} MTIL_CACHE=$work/cache HF_HUB_OFFLINE=1 HF_HOME=$work/hf HF_LEROBOT_HOME=$work/lerobot

judge() { # NAME PACKAGE...: an environment with these packages
    local place="$environments/$1"
    shift
    if [ ! -e "$place/.complete" ]; then
        echo "Installing $* into $place"
        python3 -m venv "$place"
        "$place/bin/python" -m pip install -qq --disable-pip-version-check "$@"
        touch "$place/.complete"
    fi
}
judge robomimic "robomimic==0.3.0" six "torch>=2.14" "torchvision>=0.29"
judge lerobot "lerobot==0.4.4" h5py
judge minari "minari[hdf5,create]==0.5.4" pillow

echo "== Demonstrations of Meta-World, from two cameras, and all their conversions"
mtil collect metaworld-mt10 --tasks reach-v3,drawer-open-v3 --episodes-per-task 3 --noise 0.1 --seed 0 \
    --camera corner,gripperPOV --image-size 84 --out "$work/hdf5" >"$work/collect.log"
mtil convert "$work/hdf5" "$work/pictures" --to lerobot --fps 80
mtil convert "$work/hdf5" "$work/films" --to lerobot --fps 80 --film
mtil convert "$work/pictures" "$work/back" --to hdf5

echo "== There and back: HDF5, LeRobot, HDF5"
python $checks/same_demos.py "$work/hdf5" "$work/back"

echo "== robomimic 0.3.0 reads and windows what we write, and trains on it"
"$environments/robomimic/bin/python" $checks/robomimic_windows.py "$work/hdf5"
"$environments/robomimic/bin/python" $checks/robomimic_windows.py "$work/back"
"$environments/robomimic/bin/python" $checks/robomimic_trains.py "$work/back"

echo "== lerobot 0.4.4 loads what we write"
"$environments/lerobot/bin/python" $checks/lerobot_reads.py "$work/hdf5" "$work/pictures"
"$environments/lerobot/bin/python" $checks/lerobot_reads.py "$work/hdf5" "$work/films"

echo "== We load what lerobot 0.4.4 writes"
for kind in image video; do
    "$environments/lerobot/bin/python" $checks/lerobot_writes.py "$work/theirs-$kind" "$work/theirs-$kind.npz" --images $kind
    mtil inspect "$work/theirs-$kind"
    python $checks/reads_lerobot.py "$work/theirs-$kind" "$work/theirs-$kind.npz"
done

echo "== We load what minari 0.5.4 writes"
MINARI_DATASETS_PATH=$work/minari "$environments/minari/bin/python" $checks/minari_writes.py "$work/minari.npz"
mtil inspect "$work/minari"
python $checks/reads_minari.py "$work/minari" "$work/minari.npz"
echo "All judges agree."
