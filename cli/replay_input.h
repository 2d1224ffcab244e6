// Generated steps to fill a replay buffer with, one stream of them, the same from the same seed.
//
//     catch    frames of 84 x 84 bytes of the game (envs/pixel/catch.h), random actions
//     scene    the same game in front of a picture of noise, another one each episode
//     chart    the same size, charts of a generated market (envs/trading/chart.h), random positions
//     floats   a random walk of float32
//     noise    random bytes, which nothing can compress

#ifndef CLI_REPLAY_INPUT_H
#define CLI_REPLAY_INPUT_H

#include "replay/buffer.h"

typedef enum replay_input_kind {
    REPLAY_INPUT_CATCH,
    REPLAY_INPUT_SCENE,
    REPLAY_INPUT_CHART,
    REPLAY_INPUT_FLOATS,
    REPLAY_INPUT_NOISE,
    REPLAY_INPUTS
} replay_input_kind;

extern const char *const replay_input_names[]; // [REPLAY_INPUTS], then NULL

typedef struct replay_input replay_input;

// record_size: of floats (a multiple of 4) and noise; frames have their own.
// Errors: GN_ERR_ARG; those of the environment and the market.
gn_status replay_input_create(replay_input **ret_input, replay_input_kind kind, size_t record_size,
                              uint64_t seed);
void replay_input_destroy(replay_input **input);

// Whether records are frames, which have their own size.
static inline bool replay_input_frames(replay_input_kind kind)
{
    return kind <= REPLAY_INPUT_CHART;
}

size_t replay_input_record_size(const replay_input *input);

typedef struct replay_input_step {
    bool begins; // an episode: only `record` counts
    int32_t action;
    float reward;
    bool terminated;
    const unsigned char *record; // that followed; valid until the next step
} replay_input_step;

replay_input_step replay_input_next(replay_input *input);

// Puts a step into stream 0.  Errors: those of replay_buffer_begin and replay_buffer_add.
gn_status replay_input_put(replay_buffer *buffer, const replay_input_step *step);

// Puts n steps, begins of episodes included, into each of the buffers.
gn_status replay_input_fill(replay_input *input, replay_buffer *const *buffer, size_t buffers,
                            size_t n);

// The options of a buffer at their defaults, with records kept by this codec.
replay_config replay_input_config(int64_t capacity, replay_codec codec);

#endif
