// One rank of plaintext Gloo over TCP on loopback, as the anchor of the collectives' benchmark.
//
//   gloobench RANK SIZE STORE_DIR
//
// A line "ALGORITHM BYTES ITERATIONS" on standard input is run after a barrier; the answer is a line with the process's CPU
// seconds and each iteration's microseconds. One run a process: Gloo's older algorithms disturb those that come after them. Algorithms: ring (gloo::allreduce as ProcessGroupGloo calls it), bcube,
// hd (halving and doubling), rc (chunked ring).
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "gloo/allreduce.h"
#include "gloo/allreduce_halving_doubling.h"
#include "gloo/allreduce_ring_chunked.h"
#include "gloo/barrier.h"
#include "gloo/math.h"
#include "gloo/rendezvous/context.h"
#include "gloo/rendezvous/file_store.h"
#include "gloo/transport/tcp/device.h"

static double cpu() {
  rusage r;
  getrusage(RUSAGE_SELF, &r);
  return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int rank = atoi(argv[1]), size = atoi(argv[2]);
  try {
    gloo::transport::tcp::attr attr;
    attr.hostname = "127.0.0.1";
    auto device = gloo::transport::tcp::CreateDevice(attr);
    gloo::rendezvous::FileStore store(argv[3]);
    auto context = std::make_shared<gloo::rendezvous::Context>(rank, size);
    context->connectFullMesh(store, device);
    uint32_t tag = 0;
    std::string line;
    if (std::getline(std::cin, line)) {
      std::istringstream words(line);
      std::string algorithm;
      size_t bytes;
      int iterations;
      words >> algorithm >> bytes >> iterations;
      const size_t n = bytes / 4;
      std::vector<float> v(n);
      for (size_t i = 0; i < n; i++) v[i] = float(rank + 1) * float(i % 7 + 1);
      std::vector<float*> pointers{v.data()};
      std::unique_ptr<gloo::Algorithm> classic;
      if (algorithm == "hd") classic.reset(new gloo::AllreduceHalvingDoubling<float>(context, pointers, n));
      if (algorithm == "rc") classic.reset(new gloo::AllreduceRingChunked<float>(context, pointers, n));
      auto run = [&] {
        if (classic) return classic->run();
        gloo::AllreduceOptions o(context);
        o.setOutput(v.data(), n);
        o.setAlgorithm(algorithm == "bcube" ? gloo::AllreduceOptions::Algorithm::BCUBE : gloo::AllreduceOptions::Algorithm::RING);
        void (*sum)(void*, const void*, const void*, size_t) = &gloo::sum<float>;
        o.setReduceFunction(sum);
        o.setTag(tag++);
        gloo::allreduce(o);
      };
      run();
      const float total = size * (size + 1) / 2;
      for (size_t i = 0; i < n; i++) {
        if (v[i] != total * float(i % 7 + 1)) {
          printf("wrong value %zu\n", i);
          return 1;
        }
      }
      std::fill(v.begin(), v.end(), 0.0f);
      gloo::BarrierOptions barrier(context);
      barrier.setTag(tag++);
      gloo::barrier(barrier);
      std::vector<double> times;
      const double before = cpu();
      for (int i = 0; i < iterations; i++) {
        auto start = std::chrono::steady_clock::now();
        run();
        times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
      }
      printf("%.6f", cpu() - before);
      for (double t : times) printf(" %.2f", t);
      printf("\n");
      fflush(stdout);
      std::getline(std::cin, line);  // stays until all have ended
      _exit(0);
    }
  } catch (std::exception& e) {
    printf("%s\n", e.what());
    return 1;
  }
  return 0;
}
