// agcn_run: `.skeleton` files to the names of their actions, without Python.
//
//   agcn_run --engine DIR/two_stream.pt2 [--device auto|cpu|cuda] [--top 5] [--json] CLIP.skeleton ...
//
// Exit status 0: done; 2: wrong usage or a bad file, with one line on stderr.

#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/torch.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

#include "prepare.h"

namespace {

constexpr std::size_t kBatch = 32;  // clips prepared at a time

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Options {
  std::string engine, device = "cpu";
  std::size_t top = 5;
  bool json = false;
  std::vector<std::string> clips;
};

const char* const kUsage =
    "usage: agcn_run --engine FILE.pt2 [--top 5] [--json] CLIP.skeleton ...\n"
    "  --engine FILE  what `export-trt --runtime aoti` wrote\n"
    "  --top N        how many actions of each clip\n"
    "  --json         one JSON object instead of lines\n";

std::size_t whole_number(const std::string& name, const std::string& text) {
  if (text.empty() || text.size() > 6 || !std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); }) ||
      std::stoul(text) == 0) {
    throw UsageError(name + " " + text + ": give a whole number above 0");
  }
  return std::stoul(text);
}

Options parse(int count, char** words) {
  Options options;
  for (int index = 1; index < count; ++index) {
    const std::string word = words[index];
    const auto value = [&] {
      if (++index == count) throw UsageError(word + ": needs a value");
      return std::string(words[index]);
    };
    if (word == "--help" || word == "-h") {
      std::cout << kUsage;
      std::exit(0);
    } else if (word == "--engine") {
      options.engine = value();
    } else if (word == "--top") {
      options.top = whole_number(word, value());
    } else if (word == "--json") {
      options.json = true;
    } else if (word.size() > 1 && word[0] == '-') {
      throw UsageError(word + ": no such option: see --help");
    } else {
      options.clips.push_back(word);
    }
  }
  if (options.engine.empty()) throw UsageError("--engine is missing: name the .pt2 file that export-trt wrote");
  if (options.clips.empty()) throw UsageError("no clip to look at: name at least one .skeleton file");
  return options;
}

// What `export/aot.py` wrote into the package beside the network.
struct Network {
  explicit Network(const std::string& path) : loader(open(path)) {
    auto notes = loader.get_metadata();
    const std::vector<std::pair<std::string, int>> ours = {
        {"channels", agcn::kChannels}, {"frames", agcn::kFrames}, {"joints", agcn::kJoints}, {"bodies", agcn::kPersons}};
    for (const auto& [key, wanted] : ours) {
      if (notes[key] != std::to_string(wanted)) {
        throw UsageError(path + ": takes " + (notes[key].empty() ? "unknown" : notes[key]) + " " + key + ", NTU clips have " +
                         std::to_string(wanted) + ": give a network for NTU");
      }
    }
    device = notes["device"];
    std::istringstream names(notes["classes"]);
    for (std::string name; std::getline(names, name);) classes.push_back(name);
  }

  // Probabilities, (N, classes) float32 on the CPU.
  at::Tensor run(const at::Tensor& joints) {
    const auto answers = loader.run({joints.to(device)});
    return torch::softmax(answers.back().to(torch::kCPU, torch::kFloat), 1);
  }

  static torch::inductor::AOTIModelPackageLoader open(const std::string& path) {
    if (std::FILE* file = std::fopen(path.c_str(), "rb")) {
      std::fclose(file);
      return torch::inductor::AOTIModelPackageLoader(path);
    }
    throw UsageError(path + ": no such file: name the .pt2 file that export-trt wrote");
  }

  torch::inductor::AOTIModelPackageLoader loader;
  std::string device;
  std::vector<std::string> classes;
};

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
      out += code;
    } else {
      out += c;
    }
  }
  return out + '"';
}

// The likeliest actions of one clip: `chances` is (classes,).
void print(const Options& options, const Network& network, const std::string& clip, const at::Tensor& chances, bool first) {
  const auto count = std::min(static_cast<std::int64_t>(options.top), chances.size(0));
  const auto order = std::get<1>(chances.sort(/*stable=*/true, 0, /*descending=*/true));
  if (options.json) std::cout << (first ? "" : ", ") << "{\"clip\": " << quoted(clip) << ", \"top\": [";
  if (!options.json) std::cout << clip << '\n';
  for (std::int64_t place = 0; place < count; ++place) {
    const auto label = order[place].item<std::int64_t>();
    const auto named = static_cast<std::size_t>(label) < network.classes.size();
    const std::string name = named ? network.classes[static_cast<std::size_t>(label)] : std::to_string(label);
    const double chance = chances[label].item<float>();
    if (options.json) {
      std::cout << (place ? ", " : "") << "{\"class\": " << quoted(name) << ", \"label\": " << label
                << ", \"score\": " << chance << '}';
    } else {
      std::printf("  %5.1f %%  %s\n", 100 * chance, name.c_str());
    }
  }
  if (options.json) std::cout << "]}";
  std::fflush(stdout);
}

void run(const Options& options) {
  Network network(options.engine);
  const c10::InferenceMode no_gradients;
  std::cout.precision(9);
  if (options.json) std::cout << "{\"command\": \"agcn_run\", \"clips\": [";
  std::vector<std::vector<float>> rows;
  for (std::size_t start = 0; start < options.clips.size(); start += rows.size()) {
    rows.clear();
    for (std::size_t index = start; index < std::min(start + kBatch, options.clips.size()); ++index) {
      const std::string& path = options.clips[index];
      rows.push_back(agcn::prepare_clip(agcn::parse_skeleton(path, agcn::read_text(path))));
    }
    std::vector<at::Tensor> batch;
    for (auto& row : rows)
      batch.push_back(torch::from_blob(row.data(), {agcn::kChannels, agcn::kFrames, agcn::kJoints, agcn::kPersons}));
    const auto chances = network.run(torch::stack(batch));
    for (std::size_t index = 0; index < rows.size(); ++index)
      print(options, network, options.clips[start + index], chances[static_cast<std::int64_t>(index)], start + index == 0);
  }
  if (options.json) std::cout << "], \"runtime\": \"aoti on " << network.device << "\"}\n";
}

}  // namespace

int main(int count, char** words) {
  try {
    run(parse(count, words));
    return 0;
  } catch (const c10::Error& error) {
    std::cerr << "Error: " << error.what_without_backtrace() << '\n';
  } catch (const std::exception& error) {
    std::cerr << "Error: " << error.what() << '\n';
  }
  return 2;
}
