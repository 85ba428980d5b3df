#include "net/jpeg.h"
