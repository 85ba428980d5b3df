#include "hal/actuator/output.h"

#include <string.h>

const struct sl_output_device *sl_output_find(const char *name)
{
    static const struct sl_output_device *const DEVICES[] = {&sl_output_pca9685, &sl_output_pwm,
                                                             &sl_output_serial, &sl_output_vesc};
    for (size_t i = 0; i < sizeof DEVICES / sizeof DEVICES[0]; i++)
        if (strcmp(DEVICES[i]->name, name) == 0)
            return DEVICES[i];
    return NULL;
}

const char *sl_output_path(const struct sl_output_device *device,
                           const struct sl_output_config *config)
{
    return config->device[0] != '\0' ? config->device : device->usual;
}
