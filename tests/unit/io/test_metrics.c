/* A run's numbers: the text of the files, resuming, TensorBoard records, plots. */
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "io/metrics.h"
#include "io/plot.h"
#include "scratch.h"

static const char *const two_columns[] = {"preference/margin", "accuracy"};
static const char header[] =
    "step,split,epoch,samples,tokens,loss,learning_rate,gradient_norm,accuracy,preference/margin\n";

static char *run_create(void) {
  char *const run = scratch_create(), *const inside = cohort_format_text("%s/tensorboard", run);
  CU_ASSERT_EQUAL_FATAL(mkdir(inside, 0777), 0);
  free(inside);
  return run;
}

static cohort_metrics *open_run(const char *run, int64_t resume_step) {
  cohort_metrics *out = NULL;
  cohort_error error = {0};
  const cohort_status status = cohort_metrics_open(run, resume_step, NULL, 2, two_columns, &out, &error);
  if (status != COHORT_DONE) printf("    %s\n", error.text);
  CU_ASSERT_EQUAL_FATAL(status, COHORT_DONE);
  return out;
}

static void write_step(cohort_metrics *metrics, int64_t step, const char *split, double loss) {
  const double extra[] = {0.25, (double)step / 3};
  const cohort_metrics_row row = {.step = step,
                                  .split = split,
                                  .epoch = 0.5 * (double)step,
                                  .samples = 10 * step,
                                  .tokens = -1,
                                  .loss = loss,
                                  .learning_rate = 1e-3,
                                  .gradient_norm = NAN,
                                  .extra = extra};
  CU_ASSERT_EQUAL(cohort_metrics_write(metrics, &row, NULL), COHORT_DONE);
  const cohort_timing_row timing = {.step = step,
                                    .seconds = 1.5,
                                    .samples_per_second = 100,
                                    .tokens_per_second = NAN,
                                    .gflops_per_second = 2,
                                    .bytes_received = 1u << 20,
                                    .peak_memory_bytes = 3e9,
                                    .messages = 7,
                                    .hidden_communication_seconds = 0.25};
  CU_ASSERT_EQUAL(cohort_metrics_write_timing(metrics, &timing, NULL), COHORT_DONE);
}

static char *read_in(const char *run, const char *name, size_t *length) {
  char *const path = cohort_format_text("%s/%s", run, name);
  char *const text = scratch_read(path, length);
  free(path);
  return text;
}

static void holds(const char *run, const char *name, const char *wanted) {
  size_t length = 0;
  char *const text = read_in(run, name, &length);
  CU_ASSERT_EQUAL(length, strlen(wanted));
  if (strcmp(text, wanted) != 0) printf("    \"%s\"\n    wanted \"%s\"\n", text, wanted);
  CU_ASSERT_STRING_EQUAL(text, wanted);
  free(text);
}

