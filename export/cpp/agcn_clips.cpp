// agcn_clips FRAMES OUT: clips named on stdin, one a line; their float32 arrays go to OUT one behind the
// other (zeros for a bad file), and to stdout a line for each, empty or what is wrong. For tests: it needs no libtorch.
#include <fstream>
#include <iostream>

#include "agcn.h"

int main(int count, char** words) {
  if (count != 3) return 2;
  const std::size_t length = std::stoul(words[1]);
  std::ofstream out(words[2], std::ios::binary);
  for (std::string path; std::getline(std::cin, path);) {
    std::vector<float> clip(agcn::kChannels * length * agcn::kJoints * agcn::kPersons);
    try {
      clip = agcn::make_clip(agcn::parse_skeleton(path, agcn::read_text(path), length), length);
    } catch (const agcn::UserError& error) {
      std::cout << error.what();
    }
    std::cout << '\n';
    out.write(reinterpret_cast<const char*>(clip.data()), static_cast<std::streamsize>(clip.size() * sizeof(float)));
  }
  return out.flush() && std::cout.flush() ? 0 : 2;
}
