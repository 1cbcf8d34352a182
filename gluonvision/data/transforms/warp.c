/* Cut the crop of a training sample in one pass: pixels bilinear, labels nearest, and black pixels
   with label -1 outside.

   gluonvision/data/transforms/warp.py calls this with ctypes, and so without Python's global lock.
   It checks the arguments, and does the same with OpenCV if this file is not compiled or the
   processor lacks AVX2. Positions are fixed-point numbers that are computed afresh in every row: 32
   bits of fraction for stepping, 16 for look-ups, 15 for weights. Nothing is read outside the image
   and the mask, wherever the maps point. */

#include <Python.h>
#include <stdint.h>

#define VERSION 1

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))
#define LANES 8
#define CHUNK 128 /* pixels that are located together before any is read */
#define HERE AVX2 static inline

typedef __m256i Lanes; /* eight numbers of 32 bits, or sixteen of 16 */

typedef struct {
    const uint8_t *data;
    int64_t stride; /* bytes between rows */
    int32_t height, width, bytes; /* bytes per pixel */
    const double *map; /* 2 x 3: from a pixel (x, y, 1) of the crop to one of this array */
} Picture;

typedef struct {
    int64_t x, y, step_x, step_y;
    Lanes ahead_x, ahead_y; /* offsets of the eight pixels from the first */
} Walk;

HERE Lanes all(int32_t number) { return _mm256_set1_epi32(number); }

#define HALF 32768 /* half of the last of the 16 bits, for rounding */

HERE Lanes multiples(int64_t step)
{
    int32_t numbers[LANES];
    for (int i = 0; i < LANES; i++)
        numbers[i] = (int32_t)((i * step + HALF) >> 16);
    return _mm256_loadu_si256((const Lanes *)numbers);
}

HERE Walk walk_row(const double *map, int row, double added)
{
    const double one = 4294967296.0;
    Walk walk;
    walk.step_x = (int64_t)(map[0] * one);
    walk.step_y = (int64_t)(map[3] * one);
    walk.x = (int64_t)((map[1] * row + map[2] + added) * one) + HALF;
    walk.y = (int64_t)((map[4] * row + map[5] + added) * one) + HALF;
    walk.ahead_x = multiples(walk.step_x);
    walk.ahead_y = multiples(walk.step_y);
    return walk;
}

/* Return eight positions with 16 bits of fraction, and advance to the next eight. */
HERE void walk_on(Walk *walk, Lanes *x, Lanes *y)
{
    *x = _mm256_add_epi32(all((int32_t)(walk->x >> 16)), walk->ahead_x);
    *y = _mm256_add_epi32(all((int32_t)(walk->y >> 16)), walk->ahead_y);
    walk->x += LANES * walk->step_x;
    walk->y += LANES * walk->step_y;
}

/* Write one row of labels, return how many are inside the mask, and set *first to the first of
   them. Those inside are contiguous, because a line crosses a rectangle in one piece. */
AVX2 static int label_row(const Picture *mask, int row, int width, int32_t *labels, int *first)
{
    const Lanes right = all(mask->width), bottom = all(mask->height), before = all(-1);
    const Lanes stride = all((int32_t)mask->stride), bytes = all(mask->bytes);
    int32_t at[CHUNK], outside[CHUNK];
    Walk walk = walk_row(mask->map, row, 0.5);
    int last = -1;
    *first = width;
    for (int start = 0; start < width; start += CHUNK) {
        const int count = width - start < CHUNK ? width - start : CHUNK;
        for (int i = 0; i < count; i += LANES) {
            Lanes column, line;
            walk_on(&walk, &column, &line);
            column = _mm256_srai_epi32(column, 16);
            line = _mm256_srai_epi32(line, 16);
            const Lanes inside = _mm256_and_si256(
                _mm256_and_si256(
                    _mm256_cmpgt_epi32(column, before), _mm256_cmpgt_epi32(right, column)),
                _mm256_and_si256(
                    _mm256_cmpgt_epi32(line, before), _mm256_cmpgt_epi32(bottom, line)));
            const int wanted = count - i < LANES ? (1 << (count - i)) - 1 : 255;
            const int bits = _mm256_movemask_ps(_mm256_castsi256_ps(inside)) & wanted;
            if (bits) {
                if (*first == width)
                    *first = start + i + __builtin_ctz(bits);
                last = start + i + 31 - __builtin_clz(bits);
            }
            /* Pixels outside read the first label, and are then set to -1, which has all bits set. */
            const Lanes place = _mm256_add_epi32(
                _mm256_mullo_epi32(line, stride), _mm256_mullo_epi32(column, bytes));
            _mm256_storeu_si256((Lanes *)(at + i), _mm256_and_si256(inside, place));
            _mm256_storeu_si256((Lanes *)(outside + i), _mm256_xor_si256(inside, before));
        }
        if (!labels)
            continue;
        if (mask->bytes == 1) {
#pragma GCC unroll 8
            for (int i = 0; i < count; i++)
                labels[start + i] = (int8_t)mask->data[at[i]] | outside[i];
        } else {
            for (int i = 0; i < count; i++) {
                int16_t label;
                memcpy(&label, mask->data + at[i], sizeof label);
                labels[start + i] = label | outside[i];
            }
        }
    }
    return last < *first ? 0 : last + 1 - *first;
}

