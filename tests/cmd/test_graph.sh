# vlakit graph: tables, text and drawings of models, with and without passes, and what is refused.
. "${0%/*}/lib.sh"

# show
expect 0 graph show nano-n2 --isa scalar --threads 1
prints 'nano-n2: inference, batch of 1, scalar, 1 thread'
prints 'enc.0'
prints '[batch*8, 1792]'
prints 'efficiency'
expect 0 graph show nano-n2 --threads 2 --json
json "d['model'] == 'nano-n2' and d['nodes'] == len(d['node_list']) > 80 and not d['train']"
json "d['bytes_planned'] >= d['bytes_lower_bound'] > 0 and 0.97 <= d['efficiency'] <= 1"
json "d['bytes_planned'] == d['strategies'][d['strategy']] == min(d['strategies'].values())"
json "d['macs'] == sum(n['macs'] for n in d['node_list'] if not n['once'])"
json "d['parameters'] == 2421784 and d['bytes_once'] > 0"
expect 0 graph show nano-n2 --train --batch 8 --json
json "d['train'] and d['batch'] == 8 and d['bytes_once'] == 0 and d['efficiency'] >= 0.97"
json "{'attention_grad', 'conv_dw', 'rms_norm_grad'} <= {n['op'] for n in d['node_list']}"
cp out train.json
expect 0 graph show nano-n2 --train --batch 8 --recompute --json
json "d['bytes_planned'] < json.load(open('train.json'))['bytes_planned']"
expect 0 graph show nano-n8 --part act --views 1 --json
json "d['part'] == 'act' and all(n['shape'] for n in d['node_list'])"
json "(d['views'], d['value'], d['bf16'], d['recompute'], d['no_pass']) == (1, False, False, False, [])"
expect 0 graph show nano-n2 --bf16 --value --views 1 --no-pass fusion pack --threads 1 --isa scalar
prints 'nano-n2: inference in bf16, value head, batch of 1, 1 view, without fusion, pack, scalar, 1 thread'

# passes change what is shown
expect 0 graph show nano-n2 --no-pass fusion pack --json
json "d['no_pass'] == ['fusion', 'pack'] and 'pack' not in {n['op'] for n in d['node_list']}"
json "sum(n['op'] == 'gelu' for n in d['node_list']) == 4 + 2 + 4 + 2"
expect 0 graph show nano-n2 --json
json "'gelu' not in {n['op'] for n in d['node_list']}"
json "'pack' in {n['op'] for n in d['node_list']}"

expect 0 graph dump nano-n2 --bf16
prints 'dtype=bf16'
prints 'enc.0.rms_norm bf16 [token, 128]'
expect 0 graph dump nano-n2 --bf16 --no-pass storage
prints 'enc.0.rms_norm f32 [token, 128]'

# dump
expect 0 graph dump nano-n2 --before --out before
prints 'before: 1'
prints ' nodes, '
expect 0 graph dump nano-n2
cp out after
prints 'input image u8 [batch*2, 128, 128, 3]'
prints 'param enc.0.attn.wqkv.weight f32 [384, 128]'
prints 'act=gelu'
prints 'output logits = heads.reshape'
expect 0 graph dump nano-n2
check 'the same graph gives the same text' cmp -s out after
check 'a line a node' grep -q '^stem.0.gelu f32 ' before
check 'passes change lines of what they change alone' sh -c \
  'diff before after | grep -c "^[<>] \(input\|param\|output\|symbol\)" | grep -qx 0'
expect 0 graph dump nano-n2 --train --after gradient
prints 'gelu_grad('
expect 0 graph dump nano-n2 --train --after merge
check 'merged' sh -c '! grep -q "= gelu_grad(" out'
expect 0 graph dump nano-n2 --json
json "d['text'].startswith('graph nano-n2\n')"

# svg
for options in '' --full --before '--before --full' '--train' '--train --full'; do
  # shellcheck disable=SC2086
  expect 0 graph svg nano-n2 $options --out a.svg
  check "a drawing $options" python3 - a.svg <<'PY'
import sys, xml.etree.ElementTree as T
root = T.parse(sys.argv[1]).getroot()
w, h = (float(root.get(k)) for k in ("width", "height"))
svg = "{http://www.w3.org/2000/svg}"
boxes = [r for r in root.iter(svg + "rect") if r.get("class")]
words = {"".join(t.itertext()) for t in root.iter(svg + "text")}
inside = all(0 <= float(r.get("x")) and float(r.get("x")) + float(r.get("width")) <= w and
             float(r.get("y")) + float(r.get("height")) <= h for r in boxes)
sys.exit(not (root.tag == svg + "svg" and inside and len(boxes) > 20 and "enc.0" in words))
PY
done
expect 0 graph svg nano-n2 --out a.svg --json
json "d == {'model': 'nano-n2', 'nodes': d['nodes'], 'file': 'a.svg', 'bytes': $(wc -c <a.svg)} and d['nodes'] > 80"

# a config file
printf '{"model": "nano", "size": "n2", "n_encoder": 1}\n' >one.json
expect 0 graph show one.json --json
json "not any(n['place'] == 'enc.1' for n in d['node_list'])"

for key in $(python3 -c 'import json; print(*json.load(open("one.json")))') stem shared_kv; do
  expect 0 help graph
  prints "  $key "
done

# passes, which are those of the help
expect 0 graph passes --json
json "len(d['passes']) > 5 and all(p['help'] for p in d['passes'])"
names=$(python3 -c 'import json; print(*(p["name"] for p in json.load(open("out"))["passes"]))')
expect 0 help graph --man
check 'the help names all passes' sh -c 'tr "\n" " " <out | grep -qF "leave out these passes: '"$names"'"'
expect 0 graph passes
prints 'cannot be left out'

# ops
expect 0 graph ops
prints 'matmul'
prints 'off by at most'
expect 0 graph ops --json
json "{'matmul', 'conv', 'attention'} <= {o['name'] for o in d['ops'] if o['gradient']}"
json "all(o['help'] and o['tolerance'] and 'paths' in o for o in d['ops'])"

# refusals
expect 2 graph shwo nano-n2
says 'did you mean show'
expect 2 graph show
says 'needs a model'
expect 2 graph show nano-n3
says 'did you mean nano-n2'
expect 2 graph show nano-n2 --no-pass fusoin
says 'did you mean fusion'
expect 2 graph show nano-n2 --no-pass gradient
says 'cannot be left out'
expect 0 graph show --no-pass fusion -- nano-n2
expect 2 graph show --no-pass fusion nano-n2
says "'nano-n2' too; put the model before it"
expect 2 graph show nano-n2 --no-pass fusion pack fusion
says '--no-pass fusion: the pass is named twice'
for option in after=pack batch=2 before bf16 full no-pass=fusion out=x part=act recompute train value views=1; do
  for list in ops passes; do
    expect 2 graph $list --$option
    says "graph $list has no option --${option%=*}: it is one of "
  done
done
expect 2 graph show nano-n2 --out x
says 'it is one of dump, svg'
expect 2 graph dump nano-n2 --after packk
says 'did you mean pack'
expect 2 graph dump nano-n2 --after pack --no-pass pack
says 'leaves that pass out'
expect 2 graph show nano-n2 --full
expect 2 graph dump nano-n2 --full
expect 2 graph show nano-n2 --train --part act
expect 2 graph show nano-n2 --recompute
expect 2 graph show nano-n2 --views 3
expect 2 graph ops nano-n2
says 'takes no model'
expect 1 graph show missing.json
says missing.json
expect 1 graph dump nano-n2 --out /dev/null/x
finish
