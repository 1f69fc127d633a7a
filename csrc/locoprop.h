/* locoprop.h: float32 kernels of LocoProp, one thread each, in the caller's memory.
 *
 * This header is the whole C interface, and the contract of each function stands at
 * its declaration. Symbols as in docs/method.md: a batch of B examples, a layer with n
 * inputs and m units,
 *
 *     X~ = [X 1]   B x (n+1)   input with a column of ones (the bias column)
 *     W~ = [W b]   m x (n+1)   weights, a row per unit, the bias last
 *     A  = X~ W~'  B x m       pre-activations        (' transposes)
 *     Y  = f(A)    B x m       outputs, f the transfer function
 *     D  = dL/dA   B x m       L the mean loss over the batch
 *     Delta        m x (n+1)   change of W~ since the batch's start
 *
 * Common to all functions:
 *
 * - Matrices are row-major. A pointer is followed by the matrix's stride in elements,
 *   at least its width; sizes are 0 or more. A matrix without elements may be NULL.
 * - Arguments that are only read are const; matrices of one call don't overlap unless
 *   the function says they may be the same (same pointer and stride).
 * - A function that can fail returns an lp_status and, when that isn't LP_OK and err
 *   isn't NULL, fills *err. Nothing is written elsewhere then, except where said. Each
 *   may find LP_NULL, LP_SIZE, LP_STRIDE and, where OpenBLAS takes the matrix,
 *   LP_STRIDE_LIMIT; LP_KIND where it takes a kind, LP_SCRATCH where it takes memory to
 *   work in. What else one may find stands at its declaration.
 * - Safe to call from any number of threads at once, on results that don't overlap.
 *   No function keeps state, allocates, prints, starts threads (OpenBLAS is to be set
 *   to one thread: lp_set_threads) or ends the process.
 * - NaN and infinity propagate. A call computes with rounding to nearest and without
 *   flushing to zero, whatever mode the thread is in, and leaves that mode as it was.
 * - The bits of an element don't depend on its position, on alignment or on strides.
 *   They may differ between CPUs.
 */
#ifndef LOCOPROP_H_
#define LOCOPROP_H_

#include <stdint.h> /* NOLINT(modernize-deprecated-headers): this header is C too */

