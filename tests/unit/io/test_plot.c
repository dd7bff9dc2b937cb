/* Pictures: the smoothed line does not lag, thinning keeps extremes, names and options come out as asked. */
#include <math.h>
#include <sys/stat.h>

#include "io/plot.h"
#include "io/plot_curve.h"
#include "scratch.h"

static cohort_curve curve_of(int64_t count, double (*value)(double step)) {
  cohort_curve out = {.count = count,
                      .x = cohort_allocate((size_t)count * sizeof(double)),
                      .y = cohort_allocate((size_t)count * sizeof(double))};
  for (int64_t i = 0; i < count; i++) {
    out.x[i] = (double)(i + 1);
    out.y[i] = value(out.x[i]);
  }
  return out;
}

static double straight(double step) { return 3 - 0.01 * step; }
static double decaying(double step) { return exp(-step / 13); }
static double power(double step) { return 1.5 + 9 * pow(step, -0.6); }
static double jump(double step) { return step > 500 ? 1 : 0; }
static double noisy(double step) { return 2 + sin(1e3 * step * step); }

/* Largest difference between the smoothed line and what it stands for. */
static double difference(int64_t count, double share, double (*value)(double)) {
  cohort_curve own = curve_of(count, value), smooth = cohort_curve_smooth(&own, share, 400, false);
  double most = 0;
  CU_ASSERT_TRUE_FATAL(smooth.count > 10 && smooth.count <= 402);
  CU_ASSERT_EQUAL(smooth.x[0], 1);
  CU_ASSERT_EQUAL(smooth.x[smooth.count - 1], (double)count);
  for (int64_t i = 0; i < smooth.count; i++) most = fmax(most, fabs(smooth.y[i] - value(smooth.x[i])));
  cohort_curve_release(&own);
  cohort_curve_release(&smooth);
  return most;
}

static void smoothing_does_not_lag(void) {
  CU_ASSERT(difference(1000, 0.06, straight) < 1e-9); /* up to both ends */
  CU_ASSERT(difference(1000, 0.5, straight) < 1e-9);
  CU_ASSERT(difference(40, 0.06, decaying) < 0.003); /* DPO's curve: 0.115 was drawn for 0.045 */
  CU_ASSERT(difference(1000, 0.06, power) < 0.5);    /* 9 falls in the first steps */
  cohort_curve own = curve_of(1000, jump), smooth = cohort_curve_smooth(&own, 0.06, 1000, false);
  CU_ASSERT_DOUBLE_EQUAL(cohort_curve_at(&smooth, 500.5), 0.5, 1e-9); /* half way up at the jump itself */
  cohort_curve_release(&own);
  cohort_curve_release(&smooth);
}

static void smoothing_smooths(void) {
  cohort_curve own = curve_of(2000, noisy), smooth = cohort_curve_smooth(&own, 0.06, 400, false);
  double sum = 0;
  for (int64_t i = 100; i < smooth.count; i++) sum += (smooth.y[i] - 2) * (smooth.y[i] - 2);
  const double spread = sqrt(sum / (double)(smooth.count - 100)); /* of one row: 0.71 */
  CU_ASSERT(spread < 0.15);
  CU_ASSERT(fabs(smooth.y[smooth.count - 1] - 2) < 0.5);
  cohort_curve_release(&own);
  cohort_curve_release(&smooth);
}

static void short_curves(void) {
  for (int64_t count = 1; count < 6; count++)
    for (int log_x = 0; log_x < 2; log_x++) {
      cohort_curve own = curve_of(count, straight), smooth = cohort_curve_smooth(&own, 0.06, 400, log_x);
      cohort_curve thin = cohort_curve_thin(&own, 1, log_x);
      CU_ASSERT_EQUAL_FATAL(smooth.count, count);
      for (int64_t i = 0; i < count; i++) CU_ASSERT_DOUBLE_EQUAL(smooth.y[i], own.y[i], 1e-9);
      CU_ASSERT(thin.count <= count && thin.x[thin.count - 1] == (double)count);
      cohort_curve_release(&own);
      cohort_curve_release(&smooth);
      cohort_curve_release(&thin);
    }
}

static double spiky(double step) { return step == 123457 ? 50 : step == 777777 ? -50 : sin(step); }

/* What is drawn was measured, and nothing that was measured stands out of it. */
static void thinning_keeps_extremes(void) {
  cohort_curve own = curve_of(1000000, spiky);
  for (int log_x = 0; log_x < 2; log_x++) {
    cohort_curve thin = cohort_curve_thin(&own, 100, log_x);
    CU_ASSERT(thin.count > 100 && thin.count <= 404);
    bool low = false, high = false;
    for (int64_t i = 0; i < thin.count; i++) {
      CU_ASSERT(thin.y[i] == own.y[(int64_t)thin.x[i] - 1]);
      CU_ASSERT(i == 0 || thin.x[i] > thin.x[i - 1]);
      low |= thin.x[i] == 777777 && thin.y[i] == -50;
      high |= thin.x[i] == 123457 && thin.y[i] == 50;
    }
    CU_ASSERT_TRUE(low && high);
    CU_ASSERT_EQUAL(thin.x[0], 1);
    CU_ASSERT_EQUAL(thin.x[thin.count - 1], 1000000);
    cohort_curve_release(&thin);
  }
  cohort_curve_release(&own);
}

