/* cmd_graph.c - vlakit graph: a model's graph as a table, text or drawing; ops and passes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/graph_show.h"
#include "core/fs.h"
#include "nn/graph_dump.h"
#include "nn/graph_svg.h"
#include "nn/model.h"

typedef struct graph_args {
  bool train, value, before, full, recompute, bf16;
  int64_t n_batch, n_view;
  bool batch_given;
  const char *part, *out, *after;
  vk_opt_list skip;
} graph_args;

static const char *const parts[] = {"all", "text", "act", NULL}; /* as vk_model_part */

static const char no_pass_help[] = "leave out these passes:"
#define VK_PASS(name) " " #name
#include "nn/pass_list.h"
#undef VK_PASS
    ;

static const graph_args defaults = {.part = "all", .n_batch = 1};
static const vk_opt opts[] = {
    VK_OPT_STR(graph_args, "after", after, "PASS", "dump, svg: as this pass leaves the graph"),
    VK_OPT_I64_GIVEN(graph_args, "batch", n_batch, batch_given, 1, 1 << 20, "N", NULL,
                     "most samples in a run (with --train: 32)"),
    VK_OPT_FLAG(graph_args, "before", before, "leave out every pass that can be left out"),
    VK_OPT_FLAG(graph_args, "bf16", bf16, "products in bf16"),
    VK_OPT_FLAG(graph_args, "full", full, "svg: a box a node, not one a part of the model"),
    VK_OPT_LIST(graph_args, "no-pass", skip, "PASS", no_pass_help),
    VK_OPT_STR(graph_args, "out", out, "FILE",
               "dump, svg: write to a file instead of standard output"),
    VK_OPT_CHOICE(graph_args, "part", part, "PART", parts,
                  "all of it, instructions to text tokens, or pictures and text tokens to bins"),
    VK_OPT_FLAG(graph_args, "recompute", recompute,
                "with --train: keep what lies between layers alone, compute the rest again"),
    VK_OPT_FLAG(graph_args, "train", train, "with the loss and the backward pass"),
    VK_OPT_FLAG(graph_args, "value", value, "with the value head"),
    VK_OPT_I64(graph_args, "views", n_view, 0, 2, "N", NULL,
               "pictures a sample; 0: as many as the model takes"),
    VK_OPT_END,
};

static const vk_cmd_part_opt opt_of[] = {
    {"after", "dump, svg"},
    {"batch", "show, dump, svg"},
    {"before", "show, dump, svg"},
    {"bf16", "show, dump, svg"},
    {"full", "svg"},
    {"no-pass", "show, dump, svg"},
    {"out", "dump, svg"},
    {"part", "show, dump, svg"},
    {"recompute", "show, dump, svg"},
    {"train", "show, dump, svg"},
    {"value", "show, dump, svg"},
    {"views", "show, dump, svg"},
};

typedef struct job {
  const vk_cmd_call *call;
  const graph_args *args;
  vk_model model;
  vk_graph graph; /* as the model builds it */
  vk_target target;
  const char *skip[VK_OPT_LIST_MAX];
  vk_plan *plan;
  FILE *text; /* dump, svg: what they write to */
  vk_status (*write)(const vk_graph *g, bool full, FILE *out, vk_err *err);
  int n_node;       /* of the graph written */
  vk_status status; /* of the pass watched */
  vk_err err;
} job;

/* ---- planning ------------------------------------------------------------------------------ */

static vk_status choose_passes(job *j, vk_err *err)
{
  const graph_args *a = j->args;
  int n = 0;
  VK_TRY(vk_pass_check_skip(a->skip.item, a->skip.n, err));
  for (int i = 0; i < a->skip.n; i++)
    j->skip[n++] = a->skip.item[i];
  if (a->after)
    VK_TRY(vk_pass_check_name(a->after, err));
  if (a->before) {
    VK_ASSERT(vk_pass_count() <= VK_OPT_LIST_MAX);
    n = 0;
    for (int k = 0; k < vk_pass_count(); k++)
      if (!vk_passes[k]->is_needed)
        j->skip[n++] = vk_passes[k]->name;
  }
  j->target.skip = j->skip;
  j->target.n_skip = n;
  return VK_OK;
}

