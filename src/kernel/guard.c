#include <cblas.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "kernel/kernel.h"

static int listed(const char *name, const char *const *list) {
  for (; *list; list++)
    if (strcasecmp(name, *list) == 0) return 1;
  return 0;
}

const char *cohort_product_guard(char **arguments) {
  static const char marker[] = "COHORT_BLAS_CORE_SET";
  static const char *const wide[] = {"SkylakeX", "Cooperlake", "SapphireRapids", NULL};
  static const char *const narrow[] = {"Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids", NULL};
  const char *core = openblas_get_corename();
  const cohort_isa isa = cohort_processor_isa();
  const char *wanted = NULL;
  if (isa == COHORT_ISA_AVX512 && !listed(core, wide)) wanted = "SkylakeX";
  if (isa == COHORT_ISA_AVX2 && !listed(core, narrow)) wanted = "Haswell";
  if (!wanted || getenv(marker)) return core;
  (void)setenv("OPENBLAS_CORETYPE", wanted, 1);
  (void)setenv(marker, core, 1);
  (void)setenv("OPENBLAS_NUM_THREADS", "1", 1); /* the library is called on one thread; more would only spin */
  (void)execv("/proc/self/exe", arguments);
  return core; /* the start failed: slow kernels are better than none */
}
