# vlakit runs: the list and what it says of each command, filters, export, curves of several runs,
# removal; and vlakit compare of two trainings.
. "${0%/*}/lib.sh"

# Two trainings, of which one also practises, and evaluations of a scripted policy.
learn_from 3 --catalog c.db
small='model=model.json batch=4 micro_batch=4 save_every=10'
"$VLAKIT" train -q --data demos --out one --catalog c.db --threads 1 --set $small steps=20 validate_every=10 \
  eval_every=20 eval_episodes=1 >/dev/null || exit 1
one=$(field c.db 'r["run"]')
"$VLAKIT" train -q --data demos --out two --catalog c.db --threads 1 --set $small epochs=1.5 validate_every=0 \
  >/dev/null || exit 1
two=$(field c.db 'r["run"]')
n_two=$(field c.db 'r["step"]')
"$VLAKIT" train -q --config grpo-n2 --out practised --catalog c.db --threads 1 --set init=one tasks=libero_goal/7 \
  episode_steps=6 batch=4 micro_batch=4 save_every=1 steps=1 groups=1 group=2 >/dev/null || exit 1
practised=$(field c.db 'r["run"]')
expect 0 eval -q --suite libero_goal/3,libero_spatial/1 --policy expert --episodes 1 --catalog c.db
scored=$(field c.db 'r["run"]')
expect 0 eval -q --suite libero_spatial/1 --policy zero --row 0 --catalog c.db
zero=$(field c.db 'r["run"]')

# The list: what came of each.
value() { # value RUN PYTHON: an expression over curves c of a run r, with its last point last(TAG)
  "$VLAKIT" runs "$1" --catalog c.db --json | python3 -c "
import json, sys
r = json.load(sys.stdin)['runs'][0]
c = r.get('curves')
last = lambda tag: c[tag]['value'][-1]
print($2)"
}
expect 0 runs --catalog c.db
prints "expert on libero_goal/3,libero_spatial/1, oft: 2 of 2 episodes, success 100.0 % (95 %: 34.2 to 100.0)"
prints "sft of $T/model.json, in $T/one: step 20 of 20, loss $(value "$one" '"%.4f" % last("train/loss")'), of held-out demonstrations $(value "$one" '"%.4f" % last("val/loss")'), success $(value "$one" '"%.1f %% (95 %%: %.1f to %.1f)" % tuple(100 * last("eval_sampled/success_" + w) for w in ("once", "lo", "hi"))')"
prints "in $T/two: step $n_two of $n_two, loss "
prints ", in $T/practised: step 1 of 1"
check 'what practice gave' [ "$(grep -c 'success in practice 0.0 %$' out)" = 1 ]
expect 0 runs "$one" --catalog c.db
prints "result        step 20 of 20, loss "

# The same as JSON: every run has all members, null where its command has no such thing.
expect 0 runs --catalog c.db --json
json 'len({frozenset(set(r) - {"seed_given", "episodes_per_task", "episodes_given", "decoding", "perturb", "perturb_size", "visuals_match", "pack_match", "trained_on_rows"}) for r in d["runs"]}) == 1'
json '[(r["step"], r["n_step"], r["method"]) for r in d["runs"]][:2] == [(None,) * 3, (20, 20, "sft")]'
json "[r['loss'] for r in d['runs']][1] == $(value "$one" 'last("train/loss")')"
json "[r['val_loss'] for r in d['runs']][1] == $(value "$one" 'last("val/loss")')"
json 'len(d["runs"][1]["ci95"]) == 2 and d["runs"][1]["n_episode"] is None and d["runs"][1]["policy"] is None'
json 'd["runs"][2]["val_loss"] is None and d["runs"][2]["ci95"] is None and d["runs"][2]["success_rate"] is None'
json 'd["runs"][3]["practice_success_rate"] == 0 and d["runs"][3]["success_rate"] is None'
json 'd["runs"][4]["success_rate"] == 1 and d["runs"][4]["ci95"][1] == 1 and d["runs"][4]["loss"] is None'
json 'd["runs"][0]["n_success"] == 3 and d["runs"][0]["success_rate"] is None' # tries of collect

