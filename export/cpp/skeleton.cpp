#include "skeleton.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string_view>
#include <system_error>

namespace agcn {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{32} << 20;  // the longest real clip has less than 8 MiB
constexpr double kLimit = 1'000'000;                      // metres; no real coordinate comes near
constexpr int kBodyFields = 10, kJointFields = 12;

bool is_gap(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Whether `word` is one of Python's words for what is no finite number: Kinect wrote them for hidden joints.
bool is_word_number(std::string_view word) {
  if (!word.empty() && (word[0] == '+' || word[0] == '-')) word.remove_prefix(1);
  if (word.size() != 3 && word.size() != 8) return false;
  const int first = std::tolower(static_cast<unsigned char>(word.front()));
  const int last = std::tolower(static_cast<unsigned char>(word.back()));
  return (first == 'n' && last == 'n') || (first == 'i' && (last == 'f' || last == 'y'));
}

// Goes through the text once; it never looks behind its end, whatever stands in it.
class Parser {
 public:
  Parser(const std::string& path, std::string_view text) : path_(path), text_(text) {}

  std::vector<Frame> run(std::size_t max_frames) {
    if (text_.empty()) throw BadFile(path_ + ": is empty: fetch it again");
    const std::size_t frames = count_line();
    if (frames == 0) fail(0, "says that there are no frames: leave the clip out");
    if (frames > max_frames) {
      fail(0, "has " + std::to_string(frames) + " frames, there is room for " + std::to_string(max_frames) +
                  ": give a larger --max-frames");
    }
    frames_ = frames;
    std::vector<Frame> clip;
    for (seen_ = 0; seen_ < frames; ++seen_) clip.push_back(frame());
    const auto stray = std::find_if_not(text_.begin() + static_cast<std::ptrdiff_t>(at_), text_.end(), is_gap);
    if (stray != text_.end()) {
      fail(static_cast<std::size_t>(stray - text_.begin()), "goes on after the last of its " + std::to_string(frames) +
                                                                " frames: the file is damaged, fetch it again");
    }
    return clip;
  }

 private:
  // A line feed behind the end closes the last line.
  char peek() const { return at_ < text_.size() ? text_[at_] : '\n'; }

  [[noreturn]] void fail(std::size_t where, const std::string& what) const {
    if (frames_ > 0 && where >= text_.size()) cut_off();
    const auto line = 1 + std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(where), '\n');
    throw BadFile(path_ + ":" + std::to_string(line) + ": " + what);
  }

  [[noreturn]] void cut_off() const {
    const auto line = 1 + std::count(text_.begin(), text_.end(), '\n');
    throw BadFile(path_ + ":" + std::to_string(line) + ": ends after " + std::to_string(seen_) + " of its " +
                  std::to_string(frames_) + " frames: the file was cut off, fetch it again");
  }

  std::size_t count_line() {
    const std::size_t start = at_;
    std::size_t value = 0;
    while (is_digit(peek()) && at_ - start < 10) value = 10 * value + static_cast<std::size_t>(text_[at_++] - '0');
    const bool some = at_ > start;
    while (peek() == ' ' || peek() == '\t' || peek() == '\r') ++at_;
    if (!some || peek() != '\n') {
      fail(start, "should be a whole number on a line of its own: the file is damaged, fetch it again");
    }
    ++at_;
    return value;
  }

  Frame frame() {
    if (at_ >= text_.size()) cut_off();
    Frame bodies{};
    const std::size_t count = count_line();
    Skeleton spare{};
    for (std::size_t body = 0; body < count; ++body) {
      if (at_ >= text_.size()) cut_off();
      rest_of_line(0, kBodyFields, "body");
      const std::size_t line = at_;
      const std::size_t joints = count_line();
      if (joints != kJoints) {
        fail(std::max(line, at_ - 1), "has " + std::to_string(joints) + " joints, NTU needs " +
                                          std::to_string(kJoints) + ": use files recorded with Kinect v2");
      }
      for (Point& point : body < kMaxBodies ? bodies[body] : spare) joint_line(point);
    }
    return bodies;
  }

  void joint_line(Point& point) {
    for (int axis = 0; axis < 3; ++axis) {
      while (peek() == ' ' || peek() == '\t') ++at_;
      if (peek() == '\n' || peek() == '\r') wrong_fields("joint", axis, kJointFields, at_);
      const std::size_t start = at_;
      const std::size_t behind = number_end(start);
      if (behind == start) fail(start, "not a number: fetch the file again");
      at_ = behind;
      if (!is_gap(peek())) fail(start, "not a number: fetch the file again");
      point[static_cast<std::size_t>(axis)] = value_of(start, behind);
      if (!(std::abs(point[static_cast<std::size_t>(axis)]) <= kLimit)) {
        fail(start, "a number out of range (at most 1000000 on either side of zero): fetch the file again");
      }
    }
    rest_of_line(3, kJointFields, "joint");
  }

  [[noreturn]] void wrong_fields(const char* what, int seen, int wanted, std::size_t where) const {
    fail(where, std::string("the line of a ") + what + " has " + std::to_string(seen) + " numbers instead of " +
                    std::to_string(wanted) + ": the file is damaged, fetch it again");
  }

  // Fields that nobody needs are counted; each is looked at only where a line holds more than digits and signs.
  void rest_of_line(int seen, int wanted, const char* what) {
    const std::size_t start = at_;
    std::size_t end = text_.find('\n', at_);
    end = end == std::string_view::npos ? text_.size() : end;
    bool odd = false, blank = true;
    for (; at_ < end; ++at_) {
      const auto byte = static_cast<unsigned char>(text_[at_]);
      odd |= byte > '9' || byte < '\t';
      const bool now = byte <= ' ';
      seen += blank && !now;
      blank = now;
    }
    if (odd) check_fields(start, end);
    if (seen != wanted) wrong_fields(what, seen, wanted, start);
    ++at_;
  }

  void check_fields(std::size_t at, std::size_t end) const {
    while (at < end) {
      if (is_gap(text_[at])) {
        ++at;
        continue;
      }
      const std::size_t start = at;
      while (at < end && static_cast<unsigned char>(text_[at]) > ' ') ++at;
      const bool number = number_end(start) == at && at > start;
      const bool control = at < end && !is_gap(text_[at]);
      if ((!number && !is_word_number(text_.substr(start, at - start))) || control) {
        fail(start, "not a number: fetch the file again");
      }
    }
  }

  // Behind the decimal number at `at`, or `at` where there is none.
  std::size_t number_end(std::size_t at) const {
    const auto digit = [this](std::size_t place) { return place < text_.size() && is_digit(text_[place]); };
    const auto sign = [this](std::size_t place) {
      return place < text_.size() && (text_[place] == '-' || text_[place] == '+');
    };
    const std::size_t start = at;
    at += sign(at);
    std::size_t digits = 0;
    for (; digit(at); ++at) ++digits;
    if (at < text_.size() && text_[at] == '.') {
      for (++at; digit(at); ++at) ++digits;
    }
    if (digits == 0) return start;
    if (at < text_.size() && (text_[at] == 'e' || text_[at] == 'E')) {
      at += 1 + sign(at + 1);
      if (!digit(at)) return start;
      while (digit(at)) ++at;
    }
    return at;
  }

  double value_of(std::size_t start, std::size_t end) const {
    start += text_[start] == '+';  // from_chars takes no plus
    double value = 0;
    const auto [rest, error] = std::from_chars(text_.data() + start, text_.data() + end, value);
    if (error == std::errc::result_out_of_range) {
      return std::strtod(std::string(text_.substr(start, end - start)).c_str(), nullptr);
    }
    return value;
  }

  const std::string& path_;
  std::string_view text_;
  std::size_t at_ = 0, seen_ = 0, frames_ = 0;
};

}  // namespace

std::vector<Frame> parse_skeleton(const std::string& path, const std::string& text, std::size_t max_frames) {
  return Parser(path, text).run(max_frames);
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text;
  std::array<char, 1 << 16> piece;
  errno = 0;
  while (file.read(piece.data(), piece.size()) || file.gcount() > 0) {
    text.append(piece.data(), static_cast<std::size_t>(file.gcount()));
    if (text.size() >= kMaxBytes) throw BadFile(path + ": is larger than 32 MiB, which no clip is: move it away");
  }
  if (file.bad() || !file.is_open()) {
    throw BadFile(path + ": " + (errno ? std::strerror(errno) : "cannot be read") + ": give a file that can be read");
  }
  return text;
}

}  // namespace agcn
