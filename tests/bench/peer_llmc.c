/* peer_llmc CHECKPOINT SEQUENCES BATCH CONTEXT STEPS LEARNING_RATE: the loop of llm.c's CPU trainer over given
 * sequences.
 *
 * Built by tests/bench/compare with cc against a checkout of llm.c (its train_gpt2.c without its main), which it is no
 * part of. SEQUENCES holds int32 rows of CONTEXT + 1 tokens, BATCH rows a step. Prints one line a step: loss, seconds,
 * and the monotonic clock at its end. */
#define TESTING
#include "train_gpt2.c"

static double monotonic(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int main(int count, char **argument) {
  if (count != 7) return 2;
  const int batch = atoi(argument[3]), context = atoi(argument[4]), steps = atoi(argument[5]);
  const float rate = (float)atof(argument[6]);
  GPT2 model;
  gpt2_build_from_checkpoint(&model, argument[1]);
  FILE *file = fopenCheck(argument[2], "rb");
  int *row = mallocCheck((size_t)(context + 1) * sizeof(int));
  int *inputs = mallocCheck((size_t)batch * (size_t)context * sizeof(int));
  int *targets = mallocCheck((size_t)batch * (size_t)context * sizeof(int));
  for (int step = 0; step < steps; step++) {
    const double begun = monotonic();
    for (int b = 0; b < batch; b++) {
      freadCheck(row, sizeof(int), (size_t)context + 1, file);
      memcpy(inputs + b * context, row, (size_t)context * sizeof(int));
      memcpy(targets + b * context, row + 1, (size_t)context * sizeof(int));
    }
    gpt2_forward(&model, inputs, targets, (size_t)batch, (size_t)context);
    gpt2_zero_grad(&model);
    gpt2_backward(&model);
    gpt2_update(&model, rate, 0.9f, 0.999f, 1e-8f, 0.0f, step + 1);
    const double ended = monotonic();
    printf("%.9g %.9f %.9f\n", model.mean_loss, ended - begun, ended);
    fflush(stdout);
  }
  fcloseCheck(file);
  gpt2_free(&model);
  return 0;
}