/* Pixels of a row: the offset of each in the image, its weights to the right and down, and eight
   bytes from there and from the row below, which hold two neighbouring pixels. They are loaded one
   by one: AVX2's gather is not faster, and its speed varies between processors. */
typedef struct {
    int32_t at[CHUNK], across[CHUNK], down[CHUNK];
    uint64_t above[CHUNK], below[CHUNK];
} Chunk;

/* Convert the fraction of 16 bits to a weight of 15, in both halves of each 32 bits. */
HERE Lanes weight_of(Lanes position)
{
    const Lanes weight = _mm256_srli_epi32(_mm256_slli_epi32(position, 16), 17);
    return _mm256_or_si256(weight, _mm256_slli_epi32(weight, 16));
}

HERE void locate(const Picture *image, Walk *walk, int count, Chunk *chunk)
{
    const Lanes zero = _mm256_setzero_si256(), stride = all((int32_t)image->stride);
    /* Clamp, so that the pixels to the right and below exist. */
    const Lanes right = all(((image->width - 1) << 16) - 1);
    const Lanes bottom = all(((image->height - 1) << 16) - 1);
    for (int i = 0; i < count; i += LANES) {
        Lanes column, line;
        walk_on(walk, &column, &line);
        column = _mm256_min_epi32(_mm256_max_epi32(column, zero), right);
        line = _mm256_min_epi32(_mm256_max_epi32(line, zero), bottom);
        _mm256_storeu_si256((Lanes *)(chunk->across + i), weight_of(column));
        _mm256_storeu_si256((Lanes *)(chunk->down + i), weight_of(line));
        column = _mm256_srli_epi32(column, 16);
        line = _mm256_srli_epi32(line, 16);
        _mm256_storeu_si256((Lanes *)(chunk->at + i), _mm256_add_epi32(
            _mm256_mullo_epi32(line, stride), _mm256_mullo_epi32(column, all(3))));
    }
}

HERE void fetch(const Picture *image, int count, Chunk *chunk)
{
    /* The last offset with eight bytes after it; pixels beyond it are loaded from there and
       shifted into place. */
    const int64_t stride = image->stride;
    const int64_t last = (image->height - 1) * stride + 3 * image->width - 8;
#pragma GCC unroll 4
    for (int i = 0; i < count; i++) {
        const int64_t below = chunk->at[i] + stride;
        memcpy(chunk->above + i, image->data + chunk->at[i], 8);
        memcpy(chunk->below + i, image->data + (below < last ? below : last), 8);
        if (below > last)
            chunk->below[i] >>= 8 * (below - last);
    }
}

/* Interpolate from a to b, 16 bits each of which 15 are used, with weights of 15 bits. */
HERE Lanes between(Lanes a, Lanes b, Lanes weight)
{
    return _mm256_add_epi16(a, _mm256_mulhrs_epi16(_mm256_sub_epi16(b, a), weight));
}

/* Bilinear interpolation of 8-bit values in 16 bits: top left, top right, bottom left, bottom
   right. */
HERE Lanes mix(Lanes a, Lanes b, Lanes c, Lanes d, Lanes across, Lanes down)
{
    const Lanes left = between(_mm256_slli_epi16(a, 7), _mm256_slli_epi16(c, 7), down);
    const Lanes right = between(_mm256_slli_epi16(b, 7), _mm256_slli_epi16(d, 7), down);
    const Lanes sum = _mm256_add_epi16(between(left, right, across), _mm256_set1_epi16(64));
    return _mm256_srli_epi16(sum, 7);
}

/* Split eight pairs of pixels into left and right, as R, G, B and 0, in the order
   0 1 4 5 2 3 6 7. */
