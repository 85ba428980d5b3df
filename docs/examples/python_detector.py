#!/usr/bin/env python3
"""A lane detector in Python, in the place of the built-in one.

    build/bin/skylane sim --drive --track oval -o detect.detector=bus   # one terminal
    PYTHONPATH=tools/python docs/examples/python_detector.py            # another

It looks at the road from above: at a grid of points on the ground, each taken
from the picture where the camera sees it. Paint is a stripe of the grid that is
brighter than the road on both its sides. One parabola, shifted half a lane to
the left and to the right, is fitted to the paint that lies near where the lane
was in the frame before."""
import signal

import numpy as np

from skylane import Detection, DetectionWriter, ImageChannel, LaneState

# The camera and the road of board/sim/skylane.ini.
FX_PX, FY_PX, CX_PX, CY_PX = 560.0, 560.0, 399.5, 299.5
HEIGHT_M, FORWARD_M, PITCH_RAD = 1.3, 1.5, 0.09
SIDES_M = np.array([1.75, -1.75])  # the lane's boundaries, from its middle

AHEAD_M = np.geomspace(6.0, 25.0, 32)  # the grid's rows, ahead of the rear axle
ASIDE_M = np.arange(4.0, -4.05, -0.05)  # its columns, positive left
PAINT = 3  # columns that paint is wide
MIN_STEP = 12.0  # grey levels from road to paint
NEAR_M, ANYWHERE_M = 0.5, 1.0  # how far from the expected line paint is looked for
FIT_M = 0.15  # paint farther from the fitted line is another line's
POWERS = np.vander(AHEAD_M, 3, increasing=True)  # 1, x, x^2


def ground_grid(shape):
    """The picture's row and column at which each point of the grid is seen."""
    from_lens_m = AHEAD_M[:, None] - FORWARD_M
    depth_m = from_lens_m * np.cos(PITCH_RAD) + HEIGHT_M * np.sin(PITCH_RAD)
    down_m = HEIGHT_M * np.cos(PITCH_RAD) - from_lens_m * np.sin(PITCH_RAD)
    row = np.rint(CY_PX + FY_PX * down_m / depth_m).astype(int)
    column = np.rint(CX_PX - FX_PX * ASIDE_M / depth_m).astype(int)
    seen = (row < shape[0]) & (column >= 0) & (column < shape[1])
    return np.minimum(row, shape[0] - 1), np.clip(column, 0, shape[1] - 1), seen


def paint_steps(luma, grid):
    """How much brighter each point of the grid is than the road beside it."""
    row, column, seen = grid
    ground = luma[row, column].astype(np.float32)
    beside = PAINT + 1
    bright = sum(np.roll(ground, k, axis=1) for k in range(-(PAINT // 2), PAINT // 2 + 1)) / PAINT
    road = np.maximum(np.roll(ground, beside, axis=1), np.roll(ground, -beside, axis=1))
    step = np.where(seen, bright - road, 0.0)
    step[:, : beside + 1] = step[:, -beside - 1 :] = 0.0  # rolled over the edge
    return step


class Lane:
    """The lane's middle, y = a + b x + c x^2, followed from frame to frame."""

    def __init__(self):
        self.middle = np.zeros(3)
        self.seen = np.zeros(2, int)  # rows in which the left, the right was found
        self.sure = 0.0

    def update(self, step):
        """Finds the lane in the grid's steps."""
        window_m = NEAR_M if self.sure > 0 else ANYWHERE_M
        found_rows, found_m = [], []
        for side, side_m in enumerate(SIDES_M):
            off_m = ASIDE_M - (POWERS @ self.middle + side_m)[:, None]
            nearby = np.where(np.abs(off_m) < window_m, step, 0.0)
            rows = np.flatnonzero(nearby.max(axis=1) > MIN_STEP)
            self.seen[side] = len(rows)
            found_rows.append(rows)
            found_m.append(ASIDE_M[nearby[rows].argmax(axis=1)] - side_m)
        self.fit(np.concatenate(found_rows), np.concatenate(found_m))

    def fit(self, rows, middle_m):
        """Least squares, and once more without what lies far off."""
        for _ in range(2):
            if len(rows) < 8:
                self.middle, self.sure = np.zeros(3), 0.0
                return
            self.middle = np.linalg.lstsq(POWERS[rows], middle_m, rcond=None)[0]
            good = np.abs(POWERS[rows] @ self.middle - middle_m) < FIT_M
            rows, middle_m = rows[good], middle_m[good]
        self.sure = min(1.0, len(rows) / len(AHEAD_M))

    def tell(self, answer):
        """Fills in a Detection, which says "lost" as it comes."""
        if self.sure == 0.0:
            return
        a, b, c = self.middle
        answer.state = LaneState.TWO_LINES if self.seen.min() >= 4 else LaneState.ONE_LINE
        answer.confidence = self.sure
        answer.lateral_offset_m = -a
        answer.heading_error_rad = -np.arctan(b)
        answer.curvature_1pm = 2 * c
        answer.lane_width_m = SIDES_M[0] - SIDES_M[1]
        for line, side_m, seen in zip((answer.left, answer.right), SIDES_M, self.seen):
            line.seen = int(seen >= 4)
            line.confidence = seen / len(AHEAD_M)
            line.x_min_m, line.x_max_m = AHEAD_M[0], AHEAD_M[-1]
            line.poly[:] = (a + side_m, b, c, 0.0)


def main():
    lane, grid = Lane(), None
    with ImageChannel("camera_feed") as camera, DetectionWriter() as answers:
        while True:
            with camera.read(timeout=None) as image:
                answer = Detection.of(image)
                if grid is None:
                    grid = ground_grid(image.luma.shape)
                lane.update(paint_steps(image.luma, grid))
                lane.tell(answer)
            answers.publish(answer)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        pass