static void columns_and_numbers(void) {
  char *const run = run_create();
  cohort_metrics *const metrics = open_run(run, -1);
  write_step(metrics, 1, "train", 2.0 / 3);
  /* Flushed row by row: it is there before the file is closed. */
  char *const wanted = cohort_format_text("%s1,train,0.5,10,,0.666666667,0.001,,0.333333333,0.25\n", header);
  holds(run, "metrics.csv", wanted);
  holds(run, "timing.csv",
        "step,seconds,samples_per_second,tokens_per_second,gflops_per_second,exposed_communication_seconds,"
        "checkpoint_seconds,evaluation_seconds,bytes_received,peak_memory_bytes,messages,hidden_communication_seconds\n"
        "1,1.5,100,,2,0,0,0,1048576,3e+09,7,0.25\n");
  const double extra[] = {NAN, NAN};
  const cohort_metrics_row row = {2, "test", NAN, -1, 7, INFINITY, NAN, 1e-300, extra};
  CU_ASSERT_EQUAL(cohort_metrics_write(metrics, &row, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL(cohort_metrics_close(metrics, NULL), COHORT_DONE);
  char *const longer = cohort_format_text("%s2,test,,,7,inf,,1e-300,,\n", wanted);
  holds(run, "metrics.csv", longer);
  free(longer);
  free(wanted);
  scratch_remove(run);
}

static void resume_cuts_later_rows(void) {
  char *const run = run_create();
  cohort_metrics *metrics = open_run(run, -1);
  write_step(metrics, 0, "validation", 5);
  for (int64_t step = 1; step <= 12; step++) write_step(metrics, step, "train", (double)step);
  write_step(metrics, 9, "validation", 9);
  CU_ASSERT_EQUAL(cohort_metrics_close(metrics, NULL), COHORT_DONE);
  size_t length = 0;
  char *const whole = read_in(run, "metrics.csv", &length);
  char *const timing = read_in(run, "timing.csv", &length);
  char *const cut = strstr(whole, "10,train,"), *const late = strstr(whole, "9,validation,");
  CU_ASSERT_PTR_NOT_NULL_FATAL(cut);
  CU_ASSERT_PTR_NOT_NULL_FATAL(late);
  char *const wanted = cohort_format_text("%.*s%s", (int)(cut - whole), whole, late);
  CU_ASSERT_EQUAL(cohort_metrics_close(open_run(run, 9), NULL), COHORT_DONE);
  holds(run, "metrics.csv", wanted);
  /* Going on from there gives the file of a run that was never stopped. */
  metrics = open_run(run, 9);
  for (int64_t step = 10; step <= 12; step++) write_step(metrics, step, "train", (double)step);
  CU_ASSERT_EQUAL(cohort_metrics_close(metrics, NULL), COHORT_DONE);
  char *const again = read_in(run, "metrics.csv", &length);
  CU_ASSERT_PTR_NOT_NULL(strstr(again, cut > late ? late : "10,train,5,100,,10,0.001,,3.33333333,0.25\n"));
  CU_ASSERT_EQUAL(strlen(again), strlen(whole));
  CU_ASSERT_EQUAL(cohort_metrics_close(open_run(run, -1), NULL), COHORT_DONE);
  holds(run, "metrics.csv", header);
  free(again);
  free(wanted);
  free(timing);
  free(whole);
  scratch_remove(run);
}

static void cut_last_line_goes(void) {
  char *const run = run_create();
  char *const text = cohort_format_text("%s1,train,1,1,,1,1,1,1,1\n2,train,1,1,,1,1,1,1,1\n3,tra", header);
  free(scratch_text(run, "metrics.csv", text));
  CU_ASSERT_EQUAL(cohort_metrics_close(open_run(run, 100), NULL), COHORT_DONE);
  *strstr(text, "3,tra") = '\0';
  holds(run, "metrics.csv", text);
  free(scratch_text(run, "metrics.csv", "step,spl")); /* killed while it was made */
  CU_ASSERT_EQUAL(cohort_metrics_close(open_run(run, 100), NULL), COHORT_DONE);
  holds(run, "metrics.csv", header);
  free(scratch_text(run, "metrics.csv", ""));
  CU_ASSERT_EQUAL(cohort_metrics_close(open_run(run, 100), NULL), COHORT_DONE);
  holds(run, "metrics.csv", header);
  free(text);
  scratch_remove(run);
}

/* What only the end of a shorter run has brought goes; the rest is known. */
static void rows_of_an_end_go(void) {
  static const char *const ended[] = {"train", "test", NULL};
  char *const run = run_create();
  cohort_metrics *metrics = open_run(run, -1);
  for (int64_t step = 2; step <= 6; step += 2) write_step(metrics, step, "train", (double)step);
  write_step(metrics, 7, "train", 0.125);
  write_step(metrics, 7, "test", 7);
  write_step(metrics, 7, "validation", 8);
  CU_ASSERT_EQUAL(cohort_metrics_close(metrics, NULL), COHORT_DONE);
  double loss = 0;
  metrics = open_run(run, 7);
  CU_ASSERT_EQUAL(cohort_metrics_last_train(metrics, &loss), 7);
  CU_ASSERT_EQUAL(loss, 0.125);
  CU_ASSERT_TRUE(cohort_metrics_kept(metrics, "test"));
  CU_ASSERT_EQUAL(cohort_metrics_close(metrics, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL_FATAL(cohort_metrics_open(run, 7, ended, 2, two_columns, &metrics, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL(cohort_metrics_last_train(metrics, &loss), 6);
  CU_ASSERT_TRUE(cohort_metrics_kept(metrics, "validation"));
  CU_ASSERT_FALSE(cohort_metrics_kept(metrics, "test"));
  CU_ASSERT_FALSE(cohort_metrics_kept(metrics, "train"));
  CU_ASSERT_EQUAL(cohort_metrics_close(metrics, NULL), COHORT_DONE);
  size_t length = 0;
  char *const text = read_in(run, "metrics.csv", &length);
  CU_ASSERT_PTR_NOT_NULL(strstr(text, "\n7,validation,"));
  CU_ASSERT_PTR_NULL(strstr(text, "7,train,"));
  CU_ASSERT_PTR_NULL(strstr(text, "7,test,"));
  free(text);
  scratch_remove(run);
}

/* A limit on a file's size stands for a full disk: it bites in the middle of a row. */
static void rows_wait_for_a_full_disk(void) {
  char *const run = run_create(), *const other = run_create();
  struct rlimit before, small;
  CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &before), 0);
  (void)signal(SIGXFSZ, SIG_IGN);
  cohort_metrics *metrics = open_run(run, -1), *const whole = open_run(other, -1);
  for (int64_t step = 1; step <= 9; step++) write_step(whole, step, "train", 1.0 / (double)step);
  CU_ASSERT_EQUAL(cohort_metrics_close(whole, NULL), COHORT_DONE);
  write_step(metrics, 1, "train", 1);
  small = before;
  size_t begun = 0;
  free(read_in(run, "metrics.csv", &begun));
  small.rlim_cur = begun + 10; /* some of the next row */
  CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &small), 0);
  const double extra[] = {0.25, 2.0 / 3};
  cohort_error error = {0};
  const cohort_metrics_row row = {.step = 2,
                                  .split = "train",
                                  .epoch = 1,
                                  .samples = 20,
                                  .tokens = -1,
                                  .loss = 0.5,
                                  .learning_rate = 1e-3,
                                  .gradient_norm = NAN,
                                  .extra = extra};
  CU_ASSERT_EQUAL(cohort_metrics_write(metrics, &row, &error), COHORT_NO_RESOURCE);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "metrics.csv"));
  CU_ASSERT_EQUAL(cohort_metrics_sync(metrics, &error), COHORT_NO_RESOURCE);
  CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &before), 0);
  for (int64_t step = 3; step <= 9; step++) write_step(metrics, step, "train", 1.0 / (double)step);
  CU_ASSERT_EQUAL(cohort_metrics_close(metrics, NULL), COHORT_DONE);
  size_t length = 0;
  char *const text = read_in(other, "metrics.csv", &length);
  holds(run, "metrics.csv", text);
  free(text);
  scratch_remove(run);
  scratch_remove(other);
}

