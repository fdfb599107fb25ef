// From NTU `.skeleton` files to the scores of a network, with the checks and the messages of `prep`.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace agcn {

constexpr std::size_t kChannels = 3, kJoints = 25, kPersons = 2;  // C, V, M of a clip
constexpr std::size_t kMaxBodies = 4;                             // later bodies of a frame are passed over

using Point = std::array<double, kChannels>;  // metres
using Skeleton = std::array<Point, kJoints>;
using Frame = std::array<Skeleton, kMaxBodies>;  // absent bodies are all zero

// What a user can mend; what() is `FILE[:LINE]: what is wrong: what to do`. Everything here throws it.
struct UserError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The whole of a file, at most 32 MiB.
std::string read_text(const std::string& path);

// The frames of a file's text, at most `room`; `path` is for messages.
std::vector<Frame> parse_skeleton(const std::string& path, const std::string& text, std::size_t room);

// float32 (C, T, V, M) for T >= frames, zeros behind them: the two bodies of highest energy. To the bit what `prep` takes
// before it prepares them. Source: ntu_gendata.py of 2s-AGCN.
std::vector<float> make_clip(const std::vector<Frame>& frames, std::size_t length);

// It prepares clips itself.
struct Network {
  std::size_t frames = 0;            // T
  std::vector<std::string> classes;  // their names, where they are known
  std::string runtime;
  virtual ~Network() = default;
  // A clip, as `make_clip` makes it, to its fused scores.
  virtual std::vector<float> scores(std::vector<float> clip) = 0;
};

// What export-trt wrote for the processor or GPU at hand.
std::unique_ptr<Network> open_aotinductor(const std::string& path);
std::unique_ptr<Network> open_tensorrt(const std::string& path);

}  // namespace agcn