# Which of them.
list() { # list WANTED ARGUMENTS...: these runs are listed
  wanted=$1
  shift
  expect 0 runs --catalog c.db "$@"
  n_check=$((n_check + 1))
  [ "$(tail -n +2 out | cut -c1-8 | tr '\n' ' ')" = "$wanted" ] || fail "runs $*: $(cat out)"
}
list "$one $two $practised " --command train
list "$two $practised " --command train --last 2
list "$zero " --last 1
list "$scored " --suite libero_goal --command eval
list "$practised " --suite libero_goal/7 --command train
list "$scored $zero " --suite libero_spatial
list "$zero " --policy zero
list "$one " --policy one
list "$scored $zero " --suite libero_object,libero_spatial
list "" --suite libero_object
prints 'no such runs'
expect 2 runs --suite libero_gaol --catalog c.db
says 'did you mean libero_goal?'
expect 2 runs export --suite libero_gaol --catalog c.db --json
silent
list "" --suite libero_gaol --pack none
expect 0 runs export --command eval --catalog c.db --json
json "[r['run'] for r in d['runs']] == ['$scored', '$zero']"
expect 2 runs --command evl --catalog c.db
says '--command'
expect 2 runs "$one" --last 1 --catalog c.db
says 'choose from all runs'
expect 2 runs --last 0 --catalog c.db

# As CSV: empty where a column is of another command.
expect 0 runs export --catalog c.db
check 'a CSV file of runs' python3 -c "
import csv
rows = {r['run']: r for r in csv.DictReader(open('out', newline=''))}
one, two, scored = rows['$one'], rows['$two'], rows['$scored']
assert len(rows) == 6, rows
assert all(one[k] == '' for k in ('suite', 'policy', 'protocol', 'rows', 'n_planned', 'n_episode', 'n_success', 'n_error')), one
assert (one['method'], one['step'], one['n_step'], one['seed']) == ('sft', '20', '20', '0'), one
assert float(one['loss']) == $(value "$one" 'last("train/loss")') and float(one['val_loss']) > 0 and one['ci95_hi']
assert two['val_loss'] == two['success_rate'] == two['ci95_lo'] == '' and two['step'] == '$n_two', two
assert all(scored[k] == '' for k in ('method', 'step', 'n_step', 'loss', 'val_loss', 'practice_success_rate')), scored
assert (scored['n_episode'], scored['n_success'], scored['n_error'], scored['success_rate']) == ('2', '2', '0', '1'), scored
assert 0.34 < float(scored['ci95_lo']) < 0.35 and scored['ci95_hi'] == '1', scored"
expect 0 runs export "$one" --catalog c.db
check 'a CSV file of steps' python3 -c "
import csv
rows = list(csv.DictReader(open('out', newline='')))
steps = [int(r['step']) for r in rows]
assert steps == sorted(set(steps)) and steps[-1] == 20, steps
assert all(r['run'] == '$one' for r in rows)
by = {int(r['step']): r for r in rows}
assert float(by[20]['train/loss']) == $(value "$one" 'last("train/loss")'), by[20]
assert [s for s in steps if by[s]['val/loss']] == [10, 20] and by[20]['eval_sampled/success_once'] != ''"
expect 0 runs export "$one" --curves val/loss --catalog c.db
check 'of these curves alone' [ "$(head -1 out)" = "$(printf 'run,step,val/loss\r')" ]
check 'and steps' [ "$(wc -l <out)" = 3 ]
expect 2 runs export "$one" "$two" --catalog c.db
says 'export takes one run'

