# What doctor finds, what it advises, and its exit code.
. "${0%/*}/lib.sh"

all='mujoco cpu threads memory pack visuals policy catalog disk curl film hdf5 cuda'
"$VLAKIT" doctor --json >"$T/out" 2>"$T/err"
code=$?
json "[c['name'] for c in d['checks']] == '$all'.split()"
json "all(isinstance(c['ok'], bool) and c['found'] for c in d['checks'])"
json "all((c['fix'] is None) == c['ok'] for c in d['checks'])"
json "any(c['required'] and not c['ok'] for c in d['checks']) == ($code == 1)"
# GPUs are optional: listed where there are some, else why there is none, and eval needs none
json "[c['name'] for c in d['checks'] if 'devices' in c] == ['cuda']"
json "not d['checks'][-1]['required']"
json "d['checks'][-1]['devices'] or not d['checks'][-1]['ok'] or d['checks'][-1]['found'].startswith('none; device cuda: ')"
json "all(g['device'] == 'cuda:%d' % i and g['name'] and 'compute capability' in g['detail'] and 0 <= g['free_bytes'] <= g['memory_bytes'] > 0 for i, g in enumerate(d['checks'][-1]['devices']))"
json "d['checks'][-1]['found'].startswith('cuda:0 ') == (d['checks'][-1]['ok'] and len(d['checks'][-1]['devices']) > 0)"
n_gpu=$(python3 -c "import json; print(len(json.load(open('$T/out'))['checks'][-1]['devices']))")
if [ "$("$VLAKIT" --version | sed -n 's/^CUDA *//p')" = no ]; then
  json "'this build has no CUDA' in d['checks'][-1]['found']"
elif [ "$n_gpu" = 0 ]; then
  json "any(word in d['checks'][-1]['found'] for word in ('driver', 'cudaGetDeviceCount'))"
fi
check "a look leaves no file behind" [ -z "$(ls "$T" | grep -v -e out -e err)" ]

expect 1 doctor --pack missing.pack --json
json "[c['ok'] for c in d['checks'] if c['name'] == 'pack'] == [False]"
json "'missing.pack' in [c['found'] for c in d['checks'] if c['name'] == 'pack'][0]"
says 'what eval needs is missing: pack'
expect 1 doctor --pack missing.pack
prints 'FAIL  pack'
prints 'fix: name another file with --pack, or leave it out'
if [ "$n_gpu" = 0 ]; then
  prints 'note  cuda     '
else
  prints 'ok    cuda     cuda:0 '
fi

XDG_CACHE_HOME=$T/none expect 1 doctor --pack missing.pack
prints 'ok    visuals  stand-ins'
mkdir -p bad/vlakit && echo damaged >bad/vlakit/libero.visuals
XDG_CACHE_HOME=$T/bad expect 1 doctor --pack missing.pack
prints 'note  visuals  '
prints 'libero.visuals is not a visuals file'
prints 'or draw with --visuals stand-in'

head -c 3000 /dev/urandom >damaged.pack
expect 1 doctor --pack damaged.pack
prints 'FAIL  pack'
says pack

echo 'no database' >other.db
expect 1 doctor --pack missing.pack --catalog other.db
prints 'FAIL  catalog'
check 'a file that is no catalog stays as it is' [ "$(cat other.db)" = 'no database' ]
expect 1 doctor --pack missing.pack --catalog /proc/none/catalog.db
prints 'FAIL  catalog'
says 'catalog'
expect 1 doctor --pack missing.pack --catalog new/deep/catalog.db
prints 'ok    catalog  new/deep/catalog.db will be made by the first run'
check 'the catalog was not made' [ ! -e new ]
: >empty.db
"$VLAKIT" doctor --catalog empty.db >out 2>err
check 'an empty file can become a catalog' grep -q 'ok    catalog  empty.db can be written' out
check 'and stays empty' [ ! -s empty.db ]
finish
