// Record codecs on one core, on 84x84 grey frames: bytes, encoding, decoding a random record.
//
//     bench_codec [--frames FILE] [--level L] [--seconds S]
//
// Frames are of a game like Catch, of one with a wall of bricks and noise; or else of FILE: rows of
// 7057 bytes, 1 that is not 0 where an episode starts and 7056 pixels; as many as MEMORY_FRAMES. A
// dictionary is trained on the first chunk as the replay buffer does it (replay/model_choice.h).

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"
#include "benchmarks/bench.h"
#include "replay/model_choice.h"
#include "replay/quantize.h"
#include "tests/replay/frames.h"

enum { CHUNK = 1024, CHUNKS = 16, MEMORY_FRAMES = CHUNK * CHUNKS, DECODES = 16384 };

typedef struct frames {
    const char *name;
    unsigned char *pixel; // [n, FRAME_SIZE]
    uint8_t *start; // [n]
    size_t chunks;
} frames;

static frames make_frames(const char *name)
{
    frames f = { .name = name, .chunks = CHUNKS };
    bench_need(gn_alloc(&f.pixel, MEMORY_FRAMES, FRAME_SIZE));
    bench_need(gn_alloc(&f.start, MEMORY_FRAMES, 1));
    return f;
}

static void free_frames(frames *f)
{
    gn_free(&f->pixel);
    gn_free(&f->start);
}

static frames read_frames(const char *path)
{
    frames f = make_frames("file");
    FILE *file = fopen(path, "rb");
    size_t n = 0;
    if (file == NULL)
        bench_need(gn_fail(GN_ERR_IO, "%s: cannot be opened", path));
    while (n < MEMORY_FRAMES && fread(f.start + n, 1, 1, file) == 1 &&
           fread(f.pixel + n * FRAME_SIZE, FRAME_SIZE, 1, file) == 1)
        n++;
    fclose(file);
    f.chunks = n / CHUNK;
    if (f.chunks == 0)
        bench_need(gn_fail(GN_ERR_FORMAT, "%s: %zu frames are less than %d", path, n, CHUNK));
    return f;
}

typedef struct body {
    unsigned char *bytes; // [capacity]
    replay_place place[CHUNK];
    size_t size;
    const replay_model *model;
} body;

typedef struct run {
    replay_coder *coder;
    replay_model_choice *policy;
    replay_model *model[CHUNKS + 1]; // of the ids
    body *chunk; // [CHUNKS]
    size_t capacity;
} run;

static void encode_chunk(run *r, const frames *f, size_t c)
{
    body *chunk = &r->chunk[c];
    uint64_t id = replay_model_choice_save(r->policy).id;
    replay_model *fresh = NULL;
    bench_need(replay_model_choice_encode(
        r->policy, r->coder, r->model[id], f->pixel + c * CHUNK * FRAME_SIZE, f->start + c * CHUNK,
        CHUNK, chunk->bytes, r->capacity, chunk->place, &chunk->size, &fresh));
    if (fresh)
        r->model[++id] = fresh;
    chunk->model = r->model[id];
}

static void report(const char *name, const frames *f, const char *what, const char *unit,
                   double value)
{
    char text[96];
    snprintf(text, sizeof text, "codec.%s.%s.%s", name, f->name, what);
    bench line = bench_begin(text, unit, 0);
    while (bench_next(&line))
        bench_sample(&line, value);
    bench_report(&line);
}

static void measure_encode(run *r, const char *name, const frames *f, double budget_s)
{
    char text[96];
    snprintf(text, sizeof text, "codec.%s.%s.encode", name, f->name);
    bench encode = bench_begin(text, "us", budget_s);
    for (size_t c = 0; bench_next(&encode); c = (c + 1) % f->chunks) {
        body *chunk = &r->chunk[c];
        bench_need(replay_coder_encode(r->coder, chunk->model, f->pixel + c * CHUNK * FRAME_SIZE,
                                       f->start + c * CHUNK, CHUNK, chunk->bytes, r->capacity,
                                       chunk->place, &chunk->size));
        bench_sample(&encode, bench_elapsed(&encode) * 1e6 / CHUNK);
    }
    bench_report(&encode);
}

static void measure_decode(run *r, const char *name, const frames *f, double budget_s)
{
    char text[96];
    unsigned char record[FRAME_SIZE];
    snprintf(text, sizeof text, "codec.%s.%s.decode", name, f->name);
    gn_random random = gn_random_stream(1, GN_RANDOM_TEST, 0);
    bench decode = bench_begin(text, "us", budget_s);
    while (bench_next(&decode)) {
        for (size_t k = 0; k < DECODES; k++) {
            uint64_t at = gn_random_u64(&random) % (f->chunks * CHUNK);
            const body *chunk = &r->chunk[at / CHUNK];
            bench_need(replay_coder_decode(r->coder, chunk->model, chunk->place, at % CHUNK,
                                           chunk->bytes, 0, chunk->size, record));
        }
        bench_sample(&decode, bench_elapsed(&decode) * 1e6 / DECODES);
    }
    bench_report(&decode);
}

