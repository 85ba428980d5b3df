#include "output_peers.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "../../board/microcontroller/skylane_outputs/lines.h"
#include "rt/clock.h"

#define POLL_MS 2

static struct {
    pthread_t thread;
    pthread_mutex_t lock;
    bool vesc, end, running;
    int terminal, held; /* ours; theirs, so that the line lives between two openings */
    enum peer_mood mood;
    struct peer_outputs out;
    struct outputs mcu;
    uint8_t packet[64];
    size_t packet_bytes;
} peer = {.lock = PTHREAD_MUTEX_INITIALIZER, .terminal = -1, .held = -1};

static void answer(const void *bytes, size_t count)
{
    static const char NONSENSE[] = "$A,1,0,7400*0000\n\x02\x05$$$A,\xff\xfe*\n\x02\xff";
    if (peer.mood == PEER_MUTE)
        return;
    if (peer.mood == PEER_BABBLES) {
        bytes = NONSENSE;
        count = sizeof NONSENSE - 1;
    }
    if (write(peer.terminal, bytes, count) < 0)
        return; /* nobody reads: that is theirs to notice */
}

static void take_serial(char byte)
{
    const uint32_t now_ms = (uint32_t)(sl_clock_now_ns() / SL_NS_PER_MS);
    const uint8_t before = peer.mcu.flags & FLAG_REFUSED;
    if (outputs_take(&peer.mcu, byte, now_ms)) {
        char line[LINE_ROOM];
        const size_t count = outputs_answer(&peer.mcu, 7400, line);
        peer.out.lines++;
        answer(line, count);
    }
    if (before == 0 && (peer.mcu.flags & FLAG_REFUSED) != 0)
        peer.out.broken++;
}

/* A VESC's parser, from its documentation: another than the one under test. */
static void obey_vesc(const uint8_t *payload, size_t count)
{
    const int32_t number = count >= 5 ? (int32_t)((uint32_t)payload[1] << 24 | payload[2] << 16 |
                                                  payload[3] << 8 | payload[4])
                                      : 0;
    peer.out.lines++;
    if (payload[0] == 12 && count == 3)
        peer.out.steering = (payload[1] << 8 | payload[2]) / 1000.0;
    else if (payload[0] == 8 && count == 5)
        peer.out.throttle = number;
    else if (payload[0] == 7 && count == 5)
        peer.out.throttle = 0;
    else if (payload[0] == 4 && count == 1) {
        uint8_t values[64] = {2, 54, 4};
        values[2 + 23 + 2] = 0x12; /* 4614 erpm */
        values[2 + 23 + 3] = 0x06;
        values[2 + 28] = 111; /* 11.1 V */
        values[2 + 53] = peer.mood == PEER_STOPPED ? 5 : 0;
        const uint16_t crc = outputs_crc((const char *)values + 2, 54);
        values[56] = (uint8_t)(crc >> 8);
        values[57] = (uint8_t)crc;
        values[58] = 3;
        answer(values, 59);
    } else
        peer.out.broken++;
}

static void take_vesc(uint8_t byte)
{
    if (peer.packet_bytes == 0 && byte != 2) {
        peer.out.broken++;
        return;
    }
    peer.packet[peer.packet_bytes++] = byte;
    const size_t length = peer.packet_bytes > 1 ? peer.packet[1] : 1;
    if (length > 50) {
        peer.out.broken++;
        peer.packet_bytes = 0;
    } else if (peer.packet_bytes == length + 5) {
        const uint8_t *tail = peer.packet + 2 + length;
        if (tail[2] == 3 &&
            (tail[0] << 8 | tail[1]) == outputs_crc((const char *)peer.packet + 2, length))
            obey_vesc(peer.packet + 2, length);
        else
            peer.out.broken++;
        peer.packet_bytes = 0;
    }
}

static void *live(void *unused)
{
    (void)unused;
    /* A microcontroller has its processor for itself. Without the right: as it comes. */
    pthread_setschedparam(pthread_self(), SCHED_FIFO, &(struct sched_param){.sched_priority = 80});
    uint64_t round_ns = sl_clock_now_ns();
    pthread_mutex_lock(&peer.lock);
    while (!peer.end) {
        struct pollfd line = {.fd = peer.terminal, .events = POLLIN};
        const bool reads = peer.mood != PEER_HANGS && peer.terminal >= 0;
        pthread_mutex_unlock(&peer.lock);
        poll(&line, reads ? 1 : 0, POLL_MS);
        pthread_mutex_lock(&peer.lock);
        const uint64_t now_ns = sl_clock_now_ns();
        if (now_ns - round_ns > peer.out.stall_ns)
            peer.out.stall_ns = now_ns - round_ns;
        round_ns = now_ns;
        uint8_t bytes[256];
        const ssize_t count = reads && peer.terminal >= 0 && (line.revents & POLLIN) != 0
                                  ? read(peer.terminal, bytes, sizeof bytes)
                                  : 0;
        for (ssize_t i = 0; i < count; i++) {
            if (peer.vesc)
                take_vesc(bytes[i]);
            else
                take_serial((char)bytes[i]);
        }
        if (!peer.vesc) {
            outputs_tick(&peer.mcu, (uint32_t)(sl_clock_now_ns() / SL_NS_PER_MS),
                         peer.mood == PEER_STOPPED);
            peer.out.steering = peer.mcu.steering_us;
            peer.out.throttle = peer.mcu.throttle_us;
        }
    }
    pthread_mutex_unlock(&peer.lock);
    return NULL;
}

