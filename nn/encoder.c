#include "nn/encoder.h"

#include "nn/layer.h"

static gn_status append_nothing(nn_layout *layout)
{
    (void)layout;
    return GN_OK;
}

const nn_encoder nn_encoders[] = {
    { "none", append_nothing },
    { 0 },
};

const char *const nn_encoder_names[] = { "none", NULL };
