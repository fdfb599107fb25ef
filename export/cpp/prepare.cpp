#include "prepare.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace agcn {
namespace {

constexpr std::size_t kT = kFrames, kV = kJoints;
constexpr std::size_t kCentre = 1;
constexpr std::array<std::size_t, 2> kSpine{0, 1}, kShoulders{4, 8};  // turned from the first to the second joint

using Row = std::array<float, 3>;
using Pose = std::array<Row, kV>;
using Person = std::vector<Pose>;  // T poses
using Matrix = std::array<std::array<double, 3>, 3>;

// NumPy's sum of 25 numbers: eight running sums joined as a tree. "Empty" means a sum of exactly zero, so order counts.
template <class T>
T numpy_sum(const std::array<T, kV>& values) {
  std::array<T, 8> sums;
  std::copy_n(values.begin(), 8, sums.begin());
  for (std::size_t index = 8; index < kV - kV % 8; ++index) sums[index % 8] += values[index];
  T total = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  for (std::size_t index = kV - kV % 8; index < kV; ++index) total += values[index];
  return total;
}

// Joint by joint, as NumPy sums a whole clip.
template <class P>
bool is_hidden(const P& pose) {
  std::array<typename P::value_type::value_type, kV> sums;
  std::transform(pose.begin(), pose.end(), sums.begin(), [](const auto& point) { return point[0] + point[1] + point[2]; });
  return numpy_sum(sums) == 0;
}

// Axis by axis, as NumPy sums one frame.
bool is_empty(const Pose& pose) {
  float total = 0;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    std::array<float, kV> values;
    std::transform(pose.begin(), pose.end(), values.begin(), [axis](const Row& point) { return point[axis]; });
    total += numpy_sum(values);
  }
  return total == 0;
}

double energy(const std::vector<Frame>& frames, std::size_t body) {
  Point mean{}, spread{};
  double seen = 0;
  for (const Frame& frame : frames) {
    if (is_hidden(frame[body])) continue;
    seen += kV;
    for (const Point& point : frame[body])
      for (std::size_t axis = 0; axis < 3; ++axis) mean[axis] += point[axis];
  }
  if (seen == 0) return 0;
  for (const Frame& frame : frames) {
    if (is_hidden(frame[body])) continue;
    for (const Point& point : frame[body])
      for (std::size_t axis = 0; axis < 3; ++axis) {
        const double off = point[axis] - mean[axis] / seen;
        spread[axis] += off * off;
      }
  }
  return std::sqrt(spread[0] / seen) + std::sqrt(spread[1] / seen) + std::sqrt(spread[2] / seen);
}

// The two of highest energy; of equal ones the later comes first, as NumPy's reversed argsort has it.
std::array<std::size_t, kPersons> choose_bodies(const std::vector<Frame>& frames) {
  std::array<std::size_t, kMaxBodies> order{0, 1, 2, 3};
  std::array<double, kMaxBodies> energies;
  for (std::size_t body = 0; body < kMaxBodies; ++body) energies[body] = energy(frames, body);
  std::sort(order.begin(), order.end(), [&](std::size_t left, std::size_t right) {
    return energies[left] != energies[right] ? energies[left] > energies[right] : left > right;
  });
  return {order[0], order[1]};
}

double total_of(const Person& person) {
  double total = 0;
  for (const Pose& pose : person) {
    double of_frame = 0;
    for (const Row& point : pose) of_frame += static_cast<double>(point[0]) + point[1] + point[2];
    total += of_frame;
  }
  return total;
}

// A body's frames, without the empty ones where the first is empty, repeated from the start behind the last seen one.
Person take_body(const std::vector<Frame>& frames, std::size_t body) {
  Person person(kT, Pose{});
  for (std::size_t frame = 0; frame < frames.size(); ++frame)
    for (std::size_t joint = 0; joint < kV; ++joint)
      for (std::size_t axis = 0; axis < 3; ++axis)
        person[frame][joint][axis] = static_cast<float>(frames[frame][body][joint][axis]);
  if (total_of(person) == 0) return person;
  if (is_empty(person[0])) {
    const auto kept = std::remove_if(person.begin(), person.end(), is_hidden<Pose>);
    std::fill(kept, person.end(), Pose{});
  }
  std::size_t period = kT;
  while (period > 0 && is_empty(person[period - 1])) --period;
  for (std::size_t frame = period; period > 0 && frame < kT; ++frame) person[frame] = person[frame - period];
  return person;
}

using Clip = std::array<Person, kPersons>;

// Which bodies have a sum other than zero; false where both together have none.
bool look(const Clip& clip, std::array<bool, kPersons>& present) {
  double both = 0;
  for (std::size_t body = 0; body < kPersons; ++body) {
    const double alone = total_of(clip[body]);
    present[body] = alone != 0;
    both += alone;
  }
  return both != 0;
}

void centre(Clip& clip) {
  std::array<bool, kPersons> present;
  if (!look(clip, present)) return;
  for (std::size_t frame = 0; frame < kT; ++frame) {
    const Row origin = clip[0][frame][kCentre];
    for (std::size_t body = 0; body < kPersons; ++body) {
      if (!present[body]) continue;
      for (Row& point : clip[body][frame]) {
        const bool seen = point[0] + point[1] + point[2] != 0;
        for (std::size_t axis = 0; axis < 3; ++axis) point[axis] = seen ? point[axis] - origin[axis] : 0;
      }
    }
  }
}

// Keeps the vector's length in float32 as NumPy does: near 0 and pi the arc cosine makes that rounding visible.
double angle_to(const Row& vector, float along) {
  if (std::abs(vector[0]) + std::abs(vector[1]) + std::abs(vector[2]) < 1e-6F) return 0;
  double square = 0;
  square = static_cast<double>(vector[0] * vector[0]) + static_cast<double>(vector[1] * vector[1]) +
           static_cast<double>(vector[2] * vector[2]);
  const auto length = static_cast<float>(std::sqrt(static_cast<double>(static_cast<float>(square))));
  return std::acos(std::clamp(static_cast<double>(along / length), -1.0, 1.0));
}

// Euler-Rodrigues; the identity for a tiny axis or angle.
Matrix rotation(const Point& axis, double angle) {
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
  std::array<bool, kPersons> present;
  if (!look(clip, present)) return;
  const Pose& first = clip[0][0];
  Row way;
  for (std::size_t axis = 0; axis < 3; ++axis) way[axis] = first[bone[1]][axis] - first[bone[0]][axis];
  const Point axis = to_z ? Point{way[1], -way[0], 0} : Point{0, way[2], -way[1]};
  const Matrix matrix = rotation(axis, angle_to(way, to_z ? way[2] : way[0]));
  for (std::size_t body = 0; body < kPersons; ++body) {
    if (!present[body]) continue;
    for (Pose& pose : clip[body]) {
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

std::vector<float> prepare_clip(const std::vector<Frame>& frames) {
  const auto chosen = choose_bodies(frames);
  Clip clip{take_body(frames, chosen[0]), take_body(frames, chosen[1])};
  centre(clip);
  turn(clip, kSpine, true);
  turn(clip, kShoulders, false);
  std::vector<float> dense(kChannels * kT * kV * kPersons);
  for (std::size_t axis = 0; axis < kChannels; ++axis)
    for (std::size_t frame = 0; frame < kT; ++frame)
      for (std::size_t joint = 0; joint < kV; ++joint)
        for (std::size_t body = 0; body < kPersons; ++body)
          dense[((axis * kT + frame) * kV + joint) * kPersons + body] = clip[body][frame][joint][axis];
  return dense;
}

}  // namespace agcn
