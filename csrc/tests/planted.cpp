// Bugs on purpose, one per run, in the code of csrc/: proof that the sanitizers see it.
// Exits normally, with 0, where nothing stops it.
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "locoprop.h"

namespace {

// A matrix shorter than it is said to be.
void Heap() {
  std::vector<float> d(64, 1.0f), e(48);
  lp_scale(1, 64, e.data(), 64, d.data(), 64, 2.0f, nullptr);
}

// A structure at an odd address.
void Undefined() {
  std::vector<char> memory(sizeof(lp_info) + 1);
  lp_get_info(reinterpret_cast<lp_info*>(memory.data() + 1));
}

// Two threads with one output.
void Race() {
  std::vector<float> d(1 << 16, 1.0f), e(1 << 16);
  const auto work = [&] {
    for (int i = 0; i < 20; ++i)
      lp_scale(1, 1 << 16, e.data(), 1 << 16, d.data(), 1 << 16, 2, nullptr);
  };
  std::thread other(work);
  work();
  other.join();
}

}  // namespace

int main(int argc, char** argv) {
  const char* bug = argc > 1 ? argv[1] : "";
  if (std::strcmp(bug, "heap") == 0) {
    Heap();
  } else if (std::strcmp(bug, "undefined") == 0) {
    Undefined();
  } else if (std::strcmp(bug, "race") == 0) {
    Race();
  } else {
    std::fprintf(stderr, "usage: planted heap|undefined|race\n");
    return 2;
  }
  std::printf("no sanitizer stopped the bug %s\n", bug);
  return 0;
}
