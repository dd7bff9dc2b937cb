/* Programs: passes of a driver's own over vectors, with sums like an update's. A piece is a range. A program costs its
 * passes over the vectors that it is given, and one exchange for each pass that leaves sums. */
#include <stdlib.h>

#include "base/memory.h"
#include "update/updater_state.h"

static void set_up(cohort_updater *updater, cohort_update_node *node, cohort_update_program *program,
                   const cohort_optimizer *functions) {
  const int tensors = updater->options.space->tensors;
  program->group = (cohort_update_group){.choice = node->choice, .functions = functions};
  program->group.passes = functions->passes > 1 ? functions->passes : 1;
  while (functions->sums && functions->sums[program->group.sums].name) program->group.sums++;
  program->groups = (cohort_parameter_groups){.count = 1, .group = &program->group, .passes = program->group.passes};
  program->groups.of_tensor = cohort_allocate((size_t)(tensors + 1) * sizeof *program->groups.of_tensor);
  cohort_update_sums_create(updater, &program->groups, &program->sums);
}

void cohort_update_programs_create(cohort_updater *updater, cohort_update_node *node) {
  const cohort_optimizer *const *list = node->functions->programs;
  while (list && list[node->programs]) node->programs++;
  node->program = cohort_allocate((size_t)(node->programs + 1) * sizeof *node->program);
  for (int i = 0; i < node->programs; i++) set_up(updater, node, &node->program[i], list[i]);
}

void cohort_update_programs_release(cohort_update_node *node) {
  for (int i = 0; i < node->programs; i++) {
    cohort_update_sums_release(&node->program[i].sums);
    free(node->program[i].groups.of_tensor);
  }
  free(node->program);
}

typedef struct program_job {
  const cohort_update_step *step;
  cohort_update_program *program;
  const void *config;
  int pass, count;
  char *vector[COHORT_MAX_STATES];
} program_job;

static void run_piece(void *argument, const cohort_updater *updater, int p) {
  const program_job *job = argument;
  const cohort_piece *piece = &updater->options.space->piece[p];
  const cohort_space_tensor *tensor = &updater->options.space->tensor[piece->tensor];
  const cohort_team alone = {1};
  cohort_update update = {.config = job->config,
                          .step = job->step->step + 1,
                          .gradient_scale = 1,
                          .loss = job->step->loss,
                          .key = updater->tensor_key[piece->tensor],
                          .shape = tensor->declared.shape,
                          .first = piece->offset - tensor->offset,
                          .elements = piece->elements,
                          .pass = job->pass,
                          .kernels = updater->options.kernels,
                          .products = cohort_update_products(updater),
                          .team = &alone};
  for (int i = 0; i < job->count; i++) update.state[i] = job->vector[i] + (size_t)piece->offset * updater->real;
  for (int i = 0; i < job->program->group.sums; i++)
    update.sum[i] = cohort_update_sum_at(updater, &job->program->sums, 0, i, p, job->pass);
  job->program->group.functions->update(&update);
}

static void finish(const program_job *job, cohort_updater *updater, double *report) {
  cohort_update update = {.config = job->config,
                          .step = job->step->step + 1,
                          .gradient_scale = 1,
                          .loss = job->step->loss,
                          .key = updater->key,
                          .shape = COHORT_SHAPE(updater->options.space->parameters),
                          .pass = job->pass,
                          .report = report,
                          .kernels = updater->options.kernels,
                          .products = cohort_update_products(updater),
                          .team = &updater->team};
  for (int i = 0; i < job->program->group.sums; i++)
    if (job->program->group.functions->sums[i].over == COHORT_OWNER_SPACE) update.sum[i] = &job->program->sums.space[i];
  job->program->group.functions->finish(&update);
}

void cohort_update_run_program(cohort_update_step *step, cohort_update_node *node, int number, int count,
                               const int *vector, double *report) {
  cohort_updater *updater = step->updater;
  cohort_update_program *program = &node->program[number];
  program_job job = {.step = step, .program = program, .config = node->choice.config, .count = count};
  for (int i = 0; i < count; i++) job.vector[i] = cohort_update_vector_values(updater, vector[i]);
  for (job.pass = 0; job.pass < program->group.passes; job.pass++) {
    cohort_update_sums_clear(updater, &program->sums, job.pass);
    cohort_update_each(updater, run_piece, &job);
    cohort_update_sums_join(updater, &program->sums, job.pass);
    if (program->group.functions->finish && job.pass + 1 < program->group.passes) finish(&job, updater, report);
  }
}
