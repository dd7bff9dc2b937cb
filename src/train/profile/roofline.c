/* Measures what all cores do at once: short windows, of which the best counts. About 0.1 s, between steps; it changes
 * only the buffers it is given. */
#include "train/profile/roofline.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"

/* Many short windows, of which the best counts: what else runs on the machine only takes away. */
enum { WINDOWS = 16, LEAST_WINDOWS = 3, FIGURES = COHORT_PEAKS + 2, READ = COHORT_PEAKS, UPDATE };
static const double window_seconds = 0.0015, figure_seconds = 0.03;
static const size_t least_bytes = (size_t)8 << 20, most_bytes = (size_t)256 << 20; /* of a thread */

typedef struct bench {
  cohort_isa isa;
  int figure; /* a peak, READ or UPDATE */
  size_t bytes;
  float **buffer; /* [threads] */
  double *rate;   /* [threads]: of the last window */
  double *best;   /* [threads] */
} bench;

static double run_once(const bench *own, int thread) {
  const int64_t elements = (int64_t)(own->bytes / sizeof(float));
  if (own->figure == READ) return cohort_peak_read(own->isa, own->buffer[thread], elements);
  if (own->figure == UPDATE) return cohort_peak_update(own->isa, own->buffer[thread], elements);
  return cohort_peak_run((cohort_peak)own->figure, own->isa);
}

static void run_window(const bench *own, int thread) {
  const double start = cohort_clock_seconds();
  double amount = 0, seconds = 0;
  while (seconds < window_seconds) {
    amount += run_once(own, thread);
    seconds = cohort_clock_seconds() - start;
  }
  own->rate[thread] = amount / seconds;
}

/* All threads at once, window by window. Threads share memory, so that its rate is the best that all reached together;
 * arithmetic they have of their own, and each one's best counts. */
static double best_rate(const bench *own, int threads) {
  const double start = cohort_clock_seconds();
  double together = 0, alone = 0;
  memset(own->best, 0, (size_t)threads * sizeof *own->best);
  for (int w = 0; w < WINDOWS && (w < LEAST_WINDOWS || cohort_clock_seconds() - start < figure_seconds); w++) {
#pragma omp parallel num_threads(threads)
    {
#pragma omp barrier
      run_window(own, omp_get_thread_num());
    }
    double sum = 0;
    for (int t = 0; t < threads; t++) {
      sum += own->rate[t];
      if (own->rate[t] > own->best[t]) own->best[t] = own->rate[t];
    }
    if (sum > together) together = sum;
  }
  for (int t = 0; t < threads; t++) alone += own->best[t];
  return own->figure < COHORT_PEAKS ? alone : together;
}

/* Bytes of the last-level caches of this host: those of core 0 times how many groups of cores have one. */
static size_t cache_bytes(void) {
  const long size = sysconf(_SC_LEVEL3_CACHE_SIZE), cores = sysconf(_SC_NPROCESSORS_ONLN);
  FILE *file = fopen("/sys/devices/system/cpu/cpu0/cache/index3/shared_cpu_map", "r");
  long sharing = 0;
  for (int c; file && (c = fgetc(file)) != EOF;) {
    const char digit[2] = {(char)c, '\0'};
    sharing += __builtin_popcountl((unsigned long)strtol(digit, NULL, 16));
  }
  if (file) (void)fclose(file);
  const long groups = sharing > 0 && cores > sharing ? (cores + sharing - 1) / sharing : 1;
  return size > 0 ? (size_t)size * (size_t)groups : (size_t)32 << 20;
}

size_t cohort_roofline_bytes(int threads, int local_ranks) {
  size_t bytes = 5 * cache_bytes() / (4 * (size_t)threads * (size_t)local_ranks);
  if (bytes < least_bytes) bytes = least_bytes;
  if (bytes > most_bytes) bytes = most_bytes;
  return cohort_round_up(bytes, (size_t)2 << 20);
}

/* Every thread maps and touches its own, so that it lies near to it. */
static bool make_buffers(bench *own, int threads) {
  int missing = 0;
#pragma omp parallel num_threads(threads) reduction(+ : missing)
  {
    void *memory = mmap(NULL, own->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      missing++;
    } else {
      (void)madvise(memory, own->bytes, MADV_HUGEPAGE);
      memset(memory, 0, own->bytes);
      own->buffer[omp_get_thread_num()] = memory;
    }
  }
  return missing == 0;
}

static void release_buffers(bench *own, int threads) {
  for (int t = 0; t < threads; t++)
    if (own->buffer[t]) (void)munmap(own->buffer[t], own->bytes);
}

static void share(cohort_comm *comm, const double *own, cohort_roofline *out) {
  const size_t bytes = FIGURES * sizeof(double);
  double *all = cohort_allocate((size_t)comm->size * bytes);
  size_t *part = cohort_allocate(2 * (size_t)comm->size * sizeof *part);
  for (int r = 0; r < comm->size; r++) {
    part[r] = (size_t)r * bytes;
    part[comm->size + r] = bytes;
  }
  memcpy(all + (size_t)comm->rank * FIGURES, own, bytes);
  cohort_comm_gather_all(comm, all, part, part + comm->size);
  for (int f = 0; f < FIGURES; f++) {
    double sum = 0;
    bool everywhere = true;
    for (int r = 0; r < comm->size; r++) {
      sum += all[(size_t)r * FIGURES + (size_t)f];
      everywhere = everywhere && all[(size_t)r * FIGURES + (size_t)f] > 0;
    }
    if (!everywhere) sum = 0;
    if (f < COHORT_PEAKS) out->peak[f] = sum;
    if (f == READ) out->read = sum;
    if (f == UPDATE) out->update = sum;
  }
  free(part);
  free(all);
}

cohort_peak cohort_roofline_products(const char *kernels) {
  if (strcmp(kernels, "bf16_amx") == 0) return COHORT_PEAK_AMX;
  return strcmp(kernels, "bf16_avx512bf16") == 0 ? COHORT_PEAK_BF16 : COHORT_PEAK_FLOAT32;
}

void cohort_roofline_measure(cohort_comm *comm, int threads, int local_ranks, cohort_isa isa, void *const *buffer,
                             cohort_roofline *out) {
  bench own = {.isa = isa, .bytes = cohort_roofline_bytes(threads, local_ranks)};
  double figure[FIGURES] = {0};
  const double start = cohort_clock_seconds();
  memset(out, 0, sizeof *out);
  own.buffer = cohort_allocate((size_t)threads * sizeof *own.buffer);
  own.rate = cohort_allocate((size_t)threads * sizeof *own.rate);
  own.best = cohort_allocate((size_t)threads * sizeof *own.best);
  for (int t = 0; buffer && t < threads; t++) own.buffer[t] = buffer[t];
  const bool buffers = buffer || make_buffers(&own, threads);
  for (own.figure = 0; own.figure < FIGURES; own.figure++) {
    cohort_comm_barrier(comm);
    const bool available = own.figure < COHORT_PEAKS ? cohort_peak_available((cohort_peak)own.figure, isa) : buffers;
    if (available) figure[own.figure] = best_rate(&own, threads);
  }
  if (!buffer) release_buffers(&own, threads);
  free(own.best);
  free(own.rate);
  free(own.buffer);
  share(comm, figure, out);
  out->measured = true;
  out->seconds = cohort_clock_seconds() - start;
}