# Curves of several runs in one frame.
svg='{http://www.w3.org/2000/svg}'
expect 0 runs "$one" "$two" --curves train/loss --svg both.svg --catalog c.db
check 'a line says so' [ "$(cat out)" = "both.svg: 1 curve of runs $one and $two" ]
check 'a panel with a line a run, in colours of which the title tells' python3 -c "
import xml.etree.ElementTree as et
root = et.parse('both.svg').getroot()
lines = root.findall('.//${svg}polyline')
assert len(root.findall('.//${svg}g')) == 1 and len(lines) == 2, len(lines)
named = {t.get('fill'): t.text for t in root.iter('${svg}tspan')}
assert [named[l.get('stroke')] for l in lines] == ['$one', '$two'], named
end = [float(l.get('points').split()[-1].split(',')[0]) for l in lines]
assert (end[0] < end[1]) == (20 < $n_two) and end[0] != end[1], end"
expect 0 runs "$one" "$two" --catalog c.db
prints "  A  $one"
prints "  B  $two"
check 'curves that they have in common' sh -c 'grep -qx train/loss out && ! grep -q val/loss out'
check 'in one plot' sh -c 'grep "|" out | grep -q A && grep "|" out | grep -q B'
expect 0 runs "$one" "$two" --curves train/loss --catalog c.db --json
json "[(r['run'], list(r['curves'])) for r in d['runs']] == [('$one', ['train/loss']), ('$two', ['train/loss'])]"
expect 2 runs "$one" "$two" --curves val/loss --catalog c.db
says "run $two: unknown curve 'val/loss'"
expect 2 runs "$scored" "$zero" --catalog c.db
says 'vlakit compare RUN_A RUN_B'
expect 1 runs "$one" 00000000 --catalog c.db
says 'no run 00000000'
expect 2 runs "$one" "$one" "$one" "$one" "$one" "$one" "$one" "$one" "$one" --catalog c.db
says 'at most 8'

# Two trainings compared: settings that differ, and values at the last step that both have.
expect 0 compare "$one" "$two" --catalog c.db
prints "A  run $one  sft of $T/model.json, in $T/one: step 20 of 20, loss "
prints '; done, '
check 'a setting that differs' grep -qE '^validate_every +10 +0$' out
check 'and no other' sh -c '! grep -qE "^(batch|model|out) " out'
expect 0 compare "$one" "$two" --catalog c.db --json
json "d['run_a'] == '$one' and d['step_a'] == 20 and d['step_b'] == $n_two and d['wall_s_b'] > 0"
json 'd["settings"]["validate_every"] == [10, 0] and not {"batch", "lr", "out", "n_step"} & set(d["settings"])'
json "set(d['curves']) == set($(value "$one" 'set(c)')) & set($(value "$two" 'set(c)')) and d['curves']"
check 'at a step of both' python3 -c "
import json
c = json.load(open('out'))['curves']['train/loss']
a, b = $(value "$one" 'dict(zip(*c["train/loss"].values()))'), $(value "$two" 'dict(zip(*c["train/loss"].values()))')
step = max(set(a) & set(b), default=None)
assert (c['step'], c['a'], c['b']) == (step, a.get(step), b.get(step)), c
assert (c['last_step_a'], c['last_a'], c['last_step_b'], c['last_b']) == (max(a), a[max(a)], max(b), b[max(b)]), c"
expect 2 compare "$one" "$scored" --catalog c.db
says "run $one is of vlakit train, run $scored of vlakit eval: two evaluations are compared, or two"

# What another program has written in the place of settings is none, and no reason to crash.
for config in '[1, {"lr": 2}]' '{"train": [1]}' 'no JSON'; do
  python3 -c "
import sqlite3, sys
other = sqlite3.connect('other.db')
sqlite3.connect('c.db').backup(other)
other.execute('UPDATE run SET config = ? WHERE id = ?', (sys.argv[1], '$two'))
other.commit()" "$config"
  expect 0 compare "$one" "$two" --catalog other.db
  expect 0 compare "$two" "$one" --catalog other.db --json
  json 'd["settings"]["validate_every"] == [None, 10] and d["settings"]["precision"][1] in ("bf16", "f32")'
  expect 0 runs "$two" --catalog other.db
