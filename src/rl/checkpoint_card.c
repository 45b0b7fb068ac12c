/* checkpoint_card.c - what an exported policy says of itself: a README.md in the form of Hugging
 * Face's model cards, of what the checkpoint records and nothing else. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "nn/model_nano.h"
#include "rl/checkpoint_internal.h"
#include "rl/protocol.h"

static const char front[] = "---\n"
                            "library_name: vlakit\n"
                            "pipeline_tag: robotics\n"
                            "tags:\n"
                            "- robotics\n"
                            "- vision-language-action\n"
                            "- libero\n"
                            "---\n\n";

/* ---- text ---------------------------------------------------------------------------------- */

/* As code in a cell of a table, whatever it holds. */
static void put_code(FILE *out, const char *text)
{
  putc('`', out);
  for (; *text; text++)
    if (*text == '|')
      fputs("\\|", out);
    else
      putc(iscntrl((unsigned char)*text) ? ' ' : *text == '`' ? '\'' : *text, out);
  putc('`', out);
}

/* What is not recorded has no row. */
static void put_row(FILE *out, const char *what, const char *value)
{
  if (!value[0])
    return;
  fprintf(out, "| %s | ", what);
  put_code(out, value);
  fputs(" |\n", out);
}

static void put_json_row(FILE *out, const char *what, const cJSON *value)
{
  const char *word = cJSON_GetStringValue(value);
  char *text = word || !value ? NULL : cJSON_PrintUnformatted(value);
  put_row(out, what, word ? word : text ? text : "");
  cJSON_free(text);
}

static void put_title(FILE *out, const char *name)
{
  fputs("# ", out);
  for (; *name; name++)
    putc(iscntrl((unsigned char)*name) ? ' ' : *name, out);
  fputs("\n\n", out);
}

/* ---- what is known ------------------------------------------------------------------------- */

/* Older checkpoints have it in their configuration alone; "": nowhere. */
static const char *protocol_of(const vk_checkpoint_card *c)
{
  const char *own = c->info->source.protocol;
  const char *word =
      cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(c->train_config, "protocol"));
  return own[0] || !word ? own : word;
}

static void put_policy(FILE *out, const vk_checkpoint_card *c)
{
  const vk_checkpoint_info *info = c->info;
  const vk_checkpoint_source *s = &info->source;
  bool is_two = ((const vk_nano_config *)info->model.config)->n_view > 1;
  cJSON *config = info->model.def->write(info->model.config);
  fputs("## Policy\n\n| | |\n| --- | --- |\n", out);
  put_json_row(out, "model", config);
  cJSON_Delete(config);
  fprintf(out, "| parameters | %lld |\n", (long long)c->n_parameter);
  fprintf(out, "| weights | %s, %.2f MB |\n", vk_safetensors_dtype_name(c->dtype),
          (double)c->n_byte / 1e6);
  put_row(out, "SHA-256 of model.safetensors", c->hash);
  put_row(out, "rounded from the weights of SHA-256", c->is_rounded ? s->exported_from : "");
  fprintf(out, "| views | `agentview`%s, %d px |\n", is_two ? ", `robot0_eye_in_hand`" : "",
          VK_VIEW_PX);
  fprintf(out, "| pictures | turn `%s`, %d sample%s a pixel |\n",
          vk_picture_turn_name(info->view.turn), info->view.n_sample,
          info->view.n_sample > 1 ? "s" : "");
  fprintf(out, "| actions | chunks of %d, at most %lld executed; greedy: `%s` |\n", VK_NANO_STEPS,
          (long long)info->n_action_step, vk_greedy_names[info->greedy]);
  fputc('\n', out);
}

static void put_statistics(FILE *out, const vk_checkpoint_card *c)
{
  fputs("Actions and proprioception are scaled by statistics of demonstrations (`norm_stats` of "
        "config.json):\n\n| key | demonstrations | steps | proprioception |\n"
        "| --- | --- | --- | --- |\n",
        out);
  for (int i = 0; i < c->info->n_stats; i++) {
    const vk_norm_stats *s = &c->info->stats[i];
    fputs("| ", out);
    put_code(out, s->key);
    fprintf(out, " | %lld | %lld | %s |\n", (long long)s->n_demo, (long long)s->n_step,
            s->proprio.n_dim ? "yes" : "no");
  }
  fputc('\n', out);
}

