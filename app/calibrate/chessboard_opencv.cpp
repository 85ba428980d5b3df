// chessboard.h through OpenCV 4: the only C++ of the calibration. No exception
// leaves this file.
extern "C" {
#include "app/calibrate/chessboard.h"
}

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <new>
#include <vector>

#include <opencv2/calib3d.hpp>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

namespace
{

// Boards in pictures larger than this are sought in a smaller copy first: the
// search takes time by the pixel, and blur hides in large pictures.
constexpr double search_side_px = 1280;

template <typename Body> int guarded(struct sl_error *err, Body body)
{
    try {
        return body();
    } catch (const std::bad_alloc &) {
        return sl_error_set(err, -ENOMEM, "no memory for the chessboard");
    } catch (const cv::Exception &e) {
        return sl_error_set(err, -ERANGE, "OpenCV cannot use these pictures: %s", e.err.c_str());
    } catch (const std::exception &e) {
        return sl_error_set(err, -ERANGE, "OpenCV cannot use these pictures: %s", e.what());
    }
}

std::vector<cv::Point3f> board_points(const struct sl_chessboard *board)
{
    std::vector<cv::Point3f> points;
    for (int r = 0; r < board->rows; r++)
        for (int c = 0; c < board->columns; c++)
            points.emplace_back(static_cast<float>(c * board->square_m),
                                static_cast<float>(r * board->square_m), 0.0F);
    return points;
}

bool search(const cv::Mat &picture, cv::Size size, std::vector<cv::Point2f> &corners)
{
    if (cv::findChessboardCornersSB(picture, size, corners,
                                    cv::CALIB_CB_NORMALIZE_IMAGE | cv::CALIB_CB_EXHAUSTIVE))
        return true;
    // The older search finds some boards that the newer one misses, such as
    // those with little white around them.
    return cv::findChessboardCorners(picture, size, corners,
                                     cv::CALIB_CB_ADAPTIVE_THRESH | cv::CALIB_CB_NORMALIZE_IMAGE |
                                         cv::CALIB_CB_FAST_CHECK);
}

// The least distance between corners that are neighbours on the board.
double least_distance(const std::vector<cv::Point2f> &corners, cv::Size size)
{
    double least = 1e9;
    for (int r = 0; r < size.height; r++) {
        for (int c = 0; c < size.width; c++) {
            const size_t i = static_cast<size_t>(r * size.width + c);
            if (c + 1 < size.width)
                least = std::min(least, cv::norm(corners[i] - corners[i + 1]));
            if (r + 1 < size.height)
                least = std::min(
                    least, cv::norm(corners[i] - corners[i + static_cast<size_t>(size.width)]));
        }
    }
    return least;
}

} // namespace

extern "C" bool sl_chessboard_available(void)
{
    return true;
}

extern "C" int sl_chessboard_find(const struct sl_chessboard *board, const struct sl_luma *picture,
                                  float (*corners)[2], struct sl_error *err)
{
    return guarded(err, [&]() -> int {
        const cv::Size size(board->columns, board->rows);
        // OpenCV only reads it.
        const cv::Mat full(static_cast<int>(picture->height_px),
                           static_cast<int>(picture->width_px), CV_8UC1,
                           const_cast<uint8_t *>(picture->pixels), picture->stride_bytes);
        std::vector<cv::Point2f> found;
        const double side = std::max(full.cols, full.rows);
        bool good = false;
        if (side > search_side_px) {
            cv::Mat smaller;
            const double k = search_side_px / side;
            cv::resize(full, smaller, cv::Size(), k, k, cv::INTER_AREA);
            good = search(smaller, size, found);
            for (cv::Point2f &p : found) {
                // Sizes count from a pixel's edge, points from its centre.
                p.x = static_cast<float>((p.x + 0.5) * full.cols / smaller.cols - 0.5);
                p.y = static_cast<float>((p.y + 0.5) * full.rows / smaller.rows - 0.5);
            }
        }
        if (!good)
            good = search(full, size, found);
        if (!good || found.size() != static_cast<size_t>(size.area()))
            return sl_error_set(err, -ENOENT,
                                "shows no chessboard of %dx%d inner corners; all of it must be in "
                                "view, sharp and evenly lit",
                                board->columns, board->rows);
        // The window holds one corner and nothing of the next.
        const int window = std::clamp(static_cast<int>(0.3 * least_distance(found, size)), 2, 11);
        cv::cornerSubPix(
            full, found, cv::Size(window, window), cv::Size(-1, -1),
            cv::TermCriteria(cv::TermCriteria::COUNT | cv::TermCriteria::EPS, 60, 1e-3));
        for (size_t i = 0; i < found.size(); i++) {
            corners[i][0] = found[i].x;
            corners[i][1] = found[i].y;
        }
        return 0;
    });
}

