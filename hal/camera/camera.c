#include "hal/camera/camera.h"
