/* cmd_compare.c - vlakit compare A B: two evaluations, episode by episode, or two trainings. */
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/compare_train.h"
#include "cmd/report.h"
#include "cmd/run_rows.h"
#include "core/stats.h"

static bool have_other_visuals(const vk_report *a, const vk_report *b)
{
  return strcmp(vk_report_text(a, "visuals"), vk_report_text(b, "visuals")) != 0 ||
         strcmp(vk_report_text(a, "visuals_hash"), vk_report_text(b, "visuals_hash")) != 0;
}

static bool sees_pictures(const vk_report *r)
{
  const cJSON *config = cJSON_GetObjectItemCaseSensitive(r->head, "config");
  return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(config, "policy_sees_pictures"));
}

/* What episodes were, of runs that were made before this could be asked for. */
static const char *trials(const vk_report *r, const char *key)
{
  const char *text = vk_report_text(r, key);
  return text[0] ? text : "none";
}

/* Both must have had the same trials: then episodes of one (task, row) are a pair. */
static vk_status check_comparable(const vk_report *a, const vk_report *b, vk_err *err)
{
  static const struct {
    const char *key, *what, *shown;
  } same[] = {{"protocol_hash", "protocol", "protocol"}, {"pack_hash", "pack", "pack_hash"}};
  const vk_report *both[2] = {a, b};
  for (int i = 0; i < 2; i++)
    if (strcmp(vk_report_text(both[i], "command"), "eval") != 0)
      return vk_fail(err, VK_E_USAGE, "run %s is of vlakit %s, not an evaluation",
                     vk_report_text(both[i], "run"), vk_report_text(both[i], "command"));
  for (int i = 0; i < 2; i++) {
    static const char *const key[] = {"rows", "perturb"};
    const char *of_a = trials(a, key[i]), *of_b = trials(b, key[i]);
    if (strcmp(of_a, of_b) != 0)
      return vk_fail(err, VK_E_MISMATCH,
                     "runs %s and %s differ in --%s (%s and %s): their episodes are not the same "
                     "trials",
                     vk_report_text(a, "run"), vk_report_text(b, "run"), key[i], of_a, of_b);
  }
  for (size_t i = 0; i < VK_COUNT(same); i++) {
    const char *of_a = vk_report_text(a, same[i].key), *of_b = vk_report_text(b, same[i].key);
    if (strcmp(of_a, of_b) == 0)
      continue;
    /* A protocol's hash covers its seed, and what its name stood for. */
    bool is_one_name =
        i == 0 && strcmp(vk_report_text(a, "protocol"), vk_report_text(b, "protocol")) == 0;
    if (is_one_name && vk_report_number(a, "seed") == vk_report_number(b, "seed"))
      return vk_fail(err, VK_E_MISMATCH,
                     "runs %s and %s differ in what protocol %s is (%.12s and %.12s), as other "
                     "versions of the program have it: their episodes are not the same trials",
                     vk_report_text(a, "run"), vk_report_text(b, "run"),
                     vk_report_text(a, "protocol"), of_a, of_b);
    if (is_one_name)
      return vk_fail(err, VK_E_MISMATCH,
                     "runs %s and %s differ in the protocol's seed (%.0f and %.0f): their episodes "
                     "are not the same trials",
                     vk_report_text(a, "run"), vk_report_text(b, "run"),
                     vk_report_number(a, "seed"), vk_report_number(b, "seed"));
    return vk_fail(err, VK_E_MISMATCH,
                   "runs %s and %s differ in %s (%.16s and %.16s): their episodes are not the same "
                   "trials",
                   vk_report_text(a, "run"), vk_report_text(b, "run"), same[i].what,
                   vk_report_text(a, same[i].shown), vk_report_text(b, same[i].shown));
  }
  if (have_other_visuals(a, b) && sees_pictures(a) && sees_pictures(b))
    return vk_fail(err, VK_E_MISMATCH,
                   "runs %s and %s differ in visuals (%s %.12s and %s %.12s), which their policies "
                   "see: their episodes are not the same trials",
                   vk_report_text(a, "run"), vk_report_text(b, "run"), vk_report_text(a, "visuals"),
                   vk_report_text(a, "visuals_hash"), vk_report_text(b, "visuals"),
                   vk_report_text(b, "visuals_hash"));
  return VK_OK;
}

