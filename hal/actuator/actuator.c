#include "hal/actuator/actuator.h"
