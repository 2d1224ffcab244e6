// Checks the page structure of an LMDB data file before LMDB opens it.
//
// LMDB trusts its pages: a flipped byte in one of them is a wild read or an abort of the process.
// This walk reads what LMDB would follow (both meta pages, every tree page, every page number) and
// refuses a file in which anything points astray. The bytes of values are not its concern; they
// carry checksums of their own.
//
// Source: the on-disk format, version 1, as liblmdb 0.9 writes it on 64-bit little-endian machines.

#ifndef REPLAY_STORE_CHECK_H
#define REPLAY_STORE_CHECK_H

#include "base/status.h"

// Nobody may write the file meanwhile. An empty or missing file is fine.
// Errors: GN_ERR_CORRUPT names the page; GN_ERR_IO; GN_ERR_MEMORY.
gn_status replay_store_check(const char *path);

#endif
