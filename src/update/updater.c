/* What others may ask of an update engine. */
#include "update/updater.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "update/updater_state.h"

const cohort_shards *cohort_updater_shards(const cohort_updater *updater) { return updater->shards; }
const cohort_cut *cohort_updater_cuts(const cohort_updater *updater) { return updater->groups.cut; }
const bool *cohort_updater_updates(const cohort_updater *updater) { return updater->updates; }

cohort_point cohort_updater_point(const cohort_updater *updater) {
  return (cohort_point){updater->weights, updater->arrival};
}

void cohort_updater_wait(cohort_updater *updater) {
  for (int b = 0; b < updater->shards->buckets; b++)
    if (updater->arrival[b]) cohort_collective_all_gather_wait(updater->collective, updater->arrival[b]);
}

cohort_updater_needs cohort_updater_needs_of(const cohort_updater *updater) {
  cohort_updater_needs needs = {.wants = COHORT_WANTS_GRADIENT,
                                .hvp_diagonal = updater->hvp_diagonal && !updater->hvp_diagonal_sampled,
                                .hvp_diagonal_every = updater->hvp_diagonal_every,
                                .asks = 1,
                                .vectors = updater->vectors,
                                .summed = updater->summed,
                                .gradients = updater->gradients};
  memcpy(needs.weight, updater->weight, sizeof needs.weight);
  for (int v = 0; v < updater->vectors; v++) needs.whole += updater->vector[v].asked;
  for (int n = 0; n < updater->nodes; n++) {
    const cohort_optimizer *functions = updater->node[n].functions;
    needs.whole += functions->evaluated && !updater->vector[updater->node[n].first + functions->evaluated - 2].asked;
    needs.wants |= functions->wants;
    needs.asks *= functions->asks ? (int)functions->asks(updater->node[n].choice.config) : 1;
  }
  if (updater->hvp_diagonal) needs.wants |= updater->hvp_diagonal_sampled ? COHORT_WANTS_LABELS : COHORT_WANTS_PRODUCT;
  return needs;
}

void cohort_updater_record(cohort_updater *updater, cohort_recorder *recorder) { updater->recorder = recorder; }

cohort_updater_counters cohort_updater_take_counters(cohort_updater *updater) {
  const cohort_updater_counters counters = updater->counters;
  updater->counters = (cohort_updater_counters){0};
  return counters;
}

const cohort_kernel_set *cohort_updater_kernels(cohort_variant variant) {
  switch (variant) {
    case COHORT_VARIANT_F32_SSE2:
      return cohort_kernels_float32(COHORT_ISA_SSE2);
    case COHORT_VARIANT_F32_AVX2:
      return cohort_kernels_float32(COHORT_ISA_AVX2);
    case COHORT_VARIANT_F32_AVX512:
      return cohort_kernels_float32(COHORT_ISA_AVX512);
    default:
      return cohort_kernels_float64();
  }
}

static int add_columns(const cohort_optimizer *functions, const char **name, int count) {
  for (int i = 0; functions->reports && functions->reports[i] && count < COHORT_MAX_COLUMNS; i++)
    name[count++] = functions->reports[i];
  return count;
}

int cohort_updater_columns(const cohort_updater *updater, const char **name) {
  int count = 0;
  for (int n = 0; n < updater->nodes; n++) count = add_columns(updater->node[n].functions, name, count);
  for (int g = 0; g < updater->groups.count; g++) count = add_columns(updater->groups.group[g].functions, name, count);
  return count;
}

const char *cohort_updater_evaluated_slot(const cohort_updater *updater) {
  for (int n = 0; n < updater->nodes; n++)
    if (updater->node[n].functions->evaluated)
      return updater->vector[updater->node[n].first + updater->node[n].functions->evaluated - 2].name;
  return NULL;
}

void cohort_updater_loaded(cohort_updater *updater) {
  for (int v = 0; v < updater->vectors; v++) updater->vector[v].stale = updater->vector[v].kept;
}

double cohort_updater_state_bytes(const cohort_updater *updater) {
  double bytes = 0;
  for (int s = 0; s < updater->slots; s++)
    if (!updater->slot[s]->vector) bytes += (double)cohort_slot_bytes(updater, updater->slot[s]);
  return bytes;
}

double cohort_updater_taken_bytes(const cohort_updater *updater) {
  double bytes = 0;
  for (int s = 0; s < updater->slots; s++)
    if (!updater->slot[s]->vector) bytes += (double)cohort_memory_taken(cohort_slot_bytes(updater, updater->slot[s]));
  return bytes;
}

double cohort_updater_foreign_share(const cohort_updater *updater, int ranks, int members) {
  const cohort_space *space = updater->options.space;
  const cohort_shard_group group = {.replicas = 1, .count = members};
  cohort_shards *shards =
      cohort_shards_create(space, &group, updater->groups.cut, updater->groups.cost, updater->options.sizes);
  int64_t first, count, own = 0;
  cohort_checkpoint_slice(space->elements, ranks, 0, &first, &count);
  for (int r = 0; r < shards->ranges[0]; r++) {
    const cohort_range range = shards->range[0][r];
    const int64_t end = range.offset + range.elements < count ? range.offset + range.elements : count;
    if (end > range.offset) own += end - range.offset;
  }
  cohort_shards_destroy(shards);
  return count ? 1 - (double)own / (double)count : 0;
}

double cohort_updater_workspace_bytes(const cohort_updater *updater, int threads) {
  return (double)cohort_memory_taken(updater->workspace_bytes * (size_t)threads);
}

int cohort_updater_slots(const cohort_updater *updater) { return updater->slots; }
const cohort_slot *cohort_updater_slot(const cohort_updater *updater, int index) { return updater->slot[index]; }
size_t cohort_updater_type_size(const cohort_updater *updater, cohort_state_type type) {
  return type == COHORT_STATE_REAL ? updater->real : sizeof(int64_t);
}

/* "lookahead over sam over ", or nothing. */
static char *drivers_of(const cohort_updater *updater) {
  char *text = cohort_copy_text("");
  for (int n = 0; n < updater->nodes; n++) {
    const bool more = n + 1 < updater->nodes || updater->groups.count;
    char *longer = cohort_format_text("%s%s%s", text, updater->node[n].choice.method->key, more ? " over " : "");
    free(text);
    text = longer;
  }
  return text;
}

char *cohort_updater_describe(const cohort_updater *updater) {
  char *drivers = drivers_of(updater);
  if (!updater->groups.count) {
    char *line = cohort_format_text("optimizer  %s: %d tensors, %lld parameters", drivers,
                                    updater->options.space->tensors, (long long)updater->options.space->parameters);
    free(drivers);
    return line;
  }
  char *text = cohort_copy_text("");
  for (int g = 0; g < updater->groups.count; g++) {
    int tensors = 0;
    int64_t parameters = 0;
    for (int t = 0; t < updater->options.space->tensors; t++)
      if (updater->groups.of_tensor[t] == g) {
        tensors++;
        parameters += updater->options.space->tensor[t].elements;
      }
    char *longer = cohort_format_text("%s%soptimizer  %s%s: %d tensors, %lld parameters", text, g ? "\n" : "", drivers,
                                      updater->groups.group[g].choice.method->key, tensors, (long long)parameters);
    free(text);
    text = longer;
  }
  free(drivers);
  return text;
}
