// A store as it lies on disk, for reading only, also while a run writes to it.
//
// The file is mapped and its pages are walked once (replay/store_check.h), which leaves the place
// of every value; nothing trusts a page that was not checked, and LMDB never sees one. LMDB only
// holds a read transaction meanwhile: the run goes on, the view stays what it was when it was
// opened, and the pages it shows are used again once it is closed.
//
// Threads: one at a time. Not in the process that writes the store: LMDB's locks belong to the
// process, and closing the view would give up the writer's.

#ifndef REPLAY_STORE_VIEW_H
#define REPLAY_STORE_VIEW_H

#include <stdbool.h>

#include "base/file.h"
#include "replay/store.h"

// What is wrong with a store, one line each. {0} is none.
enum { REPLAY_FINDINGS_KEPT = 64 };
typedef struct replay_findings {
    uint64_t count; // all of them; the first REPLAY_FINDINGS_KEPT have their line
    char *line[REPLAY_FINDINGS_KEPT];
} replay_findings;

// Adds a line; also counts it where there is no memory for the text.
__attribute__((format(printf, 2, 3))) void replay_findings_add(replay_findings *findings,
                                                               const char *format, ...);
void replay_findings_free(replay_findings *findings);

// A value and where it lies; read it with replay_value_read.
typedef struct replay_value {
    uint64_t key; // chunk * streams + stream, id of the model, or generation
    const unsigned char *bytes;
    size_t size;
    bool damaged; // known to be
} replay_value;

typedef struct replay_view {
    char path[GN_PATH_SIZE]; // of the data file
    replay_layout layout;
    char owner[33]; // the run
    // Ascending keys: [chunks], [bodies], [models], [generations].
    replay_value *chunk, *body, *model, *generation;
    size_t chunks, bodies, models, generations;
    uint64_t file_bytes;
    struct replay_view_state *state;
} replay_view;

// Opens the store in `folder`. findings: where damage to the structure goes, which is then passed
// over; NULL: damage is an error.
// Errors: GN_ERR_NOT_FOUND if there is no store; GN_ERR_EMPTY if nothing was written yet;
// GN_ERR_CORRUPT, also with findings where layout or owner are lost; GN_ERR_STATE if it is of
// another version; GN_ERR_BUSY if it is damaged and opened for writing; GN_ERR_IO.
gn_status replay_view_open(replay_view **ret_view, const char *folder, replay_findings *findings);
void replay_view_close(replay_view **view);

// The data of a value, in place.  Errors: GN_ERR_CORRUPT if its checksum does not match.
gn_status replay_value_read(const replay_value *value, const void **ret_data, size_t *ret_size);

// Gives back the memory that reading a value has mapped; it can be read again.
void replay_value_forget(const replay_view *view, const replay_value *value);

// The value of a key among `count` ascending ones, or NULL.
replay_value *replay_value_find(replay_value *values, size_t count, uint64_t key);

#endif
