// Which options change something beside the others: a temperature does not where actions are
// greedy. A run file may set such options, for it may serve several agents; who types one as a flag
// expects something of it.

#ifndef RL_OPTION_USE_H
#define RL_OPTION_USE_H

#include "rl/config.h"

// config: resolved with these flags; flag[2i] is "section.key".
// Errors: GN_ERR_CONFIG: a flag that changes nothing in this run; the text names it and why.
gn_status rl_option_use_check(const rl_config *config, const char *const *flag, size_t flags);

// The same for a set of options that is not a whole run's: what it does not have is not looked at.
gn_status rl_option_use_check_set(const gn_option_section *sections, const char *const *flag,
                                  size_t flags);

#endif
