// A replay buffer as a table, for pandas, polars or duckdb.

#ifndef CLI_REPLAY_EXPORT_H
#define CLI_REPLAY_EXPORT_H

#include "replay/reader.h"
#include "rl/config.h"

// Writes the steps of the newest generation to `path` (.parquet, .csv or .arrow), atomically, one
// row a step, stream by stream, oldest first:
//
//     stream, step        environment copy, and the slot's position in its stream
//     episode             numbered from 0 in the order of the rows
//     action, reward, terminated, truncated
//     priority            only where sampling is prioritized and alpha is not 0
//     bar, exposure, ...  the numbers of the record the step was taken from; none of a picture
//
// Memory: all columns at once, 36 bytes a slot and those numbers, and what the writer needs beside
// them. Errors: GN_ERR_STATE if the records are not those of the run's environment; those of
// replay_reader_begin, replay_reader_next and market_table_write.
gn_status cli_replay_export(replay_reader *reader, const rl_config *config, const char *path,
                            uint64_t *ret_steps);

#endif