#ifdef __cplusplus
#define LP_NOEXCEPT noexcept
extern "C" {
#else
#define LP_NOEXCEPT
#endif

/* The version of this interface. It changes with every change of a declaration. */
#define LP_ABI 10

/* lp_abi returns the LP_ABI that the library was compiled with. */
int32_t lp_abi(void) LP_NOEXCEPT;

/* What a call came to. The set is closed. */
typedef enum lp_status {
  LP_OK = 0,
  LP_NULL = 1,           /* argument arg is NULL and is needed */
  LP_SIZE = 2,           /* argument arg, a size, is got; allowed: 0 ... want */
  LP_STRIDE = 3,         /* argument arg, a stride, is got; it needs at least want */
  LP_STRIDE_LIMIT = 4,   /* argument arg, a stride, is got; OpenBLAS takes at most want */
  LP_KIND = 5,           /* argument arg names no known kind, or one that others exclude: got */
  LP_SCRATCH = 6,        /* argument arg, a length of memory, is got; needed: want */
  LP_NOT_POSITIVE = 7,   /* the leading minor of order got isn't positive definite */
  LP_NO_CONVERGENCE = 8, /* the eigenvalue iteration failed, or the matrix isn't finite */
  LP_STATUS_COUNT = 9
} lp_status;

/* Where and why a call failed. */
typedef struct lp_error {
  int32_t status; /* an lp_status */
  int32_t arg;    /* position of the argument in the declaration, from 1; 0: none */
  int64_t got;
  int64_t want;
} lp_error;

/* lp_status_text returns a constant one-line description, lower case, never NULL. */
const char* lp_status_text(int32_t status) LP_NOEXCEPT;

/* Transfer functions f, with their parameter alpha where they have one. lp_apply says how
 * exact each is. */
enum {
  LP_IDENTITY = 0,         /* f(a) = a */
  LP_TANH = 1,             /* f(a) = tanh a */
  LP_LEAKY_RELU = 2,       /* f(a) = a for a > 0, else alpha a; ReLU is alpha = 0 */
  LP_SIGMOID = 3,          /* f(a) = 1 / (1 + e^-a) */
  LP_SOFTMAX = 4,          /* f(a)_i = e^(a_i) / sum_j e^(a_j) over a row */
  LP_RELU2 = 5,            /* f(a) = max(a, 0)^2 */
  LP_ARCTAN = 6,           /* f(a) = arctan a */
  LP_SOFTPLUS = 7,         /* f(a) = log(1 + e^a) */
  LP_SOFTSIGN = 8,         /* f(a) = a / (1 + |a|) */
  LP_ELU = 9,              /* f(a) = a for a > 0, else alpha (e^a - 1); alpha > 0 */
  LP_HARD_TANH = 10,       /* f(a) = a within -1 ... 1 */
  LP_EXP = 11,             /* f(a) = e^a */
  LP_GELU = 12,            /* f(a) = a Phi(a), Phi the normal distribution's function */
  LP_SILU = 13,            /* f(a) = a / (1 + e^-a) */
  LP_TEMPERED_SOFTMAX = 14 /* f(a)_i = exp_t(a_i - nu) over a row, nu such that the row sums to
                              1; exp_t(x) = (1 - (t-1) x)^(-1/(t-1)), t = alpha, 1 < t <= 10 */
};

/* Losses of one example with pre-activations a, outputs y = f(a), targets t. */
enum {
  LP_SIGMOID_CE = 0, /* sum max(a,0) - a t + log(1 + e^-|a|); needs LP_SIGMOID */
  LP_SOFTMAX_CE = 1, /* log(sum e^a) sum t - <t, a>; needs LP_SOFTMAX */
  LP_SQUARED = 2,    /* sum (y - t)^2 / 2, any f */
  LP_BI_TEMPERED = 3 /* sum t (log_t1 t - log_t1 y) - (t^(2-t1) - y^(2-t1)) / (2 - t1), where
                        log_t1 x = (x^(1-t1) - 1) / (1 - t1), 0 <= t1 <= 1; needs
                        LP_TEMPERED_SOFTMAX or LP_SOFTMAX, targets of 0 or more that sum to 1 */
};

/* Update rules, with their constants c, slots s0, s1, s2 and, for a gradient g, their effect
 * on a weight w; a quotient 0/0 counts as 0:
 *
 *   LP_SGD            c0: eta            w -= c0 g
 *   LP_MOMENTUM       eta, mu            s0 = c1 s0 + g;  w -= c0 s0
 *   LP_NESTEROV       eta, mu            s0 = c1 s0 + g;  w -= c0 (g + c1 s0)
 *   LP_ADAGRAD        eta                s0 += g^2;  w -= c0 g / sqrt(s0)
 *   LP_RMSPROP_TF1    eta, mu, rho, 1-rho, eps
 *                     s0 = c2 s0 + c3 g^2;  s1 = c1 s1 + c0 g / sqrt(s0 + c4);  w -= s1
 *   LP_RMSPROP_TORCH  the same c
 *                     s0 = c2 s0 + c3 g^2;  s1 = c1 s1 + g / (sqrt(s0) + c4);  w -= c0 s1
 *   LP_ADAM_TF1       rate, beta1, 1-beta1, beta2, 1-beta2, eps
 *                     s0 = c1 s0 + c2 g;  s1 = c3 s1 + c4 g^2;  w -= c0 s0 / (sqrt(s1) + c5)
 *   LP_ADAM_TORCH     the same, then a scale
 *                     same s0, s1;  w -= c0 s0 / (sqrt(c6 s1) + c5)
 *   LP_ADAMW          the same, then eta times decay
 *                     w -= c7 w, but not for the bias; then as LP_ADAM_TORCH
 *   LP_MOMENTUM_BUFFER  eta, mu         s0 = c1 s0 + c0 g;  w -= s0
 *   LP_AMSGRAD        as LP_ADAM_TORCH
 *                     same s0, s1;  s2 = max(s2, s1);  w -= c0 s0 / (sqrt(c6 s2) + c5)
 *   LP_NADAMW         rate of s0, beta1, 1-beta1, beta2, 1-beta2, eps, rate of g, eta times decay
 *                     w -= c7 w, but not for the bias;  same s0, s1;
 *                     w -= (c0 s0 + c6 g) / (sqrt(s1) + c5)
 *   LP_SCHEDULE_FREE  rate, beta1, share, beta2, 1-beta2, eps, eta times decay
 *                     s0 = c3 s0 + c4 g^2;  s1 -= c6 w, but not for the bias;
 *                     s1 -= c0 g / (sqrt(s0) + c5);  s2 += c2 (s1 - s2);
 *                     w = s1 + c1 (s2 - s1)
 *   LP_EGU            eta, 4 beta^2
 *                     w = w cosh u - sqrt(w^2 + c1) sinh u, u = c0 g within -4 ... 4
 *   LP_EGU_GD         eta                the same u, h = u / 2
 *                     w += h/4 (h (s0^2 - s1^2) - 2 (s0^2 + s1^2));  s0 -= h s0;  s1 += h s1
 *   LP_PNORM          eta, p, 2 <= p     on the row that w belongs to, in float64:
 *                     w = L_q(L_p(w) - c0 g), where 1/p + 1/q = 1 and L_r(x) is the gradient of
 *                     |x|_r^2 / 2: sgn(x) |x|^(r-1) / |x|_r^(r-2). A row with g = 0 stays */
enum {
  LP_SGD = 0,
  LP_MOMENTUM = 1,
  LP_NESTEROV = 2,
  LP_ADAGRAD = 3,
  LP_RMSPROP_TF1 = 4,
  LP_RMSPROP_TORCH = 5,
  LP_ADAM_TF1 = 6,
  LP_ADAM_TORCH = 7,
  LP_ADAMW = 8,
  LP_MOMENTUM_BUFFER = 9,
  LP_AMSGRAD = 10,
  LP_NADAMW = 11,
  LP_SCHEDULE_FREE = 12,
  LP_EGU = 13,
  LP_EGU_GD = 14,
  LP_PNORM = 15
};

/* One update: a rule with its numbers. prox is 1/lambda of a proximal term, 0 without
 * one: prox Delta is added to g before anything else. */
typedef struct lp_rule {
  uint8_t kind;
  uint8_t unused[3];
  float prox;
  float c[8];
} lp_rule;

/* ---- products ------------------------------------------------------------------------
 * By OpenBLAS, so sizes and strides are at most 2^31 - 1. */

/* lp_affine: A = X~ W~'. a: batch x units, x: batch x cols, w: units x cols. */
lp_status lp_affine(int64_t batch, int64_t cols, int64_t units, float* a, int64_t lda,
                    const float* x, int64_t ldx, const float* w, int64_t ldw,
                    lp_error* err) LP_NOEXCEPT;

/* lp_backprop: dL/dX = D W. dx: batch x cols, d: batch x units, w: units x cols. */
lp_status lp_backprop(int64_t batch, int64_t cols, int64_t units, float* dx, int64_t lddx,
                      const float* d, int64_t ldd, const float* w, int64_t ldw,
                      lp_error* err) LP_NOEXCEPT;

/* lp_grad: G = R' X~, summed over the batch. g: units x cols, r: batch x units,
 * x: batch x cols. */
lp_status lp_grad(int64_t batch, int64_t cols, int64_t units, float* g, int64_t ldg, const float* r,
                  int64_t ldr, const float* x, int64_t ldx, lp_error* err) LP_NOEXCEPT;

/* lp_gemm: C = alpha op(A) op(B) + beta C, op transposing where its flag isn't 0.
 * c: m x n; op(A): m x k; op(B): k x n. With beta = 0, C isn't read. */
lp_status lp_gemm(int32_t trans_a, int32_t trans_b, int64_t m, int64_t n, int64_t k, float alpha,
                  const float* a, int64_t lda, const float* b, int64_t ldb, float beta, float* c,
                  int64_t ldc, lp_error* err) LP_NOEXCEPT;

/* lp_syrk: C = alpha X'X + beta C (trans not 0; c: cols x cols) or alpha XX' + beta C
 * (c: rows x rows). x: rows x cols. C comes in symmetric, or beta = 0 and it isn't read;
 * both triangles are filled, with the same bits. */
lp_status lp_syrk(int32_t trans, int64_t rows, int64_t cols, float alpha, const float* x,
                  int64_t ldx, float beta, float* c, int64_t ldc, lp_error* err) LP_NOEXCEPT;

/* ---- dense float64 -------------------------------------------------------------------
 * By OpenBLAS and its LAPACK. All but lp_gemm64 take square matrices without gaps between
 * rows. */

/* lp_gemm64: C = alpha op(A) op(B) + beta C, lp_gemm in float64, shapes and strides as there. */
lp_status lp_gemm64(int32_t trans_a, int32_t trans_b, int64_t m, int64_t n, int64_t k, double alpha,
                    const double* a, int64_t lda, const double* b, int64_t ldb, double beta,
                    double* c, int64_t ldc, lp_error* err) LP_NOEXCEPT;

/* lp_cholesky: A = L L' in place, for a symmetric positive definite a, n x n, stride n. Reads
 * the lower triangle (row-major) and leaves L there; the strict upper triangle is
 * neither read nor changed. LP_NOT_POSITIVE: the leading minor of order got isn't positive
 * definite, or is NaN; a is spoilt. */
lp_status lp_cholesky(int64_t n, double* a, lp_error* err) LP_NOEXCEPT;

/* lp_solve: X = (L L')^-1 B. l: n x n, stride n, the lower triangle as lp_cholesky left it,
 * only read; b: n x k, stride k, which becomes X. A diagonal of l with a 0 gives infinity or
 * NaN, no error. */
lp_status lp_solve(int64_t n, int64_t k, const double* l, double* b, lp_error* err) LP_NOEXCEPT;

/* lp_invert: A^-1 = (L L')^-1 in place. l: n x n, stride n, of which the lower triangle is
 * read, as lp_cholesky left it; A^-1 overwrites both triangles, with the same bits.
 * LP_NOT_POSITIVE: element got of the diagonal, from 1, is 0, and l is unchanged. */
lp_status lp_invert(int64_t n, double* l, lp_error* err) LP_NOEXCEPT;

/* lp_symeig: A = V diag(w) V'. a: n x n, stride n, symmetric, whose lower triangle is read;
 * V overwrites all of it, an eigenvector per column. n is at most 32766. w (n) ascends. work:
 * work_len >= lp_symeig_work(n) elements, of unspecified content afterwards. LP_NO_CONVERGENCE: an
 * element that is read isn't finite (got is 0, nothing is changed), or the iteration failed
 * (a and w are spoilt). */
lp_status lp_symeig(int64_t n, double* a, double* w, double* work, int64_t work_len,
                    lp_error* err) LP_NOEXCEPT;
/* The elements of work that lp_symeig needs; INT64_MAX where n is out of range. */
int64_t lp_symeig_work(int64_t n) LP_NOEXCEPT;

/* ---- element by element --------------------------------------------------------------
 * f is a transfer function, alpha its parameter. */

/* lp_apply: Y = f(A). y, a: rows x cols; y may be a. How far y may be off, in units in its last
 * place, for every float a, denormals too, as long as y is in the range of floats:
 *
 *   0     identity, leaky ReLU with alpha = 0, hard tanh
 *   0.5   leaky ReLU, ReLU^2
 *   1.5   exp, softsign
 *   2     ELU
 *   2.6   tanh, sigmoid, arctan, softplus
 *   3     SiLU
 *   5.5   GELU
 *   0.54  tempered softmax, computed in float64
 *
 * (Softmax: 8 units of 2^-24 of y.) tanh, arctan and softsign are odd to the bit. To the bit,
 * too: tanh, softsign and hard tanh are within -1 ... 1, arctan within the floats next to
 * -pi/2 and pi/2, sigmoid and tempered softmax within 0 ... 1; ELU is -alpha or more; ReLU^2,
 * softplus and exp are 0 or more. Beyond the largest float y is infinite. */
lp_status lp_apply(int64_t rows, int64_t cols, float* y, int64_t ldy, const float* a, int64_t lda,
                   int32_t f, float alpha, lp_error* err) LP_NOEXCEPT;

/* lp_chain: D = D o f'(A), for LP_SOFTMAX and LP_TEMPERED_SOFTMAX each row by its Jacobian. d,
 * a, y: rows x cols, y = f(a). At a kink f' is alpha at 0 for LP_LEAKY_RELU and LP_ELU, 0 at -1
 * and 1 for LP_HARD_TANH. The error is at most 4 units of 2^-24 of |d| max(1, |f'|) (ELU: of
 * |d| max(1, alpha)): what cancels in f', as 1 - y^2 does near 1, isn't brought back. */
lp_status lp_chain(int64_t rows, int64_t cols, float* d, int64_t ldd, const float* a, int64_t lda,
                   const float* y, int64_t ldy, int32_t f, float alpha, lp_error* err) LP_NOEXCEPT;

/* lp_loss: *sum = the loss summed over the rows, in float64 and fixed order; and, unless
 * d is NULL, D = scale dloss/dA. d, a, y, t: rows x cols, y = f(a). t1 is used by
 * LP_BI_TEMPERED alone, which computes in float64 throughout, from a. The sum of a
 * cross-entropy is off by at most 8 units of 2^-24 of itself or a few of the least denormal,
 * and LP_SOFTMAX_CE by 2^-51 more for each row, for t in [0, 1] (rows of sum 1 under
 * LP_SOFTMAX_CE) and a of every size that keeps the sum finite. */
lp_status lp_loss(int64_t rows, int64_t cols, float* d, int64_t ldd, const float* a, int64_t lda,
                  const float* y, int64_t ldy, const float* t, int64_t ldt, int32_t f, float alpha,
                  int32_t loss, float t1, float scale, double* sum, lp_error* err) LP_NOEXCEPT;

/* lp_residual: R = (f(Ahat + dA) - Yhat) + E; for LP_IDENTITY R = dA + E, and ahat and
 * yhat aren't used and may be NULL. All rows x cols; r may be da. */
lp_status lp_residual(int64_t rows, int64_t cols, float* r, int64_t ldr, const float* da,
                      int64_t ldda, const float* ahat, int64_t ldahat, const float* yhat,
                      int64_t ldyhat, const float* e, int64_t lde, int32_t f, float alpha,
                      lp_error* err) LP_NOEXCEPT;

/* lp_scale: E = gamma D. e, d: rows x cols; e may be d. */
lp_status lp_scale(int64_t rows, int64_t cols, float* e, int64_t lde, const float* d, int64_t ldd,
                   float gamma, lp_error* err) LP_NOEXCEPT;

/* lp_update: one step of a rule. delta, g, s0, s1, s2, w0: rows x cols; the last column is
 * the bias. delta is the change since w0, or the weights themselves where w0 is NULL
 * (prox must be 0 then). Slots that the rule doesn't have aren't used. */
lp_status lp_update(const lp_rule* rule, int64_t rows, int64_t cols, float* delta, int64_t lddelta,
                    const float* w0, int64_t ldw0, const float* g, int64_t ldg, float* s0,
                    int64_t lds0, float* s1, int64_t lds1, float* s2, int64_t lds2,
                    lp_error* err) LP_NOEXCEPT;

/* lp_add_into: W = W + Delta. Both rows x cols. */
lp_status lp_add_into(int64_t rows, int64_t cols, float* w, int64_t ldw, const float* delta,
                      int64_t lddelta, lp_error* err) LP_NOEXCEPT;

/* ---- a number for each row and each column --------------------------------------------*/

/* lp_sm3: a step of SM3-II. For the weights, the first n = cols - 1 columns,
 *
 *     nu_ij = min(r_i, c_j) + g_ij^2           c_j unless r_i is below it
 *     r_i = max_j nu_ij,  top_j = max(top_j, max_i nu_ij)
 *     m = mu m + share g / sqrt(nu + 1e-30),  w -= rate m
 *
 * and for the last column, the biases, the same with nu_i = b_i + g_i^2, which b becomes. w, g, m:
 * rows x cols; m NULL: w -= rate g / sqrt(nu + 1e-30). r, b: rows; c, top: n; r, c and top are 0
 * or more. */
lp_status lp_sm3(int64_t rows, int64_t cols, float* w, int64_t ldw, const float* g, int64_t ldg,
                 float* m, int64_t ldm, float* r, const float* c, float* top, float* b, float rate,
                 float mu, float share, lp_error* err) LP_NOEXCEPT;

/* lp_square_sums: row_sums_i = sum_j g_ij^2, col_sums_j = sum_i g_ij^2, in float64 and fixed order.
 * g: rows x cols; row_sums: rows; col_sums: cols. */
lp_status lp_square_sums(int64_t rows, int64_t cols, const float* g, int64_t ldg, double* row_sums,
                         double* col_sums, lp_error* err) LP_NOEXCEPT;

/* lp_scaled_squares: *sum = sum (a_i g_ij b_j)^2, in float64 and fixed order. g: rows x cols;
 * a: rows; b: cols. */
lp_status lp_scaled_squares(int64_t rows, int64_t cols, const float* g, int64_t ldg, const float* a,
                            const float* b, double* sum, lp_error* err) LP_NOEXCEPT;

/* lp_scaled_step: w_ij -= a_i g_ij b_j. w, g: rows x cols; a: rows; b: cols. */
lp_status lp_scaled_step(int64_t rows, int64_t cols, float* w, int64_t ldw, const float* g,
                         int64_t ldg, const float* a, const float* b, lp_error* err) LP_NOEXCEPT;

/* ---- quasi-Newton updates --------------------------------------------------------------*/

/* Matrices are float32; vectors, and every sum, float64, added in a fixed order. */

/* lp_column_sums: sums_j = sum_i x_ij. x: rows x cols; sums: cols. */
lp_status lp_column_sums(int64_t rows, int64_t cols, const float* x, int64_t ldx, double* sums,
                         lp_error* err) LP_NOEXCEPT;

/* lp_times: y_i = sum_j h_ij x_j. h: rows x cols; x: cols; y: rows. */
lp_status lp_times(int64_t rows, int64_t cols, const float* h, int64_t ldh, const double* x,
                   double* y, lp_error* err) LP_NOEXCEPT;

/* lp_rank_two: h_ij += a s_i s_j - b (s_i t_j + t_i s_j) in rows first <= i < first + rows of a
 * square matrix; h points to the first of them. h_ij and h_ji, if equal before, stay so. h: rows x
 * cols; s, t: cols; first + rows <= cols (LP_SIZE of first). */
lp_status lp_rank_two(int64_t rows, int64_t cols, float* h, int64_t ldh, int64_t first, double a,
                      double b, const double* s, const double* t, lp_error* err) LP_NOEXCEPT;

/* ---- products on panels ----------------------------------------------------------------
 * A product M B or M' B reads M as it is, and has B and its result in panels: rows x units as
 * panels of two vectors of units side by side (the last of one where that is enough), each padded
 * to whole groups of rows. It reads and writes them one element after the other, where a BLAS would
 * arrange ("pack") both matrices anew in each call. The padding of what these functions write is
 * unspecified but for lp_panels_from's, which is 0, and lp_panels_turn's, which stays; it makes no
 * difference to what isn't padding. Panels have no gaps: functions that take an element at a time
 * take all of them as one row.
 *
 * Sums have the order of their terms, 512 at a time, whatever the vectors' length: processors with
 * fused multiplication give the same bits. Sizes, and the stride of M, are at most 2^30. */

/* The units of a whole panel. */
int64_t lp_panel_units(void) LP_NOEXCEPT;

/* The floats of panels of rows x units; INT64_MAX where a size is out of range. */
int64_t lp_panels_len(int64_t rows, int64_t units) LP_NOEXCEPT;

/* lp_panels_product: C = M B, or M' B where trans isn't 0. m: rows x terms, or terms x rows; in
 * panels, b: terms x units, and c: rows x units. */
lp_status lp_panels_product(int32_t trans, int64_t rows, int64_t terms, int64_t units,
                            const float* m, int64_t ldm, const float* b, float* c,
                            lp_error* err) LP_NOEXCEPT;

/* lp_panels_from: panels of rows x units = alpha M, or alpha M' where trans isn't 0. m: rows x
 * units, or units x rows. */
lp_status lp_panels_from(int32_t trans, int64_t rows, int64_t units, float alpha, const float* m,
                         int64_t ldm, float* panels, lp_error* err) LP_NOEXCEPT;

/* lp_panels_to: the other way, M = panels, or M = M + panels where add isn't 0. */
lp_status lp_panels_to(int32_t trans, int64_t rows, int64_t units, const float* panels, int32_t add,
                       float* m, int64_t ldm, lp_error* err) LP_NOEXCEPT;

/* lp_panels_turn: rows first <= i < first + count of panels of rows x units = alpha times the
 * transpose of panels of units x count. count <= rows (LP_SIZE of count), first <= rows - count
 * (LP_SIZE of first). What it doesn't write, padding too, stays; calls on other rows of to may run
 * at once. */
lp_status lp_panels_turn(int64_t rows, int64_t first, int64_t count, int64_t units, float alpha,
                         const float* from, float* to, lp_error* err) LP_NOEXCEPT;

/* ---- a local problem -----------------------------------------------------------------*/

/* lp_solve_direct: all T = steps iterations of the local problem of one block of units:
 *
 *     Delta = 0, E = gamma D
 *     for t = 0 ... T-1:
 *         R = E                                       (t = 0)
 *         R = lp_residual(dA = X~ Delta', ...)        (t >= 1)
 *         G = R' X~
 *         Delta, slots = lp_update(rules[t], Delta, W~, G, slots)
 *     W~ = W~ + Delta
 *
 * with the bits of these very functions called one by one on E, dA, Delta, G without
 * gaps between rows. x: batch x cols; ahat, yhat (unused for LP_IDENTITY), d: batch x
 * units; w, s0, s1, s2: units x cols. w and the slots that the rules have are overwritten,
 * the rest is only read; other slots aren't used. rules: steps of them, all with the same
 * number of slots (LP_KIND: a rule that isn't known, or has others). scratch: scratch_len >=
 * lp_solve_direct_scratch(batch, cols, units) floats, 64-byte aligned for speed; it holds E,
 * dA, Delta, G in this order, each from a multiple of 16 floats, of unspecified content
 * afterwards. */
lp_status lp_solve_direct(int64_t batch, int64_t cols, int64_t units, const float* x, int64_t ldx,
                          const float* ahat, int64_t ldahat, const float* yhat, int64_t ldyhat,
                          const float* d, int64_t ldd, float* w, int64_t ldw, float* s0,
                          int64_t lds0, float* s1, int64_t lds1, float* s2, int64_t lds2, int32_t f,
                          float alpha, float gamma, const lp_rule* rules, int64_t steps,
                          float* scratch, int64_t scratch_len, lp_error* err) LP_NOEXCEPT;

/* The floats that lp_solve_direct needs; INT64_MAX where a size is out of range. */
int64_t lp_solve_direct_scratch(int64_t batch, int64_t cols, int64_t units) LP_NOEXCEPT;

/* lp_solve_kernel: the same iterates as lp_solve_direct's for a rule that is linear in the
 * gradient (SGD, momentum, Nesterov, momentum buffer), by way of K = X~ X~'. Delta = Z'X~
 * + p V0 and a velocity U'X~ + a V0, where V0 is the velocity before the batch:
 *
 *     Z = 0, U = 0, E = gamma D, A0 = X~ V0'
 *     for t = 0 ... T-1:
 *         R = E                                              (t = 0)
 *         R = lp_residual(dA = K Z + share[t] A0, ...)       (t >= 1)
 *         Z, U = lp_update(rules[t], Z, R, U)
 *     W~ = W~ + Z'X~ + share[T] V0,   V0 = U'X~ + velocity V0
 *
 * with the bits of lp_scale, lp_affine, lp_gemm, lp_residual and lp_update one by one, a
 * product being added to what lp_scale made of A0 or V0. k: batch x batch, symmetric, only
 * read; v (V0): units x cols, overwritten, or NULL where no velocity is carried from batch to
 * batch, and then share, T + 1 numbers, isn't used. x, ahat, yhat, d, w, rules as for
 * lp_solve_direct; a proximal term's part in p is in share. LP_KIND: a rule that isn't linear.
 * scratch: lp_solve_kernel_scratch(batch, cols, units) floats, for E, Z, R, A0, U, Delta. */
lp_status lp_solve_kernel(int64_t batch, int64_t cols, int64_t units, const float* x, int64_t ldx,
                          const float* k, int64_t ldk, const float* ahat, int64_t ldahat,
                          const float* yhat, int64_t ldyhat, const float* d, int64_t ldd, float* w,
                          int64_t ldw, float* v, int64_t ldv, const float* share, float velocity,
                          int32_t f, float alpha, float gamma, const lp_rule* rules, int64_t steps,
                          float* scratch, int64_t scratch_len, lp_error* err) LP_NOEXCEPT;
/* The floats that lp_solve_kernel needs; INT64_MAX where a size is out of range. */
int64_t lp_solve_kernel_scratch(int64_t batch, int64_t cols, int64_t units) LP_NOEXCEPT;

/* lp_solve_gram: the iterates of lp_solve_direct for LP_IDENTITY, by way of C = X~'X~:
 *
 *     Delta = 0, F = gamma D'X~
 *     for t = 0 ... T-1:
 *         G = F                                              (t = 0)
 *         G = Delta C + F                                    (t >= 1)
 *         Delta, slots = lp_update(rules[t], Delta, W~, G, slots)
 *     W~ = W~ + Delta
 *
 * with the bits of lp_gemm, lp_update and lp_add_into one by one, Delta C being added to a
 * copy of F. c: cols x cols, symmetric, only read; x, d, w, slots and rules as for
 * lp_solve_direct. scratch: lp_solve_gram_scratch(cols, units) floats, for F, Delta, G. */
lp_status lp_solve_gram(int64_t batch, int64_t cols, int64_t units, const float* x, int64_t ldx,
                        const float* c, int64_t ldc, const float* d, int64_t ldd, float* w,
                        int64_t ldw, float* s0, int64_t lds0, float* s1, int64_t lds1, float* s2,
                        int64_t lds2, float gamma, const lp_rule* rules, int64_t steps,
                        float* scratch, int64_t scratch_len, lp_error* err) LP_NOEXCEPT;
/* The floats that lp_solve_gram needs; INT64_MAX where a size is out of range. */
int64_t lp_solve_gram_scratch(int64_t cols, int64_t units) LP_NOEXCEPT;

/* lp_solve_metric: T = steps >= 1 iterations in the metric P of running statistics, and
 * Nesterov's outer step on the weights. With XP = X~P and K = X~PX~':
 *
 *     E = gamma D, Z = -eta E
 *     T - 1 times: R = lp_residual(dA = K Z, ...), Z = Z - eta R
 *     Delta = rate Z'XP,  V = mu V + Delta,  W~ = W~ + mu V + Delta
 *
 * with the bits of lp_scale, lp_gemm, lp_residual and lp_update (LP_SGD of rate eta on Z,
 * LP_NESTEROV of rate -1 on W~) one by one. T = 0 does nothing. k: batch x batch, symmetric;
 * xp: batch x cols; both only read. v, w: units x cols, overwritten. ahat, yhat (unused for
 * LP_IDENTITY), d: batch x units, only read. scratch: lp_solve_metric_scratch(batch, cols,
 * units) floats, for E, Z, R, Delta. */
lp_status lp_solve_metric(int64_t batch, int64_t cols, int64_t units, const float* k, int64_t ldk,
                          const float* xp, int64_t ldxp, const float* ahat, int64_t ldahat,
                          const float* yhat, int64_t ldyhat, const float* d, int64_t ldd, float* w,
                          int64_t ldw, float* v, int64_t ldv, int32_t f, float alpha, float gamma,
                          float eta, float rate, float mu, int64_t steps, float* scratch,
                          int64_t scratch_len, lp_error* err) LP_NOEXCEPT;
/* The floats that lp_solve_metric needs; INT64_MAX where a size is out of range. */
int64_t lp_solve_metric_scratch(int64_t batch, int64_t cols, int64_t units) LP_NOEXCEPT;

/* ---- what this is built on -----------------------------------------------------------*/

/* Text ends with a NUL and is cut to fit. */
typedef struct lp_info {
  char openblas[128];  /* OpenBLAS's configuration: "OpenBLAS 0.3.21 ... MAX_THREADS=64" */
  char core[32];       /* the CPU that OpenBLAS's kernels are for */
  char simd[32];       /* Highway's target: AVX2, NEON, ... */
  char compiler[64];   /* what compiled this library, and its version */
  int32_t max_threads; /* the threads that OpenBLAS was built for; 0: it doesn't say */
} lp_info;

/* lp_get_info fills *info. One call at a time: OpenBLAS builds the text in memory of its
 * own. */
void lp_get_info(lp_info* info) LP_NOEXCEPT;

/* OpenBLAS's number of threads, a setting of the whole process. Set it while nothing
 * computes. */
int32_t lp_get_threads(void) LP_NOEXCEPT;
void lp_set_threads(int32_t threads) LP_NOEXCEPT;

/* lp_set_target makes the whole process use one of Highway's targets, for tests: AVX2, SSE4,
 * NEON, ..., or baseline for the one that every CPU of this architecture has. It returns
 * LP_KIND, and changes nothing, where this CPU has no target of that name. Call it while
 * nothing computes; panels made before are void then. */
lp_status lp_set_target(const char* name) LP_NOEXCEPT;

/* lp_fma_peak performs about `rounds` times 1000 floating-point operations as fast as
 * this CPU can, in registers, and returns how many; *sink (one float) takes a result, so
 * that no compiler may leave them out. Its rate is what other rates are compared with. */
double lp_fma_peak(int64_t rounds, float* sink) LP_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif /* LOCOPROP_H_ */
