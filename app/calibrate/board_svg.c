#include "app/calibrate/board_svg.h"

#include <errno.h>
#include <math.h>

/* A4, lying. Printers leave some 5 mm at the edges white; below the board is
 * room for the ruler and its words. Finding needs white around the board. */
#define PAGE_WIDTH_MM  297.0
#define PAGE_HEIGHT_MM 210.0
#define SIDE_MM        10.0
#define TOP_MM         8.0
#define BOTTOM_MM      16.0
#define RULER_MM       100.0

double sl_board_square_max_mm(const struct sl_chessboard *board)
{
    double across = (PAGE_WIDTH_MM - 2 * SIDE_MM) / (board->columns + 1);
    double down = (PAGE_HEIGHT_MM - TOP_MM - BOTTOM_MM) / (board->rows + 1);
    return floor(2 * fmin(across, down)) / 2;
}

int sl_board_svg(const struct sl_chessboard *board, FILE *to, struct sl_error *err)
{
    const double square = board->square_m * 1e3;
    const int across = board->columns + 1, down = board->rows + 1;
    if (square > sl_board_square_max_mm(board) + 1e-6)
        return sl_error_set(err, -ERANGE,
                            "a board of %dx%d inner corners fits A4 with squares of %g mm at the "
                            "most; %g mm is too large",
                            board->columns, board->rows, sl_board_square_max_mm(board), square);
    const double left = (PAGE_WIDTH_MM - across * square) / 2;
    const double top = TOP_MM + (PAGE_HEIGHT_MM - TOP_MM - BOTTOM_MM - down * square) / 2;
    const double foot = PAGE_HEIGHT_MM - BOTTOM_MM + 5;
    fprintf(to,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%gmm\" height=\"%gmm\" "
            "viewBox=\"0 0 %g %g\">\n"
            "<title>Chessboard of %dx%d inner corners, squares of %g mm</title>\n"
            "<rect width=\"%g\" height=\"%g\" fill=\"white\"/>\n"
            "<path fill=\"black\" shape-rendering=\"crispEdges\" d=\"",
            PAGE_WIDTH_MM, PAGE_HEIGHT_MM, PAGE_WIDTH_MM, PAGE_HEIGHT_MM, board->columns,
            board->rows, square, PAGE_WIDTH_MM, PAGE_HEIGHT_MM);
    for (int r = 0; r < down; r++)
        for (int c = r % 2; c < across; c += 2)
            fprintf(to, "M%g %gh%gv%gh%gz", left + c * square, top + r * square, square, square,
                    -square);
    fprintf(
        to,
        "\"/>\n"
        "<path fill=\"none\" stroke=\"black\" stroke-width=\"0.25\" "
        "d=\"M%g %gv-2m0 1h%gm0 -1v2\"/>\n"
        "<text x=\"%g\" y=\"%g\" font-family=\"sans-serif\" font-size=\"3.2\">"
        "100 mm. %dx%d inner corners; %d squares: %g mm. Print at 100 %%, then measure.</text>\n"
        "</svg>\n",
        left, foot + 1, RULER_MM, left + RULER_MM + 3, foot + 1.2, board->columns, board->rows,
        across, across * square);
    return ferror(to) ? sl_error_set(err, -EIO, "the board cannot be written") : 0;
}
