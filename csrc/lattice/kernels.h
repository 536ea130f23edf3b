// All that a kernel of this folder is made of: what NVRTC compiles.
#pragma once

#include "lattice/build_steps.h"
#include "lattice/elements.h"
#include "lattice/gradient.h"
#include "lattice/torch_steps.h"
