# Versions of the tools that build and check the project; the Makefile includes this file and
# setup.sh reads it. Go modules are pinned by go.mod and go.sum, the libraries by the system.

# golangci-lint brings staticcheck, revive and gofumpt; `make lint` builds it into bin/tools.
GOLANGCI_LINT_VERSION := v2.15.0

# clang-format and clang-tidy: another major version formats the same source differently.
CLANG_VERSION := 14

# The oldest Highway whose interface csrc/ uses.
HIGHWAY_MIN := 1.0

# The oldest CMake: CMakeLists.txt and `ctest --test-dir`.
CMAKE_MIN := 3.20

# TensorBoard (a Python package) reads in tests what the program writes for it.
TENSORBOARD_VERSION := 2.21.0