static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "the test's peer cannot %s: %s\n", what, strerror(errno));
    abort();
}

void peer_begin(bool vesc, char *path)
{
    peer.vesc = vesc;
    peer.end = false;
    peer.mood = PEER_WELL;
    peer.out = (struct peer_outputs){0};
    peer.packet_bytes = 0;
    outputs_begin(&peer.mcu, 1500, 1500);
    peer.terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    must(peer.terminal >= 0 && grantpt(peer.terminal) == 0 && unlockpt(peer.terminal) == 0 &&
             ptsname_r(peer.terminal, path, 64) == 0,
         "make a terminal");
    peer.held = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios mode;
    must(peer.held >= 0 && tcgetattr(peer.held, &mode) == 0, "open its terminal");
    cfmakeraw(&mode); /* or it would echo what the other side has not read yet */
    tcsetattr(peer.held, TCSANOW, &mode);
    must(pthread_create(&peer.thread, NULL, live, NULL) == 0, "start");
    peer.running = true;
}

void peer_set_mood(enum peer_mood mood)
{
    pthread_mutex_lock(&peer.lock);
    peer.mood = mood;
    pthread_mutex_unlock(&peer.lock);
}

void peer_outputs(struct peer_outputs *outputs)
{
    pthread_mutex_lock(&peer.lock);
    *outputs = peer.out;
    pthread_mutex_unlock(&peer.lock);
}

void peer_unplug(void)
{
    pthread_mutex_lock(&peer.lock);
    if (peer.held >= 0)
        close(peer.held);
    if (peer.terminal >= 0)
        close(peer.terminal);
    peer.held = peer.terminal = -1;
    pthread_mutex_unlock(&peer.lock);
}

void peer_end(void)
{
    if (!peer.running)
        return;
    pthread_mutex_lock(&peer.lock);
    peer.end = true;
    pthread_mutex_unlock(&peer.lock);
    pthread_join(peer.thread, NULL);
    peer.running = false;
    peer_unplug();
}

uint64_t peer_await_ns(double steering, double throttle, uint64_t ms)
{
    const uint64_t begun_ns = sl_clock_now_ns();
    for (;;) {
        struct peer_outputs now;
        peer_outputs(&now);
        const uint64_t now_ns = sl_clock_now_ns();
        if (fabs(now.steering - steering) < (peer.vesc ? 0.001 : 0.5) &&
            fabs(now.throttle - throttle) < (peer.vesc ? 1 : 0.5))
            return now_ns - begun_ns;
        if (now_ns - begun_ns > ms * SL_NS_PER_MS)
            return UINT64_MAX;
        sl_clock_sleep_until_ns(now_ns + SL_NS_PER_MS);
    }
}

/* ---- PWM ---- */

static void make_file(const char *folder, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    must(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0, "make its PWM files");
}

void pwm_folder_begin(char *path)
{
    char folder[128];
    snprintf(path, 64, "/tmp/skylane_pwm_XXXXXX");
    must(mkdtemp(path) != NULL, "make a folder");
    snprintf(folder, sizeof folder, "%s/pwmchip0", path);
    mkdir(folder, 0755);
    make_file(folder, "npwm", "2\n");
    make_file(folder, "export", "");
    for (int i = 0; i < 2; i++) {
        snprintf(folder, sizeof folder, "%s/pwmchip0/pwm%d", path, i);
        mkdir(folder, 0755);
        make_file(folder, "period", "0\n");
        make_file(folder, "duty_cycle", "0\n");
        make_file(folder, "enable", "0\n");
    }
}

long pwm_folder_get(const char *path, int output, const char *file)
{
    char name[256];
    long value = -1;
    snprintf(name, sizeof name, "%s/pwmchip0/pwm%d/%s", path, output, file);
    FILE *f = fopen(name, "r");
    if (f == NULL)
        return -1;
    if (fscanf(f, "%ld", &value) != 1)
        value = -1;
    fclose(f);
    return value;
}

void pwm_folder_end(const char *path)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    must(system(command) == 0, "remove its folder");
}

void output_config_for_tests(struct sl_output_config *config, const char *device)
{
    *config = (struct sl_output_config){
        .pulse = {.steering_max_rad = 0.5,
                  .speed_max_mps = 10,
                  .steering_centre_us = 1500,
                  .steering_left_us = 2000,
                  .steering_right_us = 1000,
                  .throttle_neutral_us = 1500,
                  .throttle_start_us = 1600,
                  .throttle_end_us = 2000},
        .i2c_address = 0x40,
        .steering_channel = 0,
        .throttle_channel = 1,
        .frequency_hz = 50,
        .steering_pwm = "pwmchip0/0",
        .throttle_pwm = "pwmchip0/1",
        .baud = 115200,
        .priority = 85, /* where it is granted: the test's machine may be busy */
        .vesc = {.speed_gain_erpmpmps = 4614, .servo_gain_1prad = -1, .servo_offset = 0.5}};
    snprintf(config->device, sizeof config->device, "%s", device);
}
