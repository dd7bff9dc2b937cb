/* Keys: what a config accepts is what `cohort keys` lists. */
#include <dirent.h>

#include "base/foreign.h"
#include "check.h"
#include "io/config.h"
#include "method/registry.h"
#include "train/run/keys.h"
#include "train/run/settings.h"

static char *described(const char *key, cohort_keys_format format) {
  char *text = NULL;
  cohort_error error = {.text = ""};
  if (cohort_keys_describe(key, format, &text, &error) != COHORT_DONE) printf("    %s\n", error.text);
  return text;
}

/* Every key of the tables is in each list and has a page, a meaning that stands alone, a type and its takers. */
static void check_key(void *argument, const char *path, const cohort_parameter *key) {
  char *const *list = argument;
  char name[128];
  CU_ASSERT_PTR_EQUAL(cohort_keys_find(path), key);
  CU_ASSERT_FATAL(key->meaning != NULL && strlen(key->meaning) >= 8);
  (void)snprintf(name, sizeof name, key->section ? "\n%s: " : "\n  %s ", path);
  if (!strstr(list[0], name)) printf("    %s is not listed\n", path);
  CU_ASSERT_PTR_NOT_NULL(strstr(list[0], name));
  (void)snprintf(name, sizeof name, "\n%s\t", path);
  CU_ASSERT_PTR_NOT_NULL(strstr(list[1], name));
  (void)snprintf(name, sizeof name, key->section ? "\n## %s\n" : "\n| `%s` |", path);
  CU_ASSERT_PTR_NOT_NULL(strstr(list[2], name));
  char *page = described(path, COHORT_KEYS_TEXT);
  CU_ASSERT_FATAL(page != NULL);
  CU_ASSERT(strstr(page, key->meaning) && strstr(page, "\nType ") && strstr(page, "\nDefault ") &&
            strstr(page, "\nTaken by "));
  free(page);
}

static void test_tables(void) {
  char *list[3];
  for (int format = 0; format < 3; format++) list[format] = described(NULL, (cohort_keys_format)format);
  cohort_keys_walk(false, check_key, list);
  for (int format = 0; format < 3; format++) free(list[format]);
}

static int leaves;

/* Every leaf of a config is a key that is found. */
static void check_document(const cohort_document *document, const char *path) {
  for (size_t i = 0; i < document->count; i++) {
    char name[256], number[24];
    (void)snprintf(number, sizeof number, "%zu", i);
    (void)snprintf(name, sizeof name, "%s%s%s", path, *path ? "." : "",
                   document->kind == COHORT_MAP ? document->names[i] : number);
    check_document(document->children[i], name);
  }
  if (document->count) return;
  leaves++;
  if (!cohort_keys_find(path)) printf("    %s is accepted, but not found\n", path);
  CU_ASSERT_PTR_NOT_NULL(cohort_keys_find(path));
}

static void test_recipes(void) {
  DIR *folder = opendir(COHORT_CONFIGS);
  CU_ASSERT_FATAL(folder != NULL);
  int configs = 0;
  leaves = 0;
  for (struct dirent *entry; (entry = readdir(folder));) {
    if (!strstr(entry->d_name, ".yaml")) continue;
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", COHORT_CONFIGS, entry->d_name);
    cohort_document *document = NULL;
    cohort_error error;
    CU_ASSERT_EQUAL_FATAL(cohort_config_read(path, 0, NULL, &document, &error), COHORT_DONE);
    cohort_settings settings;
    cohort_faults faults = {0};
    cohort_settings_read(document, &settings, &faults);
    CU_ASSERT_EQUAL(faults.count, 0);
    check_document(document, "");
    check_document(settings.expanded, "");
    cohort_faults_release(&faults);
    cohort_settings_release(&settings);
    cohort_document_destroy(document);
    configs++;
  }
  (void)closedir(folder);
  CU_ASSERT(configs >= 11 && leaves > 20 * configs);
}

static void finds(const char *key, const char *part) {
  char *page = described(key, COHORT_KEYS_TEXT);
  CU_ASSERT_PTR_NOT_NULL_FATAL(page);
  if (!strstr(page, part)) printf("    %s: \"%s\" lacks \"%s\"\n", key, page, part);
  CU_ASSERT_PTR_NOT_NULL(strstr(page, part));
  free(page);
}