static void put_training(FILE *out, const vk_checkpoint_card *c)
{
  static const char *const keys[] = {"about",  "method", "model", "data", "tasks",
                                     "groups", "group",  "batch", "lr",   "seed"};
  const vk_checkpoint_source *s = &c->info->source;
  char step[32];
  snprintf(step, sizeof step, "%lld", (long long)c->info->step);
  fputs("## Training\n\n| | |\n| --- | --- |\n", out);
  put_row(out, "step of training", step);
  for (size_t i = 0; i < VK_COUNT(keys); i++)
    put_json_row(out, keys[i], cJSON_GetObjectItemCaseSensitive(c->train_config, keys[i]));
  put_row(out, "protocol", protocol_of(c));
  put_row(out, "visuals", s->visuals);
  put_row(out, "first states", s->rows);
  put_row(out, "began with", s->init);
  put_row(out, "SHA-256 of its weights", s->init_hash);
  put_row(out, "SHA-256 of the data", s->data_hash);
  put_row(out, "SHA-256 of the pack of scenes", s->pack_hash);
  put_row(out, "SHA-256 of the visuals", s->visuals_hash);
  put_row(out, "SHA-256 of the statistics", s->statistics_hash);
  put_row(out, "version of vlakit", s->version);
  put_row(out, "commit of vlakit", s->commit);
  put_row(out, "computed in", s->precision);
  fputs(c->train_config ? "\n`train_config.json` holds all of the configuration, for vlakit train "
                          "--config; of paths only names are kept.\n\n"
                        : "\nIts configuration is not recorded.\n\n",
        out);
}

/* ---- what is not --------------------------------------------------------------------------- */

/* A key of statistics names the suite that it is for, perhaps with more behind it. */
static void put_command(FILE *out, const vk_checkpoint_card *c, const char *key)
{
  static const char ending[] = "_no_noops";
  const vk_checkpoint_source *s = &c->info->source;
  const vk_protocol *protocol;
  size_t n = strlen(key), n_end = strlen(ending);
  bool is_known = strcmp(s->visuals, "stand-in") == 0 || strcmp(s->visuals, "original") == 0;
  if (n > n_end && strcmp(key + n - n_end, ending) == 0)
    n -= n_end;
  for (size_t i = 0; i < n; i++) /* a word for a shell */
    if (!isalnum((unsigned char)key[i]) && key[i] != '_')
      return;
  fprintf(out, "vlakit eval --suite %.*s --policy .", (int)n, key);
  if (vk_protocol_find(&protocol, protocol_of(c), NULL) == VK_OK)
    fprintf(out, " --protocol %s", protocol->name);
  if (is_known)
    fprintf(out, " --visuals %s", s->visuals);
  if (strcmp(s->rows, "eval") == 0)
    fputs(" --rows held-out", out);
  fputc('\n', out);
}

static void put_results(FILE *out, const vk_checkpoint_card *c)
{
  fputs("## Results\n\nNone are recorded. To score it, in this folder:\n\n```\n", out);
  for (int i = 0; i < c->info->n_stats; i++)
    put_command(out, c, c->info->stats[i].key);
  fputs("```\n\n", out);
  if (strcmp(c->info->source.rows, "eval") == 0)
    fputs("It has learned from the init rows that evaluations score otherwise: a score on them is "
          "one on its training data.\n\n",
          out);
  if (c->is_rounded)
    fputs("Its weights were rounded, so that scores from before the export are not its own.\n\n",
          out);
}

static const char rest[] =
    "## Limits\n\nIt was trained in simulation, on the demonstrations or tasks above. Other tasks, "
    "other words for them and other visuals are not covered by what is recorded here, and it is "
    "not "
    "for a real robot.\n\n## Licence\n\nNone is recorded: whoever gives it away says which one "
    "here "
    "and as `license:` above.\n";

vk_status vk_checkpoint_put_card(const char *dir, const vk_checkpoint_card *card, vk_err *err)
{
  char path[VK_FS_PATH_MAX];
  vk_fs_writer w;
  VK_TRY(vk_fs_join(path, sizeof path, dir, "README.md", err));
  VK_TRY(vk_fs_writer_open(&w, path, err));
  fputs(front, w.file);
  put_title(w.file, card->name);
  fputs(
      "A vision-language-action policy for the tasks of LIBERO: pictures of the cameras, "
      "proprioception and an instruction become chunks of actions. `vlakit policies export` wrote "
      "this card from what the checkpoint records.\n\n",
      w.file);
  put_policy(w.file, card);
  put_statistics(w.file, card);
  put_training(w.file, card);
  put_results(w.file, card);
  fputs(rest, w.file);
  return vk_fs_writer_commit(&w, err);
}
