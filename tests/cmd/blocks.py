"""blocks.py [--update] FILE.md - runs the console blocks of a document and compares what they print.

A block ```console holds commands ("$ COMMAND", continued after a backslash) and under each what it
prints; a line "..." stands for any lines. What may differ from run to run is named by comments
right before the block, each a regular expression: <!-- varies: [0-9.]+ s -->; matches on both sides
count as equal. "example:" instead of "varies:" says so of what --update must leave as it is written,
paths of this machine say. <!-- exit: 2 --> says how the last command ends. Runs of blanks count as one.
The ID of a run ("run 2q8rxwp7") is another each time: later commands get the new
one in the place of the old. Commands run by sh in an empty folder that sees the source tree's files and the build folder as
"build". With --update the document is rewritten with what the commands print now.
Environment: VLAKIT, VK_SOURCE, VK_BUILD (tests/cmd/meson.build)."""
import os
import re
import subprocess
import sys
import tempfile


def read_blocks(lines):
    """Yields (first, last, varies, examples, exit code): lines[first:last] is a block's inside."""
    varies, examples, code, i = [], [], 0, 0
    while i < len(lines):
        comment = re.fullmatch(r"<!-- (varies|example|exit): (.*) -->", lines[i])
        if comment and comment[1] == "varies":
            varies.append(comment[2])
        elif comment and comment[1] == "example":
            examples.append(comment[2])
        elif comment:
            code = int(comment[2])
        elif lines[i] == "```console":
            first = i + 1
            i = lines.index("```", first)
            yield first, i, varies, examples, code
            varies, examples, code = [], [], 0
        elif lines[i].startswith("```"):
            i = lines.index("```", i + 1)
        elif lines[i]:
            varies, examples, code = [], [], 0
        i += 1


def read_commands(block):
    """Splits the lines of a block into [command, lines under it]."""
    commands = []
    for line in block:
        if commands and commands[-1][0].endswith("\\") and not commands[-1][1]:
            commands[-1][0] += "\n" + line
        elif line.startswith("$ "):
            commands.append([line[2:], []])
        else:
            commands[-1][1].append(line)
    return commands


def plain(line, patterns):
    for pattern in patterns:
        line = re.sub(pattern, "~", line)
    return " ".join(line.split())


def same(want, got):
    """Compares lists of lines; "..." in want stands for any lines."""
    if not want:
        return not got
    if want[0] == "...":
        return any(same(want[1:], got[k:]) for k in range(len(got) + 1))
    return bool(got) and want[0] == got[0] and same(want[1:], got[1:])


def run(command, folder):
    r = subprocess.run(["sh", "-c", command], cwd=folder, stdin=subprocess.DEVNULL,
                       capture_output=True, text=True, timeout=600)
    text = r.stdout + (r.stderr if r.returncode else "")
    return r.returncode, text.rstrip("\n").split("\n") if text.strip() else []


def run_ids(lines):
    return [m[1] for line in lines for m in re.finditer(r"\brun (\w{8})\b", line)]


def main():
    update = sys.argv[1] == "--update"
    name = sys.argv[-1]
    with open(name, encoding="utf-8") as f:
        lines = f.read().split("\n")
    n_bad = n_run = 0
    ids = {}
    with tempfile.TemporaryDirectory() as folder:
        for entry in os.listdir(os.environ["VK_SOURCE"]):
            if not entry.startswith((".", "build")):
                os.symlink(os.path.join(os.environ["VK_SOURCE"], entry),
                           os.path.join(folder, entry))
        os.symlink(os.environ["VK_BUILD"], os.path.join(folder, "build"))
        os.environ["XDG_DATA_HOME"] = os.path.join(folder, ".data")
        os.environ["XDG_CACHE_HOME"] = os.path.join(folder, ".cache")
        shift = 0
        for first, last, varies, examples, code in list(read_blocks(lines)):
            first, last = first + shift, last + shift
            commands = read_commands(lines[first:last])
            new = []
            for i, (command, want) in enumerate(commands):
                actual = command
                for old, now in ids.items():
                    actual = actual.replace(old, now)
                got_code, got = run(actual, folder)
                n_run += 1
                is_last = i == len(commands) - 1
                patterns = examples + varies
                ok = same([plain(w, patterns) for w in want], [plain(g, patterns) for g in got])
                ids.update(zip(run_ids(want), run_ids(got)))
                kept = {plain(w, examples): w for w in want}
                new += ("$ " + actual).split("\n") + [kept.get(plain(g, examples), g) for g in got]
                if got_code != (code if is_last else 0) or (not ok and not update):
                    n_bad += 1
                    print(f"FAIL: {name}:{first + 1}: {command}: exit code {got_code}; prints")
                    print("\n".join("    " + g for g in got))
            if update and "..." not in lines[first:last]:
                lines[first:last] = new
                shift += len(new) - (last - first)
    if update:
        with open(name, "w", encoding="utf-8") as f:
            f.write("\n".join(lines))
    print(f"{n_run} commands, {n_bad} failed")
    return n_bad > 0 or n_run == 0


sys.exit(main())
