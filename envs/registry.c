// The table of environments: a new one is its file and a row here.

#include <string.h>

#include "base/text.h"
#include "envs/classic/acrobot.h"
#include "envs/classic/cartpole.h"
#include "envs/classic/mountain_car.h"
#include "envs/env.h"
#include "envs/pixel/catch.h"
#include "envs/tabular/chain.h"
#include "envs/toy_market/ar1.h"
#include "envs/trading/trading.h"

const env_class *const env_classes[] = {
    &trading_class, &cartpole_class, &acrobot_class, &mountain_car_class,
    &catch_class,   &chain_class,    &ar1_class,     NULL,
};

gn_status env_class_find(const env_class **ret_class, const char *name)
{
    for (const env_class *const *row = env_classes; *row; row++) {
        if (strcmp((*row)->name, name) == 0) {
            *ret_class = *row;
            return GN_OK;
        }
    }
    gn_text known = { 0 };
    for (const env_class *const *row = env_classes; *row; row++)
        gn_text_append(&known, "%s%s", row == env_classes ? "" : ", ", (*row)->name);
    gn_status status = gn_text_status(&known);
    if (status == GN_OK)
        status = gn_fail(GN_ERR_CONFIG, "env: no environment is called '%s' (there are %s)", name,
                         gn_text_data(&known));
    gn_text_free(&known);
    return status;
}
