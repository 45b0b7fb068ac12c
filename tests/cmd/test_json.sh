# With --json standard output is one JSON object and nothing else.
. "${0%/*}/lib.sh"

expect 0 --version --json
json 'd["version"] and d["commit"] and d["mujoco"] == d["mujoco_header"] and isinstance(d["cuda"], bool)'
expect 0 help --json
json '[c["command"] for c in d["commands"]] == sorted(c["command"] for c in d["commands"])'
for c in $(commands); do
  expect 0 help "$c" --json
  json "d['command'] == '$c' and d['summary'] and {'help', 'json'} <= {o['name'] for o in d['options']}"
done
for s in bash fish zsh; do
  expect 0 completion $s --json
  json "d['shell'] == '$s' and 'vlakit' in d['script']"
done
# an error leaves standard output empty
expect 2 help --json xylophone
silent
finish
