// Prints every detection, in order, until none came for two seconds.
//
//   c++ attach.cpp $(pkg-config --cflags --libs skylane-bus) -o attach
#include <cstdio>
#include <memory>

#include <skylane/bus.h>

struct Close {
    void operator()(sl_bus_reader *reader) const { sl_bus_reader_close(reader); }
};

int main()
{
    sl_error err{};
    sl_bus_reader_config config{};
    config.name = SL_BUS_DETECTION;
    config.type = SL_RECORD_DETECTION;
    config.min_bytes = sizeof(sl_detection);
    sl_bus_reader *opened = nullptr;
    if (sl_bus_reader_open(&opened, &config, &err) != 0) {
        std::fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    const std::unique_ptr<sl_bus_reader, Close> reader(opened);
    sl_detection lane{};
    sl_bus_view view{};
    while (sl_bus_wait(reader.get(), sl_bus_now_ns() + 2 * SL_NS_PER_S) == 0) {
        if (sl_bus_read_next(reader.get(), &lane, sizeof lane, &view) == 0)
            std::printf("frame %llu  state %u  offset %+.3f m  missed %llu\n",
                        static_cast<unsigned long long>(lane.frame_id), lane.state,
                        static_cast<double>(lane.lateral_offset_m),
                        static_cast<unsigned long long>(view.missed));
    }
    std::fprintf(stderr, "no detection for two seconds. %s\n", sl_bus_reader_problem(reader.get()));
    return 0;
}