static void refuses(const char *key, const char *part) {
  char *page = NULL;
  cohort_error error = {.text = ""};
  CU_ASSERT_EQUAL(cohort_keys_describe(key, COHORT_KEYS_TEXT, &page, &error), COHORT_BAD_CONFIG);
  CU_ASSERT_PTR_NULL(page);
  if (!strstr(error.text, part)) printf("    %s: \"%s\" lacks \"%s\"\n", key, error.text, part);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, part));
}

static void test_pages(void) {
  finds("data.validation_share", "Values    0 to 1");
  finds("max_seconds", "Unit      seconds");
  finds("rival", "Taken by  task language\n");
  finds("federated.local_steps", "Taken by  runs with federated\n");
  finds("schedule.cosine.warmup", "Unit      steps");
  finds("crop", "data.crop: ");
  finds("steps", "may change when a run is resumed");
  finds("batch", "stays as the run began");
  finds("optimizer.adamw.beta1", "from 0, below 1");
  finds("optimizer.sam.base.adamw.beta1", "from 0, below 1");
  finds("optimizer.adamw", "optimizer adamw: ");
  finds("groups.0.optimizer.muon.momentum", "Default   0.95");
  finds("spaces.teacher.average.decay", "Default   0.99");
  finds("spaces", "  spaces.NAME.copy.every");
  finds("players.loss.optimizer.adamw.beta1", "from 0, below 1");
  finds("learning_rate", "  optimizer.adamw.learning_rate");
  finds("learning_rate", "  federated.strategy.fedavg.learning_rate");
  finds("optimizer", "adagrad, ");
  finds("federated", "  federated.client ");
  finds("federated.population.dirichlet.alpha", "Taken by  runs with federated\n");
  refuses("croop", "did you mean \"crop\"?");
  refuses("data.croop", "did you mean \"crop\"?");
  refuses("optimizer.adamw.bta1", "did you mean \"beta1\"?");
  refuses("optimizer.adamw.zzzzzzzz", "`cohort keys` lists them");
}

/* "optimizer.METHOD.beta1" exists for some optimizer. */
static bool exists_for_a_method(const char *key) {
  static const char *const families[] = {"optimizer", "schedule", "model", "federated", "preference"};
  const char *place = strstr(key, "METHOD");
  if (!place) return cohort_keys_find(key) != NULL;
  const cohort_method *method;
  for (int i = 0; (method = cohort_registry_at(COHORT_VARIANT_F64, i)); i++)
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
      char path[128];
      (void)snprintf(path, sizeof path, "%.*s%s%s", (int)(place - key), key, method->key, place + strlen("METHOD"));
      if (strcmp(method->family, families[f]) == 0 && cohort_keys_find(path)) return true;
    }
  return false;
}

typedef struct names {
  const char *word;
  size_t length;
  bool found;
} names;

static void match(void *argument, const char *path, const cohort_parameter *key) {
  names *own = argument;
  (void)path;
  if (strlen(key->name) == own->length && strncmp(key->name, own->word, own->length) == 0) own->found = true;
}

/* What a row of the table says to write is a key somewhere, or a method. */
static void test_foreign(void) {
  for (const cohort_foreign *row = cohort_foreign_names; row->name; row++) {
    CU_ASSERT(row->keys || row->where);
    for (const char *word = row->keys; word && *word;) {
      names own = {.word = word, .length = strcspn(word, ".,")};
      cohort_keys_walk(true, match, &own);
      const cohort_method *method;
      for (int i = 0; (method = cohort_registry_at(COHORT_VARIANT_F64, i)); i++)
        if (strcmp(method->key, word) == 0) own.found = true;
      if (!own.found) printf("    %s: %s is no key\n", row->name, row->keys);
      CU_ASSERT(own.found);
      word += strcspn(word, ",");
      word += strspn(word, ", ");
    }
    char where[128];
    (void)snprintf(where, sizeof where, "%s", row->where ? row->where : "steps");
    where[strcspn(where, " ")] = '\0'; /* the first of "a and b" */
    if (!exists_for_a_method(where)) printf("    %s: %s is no key\n", row->name, where);
    CU_ASSERT(exists_for_a_method(where));
  }
  refuses("lr", "see optimizer.METHOD.learning_rate");
  refuses("federated.cohort", "see federated.clients_per_round");
}

static const check checks[] = {
    {"every key is listed and has a page", test_tables},
    {"every key of every recipe is found", test_recipes},
    {"pages and hints", test_pages},
    {"the table of foreign names", test_foreign},
};

int main(void) { return check_run("keys", checks, sizeof checks / sizeof *checks); }
