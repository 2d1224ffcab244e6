// What train and resume share: the progress line, signals, and how a run ends.

#ifndef CLI_TRAINING_H
#define CLI_TRAINING_H

#include "rl/trainer.h"

// Hooks for a trainer of this process. Installs handlers for SIGINT and SIGTERM.
rl_hooks cli_training_hooks(void);

// Runs the trainer, says how it ended and what to do next; returns the exit status
// (130 and 143 after SIGINT and SIGTERM).
int cli_training_run(rl_trainer *trainer, const char *folder);

#endif