static void print_rate(const char *name, const vk_report *r, int n_success, int n)
{
  double lo, hi;
  vk_stats_wilson(n_success, n, VK_STATS_Z95, &lo, &hi);
  printf("%s  run %s  %-24s %5d of %5d  %6.2f %%  (%.2f - %.2f %%)\n", name,
         vk_report_text(r, "run"), vk_report_text(r, "policy"), n_success, n, 100.0 * n_success / n,
         100 * lo, 100 * hi);
}

/* What episodes were, which is the same for both, and what else each rate has to be read with. */
static void print_trials(const vk_report *a, const vk_report *b)
{
  const vk_report *both[2] = {a, b};
  char text[VK_REPORT_NOTE_SIZE];
  if (vk_report_trials(cJSON_GetObjectItemCaseSensitive(a->head, "config"), text)[0])
    printf("trials: %s\n", text + strlen(", "));
  for (int k = 0; k < 2; k++)
    for (int i = 0; vk_report_note(both[k], i, text); i++)
      printf("%c: %s\n", 'A' + k, text);
}

static void print_text(const vk_report *a, const vk_report *b, const vk_pair_sum *p, double p_value)
{
  print_rate("A", a, p->both + p->only_a, p->n);
  print_rate("B", b, p->both + p->only_b, p->n);
  printf("\nof %d pair%s: both %d, only A %d, only B %d, neither %d; p = %.3g (exact McNemar)\n",
         p->n, vk_plural(p->n), p->both, p->only_a, p->only_b, p->neither, p_value);
  if (p->n_unpaired)
    printf("%d episode%s in one run only, or could not be scored, and %s left out\n", p->n_unpaired,
           p->n_unpaired == 1 ? " is" : "s are", p->n_unpaired == 1 ? "is" : "are");
  const char *who = sees_pictures(a)   ? "policy A alone saw them"
                    : sees_pictures(b) ? "policy B alone saw them"
                                       : "no policy saw them, they are those of films and reports";
  if (have_other_visuals(a, b))
    printf("visuals: %s and %s; %s\n", vk_report_text(a, "visuals"), vk_report_text(b, "visuals"),
           who);
  print_trials(a, b);
}

static void add_copy(cJSON *o, const char *key, const vk_report *r, const char *of)
{
  cJSON *copy = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(r->head, of), true);
  cJSON_AddItemToObject(o, key, copy ? copy : cJSON_CreateNull());
}

static vk_status print_json(const vk_report *a, const vk_report *b, const vk_pair_sum *p,
                            double p_value, vk_err *err)
{
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "run_a", vk_report_text(a, "run"));
  cJSON_AddStringToObject(o, "run_b", vk_report_text(b, "run"));
  cJSON_AddNumberToObject(o, "n", p->n);
  cJSON_AddNumberToObject(o, "both", p->both);
  cJSON_AddNumberToObject(o, "only_a", p->only_a);
  cJSON_AddNumberToObject(o, "only_b", p->only_b);
  cJSON_AddNumberToObject(o, "neither", p->neither);
  cJSON_AddNumberToObject(o, "p_value", p_value);
  cJSON_AddNumberToObject(o, "success_rate_a", (double)(p->both + p->only_a) / p->n);
  cJSON_AddNumberToObject(o, "success_rate_b", (double)(p->both + p->only_b) / p->n);
  cJSON_AddNumberToObject(o, "n_unpaired", p->n_unpaired);
  cJSON_AddStringToObject(o, "visuals_a", vk_report_text(a, "visuals"));
  cJSON_AddStringToObject(o, "visuals_b", vk_report_text(b, "visuals"));
  add_copy(o, "rows", a, "rows"); /* the same for both, or they were refused */
  add_copy(o, "perturb", a, "perturb");
  add_copy(o, "perturb_size", a, "perturb_size");
  add_copy(o, "trained_on_rows_a", a, "trained_on_rows");
  add_copy(o, "trained_on_rows_b", b, "trained_on_rows");
  vk_status st = vk_json_print(o, err);
  cJSON_Delete(o);
  return st;
}

