/* What a run says of itself before it starts: first what is trained, then how. Invariant: the lines follow from the
 * settings, the data and the plan, so every rank would write the same but for the lanes that it runs. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/run/state.h"

static const char *words_of_samples(const cohort_run *run) { return run->task.functions->noun; }

/* "task supervised: 1013 samples of [8, 8, 1] to train on, 107 for validation; 10 classes" */
static char *describe_data(const cohort_run *run) {
  const cohort_task *task = &run->task;
  char each[COHORT_SHAPE_TEXT] = "", splits[96] = "";
  if (task->tokens_per_sample) {
    (void)snprintf(each, sizeof each, "%lld tokens", (long long)task->tokens_per_sample);
  } else {
    cohort_shape shape = {.axes = task->model_data.axes};
    memcpy(shape.size, task->model_data.size, (size_t)shape.axes * sizeof *shape.size);
    (void)cohort_shape_text(shape, each);
  }
  for (int s = COHORT_SPLIT_VALIDATION; s < COHORT_SPLITS; s++) {
    const size_t length = strlen(splits);
    if (task->samples[s])
      (void)snprintf(splits + length, sizeof splits - length, ", %lld for %s", (long long)task->samples[s],
                     cohort_split_name((cohort_split)s));
  }
  return cohort_format_text("task %s: %lld %s of %s to train on%s; %lld outputs", task->functions->name,
                            (long long)task->samples[COHORT_SPLIT_TRAIN], words_of_samples(run), each, splits,
                            (long long)task->model_data.outputs);
}

static char *describe_batch(const cohort_run *run) {
  const cohort_settings *settings = run->settings;
  const cohort_federated_settings *federated = &settings->federated_settings;
  if (settings->is_federated && federated->local_epochs)
    return cohort_format_text("%lld clients a round, %lld epochs in steps of %lld samples each",
                              (long long)federated->clients_per_round, (long long)federated->local_epochs,
                              (long long)federated->local_batch);
  if (settings->is_federated)
    return cohort_format_text("%lld clients a round, %lld steps of %lld samples each",
                              (long long)federated->clients_per_round, (long long)federated->local_steps,
                              (long long)federated->local_batch);
  if (run->sampled)
    return cohort_format_text("%lld %s in the mean, drawn anew in each step, in %d lanes", (long long)settings->batch,
                              words_of_samples(run), run->lanes);
  return cohort_format_text("%lld %s in %d lanes (streams of arithmetic, which ranks and threads share)",
                            (long long)settings->batch, words_of_samples(run), run->lanes);
}

static char *describe_steps(const cohort_run *run) {
  const cohort_settings *settings = run->settings;
  if (settings->is_federated) return cohort_format_text("%lld rounds", (long long)settings->steps);
  const double epochs =
      (double)settings->steps * (double)settings->batch / (double)run->task.samples[COHORT_SPLIT_TRAIN];
  return cohort_format_text("%lld (%.2f epochs)", (long long)settings->steps, epochs);
}

/* Of a task without a model. */
static char *describe_items(const cohort_run *run) {
  const cohort_settings *settings = run->settings;
  return cohort_format_text("task       %s\nsteps      %lld of %lld %s in %d lanes", run->task.functions->name,
                            (long long)settings->steps, (long long)settings->batch, words_of_samples(run), run->lanes);
}

/* A line a group of the first player, then one of each other. */
static char *describe_players(const cohort_run *run) {
  char *text = cohort_updater_describe(run->updater);
  for (int s = 1; s < run->spaces.trained; s++) {
    char *own = cohort_updater_describe(run->player[s].updater);
    char *longer = cohort_format_text("%s\n%s (player %s, every %lld steps)", text, own, run->spaces.space[s]->name,
                                      (long long)run->player[s].every);
    free(own);
    free(text);
    text = longer;
  }
  return text;
}

