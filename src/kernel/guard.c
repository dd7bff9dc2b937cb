/* What the libraries read before main begins, put right: the program starts itself again, once, with the environment
 * that OpenBLAS and OpenMP need. A second start finds it and goes on; it costs some milliseconds. */
#include <cblas.h>
#include <omp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "kernel/kernel.h"

static int listed(const char *name, const char *const *list) {
  for (; *list; list++)
    if (strcasecmp(name, *list) == 0) return 1;
  return 0;
}

const char *cohort_product_library(void) { return openblas_get_config(); }

/* With OMP_PROC_BIND this thread is held to the first place already; the program that is started again must find them
 * all. */
static void leave_place(void) {
  enum { MOST = 1024 };
  int processor[MOST];
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int place = 0; place < omp_get_num_places(); place++) {
    const int count = omp_get_place_num_procs(place);
    if (count > MOST) return;
    omp_get_place_proc_ids(place, processor);
    for (int i = 0; i < count; i++)
      if (processor[i] < CPU_SETSIZE) CPU_SET((size_t)processor[i], &set);
  }
  if (CPU_COUNT(&set) > 0) (void)sched_setaffinity(0, sizeof set, &set);
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
  bool again = false;
  if (wanted && !getenv(marker)) {
    (void)setenv("OPENBLAS_CORETYPE", wanted, 1);
    (void)setenv(marker, core, 1);
    again = true;
  }
  /* The library is called on one thread. Those that it keeps for every further core would only spin, and where address
   * space is limited one of them spins in mmap for ever, at the program's end too. */
  const char *const threads = getenv("OPENBLAS_NUM_THREADS");
  if (!threads || strcmp(threads, "1") != 0) {
    (void)setenv("OPENBLAS_NUM_THREADS", "1", 1);
    again = true;
  }
  /* A thread that waits spins for about 100 microseconds, then sleeps: by default it spins for milliseconds, which on
   * shared cores is time that the thread it waits for does not get. */
  if (!getenv("GOMP_SPINCOUNT") && !getenv("OMP_WAIT_POLICY")) {
    (void)setenv("GOMP_SPINCOUNT", "5000", 1);
    again = true;
  }
  if (again) {
    leave_place();
    (void)execv("/proc/self/exe", arguments);
  }
  return core; /* the start failed, or is not needed */
}
