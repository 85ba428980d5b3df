/* The pipeline of every tutorial, as its authors would have it in C++: see
 * detect_opencv.h. The thresholds are the usual ones for asphalt. */
#include "detect_opencv.h"

#include <cstdio>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/core/version.hpp>
#include <opencv2/imgproc.hpp>

namespace
{
struct Buffers {
    cv::Mat blurred, edges, region, mask;
    std::vector<cv::Vec4i> segments;
    int top = -1;
};

/* From the whole lower edge to the middle of the upper. */
void draw_mask(cv::Mat &mask, int width, int height, int top)
{
    mask.create(height, width, CV_8UC1);
    mask.setTo(0);
    const std::vector<cv::Point> shape = {{0, height - 1},
                                          {width * 2 / 5, top},
                                          {width * 3 / 5, top},
                                          {width - 1, height - 1}};
    cv::fillConvexPoly(mask, shape, cv::Scalar(255));
}

void find_edges(const cv::Mat &gray, Buffers &b)
{
    cv::GaussianBlur(gray, b.blurred, cv::Size(5, 5), 0);
    cv::Canny(b.blurred, b.edges, 50, 150);
}

int find_segments(const cv::Mat &edges, Buffers &b)
{
    cv::HoughLinesP(edges, b.segments, 1, CV_PI / 180, 40, 30, 100);
    return static_cast<int>(b.segments.size());
}

int find_cropped(const cv::Mat &gray, int top, Buffers &b)
{
    find_edges(gray.rowRange(top, gray.rows), b);
    return find_segments(b.edges, b);
}

int find_masked(const cv::Mat &gray, int top, Buffers &b)
{
    if (b.mask.size() != gray.size() || b.top != top) { /* another clip */
        draw_mask(b.mask, gray.cols, gray.rows, top);
        b.top = top;
    }
    find_edges(gray, b);
    cv::bitwise_and(b.edges, b.mask, b.region);
    return find_segments(b.region, b);
}
} // namespace

int opencv_lanes(const uint8_t *luma, int width_px, int height_px, int stride_bytes, int road_row,
                 int cropped)
{
    static Buffers whole, part;
    try {
        cv::setNumThreads(1);
        const cv::Mat gray(height_px, width_px, CV_8UC1, const_cast<uint8_t *>(luma),
                           static_cast<size_t>(stride_bytes));
        return cropped != 0 ? find_cropped(gray, road_row, part)
                            : find_masked(gray, road_row, whole);
    } catch (const cv::Exception &e) {
        std::fprintf(stderr, "OpenCV: %s\n", e.what());
        return -1;
    }
}

const char *opencv_version(void)
{
    return CV_VERSION;
}
