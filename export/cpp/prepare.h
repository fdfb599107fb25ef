// Raw bodies to the clip that the network sees, as `prep` makes it (2s-AGCN, ntu_gendata and preprocess).
#pragma once

#include <vector>

#include "skeleton.h"

namespace agcn {

constexpr int kPersons = 2;   // M
constexpr int kChannels = 3;  // C

// float32 (C, T, V, M): the two bodies of highest energy, padded, centred and turned.
std::vector<float> prepare_clip(const std::vector<Frame>& frames);

}  // namespace agcn
