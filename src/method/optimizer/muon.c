/* Muon: Newton-Schulz iterations towards the orthogonal factor of a matrix, in products of the run's precision. Both
 * products of a matrix with itself are symmetric and computed by half. A tensor belongs to one rank. Cost an iteration:
 * one product of the whole and two of half size. */
#include <string.h>

#include "kernel/symmetric.h"
#include "method/optimizer/optimizer_real.h"

typedef struct muon_config {
  double learning_rate, momentum, weight_decay, epsilon;
  int64_t iterations;
  int adjust;
  bool nesterov;
} muon_config;

enum { ORIGINAL, MATCH_RMS_ADAMW };
static const char *const adjustments[] = {"original", "match_rms_adamw", NULL};

static const cohort_parameter parameters[] = {
    COHORT_LEARNING_RATE(muon_config, "0.02", 1e-3, 0.1, "step size: the spectral norm of a square matrix's step"),
    {COHORT_FIELD(muon_config, momentum, COHORT_PARAMETER_REAL), .standard = "0.95", .minimum = 0, .maximum = 1,
     .maximum_open = true, .meaning = "decay of the gradient's average", .sweep_low = 0.8, .sweep_high = 0.99},
    COHORT_BOOLEAN(muon_config, nesterov, "true", "look ahead along the average"),
    COHORT_DECOUPLED_DECAY(muon_config, "0"),
    COHORT_INTEGER_RANGE(muon_config, iterations, "5", 1, 99, "Newton-Schulz iterations"),
    COHORT_CHOICE(
        muon_config, adjust, "original", adjustments,
        "factor on the step: original sqrt(max(1, rows/columns)), match_rms_adamw 0.2 sqrt(max(rows, columns))"),
    COHORT_REAL_ABOVE(muon_config, epsilon, "1e-7", 0, "smallest norm that the direction is divided by"),
    {.name = NULL},
};

static const cohort_state states[] = {
    {.name = "average", .meaning = "average of the gradient"},
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"momentum=0 nesterov=true", "muon", "momentum=0 nesterov=false"},
    {.settings = NULL, .method = NULL},
};

/* The tensor as a matrix: its first axis by all others. */
typedef struct sides {
  int64_t rows, columns, shorter;
} sides;

static sides sides_of(cohort_shape shape) {
  const int64_t rows = shape.axes > 0 ? shape.size[0] : 1;
  const int64_t columns = rows > 0 ? cohort_shape_elements(shape) / rows : 0;
  return (sides){rows, columns, rows < columns ? rows : columns};
}

/* Passes over the elements run in tiles of a fixed size, each leaving its sum of squares. */
enum { TILE = 16384, STREAMS = 16 };

static int64_t tiles_of(int64_t elements) { return (elements + TILE - 1) / TILE; }

typedef struct pass {
  int64_t elements;
  real momentum, rest, ahead, keep, rate, scale;
  real *parameters, *average, *direction;
  const real *gradient;
  double *squares; /* per tile */
} pass;

static double sum_of_squares(int64_t n, const real *x) {
  double sum[STREAMS] = {0};
  int64_t i = 0;
  for (; i + STREAMS <= n; i += STREAMS)
    for (int s = 0; s < STREAMS; s++) sum[s] += (double)x[i + s] * (double)x[i + s];
  for (int s = 0; i < n; i++, s++) sum[s] += (double)x[i] * (double)x[i];
  for (int half = STREAMS / 2; half; half /= 2)
    for (int s = 0; s < half; s++) sum[s] += sum[s + half];
  return sum[0];
}

static void average_range(int64_t n, real momentum, real rest, real ahead, real scale, const real *restrict gradient,
                          real *restrict average, real *restrict direction) {
  for (int64_t i = 0; i < n; i++) {
    const real g = scale * gradient[i];
    const real m = momentum * average[i] + rest * g;
    average[i] = m;
    direction[i] = ahead != 0 ? rest * g + momentum * m : m;
  }
}

static void average_tile(void *argument, int64_t tile) {
  pass *p = argument;
  const int64_t first = tile * TILE, left = p->elements - first, n = left < TILE ? left : TILE;
  average_range(n, p->momentum, p->rest, p->ahead, p->scale, p->gradient + first, p->average + first,
                p->direction + first);
  p->squares[tile] = sum_of_squares(n, p->direction + first);
}

static void scale_tile(void *argument, int64_t tile) {
  pass *p = argument;
  const int64_t first = tile * TILE, left = p->elements - first, n = left < TILE ? left : TILE;
  real *restrict x = p->direction + first;
  for (int64_t i = 0; i < n; i++) x[i] *= p->scale;
}

static void step_range(int64_t n, real keep, real rate, real *restrict w, const real *restrict direction) {
  for (int64_t i = 0; i < n; i++) w[i] = keep * w[i] - rate * direction[i];
}

static void step_tile(void *argument, int64_t tile) {
  pass *p = argument;
  const int64_t first = tile * TILE, left = p->elements - first, n = left < TILE ? left : TILE;
  step_range(n, p->keep, p->rate, p->parameters + first, p->direction + first);
}

