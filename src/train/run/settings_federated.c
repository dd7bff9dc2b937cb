/* The section federated of a config: clients, rounds and strategy. Invariant: what a client does in a round is said
 * once. Costs nothing. */
#include <string.h>

#include "train/run/settings.h"
#include "update/groups.h"

static const cohort_parameter evaluation_table[] = {
    COHORT_INTEGER_RANGE(cohort_client_evaluation_settings, every, "0", 0, 1e12,
                         "how often clients are evaluated; 0: only at the end", .unit = "rounds", .may_change = true),
    COHORT_INTEGER_RANGE(cohort_client_evaluation_settings, clients, "1000", 0, 1e6,
                         "clients that are evaluated: of a larger population so many, drawn once; 0: none",
                         .unit = "clients"),
    {.name = NULL},
};

const cohort_parameter cohort_federated_table[] = {
    COHORT_METHOD_OF(cohort_federated_settings, strategy, "fedavg", "federated",
                     "the server's rule; any optimizer serves too"),
    COHORT_METHOD_OF(cohort_federated_settings, population, "dirichlet", "partition",
                     "the clients, and who holds which training samples"),
    COHORT_INTEGER_RANGE(cohort_federated_settings, clients_per_round, "10", 1, 1e6,
                         "clients that take part in a round", .unit = "clients"),
    COHORT_METHOD_OF(cohort_federated_settings, sampler, "uniform", "sampler", "who takes part in a round"),
    COHORT_SECTION(cohort_federated_settings, clock, clock_settings, cohort_clock_table, "null",
                   "simulated time: how long clients take, who can be asked, who drops out or is late"),
    COHORT_METHOD_OF(cohort_federated_settings, asynchronous, "null", "asynchronous",
                     "a server that does not wait, but steps as changes arrive; null: rounds"),
    COHORT_INTEGER_RANGE(cohort_federated_settings, local_steps, "10", 1, 1e6, "steps of a client in a round",
                         .unit = "steps"),
    COHORT_INTEGER_RANGE(cohort_federated_settings, local_epochs, "0", 0, 1e6,
                         "times that a client goes through its samples in a round, instead of local_steps; 0: it takes "
                         "local_steps",
                         .unit = "epochs"),
    COHORT_REAL_UNIT(
        cohort_federated_settings, holdout, "0",
        "share of each client's samples that it does not train on, but is evaluated on; 0: it is evaluated "
        "on those that it trains on"),
    COHORT_SECTION(cohort_federated_settings, evaluate_clients, evaluate_clients_settings, evaluation_table, "{}",
                   "evaluation of weights on each client's own samples: clients.csv, rows `clients` in metrics.csv"),
    COHORT_INTEGER_RANGE(cohort_federated_settings, local_batch, "32", 0, 1e6,
                         "samples of a client's step; 0: all it has", .unit = "samples"),
    COHORT_METHOD_OF(cohort_federated_settings, client, "sgd", "optimizer",
                     "the clients' optimizer, which starts anew in every round"),
    COHORT_TREE(cohort_federated_settings, client_groups, "parameter groups of the clients' optimizer, like groups",
                .section = cohort_group_table),
    COHORT_REAL_ATLEAST(cohort_federated_settings, client_clip, "0", 0,
                        "largest global norm of a client's gradient; 0: no clipping"),
    COHORT_METHOD_OF(cohort_federated_settings, client_schedule, "constant", "schedule",
                     "schedule of the clients' learning rate, over rounds"),
    COHORT_METHOD_OF(cohort_federated_settings, privacy, "null", "privacy",
                     "what hides a client's part in the rounds: a mechanism that clips and adds noise; null: nothing"),
    COHORT_METHOD_OF(cohort_federated_settings, robust, "null", "robust",
                     "how changes are joined where clients may be malicious, instead of their mean; null: that"),
    COHORT_METHOD_OF(cohort_federated_settings, attack, "null", "attack",
                     "what malicious clients do; null: there are none"),
    COHORT_SECTION(
        cohort_federated_settings, secure, secure_settings, cohort_secure_table, "null",
        "secure aggregation: the server gets the sum of the clients' changes alone, as masked whole numbers; "
        "null: none"),
    {.name = NULL},
};

/* How long a client works is said once. */
void cohort_federated_check(const cohort_document *document, cohort_faults *faults) {
  const cohort_document *federated = cohort_document_get(document, "federated");
  const cohort_document *steps = cohort_document_get(federated, "local_steps");
  const cohort_document *epochs = cohort_document_get(federated, "local_epochs");
  const bool both = steps && epochs && !cohort_document_is_null(steps) && !cohort_document_is_null(epochs);
  if (both && strcmp(epochs->text ? epochs->text : "", "0") != 0)
    cohort_faults_add(faults, epochs, "federated.local_epochs: local_steps is given too; remove one of them");
}
