// The verbs of gannet replay, each in a file of its own.

#ifndef CLI_REPLAY_VERBS_H
#define CLI_REPLAY_VERBS_H

#include "base/file.h"
#include "cli/verbs.h"
#include "rl/config.h"

gn_status cli_replay_stat(cli_request *request);
gn_status cli_replay_verify(cli_request *request);
gn_status cli_replay_export(cli_request *request);
gn_status cli_replay_demo(cli_request *request);
gn_status cli_replay_demo_list(void); // prints the demos
gn_status cli_replay_bench(cli_request *request); // request->user: replay_config

// The store that the request's path names: the folder of a run or of a store.  ret_folder:
// [GN_PATH_SIZE].  ret_config: options of its run; release with rl_config_destroy; NULL: not
// wanted, then a store that stands alone will do.
// Errors: GN_ERR_ARG without a path; GN_ERR_NOT_FOUND if there is none, or the run keeps its steps
// in RAM.
gn_status cli_replay_find(const cli_request *request, char *ret_folder, rl_config **ret_config);

// A folder of a verb's own for what it writes: in --folder if given, else in $TMPDIR or /tmp.
// Ctrl-C and the like wait until it is discarded.
// ret_folder: [GN_PATH_SIZE].  Errors: GN_ERR_NOT_FOUND, GN_ERR_IO.
gn_status cli_replay_scratch(const cli_request *request, char *ret_folder);

// Whether one of them waits: then work is to end soon.
bool cli_replay_interrupted(void);

// Removes it.  Returns `status` and keeps its text where that is a failure already. Where the
// process was interrupted it ends here.
gn_status cli_replay_discard(const char *folder, gn_status status);

#endif
