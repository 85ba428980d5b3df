#include "app/detect/camera_model.h"
