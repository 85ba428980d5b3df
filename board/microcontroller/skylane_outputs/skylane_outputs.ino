// A steering servo and an ESC at a microcontroller, for actuator.driver = serial.
// The protocol is described in docs/serial.md; lines.h implements it.
//
// Pins: servo 9, ESC 10, emergency stop 2 (a normally closed switch to ground, so
// that a broken wire stops, too), battery divider A0.

#include <Servo.h>

#include "lines.h"

static const uint16_t CENTRE_US = 1500;   // as actuator.steering_centre_us
static const uint16_t NEUTRAL_US = 1500;  // as actuator.throttle_neutral_us
static const uint32_t FULL_SCALE_MV = 15000;  // battery voltage at which A0 is at its maximum; 0: no divider

static Servo steering, throttle;
static struct outputs outputs;

void setup() {
  outputs_begin(&outputs, CENTRE_US, NEUTRAL_US);
  steering.writeMicroseconds(CENTRE_US);
  throttle.writeMicroseconds(NEUTRAL_US);
  steering.attach(9);
  throttle.attach(10);
  pinMode(2, INPUT_PULLUP);
  Serial.begin(115200);
}

void loop() {
  outputs_tick(&outputs, millis(), digitalRead(2) == HIGH);
  while (Serial.available() > 0) {
    if (outputs_take(&outputs, (char)Serial.read(), millis())) {
      char answer[LINE_ROOM];
      const uint32_t battery_mv = (uint32_t)analogRead(A0) * FULL_SCALE_MV / 1023;
      Serial.write((const uint8_t *)answer, outputs_answer(&outputs, battery_mv, answer));
    }
  }
  steering.writeMicroseconds(outputs.steering_us);
  throttle.writeMicroseconds(outputs.throttle_us);
}
