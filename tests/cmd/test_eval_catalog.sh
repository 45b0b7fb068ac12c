# What vlakit eval keeps through kill -9, Ctrl-C, a full disk, and beside another eval.
. "${0%/*}/lib.sh"

suite=libero_spatial/0
python3 - <<'PY'
import struct
head = "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 7), }"
head += " " * (63 - (10 + len(head)) % 64) + "\n"
with open("nan.npy", "wb") as f: # an episode of it ends at its first step, as an error
    f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
    f.write(struct.pack("<7d", *[float("nan")] * 7))
PY

episodes() { # the episodes of a JSON result
  python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["episodes"])' "$1"
}

# Uninterrupted, and killed in the middle, resumed: the same rows.
expect 0 eval -q --suite $suite --policy zero --episodes 5 --json --catalog whole.db
cp out whole.json
"$VLAKIT" eval -q --suite $suite --policy zero --episodes 5 --catalog kill.db --threads 1 >/dev/null 2>&1 &
pid=$!
check 'a first episode' wait_for kill.db 'r["n_episode"] >= 1' $pid
run=$(field kill.db 'r["run"]')
expect 1 eval --resume "$run" --catalog kill.db
says "is still running as process $pid"
kill -9 $pid
wait $pid 2>"$T/wait"
check 'it was not done' [ "$(field kill.db 'r["state"], r["n_episode"] < 5')" = 'interrupted True' ]
expect 2 eval --resume "$run" --catalog kill.db --suite libero_goal/0
says '--suite is not what run'
expect 2 eval --resume "$run" --catalog kill.db --episodes 3
expect 0 eval -q --resume "$run" --catalog kill.db --json --threads 2
json 'd["run"] == "'"$run"'" and d["n_episode"] == 5'
cp out killed.json
check 'the same rows' [ "$(episodes whole.json)" = "$(episodes killed.json)" ]
expect 0 eval -q --resume "$run" --catalog kill.db --json # nothing is left to do
check 'and again' [ "$(episodes whole.json)" = "$(episodes out)" ]
expect 0 eval --resume "$run" --catalog kill.db
check 'that is said, with the result' grep -qE "^run $run is finished since 20[0-9TZ:-]+: 5 of 5 episodes, success 0.0 % \\(95 %: 0.0 to 43.4\\); no episode was left to run$" out
check 'and nothing of speed' sh -c '! grep -q "episodes/s" out && [ ! -s err ]'

# Ctrl-C and SIGTERM: what is done is kept, and the exit code says which it was.
for how in INT:130 TERM:143; do
  rm -f stop.db*
  "$VLAKIT" eval -q --suite $suite --policy zero --catalog stop.db >stop.out 2>stop.err &
  pid=$!
  check "a first episode before ${how%:*}" wait_for stop.db 'r["n_episode"] >= 1' $pid
  kill -"${how%:*}" $pid
  kill -CONT $pid
  wait $pid
  code=$?
  check "exit code $code after ${how%:*}" [ $code = "${how#*:}" ]
  check "how to go on after ${how%:*}" grep -q "go on with vlakit eval --resume" stop.err
  check "no result after ${how%:*}" [ ! -s stop.out ]
  check "state after ${how%:*}" [ "$(field stop.db 'r["state"]')" = interrupted ]
done

# Two at once on one catalog.
"$VLAKIT" eval -q --suite $suite --policy replay:nan.npy --episodes 8 --catalog two.db >a 2>&1 &
pid=$!
expect 1 eval -q --suite libero_spatial/1 --policy replay:nan.npy --episodes 8 --catalog two.db
says 'no episode could be scored'
wait $pid
expect 0 runs --catalog two.db --json
json 'len(d["runs"]) == 2 and all(r["state"] == "done" and r["errors"] == 8 for r in d["runs"])'

# A full disk: a sentence, nothing of what was written is lost, --resume goes on.
full_disk() { # full_disk CATALOG: after an eval that ran into one
  n_check=$((n_check + 1))
  run=$(field "$1" 'r["run"]')
  n=$(field "$1" 'r["errors"]')
  echo "$n episodes before the disk was full"
  grep -q 'every row written before is kept' err || fail "full disk: $(head -c 300 err)"
  [ "$(wc -l <err)" = 1 ] || fail "full disk: more than a sentence: $(head -c 300 err)"
  [ "$n" -gt 0 ] && [ "$n" -lt 25 ] || fail "full disk: $n of 25 episodes"
}
(ulimit -f 200 && "$VLAKIT" eval -q --suite $suite --policy replay:nan.npy --episodes 25 \
  --catalog limit.db) >out 2>err
check 'exit code of a full disk' [ $? = 1 ]
full_disk limit.db
expect 1 eval -q --resume "$run" --catalog limit.db --json
json 'd["errors"] == 25'
mkdir small
if mount -t tmpfs -o size=140k none small 2>/dev/null; then
  trap 'umount -l "$T/small"; rm -rf "$T"' EXIT
  "$VLAKIT" eval -q --suite $suite --policy replay:nan.npy --episodes 25 --catalog small/c.db \
    >out 2>err
  check 'exit code of a full disk' [ $? = 1 ]
  mount -o remount,size=10m small
  full_disk small/c.db
  expect 1 eval -q --resume "$run" --catalog small/c.db --json
  json 'd["errors"] == 25'
fi

# Catalogs that are not to be written to.
printf 'this is no database, and long enough to look like one: %0100d\n' 0 >damaged.db
cp damaged.db before.db
expect 1 eval -q --suite $suite --policy zero --episodes 1 --catalog damaged.db
says 'damaged.db: damaged'
check 'left as it was' cmp damaged.db before.db
expect 1 runs --catalog damaged.db
says 'damaged.db: damaged'
python3 -c '
import sqlite3
db = sqlite3.connect("newer.db")
db.execute("PRAGMA application_id = 0x766c616b")
db.execute("PRAGMA user_version = 1000")'
cp newer.db before.db
expect 1 eval -q --suite $suite --policy zero --episodes 1 --catalog newer.db
says 'made by a newer vlakit'
check 'left as it was' cmp newer.db before.db
expect 1 eval -q --suite $suite --policy zero --episodes 1 --catalog none/c.db
says 'none/c.db'

# A catalog without the right to write, as another user where this one may do anything.
as=
if [ "$(id -u)" = 0 ]; then
  as='setpriv --reuid=65534 --regid=65534 --clear-groups'
  $as true 2>/dev/null || finish
fi
mkdir kept
cp two.db kept/c.db
cp "$VLAKIT" "$VK_SOURCE/data/libero.pack" .
chmod 755 "$T" vlakit
chmod 444 kept/c.db libero.pack
chmod 555 kept
$as env XDG_CACHE_HOME=/nonexistent ./vlakit eval -q --suite $suite --policy zero --episodes 1 \
  --pack libero.pack --catalog kept/c.db >out 2>err
check 'exit code of a read-only catalog' [ $? = 1 ]
check 'a sentence' grep -q 'kept/c.db: cannot be written' err
$as ./vlakit runs --catalog kept/c.db >out 2>err
check 'a read-only catalog can be read' [ $? = 0 ]
check 'two runs' [ "$(grep -c ' done ' out)" = 2 ]
chmod 755 kept
finish
