// Matrices for tests: in any layout, with a guard round every row.
#ifndef LP_TESTS_MATRIX_H_
#define LP_TESTS_MATRIX_H_

#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace lp_test {

// Half an ulp of a float near 1: the error of one rounding, relative to its result.
constexpr double kEpsilon = 1.0 / (1 << 24);

// Where relative errors end: a few of the smallest denormals.
constexpr double kTiny = 8 * 1.4012984643248171e-45;

inline uint32_t Bits(float v) {
  uint32_t b;
  std::memcpy(&b, &v, sizeof b);
  return b;
}

inline float FromBits(uint32_t b) {
  float v;
  std::memcpy(&v, &b, sizeof v);
  return v;
}

// Same bits; all NaNs count as one.
inline bool Same(float a, float b) { return Bits(a) == Bits(b) || (a != a && b != b); }

// How a matrix lies in memory: floats before it (which shift its alignment), and after
// each row.
struct Layout {
  int64_t offset = 0;
  int64_t gap = 0;
};

class Matrix {
 public:
  Matrix(int64_t rows, int64_t cols, Layout layout = {})
      : rows_(rows),
        cols_(cols),
        stride_(cols + layout.gap),
        start_(kGuard + layout.offset),
        memory_(static_cast<size_t>(start_ + rows * stride_ + kGuard), FromBits(kGuardBits)) {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < cols; ++j) (*this)(i, j) = 0;
    }
  }

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  int64_t stride() const { return stride_; }
  float* data() { return memory_.data() + start_; }
  const float* data() const { return memory_.data() + start_; }
  float& operator()(int64_t i, int64_t j) { return data()[i * stride_ + j]; }
  float operator()(int64_t i, int64_t j) const { return data()[i * stride_ + j]; }

  template <class F>
  Matrix& Fill(F f) {
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < cols_; ++j) (*this)(i, j) = static_cast<float>(f());
    }
    return *this;
  }

  // The same elements in another layout.
  Matrix In(Layout layout) const {
    Matrix m(rows_, cols_, layout);
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < cols_; ++j) m(i, j) = (*this)(i, j);
    }
    return m;
  }

  bool SameAs(const Matrix& other) const {
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < cols_; ++j) {
        if (!Same((*this)(i, j), other(i, j))) return false;
      }
    }
    return rows_ == other.rows_ && cols_ == other.cols_;
  }

  // Whether nothing outside the matrix was written.
  bool Intact() const {
    for (int64_t k = 0; k < static_cast<int64_t>(memory_.size()); ++k) {
      const int64_t at = k - start_;
      const bool inside = at >= 0 && stride_ > 0 && at / stride_ < rows_ && at % stride_ < cols_;
      if (!inside && Bits(memory_[static_cast<size_t>(k)]) != kGuardBits) return false;
    }
    return true;
  }

 private:
  static constexpr int64_t kGuard = 16;
  static constexpr uint32_t kGuardBits = 0x7fc0dead;  // a NaN: reading it shows too
  int64_t rows_, cols_, stride_, start_;
  std::vector<float> memory_;
};

// A reproducible source of numbers.
class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  double Uniform(double lo, double hi) { return lo + (hi - lo) * (engine_() / 4294967296.0); }
  double Normal() { return std::normal_distribution<double>()(engine_); }

 private:
  std::mt19937 engine_;
};

struct Shape {
  int64_t batch, inputs, units;
  int64_t cols() const { return inputs + 1; }
  std::string Name() const {
    return std::to_string(batch) + "x" + std::to_string(inputs) + "x" + std::to_string(units);
  }
};

// The shapes that the Go tests use too.
inline std::vector<Shape> Shapes() {
  std::ifstream file(LP_SHAPES_FILE);
  std::vector<Shape> shapes;
  for (std::string line; std::getline(file, line);) {
    Shape s;
    if (line.empty() || line[0] == '#') continue;
    if (!(std::istringstream(line) >> s.batch >> s.inputs >> s.units)) {
      throw std::runtime_error(LP_SHAPES_FILE ": can't read: " + line);
    }
    shapes.push_back(s);
  }
  if (shapes.empty()) throw std::runtime_error("no shapes in " LP_SHAPES_FILE);
  return shapes;
}

}  // namespace lp_test

#endif  // LP_TESTS_MATRIX_H_
