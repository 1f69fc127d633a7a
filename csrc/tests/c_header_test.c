/* locoprop.h is C99; contract_test.cpp calls this. */
#include "locoprop.h"

int lp_test_c_header(void);

int lp_test_c_header(void) {
  lp_rule rule = {LP_SGD, {0, 0, 0}, 0, {1, 0, 0, 0, 0, 0, 0, 0}};
  float w = 3, g = 2;
  lp_error err = {LP_OK, 0, 0, 0};
  lp_status s = lp_update(&rule, 1, 1, &w, 1, 0, 0, &g, 1, 0, 0, 0, 0, 0, 0, &err);
  return s == LP_OK && w == 1 && lp_abi() == LP_ABI;
}
