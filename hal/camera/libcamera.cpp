// libcamera_api.h by libcamera 0.0.3 and later: a plug-in, and the only file that
// speaks libcamera's C++. Every exception ends here.
#include "hal/camera/libcamera_api.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <libcamera/libcamera.h>

namespace
{

namespace controls = libcamera::controls;

// A refusal, on its way to the C function that returns it.
class Failure : public std::exception
{
  public:
    Failure(int code, std::string text) : code_(code), text_(std::move(text)) {}
    int code() const { return code_; }
    const char *what() const noexcept override { return text_.c_str(); }

  private:
    int code_;
    std::string text_;
};

void say(sl_libcamera_why *why, const char *text)
{
    std::snprintf(why->text, sizeof why->text, "%s", text);
}

template <typename Body> int guarded(sl_libcamera_why *why, Body body)
{
    why->text[0] = '\0';
    try {
        body();
        return 0;
    } catch (const Failure &e) {
        say(why, e.what());
        return e.code();
    } catch (const std::bad_alloc &) {
        say(why, "no memory for the camera");
        return -ENOMEM;
    } catch (const std::exception &e) {
        say(why, e.what());
        return -EIO;
    } catch (...) {
        say(why, "libcamera failed without a word");
        return -EIO;
    }
}

// libcamera's results are negative errnos.
void expect(int rc, const char *what)
{
    if (rc < 0)
        throw Failure(rc, std::string(what) + ": " + std::strerror(-rc));
}

// libcamera allows one manager in a process. It begins with the first use and ends
// with the process, so that plugging is noticed between two openings too. Its end is
// before that of libcamera's own globals, which are older.
libcamera::CameraManager &manager()
{
    struct Running {
        libcamera::CameraManager manager;
        Running() { expect(manager.start(), "its camera manager does not start"); }
        ~Running() { manager.stop(); }
    };
    static Running running;
    return running.manager;
}

// The first stream of a camera, for pictures that are looked at as they come.
std::unique_ptr<libcamera::CameraConfiguration> configuration_of(libcamera::Camera &camera)
{
    const std::vector<libcamera::StreamRole> roles = {libcamera::StreamRole::Viewfinder};
    auto configuration = camera.generateConfiguration(roles);
    if (!configuration || configuration->empty())
        throw Failure(-ENODEV, "the camera has no stream of pictures");
    return configuration;
}

// ---- controls ----

// What the camera is asked to do, as far as it can.
class Wishes
{
  public:
    explicit Wishes(const libcamera::Camera &camera) : can_(camera.controls()), list_(can_) {}

    bool can(const libcamera::ControlId &id) const { return can_.find(id.id()) != can_.end(); }

    template <typename T> void set_if_any(const libcamera::Control<T> &control, T value)
    {
        if (can(control))
            list_.set(control, value);
    }

    // Those of newer versions, which older ones have no names for.
    void set_if_any(const char *name, int32_t value)
    {
        for (const auto &[id, info] : can_) {
            if (id->name() == name)
                list_.set(id->id(), libcamera::ControlValue(value));
        }
    }

    template <typename T>
    void set(const libcamera::Control<T> &control, double value, const char *setting)
    {
        if (!can(control))
            throw Failure(-ENOTSUP, std::string("the camera has no control for camera.") + setting +
                                        "; leave that setting out");
        const auto [least, largest] = bounds<T>(control);
        if (value < least || value > largest)
            throw Failure(-ERANGE, std::string("the camera cannot set camera.") + setting + " to " +
                                       std::to_string(value) + ": it can do " +
                                       std::to_string(least) + " to " + std::to_string(largest));
        list_.set(control, static_cast<T>(std::is_integral_v<T> ? std::round(value) : value));
    }

    // The rate that it will have; 0: it cannot be asked.
    double set_rate(double rate_hz)
    {
        if (!can(controls::FrameDurationLimits) || rate_hz <= 0)
            return 0;
        const auto [least, largest] = bounds<int64_t>(controls::FrameDurationLimits);
        const auto duration_us =
            static_cast<int64_t>(std::round(std::max(least, std::min(largest, 1e6 / rate_hz))));
        const std::array<int64_t, 2> limits = {duration_us, duration_us};
        list_.set(controls::FrameDurationLimits, libcamera::Span<const int64_t, 2>(limits));
        return 1e6 / static_cast<double>(duration_us);
    }

    const libcamera::ControlList &list() const { return list_; }

