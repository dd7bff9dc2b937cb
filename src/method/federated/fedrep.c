/* FedRep (Collins et al., 2021): a client first fits a head of its own to the shared representation, then moves the
 * representation with the head fixed; the representations are averaged. Its cost is that of fedavg and the head's
 * steps, and a row of the personal tensors for each client that ever took part. */
#include "method/federated/heads.h"

typedef struct fedrep_config {
  cohort_head_config head;
  double learning_rate;
  int64_t head_steps;
} fedrep_config;

static const cohort_parameter parameters[] = {
    COHORT_SERVER_LEARNING_RATE(fedrep_config),
    COHORT_INTEGER_RANGE(fedrep_config, head_steps, "0", 0, 1e6,
                         "steps of the head alone, before the round's local steps move the other tensors; 0: as many "
                         "as these",
                         .unit = "steps"),
    COHORT_HEAD_PARAMETERS,
    {.name = NULL},
};

static const cohort_federated_vector vectors[] = {COHORT_HEAD_VECTOR, {.name = NULL}};

static const cohort_identity identities[] = {
    {"tensors=0", "fedavg", ""},
    {.settings = NULL, .method = NULL},
};

/* The head's batches are further ones than those of the round's steps. */
static cohort_status local(cohort_federated_client *client, cohort_error *error) {
  const fedrep_config *own = client->config;
  const bool any = own->head.tensors > 0 || own->head.names;
  const int64_t head = !any ? 0 : own->head_steps ? own->head_steps : client->steps;
  for (int64_t s = 0; s < head; s++) {
    client->step = client->steps + s;
    COHORT_TRY(client->call->step(client, COHORT_CLIENT_LOCAL, COHORT_MOVES_PERSONAL, error));
  }
  for (client->step = 0; client->step < client->steps; client->step++)
    COHORT_TRY(client->call->step(client, COHORT_CLIENT_LOCAL, COHORT_MOVES_SHARED, error));
  return COHORT_DONE;
}

static const cohort_federated functions = {.vectors = vectors,
                                           .personal = cohort_head_has,
                                           .begin = cohort_head_take,
                                           .local = local,
                                           .leave = cohort_head_leave};

static const cohort_method fedrep = {
    .family = "federated",
    .key = "fedrep",
    .summary = "a shared representation, averaged, under heads that each client fits first and keeps to itself",
    .title = "Exploiting Shared Representations for Personalized Federated Learning",
    .source = "Collins, Hassani, Mokhtari and Shakkottai, ICML 2021, Algorithm 1",
    .formula =
        "w is (shared, head_i): client i takes head_steps steps of head_i at the round's shared, then its local steps "
        "of "
        "shared at that head_i; shared += learning_rate sum_i n_i change_i / sum_i n_i (the paper: equal clients)",
    .config_size = sizeof(fedrep_config),
    .parameters = parameters,
    .identities = identities,
    .functions = &functions,
};

const cohort_method *const cohort_federated_fedrep[] = {&fedrep, NULL};
