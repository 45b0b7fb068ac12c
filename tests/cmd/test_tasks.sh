# vlakit tasks: lists, JSON, scenes as files, and what is refused.
. "${0%/*}/lib.sh"
PACK=$VK_SOURCE/data/libero.pack

expect 0 tasks --pack "$PACK"
prints libero_spatial/0
prints libero_90/89
prints 'turnon flat_stove_1'
expect 0 tasks --pack "$PACK" --json
json "len(d['tasks']) == 130 and {len(t) for t in d['tasks']} == {9}"
json "{t['n_init'] for t in d['tasks']} == {50} and all(t['goal'] for t in d['tasks'])"
json "sorted({t['max_steps'] for t in d['tasks']}) == [220, 280, 300, 400, 520]"
expect 0 tasks --pack "$PACK" --suite libero_10 --protocol libero --json
json "{t['max_steps'] for t in d['tasks']} == {600} and len(d['tasks']) == 10"
expect 0 tasks --pack "$PACK" --task libero_goal/3
prints 'open the top drawer and put the bowl inside'
prints 'in akita_black_bowl_1 wooden_cabinet_1_top_region'
prints wine_rack_1
expect 0 tasks --pack "$PACK" --suite libero_goal/1,libero_spatial/2 --mjcf scenes/both --json
json "[t['mjcf'] for t in d['tasks']] == ['scenes/both/libero_goal_1.xml', 'scenes/both/libero_spatial_2.xml']"
check 'the scenes are there' grep -q 'wooden_cabinet_1_main' scenes/both/libero_spatial_2.xml
check 'every mesh is there' test "$(find scenes/both -name '*.stl' | wc -l)" = \
  "$(grep -c '<mesh ' scenes/both/libero_goal_1.xml)"
expect 1 tasks --pack "$PACK" --task libero_goal/3 --mjcf /dev/null/scenes
expect 2 tasks --pack "$PACK" --suite libero_gaol
says 'did you mean libero_goal'
expect 2 tasks --pack "$PACK" --task libero_goal/10
expect 2 tasks --pack "$PACK" --protocol otf
says 'did you mean oft'
expect 2 tasks --pack "$PACK" --suite libero_goal --task libero_goal/1
expect 1 tasks --pack nowhere.pack
says nowhere.pack
if [ -w /dev/full ]; then
  n_check=$((n_check + 1))
  "$VLAKIT" tasks --pack "$PACK" --json >/dev/full 2>"$T/err" && fail 'a full disk goes unnoticed'
  "$VLAKIT" tasks --pack "$PACK" >/dev/full 2>"$T/err" && fail 'a full disk goes unnoticed'
fi
finish
