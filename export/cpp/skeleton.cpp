#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>

#include "agcn.h"

namespace agcn {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{32} << 20;  // the longest real clip has less than 8 MiB
constexpr double kLimit = 1'000;                          // metres; no real coordinate comes near
constexpr std::size_t kBodyFields = 10, kJointFields = 12;

bool is_gap(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Whether `word` is one of Python's words for what is no finite number: Kinect wrote them for hidden joints.
bool is_word_number(std::string_view word) {
  if (word[0] == '+' || word[0] == '-') word.remove_prefix(1);
  if (word.size() != 3 && word.size() != 8) return false;
  const int first = word.front() | 32, last = word.back() | 32;
  return (first == 'n' && last == 'n') || (first == 'i' && (last == 'f' || last == 'y'));
}

// Goes through the text once; whatever stands in it, nothing behind its end is looked at.
class Parser {
 public:
  Parser(const std::string& path, const std::string& text) : path_(path), text_(text) {}

  std::vector<Frame> clip(std::size_t room) {
    if (text_.empty()) throw UserError(path_ + ": is empty: fetch it again");
    const std::size_t frames = count_line();
    if (frames == 0) fail(0, "says that there are no frames: leave the clip out");
    if (frames > room) {
      fail(0, "has " + std::to_string(frames) + " frames, there is room for " + std::to_string(room) +
                  ": cut it, or prepare with a larger --max-frames");
    }
    frames_ = frames;
    std::vector<Frame> clip;
    while (clip.size() < frames) {
      clip.push_back(frame());
      ++seen_;
    }
    while (at_ < text_.size() && is_gap(text_[at_])) ++at_;
    if (at_ < text_.size()) damaged(at_, "goes on after the last of its " + std::to_string(frames) + " frames");
    return clip;
  }

 private:
  // A line feed behind the end closes the last line.
  char look(std::size_t at) const { return at < text_.size() ? text_[at] : '\n'; }

  [[noreturn]] void fail(std::size_t at, std::string what) const {
    if (frames_ > 0 && at >= text_.size()) {
      at = text_.size();
      what = "ends after " + std::to_string(seen_) + " of its " + std::to_string(frames_) +
             " frames: the file was cut off, fetch it again";
    }
    const auto end = text_.begin() + static_cast<std::ptrdiff_t>(std::min(at, text_.size()));
    throw UserError(path_ + ":" + std::to_string(1 + std::count(text_.begin(), end, '\n')) + ": " + what);
  }
  [[noreturn]] void damaged(std::size_t at, const std::string& what) const {
    fail(at, what + ": the file is damaged, fetch it again");
  }
  [[noreturn]] void wrong_fields(std::size_t at, const char* what, std::size_t seen, std::size_t wanted) const {
    damaged(at, std::string("the line of a ") + what + " has " + std::to_string(seen) + " numbers instead of " +
                    std::to_string(wanted));
  }

  std::size_t count_line() {
    const std::size_t start = at_;
    std::size_t value = 0;
    for (; is_digit(look(at_)) && at_ - start < 10; ++at_) value = 10 * value + static_cast<std::size_t>(text_[at_] - '0');
    const bool some = at_ > start;
    while (look(at_) != '\n' && is_gap(look(at_))) ++at_;
    if (!some || look(at_) != '\n') damaged(start, "expected a whole number on a line of its own");
    ++at_;
    return value;
  }

  Frame frame() {
    if (at_ >= text_.size()) fail(at_, "");
    Frame bodies{};
    Skeleton spare{};
    const std::size_t count = count_line();
    for (std::size_t body = 0; body < count; ++body) {
      if (at_ >= text_.size()) fail(at_, "");
      rest_of_line(0, kBodyFields, "body");
      const std::size_t joints = count_line();
      if (joints != kJoints) {
        fail(at_ - 1, "has " + std::to_string(joints) + " joints, NTU needs " + std::to_string(kJoints) +
                          ": use files recorded with Kinect v2");
      }
      for (auto& point : body < kMaxBodies ? bodies[body] : spare) {
        for (std::size_t axis = 0; axis < kChannels; ++axis) point[axis] = coordinate(axis);
        rest_of_line(kChannels, kJointFields, "joint");
      }
    }
    return bodies;
  }

  double coordinate(std::size_t axis) {
    while (look(at_) == ' ' || look(at_) == '\t') ++at_;
    if (is_gap(look(at_))) wrong_fields(at_, "joint", axis, kJointFields);
    const auto [value, end] = number(at_);
    if (end == at_ || !is_gap(look(end))) fail(at_, "not a number: fetch the file again");
    if (!(std::abs(value) <= kLimit)) {
      fail(at_, "a number out of range (at most 1000 on either side of zero): fetch the file again, or correct its unit");
    }
    at_ = end;
    return value;
  }

  // Fields that nobody needs are counted; each is looked at only where a line holds more than digits and signs.
  void rest_of_line(std::size_t seen, std::size_t wanted, const char* what) {
    const std::size_t start = at_;
    bool odd = false, blank = true;
    for (; look(at_) != '\n'; ++at_) {
      const auto byte = static_cast<unsigned char>(text_[at_]);
      odd |= byte > '9' || byte < '\t';
      seen += blank && byte > ' ';
      blank = byte <= ' ';
    }
    if (odd) check_fields(start);
    if (seen != wanted) wrong_fields(start, what, seen, wanted);
    ++at_;
  }

  void check_fields(std::size_t at) const {
    for (; look(at) != '\n'; ++at) {
      if (is_gap(look(at))) continue;
      const std::size_t start = at;
      while (static_cast<unsigned char>(look(at)) > ' ') ++at;
      const std::string_view word(text_.data() + start, at - start);
      if (!is_gap(look(at)) || (number(start).second != at && !is_word_number(word))) {
        fail(start, "not a number: fetch the file again");
      }
      if (look(at) == '\n') return;
    }
  }

  // The decimal number at `at` and where it ends; it ends at `at` where there is none.
  std::pair<double, std::size_t> number(std::size_t at) const {
    const std::size_t start = at + (look(at) == '+');  // from_chars takes no plus, but words such as nan
    const char first = look(start + (look(at) == '-'));
    if (!is_digit(first) && first != '.') return {0, at};
    double value = 0;
    const char* const begin = text_.data() + start;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error == std::errc::invalid_argument) return {0, at};
    // Too large or too small for a double: an infinity or nothing.
    if (error != std::errc()) value = std::strtod(std::string(begin, end).c_str(), nullptr);
    return {value, static_cast<std::size_t>(end - text_.data())};
  }

  const std::string& path_;
  const std::string& text_;
  std::size_t at_ = 0, seen_ = 0, frames_ = 0;
};

}  // namespace

std::vector<Frame> parse_skeleton(const std::string& path, const std::string& text, std::size_t room) {
  return Parser(path, text).clip(room);
}

std::string read_text(const std::string& path) {
  // A pipe that is named like a clip must not stop us for ever.
  std::error_code ignored;
  const auto kind = std::filesystem::status(path, ignored).type();
  if (kind == std::filesystem::file_type::fifo) throw UserError(path + ": is not a file: move it away");
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text;
  std::array<char, 1 << 16> piece;
  while (file && text.size() < kMaxBytes) {
    file.read(piece.data(), piece.size());
    text.append(piece.data(), static_cast<std::size_t>(file.gcount()));
  }
  if (!file.is_open() || file.bad()) {
    throw UserError(path + ": " + (errno ? std::strerror(errno) : "cannot be read") + ": give a file that can be read");
  }
  if (text.size() >= kMaxBytes) throw UserError(path + ": is larger than 32 MiB, which no clip is: move it away");
  return text;
}

}  // namespace agcn
