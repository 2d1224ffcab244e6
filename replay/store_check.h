// Walks the pages of an LMDB data file, without LMDB.
//
// LMDB trusts its pages: a flipped byte in one of them is a wild read or an abort of the process.
// This walk reads what LMDB would follow (both meta pages, every tree page, every page number) and
// believes nothing that points astray. The bytes of values are not its concern; they carry
// checksums of their own.
//
// Used in two ways: to refuse a damaged file before LMDB opens it for writing, and to read a file
// in place, passing over what is damaged in it (replay/store_view.h).
//
// Source: the on-disk format, version 1, as liblmdb 0.9 writes it on 64-bit little-endian machines.

#ifndef REPLAY_STORE_CHECK_H
#define REPLAY_STORE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// Nobody may write the file meanwhile. An empty or missing file is fine.
// Errors: GN_ERR_CORRUPT names the page; GN_ERR_IO; GN_ERR_MEMORY.
gn_status replay_store_check(const char *path);

// A data file mapped for reading.
typedef struct replay_store_file {
    const char *path; // the caller's
    int file; // -1: not open
    const unsigned char *map; // NULL: the file is empty
    size_t size;
} replay_store_file;

// Errors: GN_ERR_NOT_FOUND, GN_ERR_IO.
gn_status replay_store_map(replay_store_file *ret_file, const char *path);
void replay_store_unmap(replay_store_file *file);

// Checks the two meta pages only; a writer may be at work.  Errors: GN_ERR_CORRUPT.
gn_status replay_store_check_head(const replay_store_file *file);

// Who is told what a walk finds. What a function returns ends the walk unless it is GN_OK.
typedef struct replay_store_visitor {
    void *self;
    // A value of a named database. Its key, and the value in one piece, lie in the mapping.
    gn_status (*value)(void *self, const char *name, size_t name_size, const void *key,
                       size_t key_size, const void *value, size_t size);
    // Damage that is passed over; gn_error_text() names it. NULL: the first ends the walk.
    gn_status (*damage)(void *self);
} replay_store_visitor;

// Walks everything a transaction sees; a reader must hold it, so that no writer reuses its pages.
// Transaction 0 is the newest, and then nobody may write the file.
// Errors: GN_ERR_CORRUPT; GN_ERR_NOT_FOUND if neither meta page is of this transaction (any more).
gn_status replay_store_walk(const replay_store_file *file, uint64_t transaction,
                            const replay_store_visitor *visitor);

// Where a value that LMDB maps lies in the file; false if it shares a page with others, which moves
// when any of them changes.
bool replay_store_locate(const void *value, size_t size, uint64_t *ret_offset);

// Gives back the memory that looking at a value has mapped; it can be looked at again. The value is
// `size` bytes from `offset` of the file, of which `map_size` bytes are mapped at `map`, a mapping
// for reading. The kernel maps whole folios of the page cache around a touched page, up to 2 MB
// that begin at a multiple of it in the file, so all such 2 MB are given back that have a part of
// the value: what of them lies in neighbours would count as memory of this process until they are
// looked at themselves.
void replay_store_forget(const void *map, size_t map_size, uint64_t offset, size_t size);

#endif
