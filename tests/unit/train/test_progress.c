/* The line of progress on a pseudo terminal of any width: never as wide as it, and the last validation stays. */
#include <fcntl.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"
#include "train/session/progress.h"

typedef struct terminal_screen {
  int master, saved;
  char text[65536];
  size_t length;
} terminal_screen;

/* From here on standard error is a terminal of so many columns. */
static void open_screen(terminal_screen *own, int columns) {
  int terminal = -1;
  const struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)columns};
  *own = (terminal_screen){.saved = dup(STDERR_FILENO)};
  CU_ASSERT_EQUAL_FATAL(openpty(&own->master, &terminal, NULL, NULL, &size), 0);
  CU_ASSERT_EQUAL_FATAL(dup2(terminal, STDERR_FILENO), STDERR_FILENO);
  (void)close(terminal);
  (void)fcntl(own->master, F_SETFL, O_NONBLOCK);
}

static void read_screen(terminal_screen *own) {
  ssize_t got;
  while ((got = read(own->master, own->text + own->length, sizeof own->text - 1 - own->length)) > 0)
    own->length += (size_t)got;
  own->text[own->length] = '\0';
}

static void close_screen(terminal_screen *own) {
  read_screen(own);
  (void)dup2(own->saved, STDERR_FILENO);
  (void)close(own->saved);
  (void)close(own->master);
}

/* Columns that the text before the next return or line end takes; escape sequences take none. */
static int width_of(const char *line) {
  int width = 0;
  for (; *line && *line != '\r' && *line != '\n'; line++) {
    if (*line == '\033')
      while (line[1] && *line != 'K') line++;
    else
      width++;
  }
  return width;
}

static int widest(const char *text) {
  int most = 0;
  for (const char *at = text; *at; at++) {
    const int width = at == text || at[-1] == '\r' || at[-1] == '\n' ? width_of(at) : 0;
    if (width > most) most = width;
  }
  return most;
}

static const char *const parts[] = {"loss 0.4512", "validation 0.7284", "accuracy 0.9600", "1234567 samples/s"};

static void test_widths(void) {
  static const int widths[] = {60, 61, 72, 80, 100, 120, 160, 200};
  static const int64_t totals[] = {7, 20000, 1000000};
  for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
    for (size_t t = 0; t < sizeof totals / sizeof *totals; t++) {
      terminal_screen screen;
      cohort_log log = {.speaks = true};
      cohort_progress progress;
      open_screen(&screen, widths[w]);
      cohort_progress_open(&progress, &log, "step", 0, totals[t]);
      progress.start -= 5000; /* hours are left */
      CU_ASSERT(progress.terminal);
      cohort_progress_show(&progress, 1, parts, 1);
      for (int64_t done = 1; done <= totals[t]; done += totals[t] / 7) cohort_progress_show(&progress, done, parts, 4);
      cohort_progress_close(&progress);
      close_screen(&screen);
      const int most = widest(screen.text);
      if (most >= widths[w]) printf("    %d of %d columns\n", most, widths[w]);
      CU_ASSERT(most < widths[w] && most > 40);
      CU_ASSERT_PTR_NOT_NULL(strstr(screen.text, "loss 0.4512  validation 0.7284"));
      CU_ASSERT(widths[w] < 160 || strstr(screen.text, "[###"));
      CU_ASSERT(widths[w] < 120 || strstr(screen.text, " samples/s"));
      CU_ASSERT_EQUAL(screen.text[screen.length - 1], '\n');
    }
}

/* A window that is made narrow meanwhile, even absurdly. */
static void test_resize(void) {
  terminal_screen screen;
  cohort_log log = {.speaks = true};
  cohort_progress progress;
  open_screen(&screen, 200);
  cohort_progress_open(&progress, &log, "step", 0, 20000);
  for (int columns = 200; columns > 0; columns -= 9) {
    const struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)columns};
    CU_ASSERT_EQUAL(ioctl(screen.master, TIOCSWINSZ, &size), 0);
    screen.length = 0;
    cohort_progress_show(&progress, 12345, parts, 4);
    read_screen(&screen);
    CU_ASSERT(widest(screen.text) < columns);
  }
  cohort_progress_close(&progress);
  close_screen(&screen);
}

/* A warning in the middle stands on a line of its own. */
static void test_messages(void) {
  terminal_screen screen;
  cohort_log log = {.speaks = true};
  cohort_progress progress;
  open_screen(&screen, 80);
  cohort_progress_open(&progress, &log, "step", 0, 10);
  cohort_progress_show(&progress, 5, parts, 1);
  cohort_log_warning(&log, "something");
  cohort_log_line(&log, "and more");
  cohort_progress_close(&progress);
  CU_ASSERT_PTR_NULL(log.line_open);
  close_screen(&screen);
  CU_ASSERT_PTR_NOT_NULL(strstr(screen.text, "\ncohort: warning: something\r\nand more\r\n"));
}

/* Without a terminal: whole lines with everything. */
static void test_lines(void) {
  char text[256] = "";
  FILE *file = tmpfile();
  CU_ASSERT_FATAL(file != NULL);
  cohort_log log = {.speaks = true, .file = file};
  cohort_progress progress;
  cohort_progress_open(&progress, &log, "step", 0, 20);
  progress.terminal = false;
  CU_ASSERT(!cohort_progress_due(&progress, 3) && cohort_progress_due(&progress, 4));
  log.quiet = true; /* to the file alone */
  cohort_progress_show(&progress, 4, parts, 4);
  cohort_progress_close(&progress);
  rewind(file);
  CU_ASSERT_PTR_NOT_NULL(fgets(text, sizeof text, file));
  CU_ASSERT_PTR_NOT_NULL(
      strstr(text, "step 4/20  loss 0.4512  validation 0.7284  accuracy 0.9600  1234567 samples/s  0m00s left\n"));
  (void)fclose(file);
}

static const check checks[] = {
    {"every width", test_widths},
    {"a window that changes", test_resize},
    {"messages in between", test_messages},
    {"lines without a terminal", test_lines},
};

int main(void) { return check_run("progress", checks, sizeof checks / sizeof *checks); }
