// The only file that is compiled with libtorch.
#include <ATen/Context.h>
#include <ATen/Version.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include <fstream>
#include <sstream>
#include <unordered_map>

#include "agcn.h"

namespace agcn {
namespace {

using torch::inductor::AOTIModelPackageLoader;

struct AotInductor : Network {
  // `notes` are as `export/engines/aotinductor.py` writes them, or there are none.
  AotInductor(const std::string& path, std::unordered_map<std::string, std::string> notes) : device(notes["device"]) {
    if (notes["layout"] != "ntu" || notes["input"] != "raw") {
      throw UserError(path + ": does not take NTU's clips as they are recorded: export with --with-prep");
    }
    if (device == "cuda" && !at::hasCUDA()) throw UserError(path + ": is for a GPU, none is at hand: give the package for cpu");
    // Without them the processor would end the program at some instruction.
    const bool wide = notes["AOTI_CPU_ISA"].find("AVX512") != std::string::npos;
    if (wide && at::get_cpu_capability().find("AVX512") == std::string::npos) {
      throw UserError(path + ": is compiled for AVX-512, which this processor lacks: run export-trt here");
    }
    frames = std::stoul(notes["frames"]);
    runtime = "aotinductor on " + device;
    std::istringstream names(notes["classes"]);
    for (std::string name; std::getline(names, name);) classes.push_back(name);
    at::globalContext().setAllowTF32CuDNN(false);  // which keeps ten bits: float32 means float32 here
    loader = std::make_unique<AOTIModelPackageLoader>(path);
  }

  std::vector<float> scores(std::vector<float> clip) override {
    const c10::InferenceMode no_gradients;
    const std::array<std::int64_t, 5> shape{1, kChannels, static_cast<std::int64_t>(frames), kJoints, kPersons};
    const auto joints = at::from_blob(clip.data(), shape, at::kFloat).to(at::Device(device));
    const auto last = loader->run({joints}).back().to(at::kCPU).contiguous();
    return {last.const_data_ptr<float>(), last.const_data_ptr<float>() + last.numel()};
  }

  std::string device;
  std::unique_ptr<AOTIModelPackageLoader> loader;
};

}  // namespace

std::unique_ptr<Network> open_aotinductor(const std::string& path) {
  if (!std::ifstream(path)) throw UserError(path + ": cannot be read: name the file that export-trt --aot wrote");
  try {
    return std::make_unique<AotInductor>(path, AOTIModelPackageLoader::load_metadata_from_package(path, "model"));
  } catch (const UserError&) {
    throw;
  } catch (const std::exception&) {
    throw UserError(path + ": is no package, or one of another PyTorch than this libtorch: run export-trt --aot with it");
  }
}

}  // namespace agcn