static vk_status build(job *j, vk_err *err)
{
  const graph_args *a = j->args;
  vk_model_args m = {.n_batch = a->train && !a->batch_given ? 32 : a->n_batch,
                     .n_view = a->n_view,
                     .with_value = a->value,
                     .with_loss = a->train,
                     .value_weight = 0.5};
  for (int i = 0; parts[i]; i++)
    if (strcmp(parts[i], a->part) == 0)
      m.part = (vk_model_part)i;
  if (a->train && m.part != VK_PART_ALL)
    return vk_fail(err, VK_E_USAGE, "--train needs --part all, not %s", a->part);
  if (a->recompute && !a->train)
    return vk_fail(err, VK_E_USAGE, "--recompute needs --train");
  VK_TRY(vk_model_open(&j->model, j->call->positional[1], err));
  j->target.is_train = a->train;
  j->target.recompute = a->recompute;
  j->target.is_bf16 = a->bf16;
  j->target.loss = a->train ? "loss" : NULL;
  j->target.isa = j->call->isa;
  j->target.n_thread = j->call->common->n_thread ? (int)j->call->common->n_thread : vk_cpu_count();
  VK_TRY(choose_passes(j, err));
  return vk_model_build(&j->graph, &j->model, &m, err);
}

/* What was asked for, in words. */
static void describe(const job *j, char *out, size_t n)
{
  const graph_args *a = j->args;
  bool is_part = strcmp(a->part, "all") != 0;
  size_t at =
      (size_t)snprintf(out, n, "%s%s%s%s%s%s, batch of %lld", a->train ? "training" : "inference",
                       a->bf16 ? " in bf16" : "", a->recompute ? " with recomputation" : "",
                       a->value ? ", value head" : "", is_part ? ", part " : "",
                       is_part ? a->part : "", (long long)j->graph.sym_cap[0]);
  if (a->n_view)
    at += (size_t)snprintf(out + at, n - at, ", %d view%s", (int)a->n_view, vk_plural(a->n_view));
  if (a->before)
    snprintf(out + at, n - at, ", before the passes");
  for (int i = 0; !a->before && i < j->target.n_skip && at < n; i++)
    at += (size_t)snprintf(out + at, n - at, "%s %s", i ? "," : ", without", j->target.skip[i]);
}

/* ---- subcommands --------------------------------------------------------------------------- */

static vk_status show(job *j, vk_err *err)
{
  char asked[512];
  describe(j, asked, sizeof asked);
  VK_TRY(vk_plan_new(&j->plan, &j->graph, &j->target, NULL, NULL, err));
  if (!j->call->common->json) {
    vk_graph_show_print(j->plan, asked);
    return VK_OK;
  }
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "model", j->model.name);
  cJSON_AddBoolToObject(o, "train", j->args->train);
  cJSON_AddBoolToObject(o, "recompute", j->args->recompute);
  cJSON_AddBoolToObject(o, "bf16", j->args->bf16);
  cJSON_AddBoolToObject(o, "value", j->args->value);
  cJSON_AddStringToObject(o, "part", j->args->part);
  cJSON_AddNumberToObject(o, "batch", (double)j->graph.sym_cap[0]);
  cJSON_AddNumberToObject(o, "views", (double)j->args->n_view);
  cJSON_AddStringToObject(o, "isa", vk_isa_name(j->target.isa));
  cJSON_AddNumberToObject(o, "threads", j->target.n_thread);
  cJSON *passes = cJSON_AddArrayToObject(o, "no_pass");
  for (int i = 0; i < j->target.n_skip; i++)
    cJSON_AddItemToArray(passes, cJSON_CreateString(j->target.skip[i]));
  vk_graph_show_add_json(o, j->plan);
  vk_status st = vk_json_print(o, err);
  cJSON_Delete(o);
  return st;
}

static vk_status write_graph(job *j, const vk_graph *g, vk_err *err)
{
  j->n_node = g->n_node;
  return j->write(g, j->args->full, j->text, err);
}

static void watch(void *arg, const vk_pass_def *pass, const vk_graph *g)
{
  job *j = arg;
  if (strcmp(pass->name, j->args->after) == 0)
    j->status = write_graph(j, g, &j->err);
}