/* The matrix X (rows x columns, norm at most 1) becomes U S' V' with singular values near 1: A = X X' (X' X when rows >
 * columns, so that A is the smaller), B = b A + c A^2, X = a X + B X (a X + X B). X and `other` change places; returns
 * where the result is. `gram` has room for two matrices A. */
static real *orthogonalise(const cohort_update *u, sides s, int64_t iterations, real *x, real *other, real *gram) {
  const double a = 3.4445, b = -4.7750, c = 2.0315;
  const bool tall = s.rows > s.columns;
  const int64_t side = s.shorter, area = side * side, width = s.columns;
  real *polynomial = gram + area;
  for (int64_t i = 0; i < iterations; i++) {
    const int64_t depth = tall ? s.rows : s.columns;
    cohort_product_symmetric(u->products, u->team, tall, side, depth, 1, x, width, 0, gram);
    memcpy(polynomial, gram, (size_t)area * sizeof *gram);
    cohort_product_symmetric(u->products, u->team, false, side, side, c, gram, side, b, polynomial);
    memcpy(other, x, (size_t)(s.rows * s.columns) * sizeof *x);
    if (tall)
      u->products->product(u->team, 0, 0, s.rows, side, side, 1, x, width, polynomial, side, a, other, width);
    else
      u->products->product(u->team, 0, 0, side, s.columns, side, 1, polynomial, side, x, width, a, other, width);
    real *swap = x;
    x = other;
    other = swap;
  }
  return x;
}

static void update(const cohort_update *u) {
  const muon_config *config = u->config;
  const sides s = sides_of(u->shape);
  const int64_t elements = u->elements, tiles = tiles_of(elements);
  if (elements == 0) return;
  double *squares = u->workspace; /* at the aligned start; two real or one per double */
  real *x = (real *)u->workspace + 2 * tiles;
  real *other = x + elements, *gram = other + elements;
  pass p = {.elements = elements,
            .momentum = (real)config->momentum,
            .rest = (real)(1 - config->momentum),
            .ahead = config->nesterov ? 1 : 0,
            .scale = (real)u->gradient_scale,
            .average = u->state[0],
            .direction = x,
            .gradient = u->gradient,
            .squares = squares};
  cohort_team_run(u->team, tiles, average_tile, &p);
  double square = 0;
  for (int64_t tile = 0; tile < tiles; tile++) square += squares[tile];
  const double norm = sqrt(square);
  p.scale = (real)(1 / (norm > config->epsilon ? norm : config->epsilon));
  cohort_team_run(u->team, tiles, scale_tile, &p);
  p.direction = orthogonalise(u, s, config->iterations, x, other, gram);
  const double rows = (double)s.rows, columns = (double)s.columns;
  const double factor = config->adjust == MATCH_RMS_ADAMW ? 0.2 * sqrt(rows > columns ? rows : columns)
                                                          : sqrt(rows > columns ? rows / columns : 1);
  p.parameters = u->parameters;
  p.keep = (real)(1 - u->learning_rate * u->weight_decay);
  p.rate = (real)(u->learning_rate * factor);
  cohort_team_run(u->team, tiles, step_tile, &p);
}

static int64_t workspace(const void *config, cohort_shape shape) {
  (void)config;
  const int64_t elements = cohort_shape_elements(shape), side = sides_of(shape).shorter;
  return 2 * tiles_of(elements) + 2 * elements + 2 * side * side;
}

static double cost(const void *config, cohort_shape shape) {
  const sides s = sides_of(shape);
  const double side = (double)s.shorter, longer = (double)(s.rows + s.columns) - side;
  const double iterations = (double)((const muon_config *)config)->iterations;
  return iterations * (3 * side * side * longer + side * side * side) + 20 * side * longer;
}

static const cohort_optimizer functions = {.update = update, .workspace = workspace, .cost = cost};

static const cohort_method muon = {
    .family = "optimizer",
    .key = "muon",
    .summary = "momentum made orthogonal by Newton-Schulz iterations, for matrices",
    .title = "Muon: An optimizer for hidden layers in neural networks",
    .source =
        "Jordan et al., Muon, 2024 (kellerjordan.github.io/posts/muon); as torch.optim.Muon, iterations in the "
        "run's own precision",
    .formula =
        "m = momentum m + (1 - momentum) g; X = nesterov ? (1 - momentum) g + momentum m : m; "
        "X /= max(|X|, epsilon); `iterations` times: A = X X', X = 3.4445 X + (-4.7750 A + 2.0315 A^2) X; "
        "w *= 1 - learning_rate weight_decay; w -= learning_rate factor X, factor = sqrt(max(1, rows/columns)) "
        "(original) or 0.2 sqrt(max(rows, columns)) (match_rms_adamw); tensors of more axes: [first, all others]",
    .config_size = sizeof(muon_config),
    .parameters = parameters,
    .states = states,
    .needs = COHORT_NEEDS_MATRICES,
    .cut = COHORT_CUT_TENSOR,
    .identities = identities,
    .functions = &functions,
};

COHORT_OPTIMIZER_FILE(muon) = {&muon, NULL};