static bool has_gnuplot(void) { return system("command -v gnuplot > /dev/null 2>&1") == 0; }

static char *run_with(const char *below, const char *name, int64_t rows, int64_t seed, double level) {
  char *const run = cohort_format_text("%s/%s", below, name);
  CU_ASSERT_EQUAL_FATAL(mkdir(run, 0777), 0);
  char *const path = cohort_format_text("%s/metrics.csv", run);
  FILE *const file = fopen(path, "w");
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  (void)fputs("step,split,epoch,samples,tokens,loss,learning_rate,gradient_norm\n", file);
  for (int64_t step = 1; step <= rows; step++) {
    (void)fprintf(file, "%lld,train,,,,%.9g,%.9g,%.9g\n", (long long)step, level + fabs(spiky((double)step)), 0.1,
                  -1.0);
    if (step % (rows / 4) == 0) (void)fprintf(file, "%lld,validation,,,,%.9g,,\n", (long long)step, level);
  }
  CU_ASSERT_EQUAL(fclose(file), 0);
  char *const config =
      cohort_format_text("task: supervised\nrun: %s\nseed: %lld\nlevel: %g\n", run, (long long)seed, level);
  free(scratch_text(run, "config.yaml", config));
  free(config);
  free(path);
  return run;
}

/* The picture's text; NULL when there is none. */
static char *picture(const char *path) {
  struct stat about;
  if (stat(path, &about) != 0 || about.st_size >= 1 << 20) return NULL;
  size_t bytes = 0;
  return scratch_read(path, &bytes);
}

static int count_of(const char *text, const char *part) {
  int count = 0;
  for (const char *at = text; at && (at = strstr(at, part)); at++) count++;
  return count;
}

static cohort_status drawn(const cohort_plot_request *request, cohort_error *error) {
  *error = (cohort_error){0};
  return cohort_plot_draw(request, error);
}

/* A million rows: at most 200 kB, and the spike is there. */
static void a_million_rows(void) {
  if (!has_gnuplot()) return;
  char *const scratch = scratch_create(), *const run = run_with(scratch, "long", 1000000, 1, 2);
  char *const out = cohort_format_text("%s/loss.svg", scratch);
  cohort_error error;
  const char *const runs[] = {run};
  CU_ASSERT_EQUAL(drawn(&(cohort_plot_request){.runs = 1, .run = runs, .out = out, .smooth = 0.06}, &error),
                  COHORT_DONE);
  struct stat about = {0};
  CU_ASSERT_EQUAL(stat(out, &about), 0);
  CU_ASSERT(about.st_size > 20000 && about.st_size <= 200000);
  char *const text = picture(out);
  CU_ASSERT_PTR_NOT_NULL_FATAL(text);
  CU_ASSERT(strstr(text, ">50<") || strstr(text, ">60<")); /* the axis reaches to the spike of 52 */
  free(text);
  free(out);
  free(run);
  scratch_remove(scratch);
}

/* Twenty runs: as many colours, one a run, their names as they are, 200 kB. */
static void twenty_runs(void) {
  if (!has_gnuplot()) return;
  enum { RUNS = 20 };
  char *const scratch = scratch_create(), *const out = cohort_format_text("%s/all.svg", scratch);
  const char *runs[RUNS];
  for (int r = 0; r < RUNS; r++) {
    char *const name = cohort_format_text("lr_1e-%d", r);
    runs[r] = run_with(scratch, name, 1000, r, 2 + 0.1 * r);
    free(name);
  }
  cohort_error error;
  CU_ASSERT_EQUAL(drawn(&(cohort_plot_request){.runs = RUNS, .run = runs, .out = out, .smooth = 0.06}, &error),
                  COHORT_DONE);
  char *const text = picture(out);
  CU_ASSERT_PTR_NOT_NULL_FATAL(text);
  CU_ASSERT(strlen(text) <= 200000);
  CU_ASSERT_PTR_NOT_NULL(strstr(text, "lr_1e-19</text>"));
  CU_ASSERT_PTR_NULL(strstr(text, "baseline-shift"));                             /* nothing was taken for an index */
  static const char *const some[] = {"rgb( 31, 119, 180)", "rgb(255, 135, 255)"}; /* the first and the last */
  for (int c = 0; c < 2; c++) CU_ASSERT(count_of(text, some[c]) >= 3);            /* train, validation, legend */
  free(text);
  for (int r = 0; r < RUNS; r++) free((void *)(uintptr_t)runs[r]);
  free(out);
  scratch_remove(scratch);
}