  private:
    // Not every camera tells them, and asking in the wrong type ends the process.
    template <typename T> std::pair<double, double> bounds(const libcamera::ControlId &id) const
    {
        const libcamera::ControlInfo &info = can_.at(id.id());
        constexpr auto type = libcamera::details::control_type<T>::value;
        if (info.min().type() != type || info.max().type() != type || info.max().isArray() ||
            info.min().isArray())
            return {-HUGE_VAL, HUGE_VAL};
        const auto least = static_cast<double>(info.min().get<T>());
        const auto largest = static_cast<double>(info.max().get<T>());
        return largest > least ? std::make_pair(least, largest)
                               : std::make_pair(-HUGE_VAL, HUGE_VAL);
    }

    const libcamera::ControlInfoMap &can_;
    libcamera::ControlList list_;
};

void wish_exposure(Wishes &wishes, const sl_libcamera_controls &c)
{
    const bool exposure = c.exposure_us > 0, gain = c.gain > 0;
    // On a Raspberry Pi each value locks itself and automatic control goes on with the
    // other one; without it both stay.
    wishes.set_if_any(controls::AeEnable, !(exposure && gain));
    // Since 0.5 each has a mode of its own: 0 automatic, 1 manual.
    wishes.set_if_any("ExposureTimeMode", exposure ? 1 : 0);
    wishes.set_if_any("AnalogueGainMode", gain ? 1 : 0);
    if (exposure)
        wishes.set(controls::ExposureTime, c.exposure_us, "exposure_us");
    if (gain)
        wishes.set(controls::AnalogueGain, c.gain, "gain");
}

void wish_colours_and_focus(Wishes &wishes, const sl_libcamera_controls &c)
{
    const bool white = c.white_balance_k > 0;
    wishes.set_if_any(controls::AwbEnable, !white);
    if (white)
        wishes.set(controls::ColourTemperature, c.white_balance_k, "white_balance_k");
    wishes.set_if_any(
        controls::AfMode,
        static_cast<int32_t>(c.focus_locked ? controls::AfModeManual : controls::AfModeContinuous));
    if (c.focus_locked)
        wishes.set(controls::LensPosition, c.focus, "focus");
}

// ---- buffers ----

// One buffer's planes, mapped. Planes may lie in one dma-buf behind each other.
class Mapping
{
  public:
    explicit Mapping(const libcamera::FrameBuffer &buffer)
    {
        const auto &planes = buffer.planes();
        for (const auto &plane : planes) {
            const size_t offset =
                plane.offset == libcamera::FrameBuffer::Plane::kInvalidOffset ? 0 : plane.offset;
            const Area &area = area_of(planes, plane.fd.get());
            if (shown_.plane_count == SL_LIBCAMERA_PLANES_MAX)
                throw Failure(-EPROTO, "its buffers have too many planes");
            auto &shown = shown_.planes[shown_.plane_count++];
            shown.data = static_cast<const uint8_t *>(area.map) + offset;
            shown.bytes = plane.length;
        }
    }
    ~Mapping()
    {
        for (const Area &area : areas_)
            munmap(area.map, area.bytes);
    }
    Mapping(const Mapping &) = delete;
    Mapping &operator=(const Mapping &) = delete;

    const sl_libcamera_buffer &shown() const { return shown_; }

    // What the device wrote is to be read by the processor. Memory that is no dma-buf
    // refuses, and needs it not.
    void sync(uint64_t flags) const
    {
        struct dma_buf_sync s = {};
        s.flags = flags | DMA_BUF_SYNC_READ;
        for (const Area &area : areas_) {
            int rc;
            do
                rc = ioctl(area.fd, DMA_BUF_IOCTL_SYNC, &s);
            while (rc != 0 && (errno == EINTR || errno == EAGAIN));
        }
    }

  private:
    struct Area {
        int fd;
        void *map;
        size_t bytes;
    };

    // Of all planes in this descriptor: planes begin anywhere, maps at pages.
    const Area &area_of(const std::vector<libcamera::FrameBuffer::Plane> &planes, int fd)
    {
        for (const Area &area : areas_) {
            if (area.fd == fd)
                return area;
        }
        size_t bytes = 0;
        for (const auto &plane : planes) {
            if (plane.fd.get() == fd)
                bytes = std::max(bytes,
                                 size_t{plane.length} +
                                     (plane.offset == libcamera::FrameBuffer::Plane::kInvalidOffset
                                          ? 0
                                          : plane.offset));
        }
        areas_.reserve(planes.size());
        void *map = mmap(nullptr, bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
        if (map == MAP_FAILED)
            expect(-errno, "its buffers cannot be mapped");
        areas_.push_back({fd, map, bytes});
        return areas_.back();
    }

    std::vector<Area> areas_;
    sl_libcamera_buffer shown_ = {};
};

} // namespace

// ---- a camera in use ----

struct sl_libcamera_session {
    sl_libcamera_session(const char *id, const sl_libcamera_events &events);
    ~sl_libcamera_session();