/* The graph by j->write, as one text that the caller frees. */
static vk_status write_text(job *j, char **text, size_t *n, vk_err *err)
{
  *text = NULL;
  j->text = open_memstream(text, n);
  if (!j->text)
    return vk_fail(err, VK_E_NOMEM, "no memory for the text of %s", j->graph.name);
  vk_graph out;
  vk_graph_init(&out, j->graph.name);
  vk_status st =
      vk_pass_run_all(&out, &j->graph, &j->target, j->args->after ? watch : NULL, j, err);
  if (st == VK_OK && !j->args->after)
    st = write_graph(j, &out, err);
  if (st == VK_OK && j->status != VK_OK) {
    *err = j->err;
    st = j->status;
  }
  vk_graph_fini(&out);
  bool is_bad = ferror(j->text) != 0;
  if (fclose(j->text) != 0 || is_bad)
    st = st == VK_OK ? vk_fail(err, VK_E_NOMEM, "no memory for the text of %s", j->graph.name) : st;
  if (st == VK_OK && *n == 0)
    st = vk_fail(err, VK_E_USAGE, "--after %s: --no-pass or --before leaves that pass out",
                 j->args->after);
  return st;
}

static vk_status print_text(job *j, vk_err *err)
{
  char *text = NULL;
  size_t n = 0;
  vk_status st = write_text(j, &text, &n, err);
  if (st == VK_OK && j->args->out)
    st = vk_fs_write(j->args->out, text, n, err);
  if (st == VK_OK && j->call->common->json) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "model", j->model.name);
    cJSON_AddNumberToObject(o, "nodes", j->n_node);
    if (j->args->out) {
      cJSON_AddStringToObject(o, "file", j->args->out);
      cJSON_AddNumberToObject(o, "bytes", (double)n);
    } else {
      cJSON_AddStringToObject(o, "text", text);
    }
    st = vk_json_print(o, err);
    cJSON_Delete(o);
  } else if (st == VK_OK && j->args->out) {
    printf("%s: %d node%s, %.1f kB\n", j->args->out, j->n_node, vk_plural(j->n_node),
           1e-3 * (double)n);
  } else if (st == VK_OK) {
    fwrite(text, 1, n, stdout);
  }
  free(text);
  return st;
}

/* Of ops or passes, which need no model. */
static vk_status print_list(const vk_cmd_call *call, void (*print)(void),
                            void (*add_json)(cJSON *object), vk_err *err)
{
  if (call->n_positional > 1)
    return vk_fail(err, VK_E_USAGE, "graph %s takes no model (%s)", call->positional[0],
                   call->positional[1]);
  if (!call->common->json) {
    print();
    return VK_OK;
  }
  cJSON *o = cJSON_CreateObject();
  add_json(o);
  vk_status st = vk_json_print(o, err);
  cJSON_Delete(o);
  return st;
}

static vk_status write_dump(const vk_graph *g, bool full, FILE *out, vk_err *err)
{
  vk_graph_dump(g, out);
  return VK_OK;
}

static vk_status run_model(job *j, const char *what, vk_err *err)
{
  const vk_opt_list *skip = &j->args->skip;
  if (j->call->n_positional < 2 && skip->n &&
      vk_pass_check_name(skip->item[skip->n - 1], NULL) != VK_OK)
    return vk_fail(err, VK_E_USAGE,
                   "--no-pass takes all words up to the next option, '%.80s' too; put the model "
                   "before it, or -- between them",
                   skip->item[skip->n - 1]);
  if (j->call->n_positional < 2)
    return vk_fail(err, VK_E_USAGE, "graph %s needs a model, as in: vlakit graph %s nano-n2", what,
                   what);
  VK_TRY(build(j, err));
  if (strcmp(what, "show") == 0)
    return show(j, err);
  j->write = strcmp(what, "dump") == 0 ? write_dump : vk_graph_svg;
  return print_text(j, err);
}

static vk_status run(const vk_cmd_call *call, vk_err *err)
{
  static const char *const names[] = {"show", "dump", "svg", "ops", "passes", NULL};
  const char *what = call->positional[0];
  bool is_known = false;
  for (int i = 0; names[i]; i++)
    is_known = is_known || strcmp(what, names[i]) == 0;
  if (!is_known)
    return vk_opt_fail_name(err, "part of graph", what, names);
  VK_TRY(vk_cmd_check_parts(call, opt_of, VK_COUNT(opt_of), err));
  if (strcmp(what, "ops") == 0)
    return print_list(call, vk_graph_ops_print, vk_graph_ops_add_json, err);
  if (strcmp(what, "passes") == 0)
    return print_list(call, vk_graph_passes_print, vk_graph_passes_add_json, err);
  job *j = calloc(1, sizeof *j);
  if (!j)
    return vk_fail(err, VK_E_NOMEM, "no memory for a graph");
  j->call = call;
  j->args = call->args;
  vk_graph_init(&j->graph, call->n_positional > 1 ? call->positional[1] : "");
  vk_status st = run_model(j, what, err);
  vk_plan_free(j->plan);
  vk_graph_fini(&j->graph);
  free(j);
  return st;
}