static vk_status compare_evaluations(const vk_report *a, const vk_report *b, vk_catalog *catalog,
                                     bool as_json, vk_err *err)
{
  const char *id_a = vk_report_text(a, "run"), *id_b = vk_report_text(b, "run");
  vk_pair_sum sum;
  VK_TRY(check_comparable(a, b, err));
  VK_TRY(vk_catalog_pair(catalog, id_a, id_b, &sum, err));
  if (sum.n == 0)
    return vk_fail(err, VK_E_MISMATCH, "runs %s and %s have no scored episode in common", id_a,
                   id_b);
  double p_value = vk_stats_mcnemar_exact(sum.only_a, sum.only_b);
  if (as_json)
    return print_json(a, b, &sum, p_value, err);
  print_text(a, b, &sum, p_value);
  return VK_OK;
}

static vk_status compare_trainings(const vk_report *a, const vk_report *b, vk_catalog *catalog,
                                   bool as_json, vk_err *err)
{
  vk_train_pair pair = {.a = a, .b = b};
  const char *const id[2] = {vk_report_text(a, "run"), vk_report_text(b, "run")};
  VK_TRY(vk_curve_runs_load(&pair.curves, catalog, 2, id, NULL, err));
  vk_status st = VK_OK;
  cJSON *o = as_json ? vk_train_pair_json(&pair) : NULL;
  if (as_json)
    st = vk_json_print(o, err);
  else
    vk_train_pair_print(&pair);
  cJSON_Delete(o);
  vk_curve_runs_free(&pair.curves);
  return st;
}

static vk_status run(const vk_cmd_call *call, vk_err *err)
{
  vk_catalog *catalog = NULL;
  vk_report a = {0}, b = {0};
  vk_status st = vk_catalog_open(&catalog, call->common->catalog, VK_CATALOG_READ, err);
  if (st != VK_OK)
    return st;
  VK_TRY_DONE(vk_run_load(&a, catalog, call->positional[0], err));
  VK_TRY_DONE(vk_run_load(&b, catalog, call->positional[1], err));
  bool is_train = vk_run_is_train(&a);
  if (is_train != vk_run_is_train(&b)) {
    st =
        vk_fail(err, VK_E_USAGE,
                "run %s is of vlakit %s, run %s of vlakit %s: two evaluations are compared, or two "
                "trainings",
                call->positional[0], vk_report_text(&a, "command"), call->positional[1],
                vk_report_text(&b, "command"));
    goto done;
  }
  st = (is_train ? compare_trainings : compare_evaluations)(&a, &b, catalog, call->common->json,
                                                            err);
done:
  vk_report_free(&a);
  vk_report_free(&b);
  vk_catalog_close(catalog);
  return st;
}

const vk_cmd vk_cmd_compare = {
    .name = "compare",
    .summary = "compare two evaluations episode by episode, or two trainings",
    .synopsis = "RUN_A RUN_B",
    .description =
        "Pairs the episodes of two runs by task and init row, and prints both success "
        "rates over the pairs and the p-value of the exact two-sided McNemar test: how "
        "likely a difference of this size is between two policies that are equally "
        "good.\n\n"
        "Runs that differ in protocol, pack, --rows or --perturb are refused, as their "
        "episodes are not the same trials; so are runs that differ in visuals, when both "
        "policies see pictures.\n\n"
        "Of two trainings it prints how far each is, the settings that differ, and of every curve "
        "both values at the last step that both have, and the last of each. vlakit runs RUN_A "
        "RUN_B shows and draws these curves.",
    .examples = "  vlakit compare 05k2m3xq 05k2n81a  # is the second better?\n"
                "  vlakit compare 05k2q7vd 05k2rb1c --json  # two trainings, for scripts\n",
    .n_positional_min = 2,
    .n_positional_max = 2,
    .common = VK_COMMON(VK_COMMON_CATALOG, VK_COMMON_JSON),
    .run = run,
};