static void measure(const frames *f, replay_codec_kind kind, const char *name, int level,
                    double budget_s)
{
    run r = { 0 };
    bench_need(replay_coder_create(&r.coder, kind, level, FRAME_SIZE));
    bench_need(replay_model_choice_create(&r.policy, kind, level, level, FRAME_SIZE, CHUNK));
    bench_need(gn_alloc(&r.chunk, CHUNKS, sizeof *r.chunk));
    r.capacity = replay_coder_bound(r.coder, CHUNK);
    size_t size = 0;
    for (size_t c = 0; c < f->chunks; c++) {
        bench_need(gn_alloc(&r.chunk[c].bytes, r.capacity, 1));
        encode_chunk(&r, f, c);
        size += r.chunk[c].size + sizeof r.chunk[c].place;
    }
    for (size_t id = 1; id <= CHUNKS && r.model[id]; id++) {
        size_t own = 0;
        replay_model_bytes(r.model[id], &own);
        size += own;
    }
    report(name, f, "size", "% of raw with places and models",
           100.0 * (double)size / (double)(f->chunks * CHUNK * FRAME_SIZE));
    measure_encode(&r, name, f, budget_s);
    measure_decode(&r, name, f, budget_s);
    for (size_t c = 0; c < f->chunks; c++)
        gn_free(&r.chunk[c].bytes);
    for (size_t id = 1; id <= CHUNKS; id++)
        replay_model_destroy(&r.model[id]);
    gn_free(&r.chunk);
    replay_model_choice_destroy(&r.policy);
    replay_coder_destroy(&r.coder);
}

static void measure_frames(frames f, int level, double budget_s)
{
    measure(&f, REPLAY_CODEC_NONE, "none", level, budget_s);
    measure(&f, REPLAY_CODEC_ZSTD, "zstd", level, budget_s);
    measure(&f, REPLAY_CODEC_ZSTD_DICT, "zstd-dict", level, budget_s);
    measure(&f, REPLAY_CODEC_PATCH, "patch", level, budget_s);
    measure(&f, REPLAY_CODEC_DELTA, "delta", level, budget_s);
    free_frames(&f);
}

// Records of 82 floats, as an agent on market features sees.
static void measure_quantize(int bits, double budget_s)
{
    enum { FLOATS = 82 };
    float record[FLOATS];
    unsigned char bytes[8 + 2 * FLOATS];
    char name[64];
    gn_random random = gn_random_stream(1, GN_RANDOM_TEST, 0);
    for (size_t i = 0; i < FLOATS; i++)
        record[i] = (float)gn_random_uniform(&random, -3, 3);
    snprintf(name, sizeof name, "codec.quantize.%d.encode.82", bits);
    bench encode = bench_begin(name, "us", budget_s);
    while (bench_next(&encode)) {
        for (size_t k = 0; k < 8 * DECODES; k++) {
            record[k % FLOATS] += 1e-6f;
            bench_need(replay_quantize(record, FLOATS, bits, bytes));
        }
        bench_sample(&encode, bench_elapsed(&encode) * 1e6 / (8 * DECODES));
    }
    bench_report(&encode);
    snprintf(name, sizeof name, "codec.quantize.%d.decode.82", bits);
    bench decode = bench_begin(name, "us", budget_s);
    while (bench_next(&decode)) {
        for (size_t k = 0; k < 32 * DECODES; k++) {
            bytes[8 + k % FLOATS]++;
            replay_dequantize(bytes, FLOATS, bits, record);
        }
        bench_sample(&decode, bench_elapsed(&decode) * 1e6 / (32 * DECODES));
    }
    bench_report(&decode);
}

int main(int count, char **argument)
{
    const char *path = NULL;
    int level = 3;
    double budget_s = 1;
    for (int i = 1; i < count; i += 2) {
        if (i + 1 < count && strcmp(argument[i], "--frames") == 0) {
            path = argument[i + 1];
        } else if (i + 1 < count && strcmp(argument[i], "--level") == 0) {
            level = atoi(argument[i + 1]);
        } else if (i + 1 < count && strcmp(argument[i], "--seconds") == 0) {
            budget_s = atof(argument[i + 1]);
        } else {
            fprintf(stderr, "usage: %s [--frames FILE] [--level L] [--seconds S]\n", argument[0]);
            return 2;
        }
    }
    if (path) {
        measure_frames(read_frames(path), level, budget_s);
        return 0;
    }
    frames f = make_frames("catch");
    frames_catch(1, 0, MEMORY_FRAMES, f.pixel, f.start);
    measure_frames(f, level, budget_s);
    f = make_frames("bricks");
    frames_catch(1, 0x5A3C96F00F69C3A5, MEMORY_FRAMES, f.pixel, f.start);
    measure_frames(f, level, budget_s);
    f = make_frames("noise");
    frames_noise(1, MEMORY_FRAMES, f.pixel, f.start);
    measure_frames(f, level, budget_s);
    measure_quantize(8, budget_s);
    measure_quantize(16, budget_s);
    return 0;
}