/* The keys of config files, by family. */
static char *write_keys(void)
{
  char *text = NULL;
  size_t n = 0;
  FILE *out = open_memstream(&text, &n);
  if (!out)
    return NULL;
  fputs("A config file is a JSON object; what it leaves out is as in its size, and without a size "
        "as in the first:\n",
        out);
  for (int i = 0; i < vk_model_count(); i++) {
    const vk_model_def *m = vk_models[i];
    fprintf(out, "\n  %-10s \"%s\"\n  %-10s", "model", m->name, "size");
    for (int k = 0; m->sizes[k]; k++)
      fprintf(out, "%s \"%s\"", k ? "," : "", m->sizes[k]);
    for (const vk_model_key *k = m->keys; k->name; k++)
      fprintf(out, "\n  %-10s %s", k->name, k->help);
    fputc('\n', out);
  }
  if (fclose(out) == 0)
    return text;
  free(text);
  return NULL;
}

const vk_cmd vk_cmd_graph = {
    .name = "graph",
    .summary = "show a model's graph, its memory plan and its costs",
    .synopsis = "show|dump|svg|ops|passes [MODEL] [options]",
    .description =
        "A model is a static graph of ops for a bucket of shapes; passes make of it the graph that "
        "runs. MODEL is nano-n2, nano-n8, nano-n20, a config file (JSON) or a checkpoint's "
        "folder.\n\n"
        "  show    a table of nodes, then parameters and the memory plan: how large the arena is,\n"
        "          the least that it could be, what each strategy gives, and the largest tensors\n"
        "          where it is fullest\n"
        "  dump    one line an input, parameter, node and output, to be compared with diff\n"
        "  svg     a drawing\n"
        "  ops     what graphs are made of (no MODEL)\n"
        "  passes  what makes the graph that runs, in their order (no MODEL)\n\n"
        "Shapes are those of a full run; dimensions that may be smaller in a run are printed by "
        "their symbol: [token, 128], [batch*8, 1792].\n\n"
        "Columns of show:\n\n"
        "  node    in the order in which they run\n"
        "  place   where in the model, as in the names of parameters: text.layers.0\n"
        "  output  shape of the first output\n"
        "  MACs    multiply-adds\n"
        "  bytes   that must at least be read and written\n"
        "  then    \"once\": not in every run, only when parameters change; \"view\": no work, "
        "the\n"
        "          input under another shape; attributes of the op that are not 0\n\n"
        "Lines of dump:\n\n"
        "  symbol NAME MOST     input NAME TYPE SHAPE       param NAME TYPE SHAPE\n"
        "  NAME TYPE SHAPE = OP(NAME SHAPE, ...) ATTRIBUTES            output NAME = NAME\n"
        "  A node's name is its place and op; #2 is the second such node, :1 its second output.\n\n"
        "Lines of ops, an op:\n\n"
        "  its name and formula\n"
        "  gradient: there is one; in-place: the output may lie over an input; view: no work;\n"
        "  passes-only: models do not use it; then the ISAs that have kernels of their own\n"
        "  how far a kernel may be from the op computed in double precision, and why",
    .more = write_keys,
    .examples = "vlakit graph show nano-n2 --train --batch 128\n"
                "vlakit graph svg nano-n2 --out n2.svg\n"
                "vlakit graph dump nano-n2 --before --out a  # and without, then diff a b\n"
                "vlakit graph show nano-n2 --no-pass fusion pack --json",
    .opts = opts,
    .args_size = sizeof(graph_args),
    .args_default = &defaults,
    .n_positional_min = 1,
    .n_positional_max = 2,
    .common = VK_COMMON(VK_COMMON_ISA, VK_COMMON_JSON, VK_COMMON_THREADS),
    .run = run,
};