done

# libero130 is all suites.
python3 -c "
import sqlite3
other = sqlite3.connect('other.db')
other.execute('UPDATE evaluation SET suite = ? WHERE run_id = ?', ('libero130', '$zero'))
other.commit()"
expect 0 runs --suite libero_object --catalog other.db --json
json "[r['run'] for r in d['runs']] == ['$zero']"
expect 2 runs --suite libero_gaol --catalog other.db

# Who saw the pictures, where the visuals differ.
python3 -c "
import sqlite3
other = sqlite3.connect('other.db')
other.execute('UPDATE run SET visuals = ?, config = json_set(config, ?, json(?)) WHERE id = ?',
              ('stand-in abc', '$.policy_sees_pictures', 'true', '$scored'))
other.commit()"
expect 0 compare "$zero" "$scored" --catalog other.db
prints 'visuals: none and stand-in; policy B alone saw them'

# Removal: all or none, and files stay.
all=$("$VLAKIT" runs --catalog c.db)
nearest=$(echo "$two" | sed 's/.$/u/') # no id has this letter
expect 2 runs remove "$one" "$nearest" --catalog c.db
says "no run $nearest, and nothing was removed; did you mean "
expect 2 runs remove "$one" aaaaaaaa --catalog c.db
says 'vlakit runs lists what there is'
expect 2 runs remove "$one" "$one" --catalog c.db
says 'stands there twice'
expect 2 runs remove --catalog c.db
says 'remove takes the ids of runs'
expect 2 runs remove "$one" --last 1 --catalog c.db
expect 2 runs remove "$one" --svg x.svg --catalog c.db
expect 2 runs remove "$one" --curves train/loss --catalog c.db
expect 1 runs remove "$one" --catalog none.db
check 'and makes no catalog' [ ! -e none.db ]
"$VLAKIT" eval -q --suite libero_spatial --policy zero --catalog c.db >going.out 2>&1 &
pid=$!
check 'an episode of another' wait_for c.db 'r["command"] == "eval" and r["state"] == "running"' $pid
going=$(field c.db 'r["run"]')
expect 1 runs remove "$one" "$going" --catalog c.db
says "run $going is still running as process $pid"
kill -9 $pid
wait $pid 2>"$T/wait"
check 'nothing was removed' [ "$("$VLAKIT" runs --catalog c.db | grep -v "^$going")" = "$all" ]
n_point=$(value "$one" 'sum(len(x["step"]) for x in c.values())')
expect 0 runs remove "$one" "$scored" "$going" --catalog c.db
prints "removed  run $one of vlakit train, with $n_point points"
prints "left     $T/one, which it has written"
prints "removed  run $scored of vlakit eval, with 2 episodes"
check 'its folder stays' [ -d one/checkpoints/last ]
expect 0 runs --catalog c.db
check 'the others are there' [ "$(tail -n +3 out | cut -c1-8 | tr '\n' ' ')" = "$two $practised $zero " ]
expect 1 runs "$one" --catalog c.db
says "no run $one"
check 'nothing of them is in the catalog' python3 -c "
import sqlite3
db = sqlite3.connect('c.db')
for table in ('point', 'episode', 'evaluation'):
    n, = db.execute(f'SELECT count(*) FROM {table} WHERE run_id NOT IN (SELECT id FROM run)').fetchone()
    assert n == 0, (table, n)"
expect 0 runs remove "$two" --catalog c.db --json
json "d == {'removed': [{'run': '$two', 'command': 'train', 'n_episode': 0, 'n_point': d['removed'][0]['n_point'], 'left': '$T/two'}]} and d['removed'][0]['n_point'] > 0"
finish
