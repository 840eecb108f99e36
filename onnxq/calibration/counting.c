/* Counts float32 values by the high half of their bits; see counting.py, which is its only caller
   and says what was measured. Plain C11, no headers but the compiler's own and libc's; compiled by
   hatch_build.py, which passes SOURCE, a digest of this file: a library of another source has other
   symbols and is not found. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define JOIN(name, source) name##_##source
#define NAME(name, source) JOIN(name, source)

#define BINS 65536
/* Neighbours in an activation are often equal, above all the zeros behind a Relu. To add one to the
   counter that was written just before costs the latency of a store that is read back, so four
   counters take turns; they lie side by side, so a bin touches one cache line. */
#define LANES 4
/* A block is read twice, for its extremes and for its bins, while the next one is fetched: two fit
   the first cache. Values come from memory (all outputs of a run were written since), and
   processors do not fetch ahead across pages by themselves. */
#define BLOCK 2048
/* Values in a cache line. */
#define LINE 16
/* Bins in a cache line of lanes. */
#define NEAR 4
/* Partial results of the extremes: two vectors of 256 bits for each of the five, which fit the
   registers of AVX2. */
#define PARTS 16

#define MAGNITUDE 0x7FFFFFFFu
#define INFINITY_BITS 0x7F800000u

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define BEST_VECTORS __attribute__((target_clones("avx2", "default")))
#else
#define BEST_VECTORS
#endif

#if defined(__GNUC__)
#define FETCH(address) __builtin_prefetch((const void *)(address))
#else
#define FETCH(address) ((void)0)
#endif

/* What counting.py reads; `least` and `most` bound the magnitudes (bits without the sign), zeros
   aside: nearest to zero less one, so that no magnitude is above all others. */
typedef struct {
  int64_t non_finite;
  float low;
  float high;
  uint32_t least;
  uint32_t most;
  uint32_t either; /* all bits, or-ed: whether any sign is set, whatever the processor thinks of
                      denormals (a thread may be told to compare them as zeros) */
} summary;

static float as_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* NaN compares false, so it leaves low and high alone; `most` shows it. */
#define TAKE(bits, at)                                                                           \
  do {                                                                                           \
    const float value = as_float(bits);                                                          \
    const uint32_t magnitude = (bits) & MAGNITUDE, before = magnitude - 1;                       \
    low[at] = value < low[at] ? value : low[at];                                                 \
    high[at] = value > high[at] ? value : high[at];                                              \
    least[at] = before < least[at] ? before : least[at];                                         \
    most[at] = magnitude > most[at] ? magnitude : most[at];                                      \
    either[at] |= (bits);                                                                        \
  } while (0)

BEST_VECTORS static void widen(const uint32_t *bits, size_t size, summary *found) {
  float low[PARTS], high[PARTS];
  uint32_t least[PARTS], most[PARTS], either[PARTS];
  for (size_t at = 0; at < PARTS; at++) {
    low[at] = found->low;
    high[at] = found->high;
    least[at] = found->least;
    most[at] = found->most;
    either[at] = found->either;
  }
  size_t index = 0;
  for (; index + PARTS <= size; index += PARTS)
    for (size_t at = 0; at < PARTS; at++) TAKE(bits[index + at], at);
  for (; index < size; index++) TAKE(bits[index], 0);
  for (size_t at = 0; at < PARTS; at++) {
    found->low = low[at] < found->low ? low[at] : found->low;
    found->high = high[at] > found->high ? high[at] : found->high;
    found->least = least[at] < found->least ? least[at] : found->least;
    found->most = most[at] > found->most ? most[at] : found->most;
    found->either |= either[at];
  }
}

static void fetch_line_ahead(const uint32_t *bits) {
  FETCH((uintptr_t)bits + BLOCK * sizeof *bits); /* may lie behind the end; is not read */
}

static void count_block(const uint32_t *bits, size_t size, uint32_t (*lanes)[LANES]) {
  size_t index = 0;
  for (; index + LINE <= size; index += LINE) {
    fetch_line_ahead(bits + index);
    for (size_t at = 0; at < LINE; at += LANES)
      for (size_t lane = 0; lane < LANES; lane++) lanes[bits[index + at + lane] >> 16][lane]++;
  }
  for (; index < size; index++) lanes[bits[index] >> 16][0]++;
}

/* Counts every stride-th value and finds the extremes of all. The lanes are zero before; they hold
   the counts after, but where a value is NaN or infinite: then they are zero again.
   A lane holds 2^32 - 1, so fewer than 2^32 values may come at once. */
void NAME(onnxq_count, SOURCE)(const uint32_t *bits, size_t size, size_t stride,
                               uint32_t (*lanes)[LANES], summary *found) {
  *found = (summary){0, INFINITY, -INFINITY, UINT32_MAX, 0, 0};
  size_t start = 0, next = 0;
  for (; start < size && found->most < INFINITY_BITS; start += BLOCK) {
    const size_t here = size - start < BLOCK ? size - start : BLOCK;
    if (stride > 1)
      for (size_t index = 0; index < here; index += LINE) fetch_line_ahead(bits + start + index);
    widen(bits + start, here, found);
    if (found->most >= INFINITY_BITS) break;
    if (stride == 1) {
      count_block(bits + start, here, lanes);
    } else {
      size_t lane = 0;
      for (; next < start + here; next += stride) lanes[bits[next] >> 16][lane++ % LANES]++;
    }
  }
  if (found->most < INFINITY_BITS) return;
  memset(lanes, 0, BINS * sizeof *lanes);
  for (; start < size; start++) found->non_finite += (bits[start] & MAGNITUDE) >= INFINITY_BITS;
}

static void move(uint32_t (*lanes)[LANES], int64_t *counts, int64_t factor, uint32_t first,
                 uint32_t last) {
  for (uint32_t start = first - first % NEAR; start <= last; start += NEAR) {
    uint64_t pairs[NEAR * LANES / 2], any = 0;
    memcpy(pairs, lanes[start], sizeof pairs);
    for (size_t pair = 0; pair < NEAR * LANES / 2; pair++) any |= pairs[pair];
    if (!any) continue;
    for (uint32_t bin = start; bin < start + NEAR; bin++) {
      const uint32_t *lane = lanes[bin];
      counts[bin] += factor * ((int64_t)lane[0] + lane[1] + lane[2] + lane[3]);
    }
    memset(lanes[start], 0, sizeof pairs);
  }
}

/* Adds factor times the lanes to the counts, and clears the lanes: only those that values of such
   extremes can have touched. */
void NAME(onnxq_move, SOURCE)(uint32_t (*lanes)[LANES], int64_t *counts, int64_t factor,
                              const summary *found) {
  const uint32_t sign = BINS / 2;
  move(lanes, counts, factor, 0, 0);
  move(lanes, counts, factor, sign, sign);
  if (found->least == UINT32_MAX) return; /* nothing but zeros, or nothing */
  const uint32_t first = (found->least + 1) >> 16, last = found->most >> 16;
  if (found->high >= 0) move(lanes, counts, factor, first, last);
  if (found->either > MAGNITUDE) move(lanes, counts, factor, sign + first, sign + last);
}
