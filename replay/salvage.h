// Writes what is readable of a damaged store into a new one: whole episodes, and episodes cut where
// something is missing, which then end as truncated. Of a cut episode the last readable record
// becomes the final one: its step is given up, because nothing says what followed it. An episode
// that was still running ends the same way.
//
// Priorities are kept as they are; rank-based weights are not. Positions start at 0 again, so no
// checkpoint can be continued with the new store: it is for looking at and exporting.

#ifndef REPLAY_SALVAGE_H
#define REPLAY_SALVAGE_H

#include <stdint.h>

#include "base/status.h"

typedef struct replay_salvaged {
    uint64_t generation; // the newest that can be read
    uint64_t steps, episodes; // kept
    uint64_t cut; // of the episodes: ended as truncated
    uint64_t lost; // slots that were not kept
} replay_salvaged;

// `to` must not exist; on failure it does not exist afterwards.
// Errors: GN_ERR_EXISTS; GN_ERR_EMPTY if nothing is readable; those of replay_view_open and of
// replay_store_commit.
gn_status replay_salvage(const char *from, const char *to, replay_salvaged *ret_salvaged);

#endif
