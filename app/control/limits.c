#include "app/control/limits.h"
