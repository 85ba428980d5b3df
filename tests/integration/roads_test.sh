#!/bin/sh
# Scores skylane-detect on the recorded roads, where they are at hand.
#
# usage: roads_test.sh SKYLANE_DETECT SOURCE_DIR
#
# Looks in $SKYLANE_ROADS, or in ../shared/roads beside the source. The
# thresholds stand just under what was reached, so that it can only get better.
# Exit status: 0, 1 (worse than that), 77 (no footage: skipped).
set -eu

detect=$1
roads=${SKYLANE_ROADS:-$2/../shared/roads}
if [ ! -f "$roads/labels.jsonl" ]; then
    echo "no footage in $roads: skipped (set SKYLANE_ROADS to its folder)"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

run() { # run NAME OPTIONS...
    name=$1
    shift
    "$detect" --images "$roads" --calibration "$roads/calibration.json" \
        --predictions "$work/$name.jsonl" "$@"
    python3 "$roads/score.py" "$roads/labels.jsonl" "$work/$name.jsonl"
    python3 "$roads/score.py" "$roads/labels.jsonl" "$work/$name.jsonl" --json >"$work/$name.json"
}

run still
run track --track

python3 - "$work" <<'PYTHON'
import json
import sys

# clip: least accuracy, most false negatives; per cent
floors = {
    "still": {
        "solid_white_right": (99.5, 0.0),
        "highway_1s": (99.5, 0.0),
        "highway_bridge": (99.5, 0.0),
        "stills": (99.5, 0.0),
        "indoor_track": (92.0, 14.0),
        "all": (97.4, 4.4),
    },
    "track": {
        "solid_white_right": (99.5, 0.0),
        "highway_1s": (99.5, 0.0),
        "highway_bridge": (99.5, 0.0),
        "indoor_track": (92.5, 15.0),
    },
}
worse = 0
for run, clips in floors.items():
    with open(f"{sys.argv[1]}/{run}.json", encoding="utf-8") as f:
        score = json.load(f)
    for clip, (accuracy, missed) in clips.items():
        row = score[clip]
        if 100 * row["accuracy"] < accuracy or 100 * row["fn"] > missed or 100 * row["fp"] > missed:
            print(f"{run}, {clip}: accuracy {100 * row['accuracy']:.2f} % (at least {accuracy}), "
                  f"FN {100 * row['fn']:.2f} %, FP {100 * row['fp']:.2f} % (at most {missed})")
            worse += 1
sys.exit(1 if worse else 0)
PYTHON
