#include <algorithm>
#include <cmath>
#include <numeric>

#include "agcn.h"

namespace agcn {
namespace {

// Whether nobody is there: a sum of exactly zero. Summed in NumPy's order, eight running sums joined as a tree, since
// the order decides what is exactly zero.
bool is_empty(const Skeleton& body) {
  std::array<double, 8> sums{};
  const auto of_joint = [&](std::size_t joint) { return body[joint][0] + body[joint][1] + body[joint][2]; };
  for (std::size_t joint = 0; joint < kJoints - 1; ++joint) sums[joint % 8] += of_joint(joint);
  const double most = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  return most + of_joint(kJoints - 1) == 0;
}

// How much a body moves: the standard deviations of x, y and z over the frames that it is in.
double energy(const std::vector<Frame>& frames, std::size_t body) {
  Point mean{}, spread{};
  double seen = 0;
  const auto each_point = [&](const auto& look) {
    for (const Frame& frame : frames)
      if (!is_empty(frame[body])) std::for_each(frame[body].begin(), frame[body].end(), look);
  };
  each_point([&](const Point& point) {
    seen += 1;
    for (std::size_t axis = 0; axis < kChannels; ++axis) mean[axis] += point[axis];
  });
  if (seen == 0) return 0;
  for (double& part : mean) part /= seen;
  each_point([&](const Point& point) {
    for (std::size_t axis = 0; axis < kChannels; ++axis) spread[axis] += (point[axis] - mean[axis]) * (point[axis] - mean[axis]);
  });
  return std::sqrt(spread[0] / seen) + std::sqrt(spread[1] / seen) + std::sqrt(spread[2] / seen);
}

}  // namespace

std::vector<float> make_clip(const std::vector<Frame>& frames, std::size_t length) {
  std::array<double, kMaxBodies> energies;
  for (std::size_t body = 0; body < kMaxBodies; ++body) energies[body] = energy(frames, body);
  // Of equal ones the later comes first, as NumPy's reversed argsort has it.
  std::array<std::size_t, kMaxBodies> order;
  std::iota(order.rbegin(), order.rend(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto left, auto right) { return energies[left] > energies[right]; });
  std::vector<float> clip(kChannels * length * kJoints * kPersons);
  for (std::size_t axis = 0, at = 0; axis < kChannels; ++axis, at = axis * length * kJoints * kPersons)
    for (const Frame& frame : frames)
      for (std::size_t joint = 0; joint < kJoints; ++joint)
        for (std::size_t person = 0; person < kPersons; ++person)
          clip[at++] = static_cast<float>(frame[order[person]][joint][axis]);
  return clip;
}

}  // namespace agcn