HERE void part(const uint64_t *pairs, Lanes *left, Lanes *right)
{
    const Lanes two = _mm256_setr_epi8(
        0, 1, 2, -1, 3, 4, 5, -1, 8, 9, 10, -1, 11, 12, 13, -1,
        0, 1, 2, -1, 3, 4, 5, -1, 8, 9, 10, -1, 11, 12, 13, -1);
    const __m256 first = _mm256_castsi256_ps(
        _mm256_shuffle_epi8(_mm256_loadu_si256((const Lanes *)pairs), two));
    const __m256 second = _mm256_castsi256_ps(
        _mm256_shuffle_epi8(_mm256_loadu_si256((const Lanes *)(pairs + 4)), two));
    *left = _mm256_castps_si256(_mm256_shuffle_ps(first, second, 0x88));
    *right = _mm256_castps_si256(_mm256_shuffle_ps(first, second, 0xdd));
}

/* Interpolate eight pixels of a chunk: twelve bytes at the beginning of each half. */
HERE Lanes blend(const Chunk *chunk, int i)
{
    const Lanes order = _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7), low = all(0xff00ff);
    const Lanes three = _mm256_setr_epi8(
        0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,
        0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    const Lanes across = _mm256_permutevar8x32_epi32(
        _mm256_loadu_si256((const Lanes *)(chunk->across + i)), order);
    const Lanes down = _mm256_permutevar8x32_epi32(
        _mm256_loadu_si256((const Lanes *)(chunk->down + i)), order);
    Lanes a, b, c, d;
    part(chunk->above + i, &a, &b);
    part(chunk->below + i, &c, &d);
    const Lanes red_blue = mix(
        _mm256_and_si256(a, low), _mm256_and_si256(b, low), _mm256_and_si256(c, low),
        _mm256_and_si256(d, low), across, down);
    const Lanes green = mix(
        _mm256_srli_epi16(a, 8), _mm256_srli_epi16(b, 8), _mm256_srli_epi16(c, 8),
        _mm256_srli_epi16(d, 8), across, down);
    const Lanes rgb = _mm256_or_si256(red_blue, _mm256_slli_epi16(green, 8));
    return _mm256_shuffle_epi8(_mm256_permutevar8x32_epi32(rgb, order), three);
}

/* Write one row of pixels; the image's border is replicated outside it. */
AVX2 static void pixel_row(const Picture *image, int row, int width, uint8_t *pixels)
{
    Walk walk = walk_row(image->map, row, 0.0);
    Chunk chunk;
    for (int start = 0; start < width; start += CHUNK) {
        const int count = width - start < CHUNK ? width - start : CHUNK;
        locate(image, &walk, count, &chunk);
        fetch(image, count, &chunk);
        for (int i = 0; i < count; i += LANES) {
            const Lanes rgb = blend(&chunk, i);
            const int x = start + i;
            /* Each store writes four bytes too many, which the next one overwrites. */
            uint8_t last[28], *to = width - x > LANES + 1 ? pixels + 3 * x : last;
            _mm_storeu_si128((__m128i *)to, _mm256_castsi256_si128(rgb));
            _mm_storeu_si128((__m128i *)(to + 12), _mm256_extracti128_si256(rgb, 1));
            if (to == last)
                memcpy(pixels + 3 * x, last, 3 * (width - x < LANES ? width - x : LANES));
        }
    }
}

int supported(void) { return __builtin_cpu_supports("avx2") ? VERSION : 0; }

/* Fill a square crop: uint8 (size, size, 3) and int32 (size, size). The image covers its first
   height x width pixels. If image is NULL, only the pixels outside are set, to black; if labels is
   NULL, no labels are written. */
AVX2 void cut(
    const uint8_t *image, int64_t image_stride, int image_height, int image_width,
    const double *to_image, const uint8_t *mask, int64_t mask_stride, int mask_height,
    int mask_width, int mask_bytes, const double *to_mask, int height, int width, int size,
    uint8_t *pixels, int32_t *labels)
{
    const Picture picture = {image, image_stride, image_height, image_width, 3, to_image};
    const Picture classes = {mask, mask_stride, mask_height, mask_width, mask_bytes, to_mask};
    for (int y = 0; y < size; y++) {
        uint8_t *row = pixels + (int64_t)y * size * 3;
        int32_t *label = labels ? labels + (int64_t)y * size : 0;
        int first = 0, count = 0;
        if (y < height) {
            count = label_row(&classes, y, width, label, &first);
            if (image && count)
                pixel_row(&picture, y, width, row);
        }
        if (!count)
            first = 0;
        memset(row, 0, 3 * first);
        memset(row + 3 * (first + count), 0, 3 * (size - first - count));
        /* -1 has all bits set. */
        if (label && y < height)
            memset(label + width, 255, (size - width) * sizeof *label);
        else if (label)
            memset(label, 255, size * sizeof *label);
    }
}

#else

int supported(void) { return 0; }

#endif

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "_warp", .m_doc = "See warp.py.", .m_size = -1};

PyMODINIT_FUNC PyInit__warp(void) { return PyModule_Create(&module); }
