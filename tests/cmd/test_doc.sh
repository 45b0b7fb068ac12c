# Help, man pages and completion name the same options, with the same words.
. "${0%/*}/lib.sh"

for c in $(commands); do
  "$VLAKIT" help "$c" --json >"$T/$c.json"
  "$VLAKIT" help "$c" >"$T/$c.help"
  "$VLAKIT" help "$c" --man >"$T/$c.1"
  check "the built page of $c is the program's" cmp "$T/$c.1" "$VK_BUILD/man/vlakit-$c.1"
done
"$VLAKIT" help --json >"$T/.json"
"$VLAKIT" help >"$T/.help"
"$VLAKIT" help --man >"$T/.1"
check 'the built page of vlakit is the program'\''s' cmp "$T/.1" "$VK_BUILD/man/vlakit.1"
for s in bash fish zsh; do
  "$VLAKIT" completion $s >"$T/$s"
done

cat >"$T/agree.py" <<'PY'
import json, re, sys
n_bad = 0
def bad(text):
    global n_bad
    n_bad += 1
    print("FAIL:", text)
def read(name):
    return open(name, encoding="utf-8").read()
def flat(text):
    return " ".join(text.split())
common = set("catalog device isa json pack quiet seed threads".split())
reads = {name: set(words.split()) for name, words in (
    ("runs", "catalog json pack"), ("compare", "catalog json"), ("completion", "catalog json pack"), ("help", "json"),
    ("doctor", "catalog json pack threads"), ("graph", "isa json threads"), ("tasks", "json pack"),
    ("render", "isa json pack seed threads"), ("bench", "device isa json pack threads"),
    ("eval", " ".join(common)), ("train", " ".join(common)))}
shells = {s: read(s) for s in ("bash", "fish", "zsh")}
for name in sys.argv[1:]:
    table = json.loads(read(name + ".json"))
    help_text = flat(read(name + ".help"))
    page = read(name + ".1")
    for escape, plain in (("\\-", "-"), ("\\(aq", "'"), ("\\(ga", "`"), ("\\(ti", "~"),
                          ("\\(ha", "^"), ("\\e", "\\"), ("\\fB", ""), ("\\fI", ""), ("\\fR", ""),
                          ("\\&", "")):
        page = page.replace(escape, plain)
    page = flat(page)
    for o in table["options"] + table.get("keys", []):
        text = f"{o['help']} ({o['notes']})"
        if text.count("default") > 1 or "default" in o["help"] and "(default: " not in o["help"]:
            bad(f"{name}: one default, in the table or as (default: ...): {o['name']}: {text}")
    names = [o["name"] for o in table["options"]]
    if name in reads and reads[name] != common & set(names):
        bad(f"{name}: shows the common options {sorted(common & set(names))}, reads {sorted(reads[name])}")
    if len(set(names)) != len(names):
        bad(f"{name}: an option comes twice in its tables: {sorted(names)}")
    for key in table.get("keys", []):
        text = key["help"] + (f" ({key['notes']})" if key["notes"] else "")
        if f" {key['name']} {text}" not in help_text:
            bad(f"{name}: help lacks the key: {key['name']} {text}")
        if f".TP {key['name']} {text}" not in page:
            bad(f"{name}: man page lacks the key: {key['name']} {text}")
        if not re.match(r"[a-z\d$]", key["help"]) or key["help"].endswith("."):
            bad(f"{name}: help of {key['name']}: lower case, no full stop: {key['help']}")
    n_man = len(re.findall(r"\.TP (?:-\w, )?--", page))
    if n_man != len(names):
        bad(f"{name}: {n_man} options in the man page, {len(names)} in the tables")
    bash = re.search(rf"^ +{name or chr(39) * 2}\) opts='(.*)'", shells["bash"], re.M)
    if not bash:
        bad(f"{name}: not in the bash completion")
        continue
    zsh = shells["zsh"]
    if name:
        start = zsh.index(f"    {name}) _arguments")
        zsh = zsh[start:zsh.index(";;", start)]
    for o in table["options"]:
        text = o["help"] + (f" ({o['notes']})" if o["notes"] else "")
        usage = "--" + o["name"] + (" " + o["metavar"] if "metavar" in o else "")
        if usage + ("..." if o["kind"] == "list" else "") + " " + text not in help_text:
            bad(f"{name}: help lacks: {usage} {text}")
        if usage + (" ..." if o["kind"] == "list" else "") + " " + text not in page:
            bad(f"{name}: man page lacks: {usage} {text}")
        if "--" + o["name"] not in bash[1].split():
            bad(f"{name}: bash completion lacks --{o['name']}")
        where = "__vlakit_is " + name if name else "__vlakit_is"
        if f"-n '{where}' -l {o['name']} " not in shells["fish"]:
            bad(f"{name}: fish completion lacks --{o['name']}")
        if not re.search("--" + re.escape(o["name"]) + "[]=}[']", zsh):
            bad(f"{name}: zsh completion lacks --{o['name']}")
        if "|" not in o.get("metavar", "") and o["kind"] == "text":
            for word in filter(None, o["notes"].split(";")[0].split(", ")):
                if "default" not in word and word not in shells["bash"]:
                    bad(f"{name}: completion lacks {word} of --{o['name']}")
        if not re.match(r"[a-z\d$]", o["help"]) or o["help"].endswith("."):
            bad(f"{name}: help of --{o['name']}: lower case, no full stop: {o['help']}")
sys.exit(n_bad > 0)
PY
check 'tables, help, man pages and completion agree' python3 "$T/agree.py" '' $(commands)

if command -v mandoc >/dev/null; then
  for page in "$T"/*.1 "$T/.1"; do
    check "mandoc lints $page" mandoc -Tlint "$page"
  done
fi
if command -v man >/dev/null && man --version >/dev/null 2>&1; then
  for page in "$T"/*.1 "$T/.1"; do
    n_check=$((n_check + 1))
    MANROFFSEQ='' man --warnings -l "$page" 2>"$T/warnings" >/dev/null
    [ ! -s "$T/warnings" ] || fail "man $page: $(head -3 "$T/warnings")"
  done
fi
for s in bash zsh fish; do
  if command -v $s >/dev/null; then
    check "$s accepts its completion" $s -n "$T/$s"
  fi
done
finish