static void other_headers_are_refused(void) {
  char *const run = run_create();
  const char *const texts[] = {"step,loss\n1,2\n", "\n",
                               "step,split,epoch,samples,tokens,loss,learning_rate,gradient_norm,accuracy\n1\n"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    char *const path = scratch_text(run, "metrics.csv", texts[i]);
    cohort_metrics *out = NULL;
    cohort_error error = {0};
    CU_ASSERT_EQUAL(cohort_metrics_open(run, 5, NULL, 2, two_columns, &out, &error), COHORT_BAD_DATA);
    CU_ASSERT_PTR_NULL(out);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, path));
    holds(run, "metrics.csv", texts[i]);
    free(path);
  }
  cohort_metrics *out = NULL;
  cohort_error error = {0};
  CU_ASSERT_EQUAL(cohort_metrics_open("/nonexistent", -1, NULL, 0, NULL, &out, &error), COHORT_NO_RESOURCE);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "/nonexistent/metrics.csv"));
  CU_ASSERT_PTR_NULL(out);
  scratch_remove(run);
}

/* CRC-32C by the definition, bit by bit from the top: another way than the writer's. */
static uint32_t checksum(const unsigned char *data, size_t length) {
  uint32_t sum = 0xFFFFFFFFu;
  for (size_t i = 0; i < 8 * length; i++) {
    const uint32_t bit = ((uint32_t)data[i / 8] >> (i % 8) & 1u) ^ (sum >> 31);
    sum = sum << 1 ^ (bit ? 0x1EDC6F41u : 0);
  }
  uint32_t reversed = 0;
  for (int i = 0; i < 32; i++) reversed |= (sum >> i & 1u) << (31 - i);
  reversed = ~reversed;
  return (reversed >> 15 | reversed << 17) + 0xA282EAD8u;
}

