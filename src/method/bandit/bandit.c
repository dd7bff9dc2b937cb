/* The family bandit, and its probe: a replay of rounds whose rewards are all known, of which a method sees that of the
 * arm it pulls. Invariant: what an arm that was not pulled would have given is never read. Costs a score and a lesson a
 * round. */
#include "method/bandit/bandit.h"

#include "method/family.h"

int64_t cohort_bandit_choose(int64_t arms, const double *score) {
  int64_t best = 0;
  for (int64_t arm = 1; arm < arms; arm++)
    if (score[arm] > score[best]) best = arm;
  return best;
}

static const cohort_probe_array inputs[] = {
    {"contexts", COHORT_ARRAY_OF_REAL, {"rounds", "features"}, .meaning = "the features that every round shows"},
    {"rewards",
     COHORT_ARRAY_OF_REAL,
     {"rounds", "arms"},
     .meaning = "what each arm would give; that of the arm pulled is learned from"},
    {.name = NULL},
};

static const cohort_probe_array outputs[] = {
    {"arms", COHORT_ARRAY_OF_REAL, {"rounds"}, .meaning = "number of the arm pulled in every round"},
    {"scores", COHORT_ARRAY_OF_REAL, {"rounds", "arms"}, .meaning = "by which it was chosen"},
    {.name = NULL},
};

static const cohort_probe_symbol symbols[] = {
    {"rounds", 1, 6, NULL, .meaning = "rounds, one after another"},
    {"features", 1, 3, NULL, .meaning = "numbers of a context"},
    {"arms", 1, 4, NULL, .meaning = "arms to choose from"},
    {.name = NULL},
};

static cohort_status probe(const cohort_probe_call *call, cohort_error *error) {
  (void)error;
  const cohort_bandit *functions = call->method->functions;
  const cohort_bandit_size size = {call->size(call, "arms"), call->size(call, "features")};
  const double *contexts = call->input(call, "contexts"), *rewards = call->input(call, "rewards");
  double *arms = call->output(call, "arms"), *scores = call->output(call, "scores");
  double *state = call->memory(call, functions->state(size));
  functions->begin(call->config, size, state);
  for (int64_t round = 0; round < call->size(call, "rounds"); round++) {
    const double *context = contexts + round * size.features;
    functions->score(call->config, size, context, state, scores + round * size.arms);
    const int64_t arm = cohort_bandit_choose(size.arms, scores + round * size.arms);
    functions->learn(call->config, size, context, arm, rewards[round * size.arms + arm], state);
    arms[round] = (double)arm;
  }
  return COHORT_DONE;
}

const cohort_family cohort_family_bandit = {
    .name = "bandit",
    .summary = "a learner that pulls one of several arms a round",
    .inputs = inputs,
    .outputs = outputs,
    .symbols = symbols,
    .probe = probe,
};
