/* Family federated: strategies. A round is an oracle whose gradient is minus the weighted mean of the clients' changes,
 * so a strategy is a server optimizer of family optimizer with its settings. */
#ifndef COHORT_METHOD_FEDERATED_FEDERATED_H
#define COHORT_METHOD_FEDERATED_FEDERATED_H

#include "method/method.h"

typedef struct cohort_federated {
  const char *server; /* key of the optimizer */
  /* Settings of the server optimizer from the strategy's config, as text "key=value ..." into out. */
  void (*settings)(const void *config, char *out, size_t size);
} cohort_federated;

#endif
