#include <algorithm>
#include <cmath>

#include "agcn.h"

namespace agcn {
namespace {

constexpr std::size_t kCentre = 1;
constexpr std::array<std::size_t, 2> kSpine{0, 1}, kShoulders{4, 8};  // turned from the first to the second joint

using Row = std::array<float, kChannels>;
using Pose = Skeleton<float>;
using Clip = std::array<std::vector<Pose>, kPersons>;  // T poses a body
using Vector = std::array<double, 3>;

// NumPy's sum of 25 numbers: eight running sums joined as a tree. "Empty" means a sum of exactly zero, so order counts.
template <class At>
auto numpy_sum(const At& at) {
  std::array<decltype(at(0)), 8> sums{};
  for (std::size_t joint = 0; joint < kJoints - kJoints % 8; ++joint) sums[joint % 8] += at(joint);
  auto total = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  for (std::size_t joint = kJoints - kJoints % 8; joint < kJoints; ++joint) total += at(joint);
  return total;
}

// Joint by joint, as NumPy sums a whole clip.
template <class T>
bool is_hidden(const Skeleton<T>& pose) {
  return numpy_sum([&](std::size_t joint) { return pose[joint][0] + pose[joint][1] + pose[joint][2]; }) == 0;
}

// Axis by axis, as NumPy sums one frame.
bool is_empty(const Pose& pose) {
  float total = 0;
  for (std::size_t axis = 0; axis < kChannels; ++axis)
    total += numpy_sum([&](std::size_t joint) { return pose[joint][axis]; });
  return total == 0;
}

// How much a body moves: the standard deviations of x, y and z over the frames that it is in.
double energy(const std::vector<Frame>& frames, std::size_t body) {
  Vector sum{}, spread{};
  double seen = 0;
  const auto each_point = [&](const auto& look) {
    for (const Frame& frame : frames)
      if (!is_hidden(frame[body])) std::for_each(frame[body].begin(), frame[body].end(), look);
  };
  each_point([&](const Vector& point) {
    seen += 1;
    for (std::size_t axis = 0; axis < kChannels; ++axis) sum[axis] += point[axis];
  });
  if (seen == 0) return 0;
  each_point([&](const Vector& point) {
    for (std::size_t axis = 0; axis < kChannels; ++axis) {
      const double off = point[axis] - sum[axis] / seen;
      spread[axis] += off * off;
    }
  });
  return std::sqrt(spread[0] / seen) + std::sqrt(spread[1] / seen) + std::sqrt(spread[2] / seen);
}

// Those of highest energy first; of equal ones the later comes first, as NumPy's reversed argsort has it.
std::array<std::size_t, kMaxBodies> order_bodies(const std::vector<Frame>& frames) {
  std::array<std::size_t, kMaxBodies> order;
  std::array<double, kMaxBodies> energies;
  for (std::size_t body = 0; body < kMaxBodies; ++body) {
    energies[body] = energy(frames, body);
    order[body] = kMaxBodies - 1 - body;
  }
  std::stable_sort(order.begin(), order.end(), [&](auto left, auto right) { return energies[left] > energies[right]; });
  return order;
}

double total_of(const std::vector<Pose>& person) {
  double total = 0;
  for (const Pose& pose : person) {
    double of_frame = 0;
    for (const Row& point : pose) of_frame += static_cast<double>(point[0]) + point[1] + point[2];
    total += of_frame;
  }
  return total;
}

std::vector<Pose> take_body(const std::vector<Frame>& frames, std::size_t body, std::size_t length) {
  std::vector<Pose> person(length, Pose{});
  for (std::size_t frame = 0; frame < frames.size(); ++frame)
    for (std::size_t joint = 0; joint < kJoints; ++joint)
      for (std::size_t axis = 0; axis < kChannels; ++axis)
        person[frame][joint][axis] = static_cast<float>(frames[frame][body][joint][axis]);
  return person;
}

// Leaves out empty frames where the first is empty, and repeats the body from its start behind the last seen frame.
void fill(std::vector<Pose>& person) {
  if (total_of(person) == 0) return;
  if (is_empty(person[0])) std::fill(std::remove_if(person.begin(), person.end(), is_hidden<float>), person.end(), Pose{});
  std::size_t period = person.size();
  while (period > 0 && is_empty(person[period - 1])) --period;
  for (std::size_t frame = period; period > 0 && frame < person.size(); ++frame) person[frame] = person[frame - period];
}

// The bodies that have a sum other than zero; none where all together have none.
std::vector<std::vector<Pose>*> present(Clip& clip) {
  double both = 0;
  std::vector<std::vector<Pose>*> there;
  for (auto& person : clip) {
    const double alone = total_of(person);
    if (alone != 0) there.push_back(&person);
    both += alone;
  }
  return both != 0 ? there : std::vector<std::vector<Pose>*>{};
}

// Body 0's middle of the spine becomes the origin of every frame; joints at the origin are none and stay there.
void centre(Clip& clip) {
  const std::vector<Pose> first = clip[0];
  for (auto* person : present(clip)) {
    for (std::size_t frame = 0; frame < first.size(); ++frame) {
      for (Row& point : (*person)[frame]) {
        const bool seen = point[0] + point[1] + point[2] != 0;
        for (std::size_t axis = 0; axis < kChannels; ++axis)
          point[axis] = seen ? point[axis] - first[frame][kCentre][axis] : 0;
      }
    }
  }
}

// Keeps the vector's length in float32 as NumPy does: near 0 and pi the arc cosine makes that rounding visible.
double angle_to(const Row& vector, float along) {
  if (std::abs(vector[0]) + std::abs(vector[1]) + std::abs(vector[2]) < 1e-6F) return 0;
  double square = 0;
  for (const float part : vector) square += static_cast<double>(part * part);
  const auto length = static_cast<float>(std::sqrt(static_cast<double>(static_cast<float>(square))));
  return std::acos(std::clamp(static_cast<double>(along / length), -1.0, 1.0));
}

// Euler-Rodrigues; the identity for a tiny axis or angle.
std::array<Vector, 3> rotation(const Vector& axis, double angle) {
  double length = std::sqrt(axis[0] * axis[0] + axis[1] * axis[1] + axis[2] * axis[2]);
  if (std::abs(axis[0]) + std::abs(axis[1]) + std::abs(axis[2]) < 1e-6 || std::abs(angle) < 1e-6) {
    angle = 0;
    length = 1;
  }
  const double sine = -std::sin(angle / 2), a = std::cos(angle / 2);
  const double b = axis[0] / length * sine, c = axis[1] / length * sine, d = axis[2] / length * sine;
  return {{{a * a + b * b - c * c - d * d, 2 * (b * c + a * d), 2 * (b * d - a * c)},
           {2 * (b * c - a * d), a * a + c * c - b * b - d * d, 2 * (c * d + a * b)},
           {2 * (b * d + a * c), 2 * (c * d - a * b), a * a + d * d - b * b - c * c}}};
}

// Turns all bodies so that the first one's bone between two joints lies along z, or along x.
void turn(Clip& clip, const std::array<std::size_t, 2>& bone, bool to_z) {
  const Pose& first = clip[0][0];
  Row way;
  for (std::size_t axis = 0; axis < kChannels; ++axis) way[axis] = first[bone[1]][axis] - first[bone[0]][axis];
  const Vector around = to_z ? Vector{way[1], -way[0], 0} : Vector{0, way[2], -way[1]};
  const auto matrix = rotation(around, angle_to(way, to_z ? way[2] : way[0]));
  for (auto* person : present(clip)) {
    for (Pose& pose : *person) {
      if (is_empty(pose)) continue;
      for (Row& point : pose) {
        const Row old = point;
        for (std::size_t row = 0; row < 3; ++row)
          point[row] = static_cast<float>(matrix[row][0] * old[0] + matrix[row][1] * old[1] + matrix[row][2] * old[2]);
      }
    }
  }
}

}  // namespace

std::vector<float> make_clip(const std::vector<Frame>& frames, std::size_t length, bool raw) {
  const auto order = order_bodies(frames);
  Clip clip{take_body(frames, order[0], length), take_body(frames, order[1], length)};
  if (!raw) {
    std::for_each(clip.begin(), clip.end(), fill);
    centre(clip);
    turn(clip, kSpine, true);
    turn(clip, kShoulders, false);
  }
  std::vector<float> dense;
  for (std::size_t axis = 0; axis < kChannels; ++axis)
    for (std::size_t frame = 0; frame < length; ++frame)
      for (std::size_t joint = 0; joint < kJoints; ++joint)
        for (const auto& person : clip) dense.push_back(person[frame][joint][axis]);
  return dense;
}

}  // namespace agcn
