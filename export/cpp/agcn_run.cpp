// agcn_run: `.skeleton` files to the names of their actions, without Python.
//
// Exit status 0: done; 2: wrong usage or a bad file, told in one line on stderr, with nothing on stdout.

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <numeric>
#include <sstream>

#include "agcn.h"

namespace {

using agcn::UserError;

const char* const kUsage =
    "usage: agcn_run --engine FILE [--top 5] [--json] CLIP.skeleton ...\n"
    "  --engine FILE  what export-trt --with-prep wrote for this processor or GPU: .pt2 (--aot), or .engine with TensorRT\n"
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
      const bool number = !top.empty() && top.size() < 7 && top.find_first_not_of("0123456789") == std::string::npos;
      options.top = number ? std::stoul(top) : 0;
      if (options.top == 0) throw UserError("--top " + top + ": give a whole number above 0");
    } else if (word == "--json") {
      options.json = true;
    } else if (word.size() > 1 && word[0] == '-') {
      throw UserError(word + ": no such option: see --help");
    } else {
      options.clips.push_back(word);
    }
  }
  if (options.engine.empty()) throw UserError("--engine is missing: name the file that export-trt wrote");
  if (options.clips.empty()) throw UserError("no clip to look at: name at least one .skeleton file");
  return options;
}

std::string json_text(const std::string& text) {
  std::ostringstream out;
  out << '"' << std::hex << std::setfill('0');
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) out << "\\u" << std::setw(4) << int{c};
    else out << (c == '"' || c == '\\' ? "\\" : "") << c;
  }
  return out.str() + '"';
}

// The likeliest actions by the scores (logits) of all classes.
std::string best(const Options& options, const agcn::Network& network, const std::vector<float>& scores) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto left, auto right) { return scores[left] > scores[right]; });
  const auto power = [&](std::size_t label) { return std::exp(static_cast<double>(scores[label]) - scores[order[0]]); };
  double total = 0;
  for (const std::size_t label : order) total += power(label);
  order.resize(std::min(order.size(), options.top));
  std::ostringstream out;
  for (const std::size_t label : order) {
    const std::string name = label < network.classes.size() ? network.classes[label] : std::to_string(label);
    if (options.json) {
      out << (out.tellp() > 0 ? ", " : "") << "{\"class\": " << json_text(name) << ", \"label\": " << label
          << ", \"score\": " << std::setprecision(9) << power(label) / total << '}';
    } else {
      out << std::fixed << std::setprecision(1) << std::setw(7) << 100 * power(label) / total << " %  " << name << '\n';
    }
  }
  return out.str();
}

std::string run(const Options& options) {
  const auto ends_in = [&](const std::string& end) {
    return options.engine.size() >= end.size() && options.engine.rfind(end) == options.engine.size() - end.size();
  };
  const auto network = ends_in(".engine") ? agcn::open_tensorrt(options.engine) : agcn::open_aotinductor(options.engine);
  std::string out = options.json ? "{\"command\": \"agcn_run\", \"clips\": [" : "";
  for (const std::string& path : options.clips) {
    const auto frames = agcn::parse_skeleton(path, agcn::read_text(path), network->frames);
    const auto clip = agcn::make_clip(frames, network->frames);
    const bool empty = std::all_of(clip.begin(), clip.end(), [](float number) { return number == 0; });
    if (empty) std::cerr << path << ": nobody is seen in any of its frames: it has no answer\n";
    const std::string answer = empty ? "" : best(options, *network, network->scores(clip));
    const std::string nobody = !empty ? "" : options.json ? ", \"nobody\": true" : "           nobody is in it\n";
    if (options.json) {
      out += (out.back() == '[' ? "" : ", ") + ("{\"clip\": " + json_text(path)) + ", \"top\": [" + answer + "]" + nobody + "}";
    } else {
      out += path + '\n' + answer + nobody;
    }
  }
  return options.json ? out + "], \"runtime\": " + json_text(network->runtime) + "}\n" : out;
}

}  // namespace

int main(int count, char** words) {
  const std::vector<std::string> given(words + 1, words + count);
  try {
    const bool help = std::any_of(given.begin(), given.end(), [](auto& word) { return word == "--help" || word == "-h"; });
    std::cout << (help ? kUsage : run(read_options(given))) << std::flush;
    return std::cout ? 0 : 2;
  } catch (const std::exception& error) {
    const std::string told = error.what();
    std::cerr << "Error: " << told.substr(0, told.find('\n')) << '\n';
    return 2;
  }
}
