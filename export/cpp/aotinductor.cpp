// The only file that is compiled with libtorch.
#include <ATen/Context.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include <fstream>
#include <sstream>

#include "agcn.h"

namespace agcn {
namespace {

using torch::inductor::AOTIModelPackageLoader;

struct AotInductor : Network {
  explicit AotInductor(const std::string& path) : loader(path) {
    auto notes = loader.get_metadata();
    // Notes are as `export/aot.py` writes them, or there are none.
    raw = notes["input"] == "raw";
    if (notes["layout"] != "ntu" || notes["bodies"] != std::to_string(kPersons) || !(raw || notes["input"] == "prepared")) {
      throw UserError(path + ": takes other clips than prep makes of NTU's: give a package for those");
    }
    frames = std::stoul(notes["frames"]);
    device = notes["device"];
    runtime = "aotinductor on " + device;
    std::istringstream names(notes["classes"]);
    for (std::string name; std::getline(names, name);) classes.push_back(name);
  }

  std::vector<float> scores(std::vector<float> clip) override {
    const c10::InferenceMode no_gradients;
    const std::array<std::int64_t, 5> shape{1, kChannels, static_cast<std::int64_t>(frames), kJoints, kPersons};
    const auto joints = at::from_blob(clip.data(), shape, at::kFloat).to(at::Device(device));
    const auto last = loader.run({joints}).back().to(at::kCPU).contiguous();
    return {last.const_data_ptr<float>(), last.const_data_ptr<float>() + last.numel()};
  }

  AOTIModelPackageLoader loader;
  std::string device;
};

}  // namespace

std::unique_ptr<Network> open_aotinductor(const std::string& path) {
  if (!std::ifstream(path)) throw UserError(path + ": cannot be read: name the file that export-trt --aot wrote");
  try {
    const auto notes = AOTIModelPackageLoader::load_metadata_from_package(path, "model");
    const auto device = notes.find("device");
    if (device != notes.end() && device->second == "cuda" && !at::hasCUDA()) {
      throw UserError(path + ": is for a GPU and none is at hand: give the package for cpu");
    }
    return std::make_unique<AotInductor>(path);
  } catch (const UserError&) {
    throw;
  } catch (const std::exception&) {
    throw UserError(path + ": is no package for this libtorch: run export-trt --aot again with its version");
  }
}

}  // namespace agcn
