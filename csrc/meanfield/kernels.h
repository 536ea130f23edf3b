// All that a kernel of this folder is made of: what NVRTC compiles.
#pragma once

#include "meanfield/meanfield.h"
#include "meanfield/point.h"
