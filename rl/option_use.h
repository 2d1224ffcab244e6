// Which options change something beside the others: a temperature does not where actions are
// greedy. A run file may set such options, for it may serve several agents; who types one as a flag
// may expect something of it.

#ifndef RL_OPTION_USE_H
#define RL_OPTION_USE_H

#include "base/log.h"
#include "rl/config.h"

// Warns of each flag that changes nothing in a run, and says why. config: resolved with these
// flags; flag[2i] is "section.key".
// Errors: GN_ERR_MEMORY.
gn_status rl_option_use_tell(const rl_config *config, const char *const *flag, size_t flags,
                             const gn_log *log);

// For a set of options that is not a whole run's: what it does not have is not looked at.
// Errors: GN_ERR_CONFIG: a flag that changes nothing; the text names it and why. GN_ERR_MEMORY.
gn_status rl_option_use_check_set(const gn_option_section *sections, const char *const *flag,
                                  size_t flags);

#endif