/* A line, or nothing. */
static char *describe_lora(const cohort_run *run) {
  if (!run->settings->lora) return cohort_copy_text("");
  const cohort_space *space = run->spaces.space[run->task.adapter.space];
  return cohort_format_text("lora       rank %lld, scale %g: %lld parameters beside %d matrices; the model is frozen\n",
                            (long long)run->task.adapter.rank, run->task.adapter.scale, (long long)space->parameters,
                            space->tensors / 2);
}

/* A line, or nothing. */
static char *describe_secure(const cohort_run *run) {
  const cohort_federated_settings *federated = &run->settings->federated_settings;
  if (!run->settings->is_federated || !federated->secure) return cohort_copy_text("");
  const cohort_secure_settings *secure = &federated->secure_settings;
  if (!secure->masks) return cohort_copy_text("secure     whole numbers without masks: the server sees every change\n");
  int threshold;
  const int neighbours = cohort_secure_degree_for(secure, (int)federated->clients_per_round, &threshold);
  return cohort_format_text(
      "secure     changes are masked with %d neighbours each, of whom %d must answer; simulated: keys come from the "
      "seed, "
      "and who knows it can remove every mask\n",
      neighbours, threshold);
}

char *cohort_run_describe(const cohort_run *run) {
  if (!run->task.spaces) return describe_items(run);
  char *data = describe_data(run), *batch = describe_batch(run), *steps = describe_steps(run);
  char *optimizer = describe_players(run);
  char *lora = describe_lora(run), *secure = describe_secure(run);
  char *private = cohort_run_private_text(run, run->settings->steps);
  const cohort_space *model = run->spaces.space[run->task.model_space];
  char *text = cohort_format_text(
      "data       %s\nmodel      %s, %lld parameters in %d tensors\n%s%s\nbatch      %s\n%ssteps      %s%s%s", data,
      run->task.model.method->key, (long long)model->parameters, model->tensors, lora, optimizer, batch, secure, steps,
      private ? "\nprivacy    " : "", private ? private : "");
  free(private);
  free(secure);
  free(lora);
  free(optimizer);
  free(steps);
  free(batch);
  free(data);
  return text;
}

char *cohort_run_describe_plan(const cohort_run *run) {
  int first, last;
  cohort_lane_engine_own(run->engine, &first, &last);
  if (!run->task.spaces)
    return cohort_format_text("lanes: %d over %d ranks x %d threads (at most %d ranks); this rank runs lanes %d to %d",
                              run->lanes, run->comm->size, run->threads, run->lanes, first, last - 1);
  const cohort_lane_graph *graph = run->train ? run->train : cohort_federation_graph(run->federation);
  static const char *const shared[] = {"nothing", "states", "states and gradients", "states, gradients and parameters"};
  char link[128] = "one host", replicas[64] = "";
  if (run->comm->hosts > 1)
    (void)snprintf(link, sizeof link, "%d hosts, %.0f microseconds and %.2f GB/s between two", run->comm->hosts,
                   run->link.latency * 1e6, run->link.bandwidth / 1e9);
  if (run->members->replicas > 1)
    (void)snprintf(replicas, sizeof replicas, ", a copy on each of %d hosts", run->members->replicas);
  return cohort_format_text(
      "lanes: %d over %d ranks x %d threads (at most %d ranks); this rank runs lanes %d to %d on %d executors of %d "
      "threads each\nsharded: %s%s; %lld parameters in %d pieces (units of sharding), %d buckets; %s\n"
      "plan: %d nodes in %d phases, %.1f MiB an executor, %.3f GFLOP a lane",
      run->lanes, run->comm->size, run->threads, run->lanes, first, last - 1, cohort_lane_engine_executors(run->engine),
      cohort_lane_engine_executor_threads(run->engine),
      shared[run->members->count > 1 ? run->sharding : COHORT_SHARDING_NONE], replicas,
      (long long)run->spaces.space[0]->parameters, run->spaces.space[0]->pieces,
      cohort_updater_shards(run->updater)->buckets, link, cohort_plan_nodes(graph->plan),
      cohort_plan_phases(graph->plan), (double)cohort_plan_arena_bytes(graph->plan) / 1048576,
      cohort_plan_flops(graph->plan) / 1e9);
}