    void configure(sl_libcamera_format &format, const sl_libcamera_controls &wanted);
    void start();
    int queue(uint32_t buffer);
    void stop();
    const Mapping &mapping(uint32_t buffer) const { return *mappings_.at(buffer); }

  private:
    void take_buffers();
    void completed(libcamera::Request *request);
    void disconnected();

    const sl_libcamera_events events_;
    std::shared_ptr<libcamera::Camera> camera_;
    std::unique_ptr<libcamera::CameraConfiguration> configuration_;
    libcamera::Stream *stream_ = nullptr;
    std::unique_ptr<Wishes> wishes_;
    std::unique_ptr<libcamera::FrameBufferAllocator> allocator_;
    std::vector<std::unique_ptr<Mapping>> mappings_;
    std::vector<std::unique_ptr<libcamera::Request>> requests_;
};

sl_libcamera_session::sl_libcamera_session(const char *id, const sl_libcamera_events &events)
    : events_(events), camera_(manager().get(id))
{
    if (!camera_)
        throw Failure(-ENODEV, "the camera is not there any more");
    const int rc = camera_->acquire();
    if (rc == -EBUSY)
        throw Failure(rc, "another program uses the camera; end that first");
    expect(rc, "the camera cannot be had");
    camera_->requestCompleted.connect(this, &sl_libcamera_session::completed);
    camera_->disconnected.connect(this, &sl_libcamera_session::disconnected);
}

sl_libcamera_session::~sl_libcamera_session()
{
    camera_->requestCompleted.disconnect(this);
    camera_->disconnected.disconnect(this);
    requests_.clear();
    mappings_.clear();
    allocator_.reset();
    camera_->release();
}

void sl_libcamera_session::configure(sl_libcamera_format &format,
                                     const sl_libcamera_controls &wanted)
{
    configuration_ = configuration_of(*camera_);
    libcamera::StreamConfiguration &stream = configuration_->at(0);
    const libcamera::PixelFormat pixels(format.fourcc);
    const libcamera::Size size(format.width_px, format.height_px);
    stream.pixelFormat = pixels;
    stream.size = size;
    stream.bufferCount = format.buffers;
    if (configuration_->validate() == libcamera::CameraConfiguration::Invalid)
        throw Failure(-EINVAL, "the camera has no such format");
    format.fourcc = stream.pixelFormat.fourcc();
    format.width_px = stream.size.width;
    format.height_px = stream.size.height;
    if (stream.pixelFormat != pixels || stream.size != size)
        throw Failure(-EINVAL, "the camera would give " + stream.toString());
    expect(camera_->configure(configuration_.get()), "the camera cannot be set up");
    format.stride_bytes = stream.stride;
    stream_ = stream.stream();

    // Bounds are those of this size.
    wishes_ = std::make_unique<Wishes>(*camera_);
    format.rate_hz = wishes_->set_rate(wanted.rate_hz);
    wish_exposure(*wishes_, wanted);
    wish_colours_and_focus(*wishes_, wanted);
    take_buffers();
    format.buffers = static_cast<uint32_t>(requests_.size());
}

void sl_libcamera_session::take_buffers()
{
    allocator_ = std::make_unique<libcamera::FrameBufferAllocator>(camera_);
    expect(allocator_->allocate(stream_), "the camera has no memory for its frames");
    for (const auto &buffer : allocator_->buffers(stream_)) {
        mappings_.push_back(std::make_unique<Mapping>(*buffer));
        auto request = camera_->createRequest(requests_.size());
        if (!request)
            throw Failure(-ENOMEM, "the camera makes no requests");
        expect(request->addBuffer(stream_, buffer.get()), "the camera takes no buffers");
        requests_.push_back(std::move(request));
    }
}

void sl_libcamera_session::start()
{
    expect(camera_->start(&wishes_->list()), "it refuses");
    for (uint32_t i = 0; i < requests_.size(); i++)
        expect(queue(i), "it takes no buffers");
}

int sl_libcamera_session::queue(uint32_t buffer)
{
    libcamera::Request &request = *requests_.at(buffer);
    request.reuse(libcamera::Request::ReuseBuffers);
    return camera_->queueRequest(&request);
}

void sl_libcamera_session::stop()
{
    camera_->stop();
}

void sl_libcamera_session::completed(libcamera::Request *request)
{
    sl_libcamera_why why;
    guarded(&why, [&] {
        const libcamera::FrameBuffer &buffer = *request->buffers().at(stream_);
        const libcamera::FrameMetadata &frame = buffer.metadata();
        const auto sensor = request->metadata().get(controls::SensorTimestamp);
        sl_libcamera_done done = {};
        done.buffer = static_cast<uint32_t>(request->cookie());
        done.sequence = frame.sequence;
        done.stamp_ns = sensor ? static_cast<uint64_t>(*sensor) : frame.timestamp;
        // Asked by what it is not: some cameras leave it unset.
        done.good = request->status() != libcamera::Request::RequestCancelled &&
                    frame.status != libcamera::FrameMetadata::FrameError &&
                    frame.status != libcamera::FrameMetadata::FrameCancelled;
        events_.done(events_.context, &done);
    });
}

void sl_libcamera_session::disconnected()
{
    events_.gone(events_.context);
}

// ---- in C ----

namespace
{

void show(const libcamera::Camera &camera, const libcamera::StreamFormats &formats,
          void (*each)(void *context, const sl_libcamera_info *info), void *context)
{
    std::vector<sl_libcamera_mode> modes;
    for (const libcamera::PixelFormat &pixels : formats.pixelformats()) {
        const libcamera::SizeRange range = formats.range(pixels);
        modes.push_back({pixels.fourcc(), range.min.width, range.min.height, range.max.width,
                         range.max.height});
    }
    const auto model = camera.properties().get(libcamera::properties::Model);
    const std::string name = model ? std::string(*model) : std::string();
    const sl_libcamera_info info = {camera.id().c_str(), name.c_str(), modes.data(), modes.size()};
    each(context, &info);
}

int list(void (*each)(void *context, const sl_libcamera_info *info), void *context,
         sl_libcamera_why *why)
{
    return guarded(why, [&] {
        for (const auto &camera : manager().cameras()) {
            libcamera::StreamFormats formats;
            try {
                formats = configuration_of(*camera)->at(0).formats();
            } catch (const Failure &) {
                // It is there all the same, and shown without any.
            }
            show(*camera, formats, each, context);
        }
    });
}

int open(sl_libcamera_session **session, const char *id, const sl_libcamera_events *events,
         sl_libcamera_why *why)
{
    *session = nullptr;
    return guarded(why, [&] { *session = new sl_libcamera_session(id, *events); });
}

int configure(sl_libcamera_session *session, sl_libcamera_format *format,
              const sl_libcamera_controls *wanted, sl_libcamera_why *why)
{
    return guarded(why, [&] { session->configure(*format, *wanted); });
}

void buffer(sl_libcamera_session *session, uint32_t number, sl_libcamera_buffer *out)
{
    sl_libcamera_why why;
    *out = {};
    guarded(&why, [&] { *out = session->mapping(number).shown(); });
}

int start(sl_libcamera_session *session, sl_libcamera_why *why)
{
    return guarded(why, [&] { session->start(); });
}

int queue(sl_libcamera_session *session, uint32_t number)
{
    sl_libcamera_why why;
    return guarded(&why, [&] { expect(session->queue(number), "not queued"); });
}

void sync(sl_libcamera_session *session, uint32_t number, bool begin)
{
    sl_libcamera_why why;
    guarded(&why,
            [&] { session->mapping(number).sync(begin ? DMA_BUF_SYNC_START : DMA_BUF_SYNC_END); });
}

void stop(sl_libcamera_session *session)
{
    sl_libcamera_why why;
    guarded(&why, [&] { session->stop(); });
}

void close(sl_libcamera_session *session)
{
    sl_libcamera_why why;
    guarded(&why, [&] { delete session; });
}

} // namespace

extern "C" __attribute__((visibility("default"))) const struct sl_libcamera_api sl_libcamera_api;
const struct sl_libcamera_api sl_libcamera_api = {
    SL_LIBCAMERA_API_VERSION,
    libcamera::CameraManager::version().c_str(),
    list,
    open,
    configure,
    buffer,
    start,
    queue,
    sync,
    stop,
    close,
};
