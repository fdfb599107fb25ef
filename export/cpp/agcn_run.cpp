// agcn_run: `.skeleton` files to the names of their actions, without Python.
//
// Exit status 0: done; 2: wrong usage or a bad file, told in one line on stderr.

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <numeric>
#include <sstream>

#include "agcn.h"

namespace {

using agcn::UserError;

constexpr std::size_t kBatch = 32;  // clips prepared at a time

const char* const kUsage =
    "usage: agcn_run --engine FILE [--top 5] [--json] CLIP.skeleton ...\n"
    "  --engine FILE  the network: a .pt2 file that export-trt --aot wrote\n"
    "  --top N        how many actions of each clip\n"
    "  --json         one line of JSON, as that of predict\n";

struct Options {
  std::string engine;
  std::size_t top = 5;
  bool json = false;
  std::vector<std::string> clips;
};

Options read_options(const std::vector<std::string>& words) {
  Options options;
  for (std::size_t index = 0; index < words.size(); ++index) {
    const std::string& word = words[index];
    const bool takes_value = word == "--engine" || word == "--top";
    if (takes_value && ++index == words.size()) throw UserError(word + ": needs a value: see --help");
    if (word == "--engine") {
      options.engine = words[index];
    } else if (word == "--top") {
      const std::string& top = words[index];
      if (top.empty() || top.size() > 6 || top.find_first_not_of("0123456789") != std::string::npos || std::stoul(top) == 0)
        throw UserError("--top " + top + ": give a whole number above 0");
      options.top = std::stoul(top);
    } else if (word == "--json") {
      options.json = true;
    } else if (word.size() > 1 && word[0] == '-') {
      throw UserError(word + ": no such option: see --help");
    } else {
      options.clips.push_back(word);
    }
  }
  if (options.engine.empty()) throw UserError("--engine is missing: name the .pt2 file that export-trt --aot wrote");
  if (options.clips.empty()) throw UserError("no clip to look at: name at least one .skeleton file");
  return options;
}

std::string quoted(const std::string& text) {
  std::ostringstream out;
  out << '"' << std::hex << std::setfill('0');
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) {
      out << "\\u" << std::setw(4) << int{c};
    } else {
      out << (c == '"' || c == '\\' ? "\\" : "") << c;
    }
  }
  return out.str() + '"';
}

// The likeliest actions of one clip: `scores` are those of the classes.
void print(std::ostream& out, const Options& options, const agcn::Network& network, const float* scores, std::size_t count) {
  const float highest = *std::max_element(scores, scores + count);
  const double total = std::accumulate(scores, scores + count, 0.0, [=](double sum, float one) { return sum + std::exp(one - highest); });
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [=](auto left, auto right) { return scores[left] > scores[right]; });
  for (std::size_t place = 0; place < std::min(options.top, count); ++place) {
    const std::size_t label = order[place];
    const double chance = std::exp(scores[label] - highest) / total;
    const auto name = label < network.classes.size() ? network.classes[label] : std::to_string(label);
    if (options.json) {
      out << (place ? ", " : "") << "{\"class\": " << quoted(name) << ", \"label\": " << label << ", \"score\": " << chance << '}';
    } else {
      out << std::setw(7) << std::fixed << std::setprecision(1) << 100 * chance << " %  " << name << '\n';
    }
  }
}

std::string run(const Options& options) {
  const auto network = agcn::open_aotinductor(options.engine);
  std::ostringstream out;
  out.precision(9);
  if (options.json) out << "{\"command\": \"agcn_run\", \"clips\": [";
  const std::size_t batch = std::min(kBatch, network->max_batch);
  for (std::size_t start = 0; start < options.clips.size(); start += batch) {
    const std::size_t count = std::min(batch, options.clips.size() - start);
    std::vector<float> clips;
    for (std::size_t index = start; index < start + count; ++index) {
      const std::string& path = options.clips[index];
      const auto frames = agcn::parse_skeleton(path, agcn::read_text(path), network->frames);
      const auto clip = agcn::make_clip(frames, network->frames, network->raw);
      clips.insert(clips.end(), clip.begin(), clip.end());
    }
    const auto scores = network->scores(clips, count);
    const std::size_t classes = scores.size() / count;
    for (std::size_t index = 0; index < count; ++index) {
      const std::string& path = options.clips[start + index];
      if (options.json) out << (start + index ? ", " : "") << "{\"clip\": " << quoted(path) << ", \"top\": [";
      else out << path << '\n';
      print(out, options, *network, scores.data() + index * classes, classes);
      if (options.json) out << "]}";
    }
  }
  if (options.json) out << "], \"runtime\": " << quoted(network->runtime) << "}\n";
  return out.str();
}

}  // namespace

int main(int count, char** words) {
  const std::vector<std::string> given(words + 1, words + count);
  if (std::find_if(given.begin(), given.end(), [](auto& word) { return word == "--help" || word == "-h"; }) != given.end()) {
    std::cout << kUsage;
    return 0;
  }
  try {
    std::cout << run(read_options(given)) << std::flush;
    return std::cout ? 0 : 2;
  } catch (const std::exception& error) {
    std::cerr << "Error: " << error.what() << '\n';
  }
  return 2;
}
