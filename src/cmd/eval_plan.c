#include "cmd/eval_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/record.h"
#include "core/json.h"
#include "rl/checkpoint.h"
#include "sim/visuals_choose.h"

/* What a policy was trained on; NULL: not known, or a file, whose place is not. */
static const char *kind_trained_on(const vk_policy *policy)
{
  const char *kind = policy->source ? policy->source->visuals : "";
  bool is_named = strcmp(kind, "stand-in") == 0 || strcmp(kind, "original") == 0;
  return is_named ? kind : NULL;
}

vk_status vk_eval_plan_pictures(vk_eval_plan *p, const vk_policy *policy, vk_err *err)
{
  p->sees_pictures = (policy->def->needs & VK_POLICY_PICTURES) != 0;
  if (p->perturb == VK_PERTURB_CAMERA && !p->sees_pictures)
    return vk_fail(err, VK_E_USAGE, "--perturb camera: policy %s sees no pictures",
                   p->policy_typed);
  if (p->perturb == VK_PERTURB_LANGUAGE && !(policy->def->needs & VK_POLICY_READS))
    return vk_fail(err, VK_E_USAGE, "--perturb language: policy %s reads no instructions",
                   p->policy_typed);
  VK_TRY(vk_film_parse(&p->film, p->film_word, err));
  if (p->film.kind != VK_FILM_NONE && !p->out)
    return vk_fail(err, VK_E_USAGE, "--film %s needs --out DIR, the folder for the films",
                   p->film_word);
  p->has_visuals = p->sees_pictures || (p->out && !p->is_out_late);
  if (p->visuals_word && !p->has_visuals)
    return vk_fail(err, VK_E_USAGE,
                   "--visuals: no pictures are made, as policy %s sees none and there is no --out",
                   p->policy_typed);
  if (!p->has_visuals)
    return VK_OK;
  const char *word = p->visuals_word ? p->visuals_word : p->visuals_before;
  const char *trained = p->sees_pictures ? kind_trained_on(policy) : NULL;
  if (word || !trained)
    return vk_visuals_choose(&p->visuals, word, &p->pack, err);
  if (vk_visuals_choose(&p->visuals, trained, &p->pack, err) != VK_OK)
    return vk_err_prefix(err, "policy %s was trained on %s visuals", p->policy_typed, trained);
  return VK_OK;
}

void vk_eval_plan_add_match(const vk_eval_plan *p, const vk_policy *policy, cJSON *o)
{
  const vk_checkpoint_source *s = policy->source;
  if (!s || !p->sees_pictures)
    return;
  if (s->visuals_hash[0])
    cJSON_AddBoolToObject(o, "visuals_match", strcmp(s->visuals_hash, p->visuals.hash) == 0);
  if (s->pack_hash[0])
    cJSON_AddBoolToObject(o, "pack_match", strcmp(s->pack_hash, p->pack.hash) == 0);
  bool is_eval = strcmp(s->rows, "eval") == 0;
  if (p->rows != VK_ROWS_EVAL) /* nobody trains on others */
    cJSON_AddBoolToObject(o, "trained_on_rows", false);
  else if (is_eval || strcmp(s->rows, "sampled") == 0)
    cJSON_AddBoolToObject(o, "trained_on_rows", is_eval);
}