extern "C" int sl_chessboard_solve(const struct sl_chessboard *board,
                                   struct sl_chessboard_view *views, size_t count,
                                   uint32_t width_px, uint32_t height_px, bool with_k3,
                                   struct sl_camera_calibration *camera,
                                   struct sl_lens_deviation *deviation, double *rms_px,
                                   struct sl_error *err)
{
    return guarded(err, [&]() -> int {
        const std::vector<cv::Point3f> points = board_points(board);
        std::vector<std::vector<cv::Point3f>> objects;
        std::vector<std::vector<cv::Point2f>> images;
        for (size_t i = 0; i < count; i++) {
            if (!views[i].used)
                continue;
            std::vector<cv::Point2f> image;
            for (size_t k = 0; k < points.size(); k++)
                image.emplace_back(views[i].corners[k][0], views[i].corners[k][1]);
            objects.push_back(points);
            images.push_back(image);
        }
        if (images.size() < 3)
            return sl_error_set(err, -EINVAL,
                                "%zu pictures show the board, and a lens needs 3 at the least, "
                                "better 15",
                                images.size());
        cv::Mat matrix, lens, deviations;
        std::vector<cv::Mat> rotations, positions;
        *rms_px = cv::calibrateCamera(
            objects, images, cv::Size(static_cast<int>(width_px), static_cast<int>(height_px)),
            matrix, lens, rotations, positions, deviations, cv::noArray(), cv::noArray(),
            with_k3 ? 0 : cv::CALIB_FIX_K3,
            cv::TermCriteria(cv::TermCriteria::COUNT | cv::TermCriteria::EPS, 100, 1e-10));
        if (!cv::checkRange(matrix) || !cv::checkRange(lens) || !(matrix.at<double>(0, 0) > 1) ||
            !(matrix.at<double>(1, 1) > 1))
            return sl_error_set(err, -ERANGE, "no lens fits the corners that were found");
        camera->width_px = width_px;
        camera->height_px = height_px;
        camera->fx_px = matrix.at<double>(0, 0);
        camera->fy_px = matrix.at<double>(1, 1);
        camera->cx_px = matrix.at<double>(0, 2);
        camera->cy_px = matrix.at<double>(1, 2);
        camera->k1 = lens.at<double>(0);
        camera->k2 = lens.at<double>(1);
        camera->p1 = lens.at<double>(2);
        camera->p2 = lens.at<double>(3);
        camera->k3 = lens.at<double>(4);
        double *sd[] = {&deviation->fx_px, &deviation->fy_px, &deviation->cx_px,
                        &deviation->cy_px, &deviation->k1,    &deviation->k2,
                        &deviation->p1,    &deviation->p2,    &deviation->k3};
        for (int i = 0; i < 9; i++)
            *sd[i] = deviations.at<double>(i);

        size_t used = 0;
        for (size_t i = 0; i < count; i++) {
            cv::Mat rotation, position;
            std::vector<cv::Point2f> image, fitted;
            for (size_t k = 0; k < points.size(); k++)
                image.emplace_back(views[i].corners[k][0], views[i].corners[k][1]);
            if (views[i].used) {
                rotation = rotations[used];
                position = positions[used];
                used++;
            } else {
                cv::solvePnP(points, image, matrix, lens, rotation, position);
            }
            cv::projectPoints(points, rotation, position, matrix, lens, fitted);
            double squares = 0;
            for (size_t k = 0; k < points.size(); k++) {
                views[i].fitted[k][0] = fitted[k].x;
                views[i].fitted[k][1] = fitted[k].y;
                squares += std::pow(cv::norm(fitted[k] - image[k]), 2);
            }
            views[i].rms_px = std::sqrt(squares / static_cast<double>(points.size()));
            for (int k = 0; k < 3; k++) {
                views[i].rotation[k] = rotation.at<double>(k);
                views[i].position[k] = position.at<double>(k);
            }
        }
        return 0;
    });
}
