/* top_frame.h - one picture of `tallymill top`, as lines of text. No I/O but to `out`. */
#ifndef TALLYMILL_OPERATOR_TOP_FRAME_H
#define TALLYMILL_OPERATOR_TOP_FRAME_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "operator/top_look.h"

struct top_frame {
    int64_t wall_us; /* Unix time */
    int64_t now_us;  /* monotonic */
    int rows;        /* of the terminal: so many topic partitions are shown as have room; 0: all */
    bool is_paused;
    bool is_live; /* on a terminal: keys are told, and what is wrong stands out */
};

void top_frame_print(const struct top *top, const struct top_frame *frame, FILE *out);

/* Values as bars of eight heights, UTF-8, the largest as the highest; `width` of them at most, the newest last. Below 0 is as 0. */
void top_frame_bars(const double *values, int count, int width, FILE *out);

#endif
