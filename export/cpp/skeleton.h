// NTU `.skeleton` text to raw coordinates, with the checks and the messages of `prep`.
#pragma once

#include <array>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

namespace agcn {

constexpr int kJoints = 25;     // V
constexpr int kMaxBodies = 4;   // later bodies of a frame are passed over
constexpr int kFrames = 300;    // T of a prepared clip

using Point = std::array<double, 3>;  // x y z, metres
using Skeleton = std::array<Point, kJoints>;
using Frame = std::array<Skeleton, kMaxBodies>;  // absent bodies are all zero

// A file that cannot be used; what() is `FILE[:LINE]: what is wrong: what to do`.
struct BadFile : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The frames of a file's text. `max_frames` is T: a longer clip is bad. Throws BadFile.
std::vector<Frame> parse_skeleton(const std::string& path, const std::string& text, std::size_t max_frames = kFrames);

// The whole of a file, at most 32 MiB. Throws BadFile.
std::string read_text(const std::string& path);

}  // namespace agcn
