#include "app/config/settings.h"
