// Engines of TensorRT or TensorRT-RTX, where AGCN_TENSORRT found their headers.
#include "agcn.h"

#ifdef AGCN_TENSORRT
#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

namespace agcn {
namespace {

struct Log : nvinfer1::ILogger {
  void log(Severity severity, const char* text) noexcept override {
    if (severity <= Severity::kERROR && told.empty()) told = text;
  }
  std::string told;
};

struct Free {
  void operator()(void* memory) const { cudaFree(memory); }
};

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw UserError(path + ": cannot be read: name an engine in the folder that export-trt wrote");
  return {std::istreambuf_iterator<char>(file), {}};
}

// What stands between `"key": ` and `end` in a manifest, which has a line for each key and each class.
std::string value_of(const std::string& manifest, const std::string& key, const char* end) {
  const std::size_t at = manifest.find('"' + key + "\": ");
  const std::size_t start = at == std::string::npos ? manifest.size() : at + key.size() + 4;
  return manifest.substr(start, manifest.find(end, start) - start);
}

struct TensorRt : Network {
  explicit TensorRt(const std::string& path) : file(path) {
    const std::string manifest = read(std::filesystem::path(path).replace_filename("manifest.json").string());
    const std::string plan = read(path);
    runtime = value_of(manifest, "flavor", ",") == "\"tensorrt-rtx\"" ? "tensorrt-rtx on cuda" : "tensorrt on cuda";
    if (value_of(manifest, "with_prep", "\n").rfind("true", 0) != 0 || value_of(manifest, "layout", ",") != "\"ntu\"") {
      throw UserError(path + ": does not take NTU's clips as they are recorded: export with --with-prep");
    }
    const std::string names = value_of(manifest, "class_names", "]");
    for (std::size_t at = 0; (at = names.find("\n    \"", at)) != std::string::npos;) {
      at += 6;
      classes.push_back(names.substr(at, names.find('"', at) - at));
    }
    deserializer.reset(nvinfer1::createInferRuntime(log));
    if (deserializer) engine.reset(deserializer->deserializeCudaEngine(plan.data(), plan.size()));
    if (engine) context.reset(engine->createExecutionContext());
    if (!context) throw UserError(path + ": does not load: " + log.told + ": run export-trt on this machine");
    const auto shape = engine->getTensorShape("joints");
    check(shape.nbDims == 5);
    frames = static_cast<std::size_t>(shape.d[2]);
    check(context->setInputShape("joints", nvinfer1::Dims{5, {1, kChannels, shape.d[2], kJoints, kPersons}}));
    for (int index = 0; index < engine->getNbIOTensors(); ++index) allocate(engine->getIOTensorName(index));
  }

  void allocate(const char* name) {
    const auto shape = context->getTensorShape(name);
    std::size_t bytes = sizeof(float);
    for (int axis = 0; axis < shape.nbDims; ++axis) bytes *= static_cast<std::size_t>(shape.d[axis]);
    void* address = nullptr;
    check(cudaMalloc(&address, bytes) == cudaSuccess);
    memory[name].reset(address);
    sizes[name] = bytes;
    check(context->setTensorAddress(name, address));
  }

  std::vector<float> scores(std::vector<float> clip) override {
    std::vector<float> answer(sizes.at("scores") / sizeof(float));
    const auto copy = [&](void* to, const void* from, const char* name, cudaMemcpyKind way) {
      check(cudaMemcpy(to, from, sizes.at(name), way) == cudaSuccess);  // waits for what was started before
    };
    copy(memory.at("joints").get(), clip.data(), "joints", cudaMemcpyHostToDevice);
    check(context->enqueueV3(nullptr));
    copy(answer.data(), memory.at("scores").get(), "scores", cudaMemcpyDeviceToHost);
    return answer;
  }

  void check(bool done) const {
    if (!done) throw UserError(file + ": failed: " + log.told + ' ' + cudaGetErrorString(cudaGetLastError()) + ": see nvidia-smi");
  }

  std::string file;
  Log log;
  std::unique_ptr<nvinfer1::IRuntime> deserializer;
  std::unique_ptr<nvinfer1::ICudaEngine> engine;
  std::unique_ptr<nvinfer1::IExecutionContext> context;
  std::map<std::string, std::unique_ptr<void, Free>> memory;
  std::map<std::string, std::size_t> sizes;
};

}  // namespace

std::unique_ptr<Network> open_tensorrt(const std::string& path) { return std::make_unique<TensorRt>(path); }

}  // namespace agcn
#else
std::unique_ptr<agcn::Network> agcn::open_tensorrt(const std::string& path) {
  throw UserError(path + ": this program was built without TensorRT: build it with -DAGCN_TENSORRT=ON, or give a .pt2 file");
}
#endif
