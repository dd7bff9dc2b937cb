/* Clients of a federated session: when they are evaluated, and where that goes. Invariant: clients.csv is that of the
 * last evaluation, whole, and what a run leaves at its end does not depend on how often it was stopped. Costs what the
 * evaluation costs, and a line a client. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "io/plot/map.h"
#include "train/session/loop_state.h"

/* ---- columns ---- */

int cohort_loop_client_columns(const cohort_run *run, char *name[COHORT_CLIENT_COLUMNS]) {
  bool measured[COHORT_CLIENT_FIGURES];
  int count = 0;
  if (!cohort_run_evaluates_clients(run, measured)) return 0;
  for (int f = 0; f < COHORT_CLIENT_FIGURES; f++)
    for (int s = 0; s < COHORT_CLIENT_STATISTICS && measured[f]; s++)
      name[count++] =
          cohort_format_text("clients/%s_%s", cohort_client_figure_name[f], cohort_client_statistic_name[s]);
  return count;
}

int cohort_loop_client_values(const cohort_run *run, const cohort_client_results *clients,
                              double value[COHORT_CLIENT_COLUMNS]) {
  bool measured[COHORT_CLIENT_FIGURES];
  int count = 0;
  if (!cohort_run_evaluates_clients(run, measured)) return 0;
  for (int f = 0; f < COHORT_CLIENT_FIGURES; f++)
    for (int s = 0; s < COHORT_CLIENT_STATISTICS && measured[f]; s++)
      value[count++] = clients ? clients->statistic[f][s] : NAN;
  return count;
}

/* ---- clients.csv ---- */

static void print_number(FILE *to, double value) {
  if (isnan(value))
    (void)fputc(',', to);
  else
    (void)fprintf(to, ",%.9g", value);
}

static cohort_status write_table(const cohort_loop *own, const cohort_client_results *clients, cohort_error *error) {
  char *text = NULL, *path = cohort_format_text("%s/clients.csv", own->directory.path);
  size_t length = 0;
  FILE *to = open_memstream(&text, &length);
  if (!to) return cohort_fail(error, COHORT_NO_RESOURCE, "%s: no memory", path);
  (void)fputs("client,step,samples,evaluated,rounds", to);
  for (int f = 0; f < COHORT_CLIENT_FIGURES; f++)
    if (clients->measured[f]) (void)fprintf(to, ",%s", cohort_client_figure_name[f]);
  (void)fputc('\n', to);
  for (int i = 0; i < clients->clients; i++) {
    (void)fprintf(to, "%lld,%lld,%lld,%lld,%lld", (long long)clients->client[i],
                  (long long)cohort_run_where(own->run).step,
                  (long long)cohort_run_client_samples(own->run, clients->client[i]), (long long)clients->samples[i],
                  (long long)clients->rounds[i]);
    for (int f = 0; f < COHORT_CLIENT_FIGURES; f++)
      if (clients->measured[f]) print_number(to, clients->figure[f][i]);
    (void)fputc('\n', to);
  }
  (void)fclose(to);
  const cohort_status status = cohort_file_write(path, text, length, error);
  free(text);
  free(path);
  return status;
}

/* ---- an evaluation ---- */

static void write_row(cohort_loop *own, const cohort_client_results *clients) {
  cohort_run_row row = {.loss = clients->loss};
  for (int m = 0; m < COHORT_MAX_METRICS; m++) row.columns[m] = NAN;
  if (clients->accuracy_column >= 0) row.columns[clients->accuracy_column] = clients->accuracy;
  cohort_loop_write_row(own, COHORT_LOOP_CLIENTS, &row, clients);
}

cohort_status cohort_loop_evaluate_clients(cohort_loop *own, cohort_error *error) {
  bool measured[COHORT_CLIENT_FIGURES];
  const int64_t step = cohort_run_where(own->run).step;
  const int64_t every = own->settings->federated_settings.evaluate_clients_settings.every;
  const bool end = step == own->settings->steps, known = step == own->session.first_step && own->clients_kept;
  if (!cohort_run_evaluates_clients(own->run, measured)) return COHORT_DONE;
  if (!end && (!cohort_loop_due(every, step) || known)) return COHORT_DONE;
  const double start = cohort_clock_seconds();
  const cohort_traffic before = cohort_loop_traffic(own);
  cohort_comm_phase(own->comm, "evaluation of clients", step);
  COHORT_TRY(cohort_run_evaluate_clients(own->run, &own->session.clients, error));
  cohort_loop_restore_traffic(cohort_run_comm(own->run), &before);
  own->session.evaluation_seconds += cohort_clock_seconds() - start;
  own->session.clients_evaluated = true;
  if (!known) write_row(own, &own->session.clients);
  cohort_error fault;
  if (own->comm->rank == 0 && write_table(own, &own->session.clients, &fault) != COHORT_DONE)
    cohort_log_warning(own->log, "%s; training goes on", fault.text);
  return COHORT_DONE;
}

/* ---- who holds what ---- */

void cohort_loop_draw_labels(const cohort_loop *own) {
  cohort_label_map map;
  if (own->comm->rank != 0 || !cohort_run_label_map(own->run, &map)) return;
  char *title = cohort_format_text("labels of %lld clients, in %% of a client's samples", (long long)map.clients);
  char *across = map.clients_a_column > 1
                     ? cohort_format_text(
                           "clients, %lld side by side in a column, in the order of "
                           "their commonest label",
                           (long long)map.clients_a_column)
                     : cohort_copy_text(map.ordered ? "clients, in the order of their commonest label" : "client");
  char *path = cohort_format_text("%s/plots/labels.svg", own->directory.path);
  const cohort_plot_map picture = {.title = title,
                                   .across = across,
                                   .down = "label",
                                   .above = "samples",
                                   .rows = map.rows,
                                   .columns = map.columns,
                                   .row_step = map.labels_a_row,
                                   .numbered = !map.ordered,
                                   .share = map.share,
                                   .bar = map.samples};
  cohort_error fault;
  if (cohort_plot_map_write(&picture, path, &fault) != COHORT_DONE) cohort_log_warning(own->log, "%s", fault.text);
  free(path);
  free(across);
  free(title);
  cohort_label_map_release(&map);
}