vk_status vk_eval_plan_print(const vk_eval_plan *p, const vk_policy *policy,
                             const vk_eval_probe *probe, double bytes, int n_thread, bool as_json,
                             vk_err *err)
{
  int n_env = n_thread < p->n_episode ? n_thread : p->n_episode;
  double step_s = probe->step_s + (probe->n_executed ? probe->answer_s / probe->n_executed : 0);
  double wall_s =
      ((double)p->n_step_max * step_s + p->n_episode * probe->reset_s) / (n_env ? n_env : 1);
  if (as_json) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddBoolToObject(o, "dry_run", true);
    cJSON_AddStringToObject(o, "suite", p->suite);
    cJSON_AddStringToObject(o, "policy", p->policy_word);
    if (policy->decoding[0])
      cJSON_AddStringToObject(o, "decoding", policy->decoding);
    cJSON_AddStringToObject(o, "protocol", p->protocol->name);
    cJSON_AddStringToObject(o, "rows", vk_start_rows_names[p->rows]);
    cJSON_AddStringToObject(o, "perturb", vk_perturb_names[p->perturb]);
    cJSON_AddStringToObject(o, "perturb_size", vk_perturb_sizes[p->perturb]);
    cJSON_AddStringToObject(o, "visuals", p->has_visuals ? p->visuals.name : "none");
    vk_eval_plan_add_match(p, policy, o);
    cJSON_AddStringToObject(o, "film", p->film_word);
    cJSON_AddNumberToObject(o, "seed", p->seed);
    cJSON_AddNumberToObject(o, "n_task", p->n_task);
    cJSON_AddNumberToObject(o, "n_episode", p->n_episode);
    cJSON_AddNumberToObject(o, "n_step_max", (double)p->n_step_max);
    cJSON_AddNumberToObject(o, "threads", n_thread);
    cJSON_AddNumberToObject(o, "bytes", bytes);
    cJSON_AddNumberToObject(o, "wall_s_max", wall_s);
    vk_status st = vk_json_print(o, err);
    cJSON_Delete(o);
    return st;
  }
  char time[32];
  vk_progress_format_time(wall_s, time, sizeof time);
  printf("policy    %s%s%s, protocol %s, seed %u\n", p->policy_typed,
         policy->decoding[0] ? " " : "", policy->decoding, p->protocol->name, p->seed);
  printf("episodes  %d of %d (%u task%s, %d each), at most %lld control steps; %s rows",
         p->n_episode, p->n_total, p->n_task, vk_plural(p->n_task), p->n_per_task,
         (long long)p->n_step_max, vk_start_rows_names[p->rows]);
  if (p->perturb != VK_PERTURB_NONE)
    printf(", %s perturbed (%s)", vk_perturb_names[p->perturb], vk_perturb_sizes[p->perturb]);
  putchar('\n');
  if (p->has_visuals)
    printf("pictures  %s visuals; films: %s\n", p->visuals.name, p->film_word);
  if (policy->source && p->rows == VK_ROWS_EVAL && strcmp(policy->source->rows, "sampled") != 0)
    printf("trained   %s\n", strcmp(policy->source->rows, "eval") == 0
                                 ? "on the init rows that are scored, too"
                                 : "on first states that are not known");
  printf("memory    about %.0f MB on %d thread%s\n", bytes / 1e6, n_thread, vk_plural(n_thread));
  printf("time      at most about %s, at %.1f ms a control step of %s and %.1f ms an answer of the "
         "policy\n",
         time, 1e3 * probe->step_s, p->task_id[0], 1e3 * probe->answer_s);
  return VK_OK;
}

char *vk_eval_plan_repeat(const vk_eval_plan *p, const char *pack)
{
  char *text = NULL;
  size_t n = 0;
  FILE *out = open_memstream(&text, &n);
  if (!out)
    return NULL;
  fputs("vlakit eval --policy ", out);
  vk_record_print_word(out, p->policy_word);
  fprintf(out, " --protocol %s --seed %u", p->protocol->name, p->seed);
  if (p->rows != VK_ROWS_EVAL)
    fprintf(out, " --rows %s", vk_start_rows_names[p->rows]);
  if (p->perturb != VK_PERTURB_NONE)
    fprintf(out, " --perturb %s", vk_perturb_names[p->perturb]);
  if (p->temperature > 0)
    fprintf(out, " --sample %.17g", p->temperature);
  const char *const more[][2] = {{"--visuals", p->visuals_word}, {"--pack", pack}};
  for (size_t i = 0; i < VK_COUNT(more); i++)
    if (more[i][1]) {
      fprintf(out, " %s ", more[i][0]);
      vk_record_print_word(out, more[i][1]);
    }
  bool is_lost = ferror(out);
  if (fclose(out) == 0 && !is_lost)
    return text;
  free(text);
  return NULL;
}

void vk_eval_plan_free(vk_eval_plan *p)
{
  if (p->has_visuals)
    vk_visuals_close(&p->visuals);
  vk_pack_close(&p->pack);
  free(p->task);
  free(p->task_id);
  free(p->episode);
}
