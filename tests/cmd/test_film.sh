# Films and reports of vlakit eval: what they hold, what is refused, and what is left after a kill, a
# full disk and a folder that cannot be written.
. "${0%/*}/lib.sh"

suite=libero_spatial/0
python3 - <<'PY'
import struct
def npy(name, rows):
    head = "{'descr': '<f8', 'fortran_order': False, 'shape': (%d, 7), }" % len(rows)
    head += " " * (63 - (10 + len(head)) % 64) + "\n"
    with open(name, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
        for row in rows:
            f.write(struct.pack("<7d", *row))
npy("forty.npy", [[0.3, 0, 0, 0, 0, 0, -1]] * 40 + [[float("nan")] * 7]) # short films
npy("<i>'&.npy", [[0.1] * 7] * 5 + [[float("nan")] * 7]) # an error at step 5, and a nasty name
PY
"$VLAKIT" doctor --json 2>"$T/err" | grep -q '"film","ok":true' && has_film=true || has_film=false

cat >page.py <<'PY'
"""page.py DIR: report.html is well-formed, needs no network, and all that it links is there."""
import html.parser, json, os, sys
folder = sys.argv[1]
void = {"meta", "input", "img", "br", "link", "wbr"}
class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.links, self.n, self.text, self.bad = [], [], {}, "", []
    def handle_starttag(self, tag, attrs):
        self.n[tag] = self.n.get(tag, 0) + 1
        names = [k for k, _ in attrs]
        if len(set(names)) != len(names):
            self.bad.append("an attribute twice in " + tag)
        for k, v in attrs:
            if k in ("src", "href", "poster"):
                self.links.append(v)
            if k.startswith("on"):
                self.bad.append("an event handler in " + tag)
        if tag not in void:
            self.open.append(tag)
    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.bad.append("</%s> does not fit" % tag)
    def handle_data(self, data):
        self.text += data
source = open(os.path.join(folder, "report.html"), encoding="utf-8").read()
page = Page()
page.feed(source)
page.close()
assert source.startswith("<!DOCTYPE html>") and not page.open and not page.bad, (page.open, page.bad)
assert "http:" not in source and "https:" not in source and "//" not in "".join(
    l for l in page.links if not l.startswith("data:")), "needs a network"
for link in page.links:
    if link.startswith("data:image/png;base64,"):
        continue
    assert os.path.isfile(os.path.join(folder, link)), link
results = json.load(open(os.path.join(folder, "results.json")))
PY
page() { # page DIR PYTHON: for the page, its source and results
  n_check=$((n_check + 1))
  python3 -c "$(cat page.py)
assert $2, (page.n, page.links[:5])" "$1" || fail "$1/report.html: $2"
}

# What is refused, before anything is begun.
expect 2 eval --suite $suite --policy zero --film all
says '--film all needs --out DIR'
expect 2 eval --suite $suite --policy zero --film fialures --out x
says 'did you mean failures?'
expect 2 eval --suite $suite --policy zero --film 0 --out x
says 'a number of episodes a task from 1 to 100000'
expect 2 eval --suite $suite --policy zero --film -3 --out x
expect 2 eval --suite $suite --policy zero --visuals stand-in
says 'no pictures are made'
expect 2 eval --suite $suite --policy zero --out x --visuals none.visuals
says 'none.visuals'
expect 2 eval --suite $suite --policy zero --row 50
says 'init rows 0 to 49, row 50 asked for'
expect 2 eval --suite $suite --policy zero --row 1 --episodes 2
says 'exclude each other'
: >file
expect 1 eval --suite $suite --policy zero --out file
says '--out'
expect 1 eval --suite $suite --policy zero --out file/below
says '--out'
expect 1 eval --suite $suite --policy zero --out /proc/none/out
says '/proc/none'
check 'refusals leave no run behind' [ "$("$VLAKIT" runs)" = 'no runs yet' ]
check 'and no folder' [ ! -e x ]

# A report without films: pictures of failures are part of the page; errors are there, escaped.
expect 1 eval -q --suite $suite,libero_goal/1 --policy "replay:<i>'&.npy" --episodes 6 --out plain --json
says 'no episode could be scored'
json 'd["visuals"] == "stand-in" and len(d["visuals_hash"]) == 64 and d["out"].endswith("/plain")'
page plain 'results["errors"] == 12 and page.n["img"] == 8 and "video" not in page.n'
page plain '"step 5" in page.text and "<i>" in page.text and "i" in page.n'
page plain 'page.text.count("--film all --out libero_goal-1-row0") == 4'
check 'pictures' [ "$(find plain/frames -name '*.png' | wc -l)" = 8 ]
expect 2 eval -q --suite $suite --policy zero --episodes 1 --out plain
says 'holds the results of another run'

# Of two runs that begin at once in a folder, one is refused.
"$VLAKIT" eval -q --suite $suite --policy random --episodes 1 --out twice --threads 1 >one.out 2>one.err &
pid=$!
"$VLAKIT" eval -q --suite $suite --policy random --episodes 1 --out twice --threads 1 >two.out 2>two.err
codes=$?
wait $pid
codes=$((codes * 10 + $?))
check "one of two is refused: $codes" [ $((codes == 2 || codes == 20)) = 1 ]
check 'with the reason' grep -q 'twice holds the results of another run' one.err two.err
expect 0 eval -q --suite libero_goal/7 --policy expert --episodes 1 --out good --threads 1
check 'no failures, no folder of pictures' [ ! -e good/frames ]

# One row of each task; the same episode as in a whole run.
expect 0 eval -q --suite libero_goal/1 --policy random --episodes 2 --json --out two
cp out two.json
expect 0 eval -q --suite libero_goal/1 --policy random --row 1 --json
json 'd["episodes"] == __import__("json").load(open("two.json"))["episodes"][1:]'
run=$(python3 -c 'import json; print(json.load(open("out"))["run"])')
expect 0 eval -q --resume "$run" --json
json '[e["row"] for e in d["episodes"]] == [1]'
expect 0 eval -q --resume "$run" --out late # a report alone: no pictures were planned
check 'no pictures' [ ! -d late/frames ]
page late 'results["visuals"] == "none" and "img" not in page.n'
expect 2 eval --resume "$run" --film all --out late
says '--film is not what run'

# Runs whose pictures nobody saw compare, with a word about it.
a=$(python3 -c 'import json; print(json.load(open("two.json"))["run"])')
expect 0 compare "$a" "$run"
prints 'visuals: stand-in and none; no policy saw them'

if ! $has_film; then
  expect 1 eval --suite $suite --policy zero --out y --film all
  says 'apt-get install'
  finish
fi

# A film of every failure, none of others; with ffprobe its content is looked at.
expect 0 eval -q --suite libero_goal/8 --policy expert --episodes 1 --out expert --film failures --json
json 'd["n_success"] == 1 and d["n_film"] == 0'
page expert 'page.n.get("video", 0) == 0 and "There are none." in page.text'
expect 0 eval -q --suite libero_goal/8 --policy expert --episodes 1 --out all --film 1
prints 'all/report.html and 1 new film'
film=all/films/libero_goal/task08-row00-success.mp4
check "$film" [ -f $film ]
page all 'any(l == "films/libero_goal/task08-row00-success.mp4" for l in page.links)'
if command -v ffprobe >/dev/null; then
  ffprobe -v error -show_streams -show_format $film >probe
  for want in codec_name=h264 pix_fmt=yuv420p width=512 r_frame_rate=20/1 \
    'title=libero_goal/8, init row 0, success'; do
    check "ffprobe: $want" grep -q "$want" probe
  done
fi

# Killed while it makes films: what is there plays, what is half is not there, --resume goes on.
boxes() { # every film under DIR is whole: its boxes fill it, moov before mdat
  find "$1" -name '*.mp4' | python3 -c '
import struct, sys
for name in sys.stdin.read().split():
    data, at, kinds = open(name, "rb").read(), 0, []
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        kinds.append(kind)
        at += size
    assert at == len(data) and kinds[0] == b"ftyp", (name, kinds)
    assert kinds.index(b"moov") < kinds.index(b"mdat"), (name, kinds)'
}
"$VLAKIT" eval -q --suite $suite --policy replay:forty.npy --episodes 5 --out kill --film all --catalog kill.db \
  --threads 1 >/dev/null 2>&1 &
pid=$!
i=0
until [ "$(find kill -name '*.mp4' 2>/dev/null | wc -l)" -ge 1 ] || [ $i -ge 1200 ]; do
  i=$((i + 1))
  sleep 0.1
done
kill -9 $pid
wait $pid 2>/dev/null
check 'a film before the kill' [ "$(find kill -name '*.mp4' | wc -l)" -ge 1 ]
check 'films are whole' boxes kill
: >"kill/films/libero_spatial/.task00-row03-error.mp4.$pid-0.tmp" # as if killed while writing
run=$("$VLAKIT" runs --catalog kill.db --json | python3 -c '
import json, sys
print(json.load(sys.stdin)["runs"][0]["run"])')
expect 2 eval --resume "$run" --catalog kill.db --out other
says '--out is not what run'
expect 1 eval -q --resume "$run" --catalog kill.db # all 5 are errors at step 40
says 'no episode could be scored'
check 'all films' [ "$(find kill -name '*.mp4' | wc -l)" = 5 ]
check 'films are whole after --resume' boxes kill
check 'nothing is left over' [ -z "$(find kill -name '.*.tmp')" ]
page kill 'results["errors"] == 5 and page.n["video"] == 5'

# The disk fills up: results stay, the reason is said, no half film.
(ulimit -f 300 && exec "$VLAKIT" eval -q --suite $suite --policy random --episodes 1 --out full \
  --film all --catalog full.db >out 2>err)
check 'exit code of a full disk' [ $? = 1 ]
check 'one sentence' [ "$(wc -l <err)" = 1 ]
says 'all results are kept, but 1 episode is without film'
prints 'libero_spatial/0'
check 'no film and nothing of one' [ -z "$(find full/films -type f)" ]
expect 0 runs --catalog full.db --json
json '[(r["state"], r["n_episode"]) for r in d["runs"]] == [("done", 1)]'

finish