static uint32_t word(const unsigned char *at) {
  return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void tensorboard_records(void) {
  CU_ASSERT_EQUAL(checksum((const unsigned char *)"123456789", 9),
                  ((0xE3069283u >> 15 | 0xE3069283u << 17) + 0xA282EAD8u));
  char *const run = run_create();
  cohort_metrics *const metrics = open_run(run, -1);
  write_step(metrics, 300, "train", 0.5);
  CU_ASSERT_EQUAL(cohort_metrics_close(metrics, NULL), COHORT_DONE);
  size_t length = 0;
  char *const data = read_in(run, "tensorboard/events.out.tfevents.0000000000.cohort", &length);
  const unsigned char *const bytes = (const unsigned char *)data;
  int records = 0;
  bool found = false;
  size_t at = 0;
  while (at + 16 <= length) {
    const size_t own = word(bytes + at);
    CU_ASSERT_EQUAL(word(bytes + at + 4), 0);
    CU_ASSERT_TRUE_FATAL(at + 16 + own <= length);
    CU_ASSERT_EQUAL(word(bytes + at + 8), checksum(bytes + at, 8));
    CU_ASSERT_EQUAL(word(bytes + at + 12 + own), checksum(bytes + at + 12, own));
    if (records == 0)
      CU_ASSERT_PTR_NOT_NULL(memmem(bytes + at + 12, own,
                                    "\x1a\x0d"
                                    "brain.Event:2",
                                    15));
    /* summary { value { tag, simple_value: 0.5 } }, at step 300 */
    found |= memmem(bytes + at + 12, own, "\x0a\x0atrain/loss\x15\x00\x00\x00\x3f", 17) &&
             memmem(bytes + at + 12, own, "\x10\xac\x02", 3);
    records++;
    at += 16 + own;
  }
  CU_ASSERT_EQUAL(at, length);
  CU_ASSERT_EQUAL(records, 5); /* version, loss, learning rate, two columns; the norm was not measured */
  CU_ASSERT_TRUE(found);
  free(data);
  scratch_remove(run);
}

static bool is_picture(const char *directory, const char *name) {
  char *const path = cohort_format_text("%s/%s", directory, name);
  if (access(path, R_OK) != 0) {
    free(path);
    return false;
  }
  size_t length = 0;
  char *const text = scratch_read(path, &length);
  const bool whole = strstr(text, "<svg") && strstr(text, "</svg>");
  free(text);
  free(path);
  return whole;
}

static int curves(const char *directory, const char *name) {
  size_t length = 0;
  char *const text = read_in(directory, name, &length);
  int count = 0;
  for (const char *at = text; (at = strstr(at, "gnuplot_plot_")); at++) count += strncmp(at - 4, "id=\"", 4) == 0;
  free(text);
  return count;
}

static char *run_with_rows(const char *below, const char *name) {
  char *const run = cohort_format_text("%s/%s", below, name), *const inside = cohort_format_text("%s/tensorboard", run);
  CU_ASSERT_EQUAL_FATAL(mkdir(run, 0777), 0);
  CU_ASSERT_EQUAL_FATAL(mkdir(inside, 0777), 0);
  cohort_metrics *const metrics = open_run(run, -1);
  for (int64_t step = 1; step <= 20; step++) write_step(metrics, step, "train", 1.0 / (double)step);
  write_step(metrics, 10, "validation", 0.3);
  write_step(metrics, 20, "validation", 0.2);
  CU_ASSERT_EQUAL(cohort_metrics_close(metrics, NULL), COHORT_DONE);
  free(inside);
  return run;
}

static bool has_gnuplot(void) { return system("command -v gnuplot > /dev/null 2>&1") == 0; }

/* Nothing of the gradient norm was measured here: the other pictures are made all the same. */
static void plots_of_one_run(void) {
  char *const scratch = scratch_create(), *const run = run_with_rows(scratch, "it's a \"run\"");
  const cohort_log log = {0};
  const char *const runs[] = {run};
  char *const plots = cohort_format_text("%s/plots", run);
  CU_ASSERT_EQUAL(cohort_plot_runs(1, runs, NULL, &log, NULL), COHORT_DONE);
  if (has_gnuplot()) {
    CU_ASSERT_TRUE_FATAL(is_picture(plots, "loss.svg"));
    CU_ASSERT_EQUAL(curves(plots, "loss.svg"), 3); /* train, its smoothed line, validation */
    CU_ASSERT_TRUE(is_picture(plots, "learning_rate.svg"));
    CU_ASSERT_TRUE(is_picture(plots, "accuracy.svg"));
    CU_ASSERT_TRUE(is_picture(plots, "preference_margin.svg"));
    CU_ASSERT_FALSE(is_picture(plots, "gradient_norm.svg"));
  }
  free(plots);
  free(run);
  scratch_remove(scratch);
}

/* Each run's own header says where a column stands. */
static void plots_find_columns_by_name(void) {
  char *const scratch = scratch_create(), *const a = run_with_rows(scratch, "a");
  char *const b = cohort_format_text("%s/b", scratch), *const out = cohort_format_text("%s/out", scratch);
  CU_ASSERT_EQUAL_FATAL(mkdir(b, 0777), 0);
  free(scratch_text(b, "metrics.csv",
                    "step,split,epoch,samples,tokens,loss,learning_rate,gradient_norm,other,preference/margin\n"
                    "1,train,,,,1,,,5,\n2,train,,,,1,,,6,\n3,train,,"));
  const cohort_log log = {0};
  const char *const runs[] = {a, b};
  CU_ASSERT_EQUAL(cohort_plot_runs(2, runs, out, &log, NULL), COHORT_DONE);
  if (has_gnuplot()) {
    CU_ASSERT_TRUE_FATAL(is_picture(out, "accuracy.svg"));
    CU_ASSERT_EQUAL(curves(out, "accuracy.svg"), 3 + 4); /* of a; b has no accuracy; the legend */
    CU_ASSERT_TRUE_FATAL(is_picture(out, "other.svg"));
    CU_ASSERT_EQUAL(curves(out, "other.svg"), 1 + 3);
    CU_ASSERT_EQUAL(curves(out, "preference_margin.svg"), 3 + 4);
    CU_ASSERT_EQUAL(curves(out, "loss.svg"), 3 + 1 + 4);
  }
  free(out);
  free(b);
  free(a);
  scratch_remove(scratch);
}

/* A run without rows has no pictures, and that is no fault; nor is a gnuplot that is not there. */
static void plots_of_nothing(void) {
  char *const run = run_create(), *const path = cohort_copy_text(getenv("PATH"));
  const cohort_log log = {0};
  const char *const runs[] = {run};
  CU_ASSERT_EQUAL(cohort_metrics_close(open_run(run, -1), NULL), COHORT_DONE);
  CU_ASSERT_EQUAL(cohort_plot_runs(1, runs, NULL, &log, NULL), COHORT_DONE);
  FILE *const file = tmpfile();
  const cohort_log speaking = {.file = file, .speaks = true, .quiet = true};
  CU_ASSERT_EQUAL(setenv("PATH", "/nonexistent", 1), 0);
  CU_ASSERT_EQUAL(cohort_plot_runs(1, runs, NULL, &speaking, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL(setenv("PATH", path, 1), 0);
  char text[256] = {0};
  rewind(file);
  CU_ASSERT_TRUE(fread(text, 1, sizeof text - 1, file) > 0);
  CU_ASSERT_PTR_NOT_NULL(strstr(text, "gnuplot is not installed"));
  fclose(file);
  free(path);
  scratch_remove(run);
}

static void plots_of_several_runs(void) {
  char *const scratch = scratch_create(), *const a = run_with_rows(scratch, "a"),
              *const b = run_with_rows(scratch, "b");
  char *const out = cohort_format_text("%s/new/plots", scratch);
  const cohort_log log = {0};
  const char *const runs[] = {a, b}, *const missing[] = {a, "/nonexistent/run"};
  cohort_error error = {0};
  CU_ASSERT_EQUAL(cohort_plot_runs(2, runs, out, &log, &error), COHORT_DONE);
  if (has_gnuplot()) {
    CU_ASSERT_TRUE_FATAL(is_picture(out, "loss.svg"));
    CU_ASSERT_EQUAL(curves(out, "loss.svg"), 10); /* three of each; the legend: two names, two splits */
    CU_ASSERT_TRUE(is_picture(out, "preference_margin.svg"));
  }
  CU_ASSERT_NOT_EQUAL(cohort_plot_runs(2, missing, out, &log, &error), COHORT_DONE);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "/nonexistent/run"));
  free(out);
  free(a);
  free(b);
  scratch_remove(scratch);
}

/* Whatever stands in the file: continued with a good header and whole lines, or refused and left as it is. */
static void mutated_files(void) {
  char *const run = run_create();
  char *const seed =
      cohort_format_text("%s1,train,1,1,,1,1,1,1,1\n2,train,1,1,,1,1,1,1,1\n30,test,1,1,,1,1,,1,1\n", header);
  uint64_t state = 17;
  int good = 0, bad = 0;
  for (int i = 0; i < 400; i++) {
    size_t length = 0, kept = 0;
    unsigned char *const text = mutate(&state, seed, strlen(seed), "\n,0129-s", &length);
    char *const path = scratch_file(run, "metrics.csv", text, length);
    cohort_metrics *out = NULL;
    cohort_error error = {0};
    const cohort_status status = cohort_metrics_open(run, 2, NULL, 2, two_columns, &out, &error);
    if (status == COHORT_DONE) {
      good++;
      CU_ASSERT_EQUAL(cohort_metrics_close(out, NULL), COHORT_DONE);
    } else {
      bad++;
      CU_ASSERT_EQUAL(status, COHORT_BAD_DATA);
      CU_ASSERT_PTR_NOT_NULL(strstr(error.text, path));
    }
    char *const after = scratch_read(path, &kept);
    if (status == COHORT_DONE) {
      CU_ASSERT_EQUAL(strncmp(after, header, sizeof header - 1), 0);
      CU_ASSERT_EQUAL(after[strlen(after) - 1], '\n');
      for (const char *line = after + sizeof header - 1; *line; line = strchr(line, '\n') + 1)
        CU_ASSERT_TRUE(strtoll(line, NULL, 10) <= 2);
    } else {
      CU_ASSERT_TRUE(kept == length && memcmp(after, text, length) == 0);
    }
    free(after);
    free(path);
    free(text);
  }
  CU_ASSERT_TRUE(good > 30);
  CU_ASSERT_TRUE(bad > 30);
  free(seed);
  scratch_remove(run);
}

int main(void) {
  static const check checks[] = {
      {"columns and numbers", columns_and_numbers},     {"resume cuts later rows", resume_cuts_later_rows},
      {"rows of an end go", rows_of_an_end_go},         {"rows wait for a full disk", rows_wait_for_a_full_disk},
      {"cut last line goes", cut_last_line_goes},       {"other headers are refused", other_headers_are_refused},
      {"TensorBoard records", tensorboard_records},     {"plots of one run", plots_of_one_run},
      {"plots of several runs", plots_of_several_runs}, {"plots find columns by name", plots_find_columns_by_name},
      {"plots of nothing", plots_of_nothing},           {"mutated files", mutated_files},
  };
  return check_run("metrics", checks, sizeof checks / sizeof *checks);
}