/* Runs that share the last part of their path are told apart. */
static void names_differ(void) {
  if (!has_gnuplot()) return;
  char *const scratch = scratch_create(), *const a = cohort_format_text("%s/a", scratch),
              *const b = cohort_format_text("%s/b", scratch), *const out = cohort_format_text("%s/x.svg", scratch);
  CU_ASSERT_EQUAL_FATAL(mkdir(a, 0777) + mkdir(b, 0777), 0);
  char *const first = run_with(a, "run", 50, 1, 2), *const second = run_with(b, "run/", 50, 1, 3);
  const char *const runs[] = {first, second};
  cohort_error error;
  CU_ASSERT_EQUAL(drawn(&(cohort_plot_request){.runs = 2, .run = runs, .out = out, .smooth = 0.06}, &error),
                  COHORT_DONE);
  char *const text = picture(out);
  CU_ASSERT_PTR_NOT_NULL_FATAL(text);
  CU_ASSERT(strstr(text, "a/run<") && strstr(text, "b/run<"));
  free(text);
  free(first);
  free(second);
  free(a);
  free(b);
  free(out);
  scratch_remove(scratch);
}

/* Seeds of one config become one line and a band; another config stays apart. */
static void bands_over_seeds(void) {
  if (!has_gnuplot()) return;
  char *const scratch = scratch_create(), *const out = cohort_format_text("%s/x.svg", scratch);
  const char *runs[4];
  for (int r = 0; r < 4; r++) {
    char *const name = cohort_format_text("r%d", r);
    runs[r] = run_with(scratch, name, 100, r, r < 3 ? 2 : 4);
    free(name);
  }
  cohort_error error;
  const cohort_plot_request request = {.runs = 4, .run = runs, .out = out, .seeds = true, .smooth = 0.06};
  CU_ASSERT_EQUAL(drawn(&request, &error), COHORT_DONE);
  char *const text = picture(out);
  CU_ASSERT_PTR_NOT_NULL_FATAL(text);
  CU_ASSERT_PTR_NOT_NULL(strstr(text, "r0 (3 seeds)"));
  CU_ASSERT_PTR_NOT_NULL(strstr(text, ">r3<"));
  CU_ASSERT_PTR_NULL(strstr(text, ">r1<"));
  free(text);
  for (int r = 0; r < 4; r++) free((void *)(uintptr_t)runs[r]);
  free(out);
  scratch_remove(scratch);
}

static void requests(void) {
  if (!has_gnuplot()) return;
  char *const scratch = scratch_create(), *const run = run_with(scratch, "run", 100, 1, 2);
  char *const png = cohort_format_text("%s/x.png", scratch), *const folder = cohort_format_text("%s/all", scratch),
              *const lost = cohort_format_text("%s/none/x.svg", scratch);
  const char *const runs[] = {run};
  cohort_error error;
  cohort_plot_request request = {.runs = 1, .run = runs, .out = png};
  CU_ASSERT_EQUAL(drawn(&request, &error), COHORT_DONE);
  size_t bytes = 0;
  char *const data = scratch_read(png, &bytes);
  CU_ASSERT(bytes > 1000 && memcmp(data, "\x89PNG", 4) == 0);
  free(data);
  request = (cohort_plot_request){.runs = 1, .run = runs, .out = folder, .png = true, .log_x = true, .log_y = true};
  CU_ASSERT_EQUAL(drawn(&request, &error), COHORT_DONE);
  char *const loss = cohort_format_text("%s/loss.png", folder), *const norm =
                                                                    cohort_format_text("%s/gradient_norm.png", folder);
  CU_ASSERT_EQUAL(access(loss, R_OK), 0);
  CU_ASSERT_NOT_EQUAL(access(norm, R_OK), 0); /* nothing of it is above 0 */
  request.column = "gradient_norm";
  CU_ASSERT_EQUAL(drawn(&request, &error), COHORT_BAD_CONFIG);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "nothing to draw of gradient_norm"));
  request.column = "los";
  CU_ASSERT_EQUAL(drawn(&request, &error), COHORT_BAD_CONFIG);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "did you mean loss"));
  request = (cohort_plot_request){.runs = 1, .run = runs, .out = png, .split = "trian"};
  CU_ASSERT_EQUAL(drawn(&request, &error), COHORT_BAD_CONFIG);
  request = (cohort_plot_request){.runs = 1, .run = runs, .out = lost};
  CU_ASSERT_EQUAL(drawn(&request, &error), COHORT_NO_RESOURCE);
  char *const path = scratch_text(run, "metrics.csv", "a,b\n1,2\n");
  request.out = png;
  CU_ASSERT_EQUAL(drawn(&request, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, path));
  free(path);
  free(loss);
  free(norm);
  free(png);
  free(folder);
  free(lost);
  free(run);
  scratch_remove(scratch);
}

int main(void) {
  static const check checks[] = {
      {"smoothing does not lag", smoothing_does_not_lag},
      {"smoothing smooths", smoothing_smooths},
      {"short curves", short_curves},
      {"thinning keeps extremes", thinning_keeps_extremes},
      {"a million rows", a_million_rows},
      {"twenty runs", twenty_runs},
      {"names differ", names_differ},
      {"bands over seeds", bands_over_seeds},
      {"requests", requests},
  };
  return check_run("plot", checks, sizeof checks / sizeof *checks);
}
