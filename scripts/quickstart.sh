#!/usr/bin/env bash
# The main job, from nothing to a table, films and a report: collect demonstrations of ten Meta-World tasks, train one
# language-conditioned policy on them, and evaluate it on placements that it has never seen. Run again, it goes on from
# where it was. Options are passed on to the training, e.g. `scripts/quickstart.sh seed=1`.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh metaworld,minilm

run=${RUN:-runs/mt10-state}
mtil train mt10-state "$@" --out "$run" --resume
mtil evaluate "$run" --episodes 50 --video "$run/evaluation/videos"
mtil report "$run"
echo "Report: $run/report.html   Films: $run/evaluation/videos/*.mp4   Curves: tensorboard --logdir $run"
