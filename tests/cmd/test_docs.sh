# Every path, command and option that the documents name exists; every list entry has its file.
. "${0%/*}/lib.sh"

cat >docs.py <<'PY'
import glob, json, os, re, subprocess, sys
root, vlakit = os.environ["VK_SOURCE"], os.environ["VLAKIT"]
n_bad = 0
def bad(text):
    global n_bad
    n_bad += 1
    print("FAIL:", text)
def read(name):
    with open(os.path.join(root, name), encoding="utf-8") as f:
        return f.read()
def table(*words):
    return json.loads(subprocess.run([vlakit, "help", *words, "--json"], check=True,
                                     capture_output=True, text=True).stdout)
commands = {c["command"]: {"--" + o["name"] for o in table(c["command"])["options"]}
            for c in table()["commands"]}
top = {"--" + o["name"] for o in table()["options"]}

documents = [d for d in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md",
                         "NOTICE") if os.path.exists(os.path.join(root, d))]
if len(documents) < 5:
    bad(f"documents are missing, there are {documents}")
# what CONTRIBUTING.md tells people to make
new = set(re.findall(r"New file `([^`]+)`", read("CONTRIBUTING.md")))
example = {"hello", "still", "FOLDER"}

for name in documents:
    text = read(name)
    for n, line in enumerate(text.split("\n"), 1):
        where = f"{name}:{n}"
        for path in re.findall(r"(?<![\w/.-])((?:src|tests|tools|data|man|\.ci)/[\w./*{},-]*)", line):
            path = path.rstrip(".,")
            if path in new or re.search(r"[A-Z]{3}|hello|still", path):
                continue
            if not glob.glob(os.path.join(root, path)):
                bad(f"{where}: there is no {path}")
        for command, rest in re.findall(r"(?<![\w/.-])(?:build/)?vlakit ((?:--)?[a-z][\w-]*)([^`|]*)",
                                        line):
            if command.startswith("--"):
                if command not in top:
                    bad(f"{where}: vlakit has no {command}")
                continue
            is_code = "`" in line or line.startswith(("$ ", "vlakit ", "build/vlakit "))
            if command in example or not is_code:
                continue
            if command not in commands:
                bad(f"{where}: there is no command {command}")
                continue
            for option in re.findall(r"(?<!\S)--[a-z][a-z0-9-]*", rest):
                if option not in commands[command]:
                    bad(f"{where}: vlakit {command} has no {option}")

# lists and files name each other
def compare(what, listed, files):
    for missing in sorted(listed - files):
        bad(f"{what} {missing} is in the list and has no file")
    for extra in sorted(files - listed):
        bad(f"{what} {extra} has a file and is not in the list")
def names(pattern, begin, end):
    return {os.path.basename(p)[len(begin):-len(end)] for p in glob.glob(os.path.join(root, pattern))}
def quoted(name, variable):
    block = re.search(rf"^{variable} = \[(.*?)\]", read(name), re.S | re.M)[1]
    words = re.findall(r"'([^']+)'", block)
    if words != sorted(words):
        bad(f"{name}: {variable} is not sorted")
    return set(words)
listed = re.findall(r"^VK_CMD\((\w+)\)", read("src/cmd/cmd_list.h"), re.M)
if listed != sorted(listed):
    bad("src/cmd/cmd_list.h is not sorted")
compare("command", set(listed), names("src/cmd/cmd_*.c", "cmd_", ".c"))
compare("policy", set(re.findall(r"^VK_POLICY\((\w+)\)", read("src/rl/policy_list.h"), re.M)),
        {name for name in names("src/rl/policy_*.c", "policy_", ".c")
         if f"vk_policy_def vk_policy_{name} =" in read(f"src/rl/policy_{name}.c")})
compare("unit test", quoted("tests/unit/meson.build", "unit_tests") |
        quoted("tests/unit/meson.build", "cuda_tests") |
        set(re.findall(r"'test_(\w+)\.c'", read("tests/unit/meson.build"))),
        names("tests/unit/test_*.c", "test_", ".c"))
compare("fuzz target", quoted("tests/fuzz/meson.build", "fuzz_tests"),
        names("tests/fuzz/fuzz_*.c", "fuzz_", ".c"))
compare("fuzz corpus", quoted("tests/fuzz/meson.build", "fuzz_tests"),
        {os.path.basename(p) for p in glob.glob(root + "/tests/fuzz/corpus/*")})
compare("command test", quoted("tests/cmd/meson.build", "cmd_tests"),
        names("tests/cmd/test_*.sh", "test_", ".sh"))
for room in ("core", "sim", "rl", "cmd"):
    built = set(re.findall(r"'(\w+)\.c'", read(f"src/{room}/meson.build")))
    compare(f"src/{room}:", built, names(f"src/{room}/*.c", "", ".c"))
sys.exit(n_bad > 0)
PY
check 'documents' python3 docs.py
finish
