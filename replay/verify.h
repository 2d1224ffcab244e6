// Checks a store from outside, every byte that matters, also while a run writes to it:
//
//     structure     every page that can be reached (replay/store_check.h)
//     values        the checksum of each one
//     chunks        decode with body and model, and hold what their keys and checksums say
//     generations   every kept one: its chunks are all there, tail and priorities decode and are as
//                   many as its slots
//     slots         an ended step is followed by a final slot and nothing else is; the open slot is
//                   the last; rewards are finite
//     priorities    finite, not negative, 0 where there is no step
//
// Nothing is repaired: replay/salvage.h makes a new store of what is readable.

#ifndef REPLAY_VERIFY_H
#define REPLAY_VERIFY_H

#include "replay/store_view.h"

typedef struct replay_verified {
    uint64_t chunks, generations; // looked at
    uint64_t slots, steps; // that can be read, in the newest generation that can
} replay_verified;

// Adds what is wrong to `findings`; none means sound.
// Errors: those of replay_view_open and GN_ERR_MEMORY, but a damaged store is no error.
gn_status replay_verify(const char *folder, replay_findings *findings,
                        replay_verified *ret_verified);

#endif
